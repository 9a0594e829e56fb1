"""What all sockets have in common: how they end, and that all their work ends with them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from safecity.errors import SafeCityError, Unavailable
from safecity.web.gate import Gate, Identity

log = structlog.get_logger()

Socket = WebSocket[Any, Any, Any]

CLOSE_POLICY: Final = 1008
CLOSE_RESTART: Final = 1012
CLOSE_TRY_AGAIN: Final = 1013
CLOSE_SIGNED_OUT: Final = 4401
"""Codes of RFC 6455 section 7.4 and its registry; from 4000 on ours: 4000 + the HTTP status."""


class Ended(Exception):
    """The socket is to be closed with this code for this reason."""

    def __init__(self, code: int, reason: str) -> None:
        """Close with `code` and say `reason`."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


async def first_of(*work: Coroutine[Any, Any, None]) -> None:
    """Run until the first of `work` ends or raises; the others are cancelled and have ended on return."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def stay_valid(gate: Gate, who: Identity) -> None:
    """Raise Ended when whoever opened the socket is no longer signed in as they were."""
    await gate.until_over(who)
    raise Ended(CLOSE_SIGNED_OUT, "the session is over")


async def until(event: asyncio.Event, code: int, reason: str) -> None:
    """Raise Ended when `event` is set."""
    await event.wait()
    raise Ended(code, reason)


async def close_for(socket: Socket, error: SafeCityError | Ended) -> None:
    """Close with the code that `error` stands for; a socket that is gone already stays gone."""
    if isinstance(error, Ended):
        await close(socket, error.code, error.reason)
    else:
        code = CLOSE_TRY_AGAIN if isinstance(error, Unavailable) else 4000 + int(error.status)
        await close(socket, code, str(error))


async def close(socket: Socket, code: int, reason: str) -> None:
    """Close with `code`; a socket that is gone already stays gone."""
    try:
        # A close frame has room for 123 bytes of reason (RFC 6455 section 5.5).
        await socket.close(code=code, reason=reason.encode()[:120].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError, OSError) as error:
        log.debug("the other end was gone already", error=repr(error))
