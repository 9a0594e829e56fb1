"""A small HTTP server on a real socket that writes down what it is asked and answers as a test says."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple, Self

import msgspec


class Request(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body as JSON."""
        return msgspec.json.decode(self.body, type=dict[str, object])


Answer = tuple[int, object] | None
"""Status and JSON body; None: the connection breaks without an answer."""


class Listener:
    """Answers requests until left."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        """Answer with what `answer` returns."""
        self.requests: list[Request] = []
        self._answer = answer
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        """Listen on a free port of the loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the port."""
        assert self._server is not None
        self._server.close()

    def posted(self, path: str) -> list[Request]:
        """Return the requests to a path."""
        return [request for request in self.requests if request.path == path]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, path, headers, body)
        self.requests.append(request)
        answer = self._answer(request)
        if answer is None:
            return False
        content = msgspec.json.encode(answer[1])
        head_out = f"HTTP/1.1 {answer[0]} Answer\r\nContent-Type: application/json\r\n"
        writer.write(f"{head_out}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()
        return True
