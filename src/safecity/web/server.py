"""Serving the application with uvicorn."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import structlog
import uvicorn

from safecity.errors import Configuration

log = structlog.get_logger()

STOP_WITHIN_S = 1
"""Seconds that open requests get at the end; live sockets are told to come back."""

MAX_SOCKET_MESSAGE = 64 * 1024
BACKLOG = 512


def listen(host: str, port: int, *, or_any: bool = False) -> socket.socket:
    """Return a socket that listens on host and port (0: any free one).

    With `or_any` a taken port is replaced by a free one. Raises Configuration when it cannot listen.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay (40 ms an answer) off only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if or_any and port:
            log.warning("the web port is taken, another one is used", port=port, reason=error.strerror)
            return listen(host, 0)
        raise Configuration(
            f"the web server cannot listen on {host} port {port}: {error.strerror}; set web.port to another"
        ) from error
    listener.setblocking(False)
    return listener


async def serve(
    app: Any,
    host: str,
    port: int,
    *,
    listener: socket.socket | None = None,
    on_listening: Callable[[str, int], None] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or cancellation; then end within two seconds.

    on_listening: called with host and port as soon as requests are answered. Raises Configuration when the
    port is taken.
    """
    listener = listener or listen(host, port)
    address = listener.getsockname()
    server = _Server(_config(app), lambda: on_listening and on_listening(address[0], address[1]))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        server.should_exit = True
        await task
        raise
    finally:
        listener.close()
    if not server.started:
        raise Configuration("the web server did not start; the log says why")


class _Server(uvicorn.Server):
    """uvicorn, which tells when it answers."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        ws_max_size=MAX_SOCKET_MESSAGE,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        timeout_keep_alive=30,
    )
