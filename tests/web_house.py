"""A web room that really serves: uvicorn on a free port, PostgreSQL and NATS behind it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from safecity.access import accounts
from safecity.access.accounts import Door
from safecity.access.policy import Role
from safecity.access.tokens import ensure_machine_token, new_token
from safecity.clock import ManualClock
from safecity.web.app import create_app
from safecity.web.deps import WebDeps
from safecity.web.front import Front
from safecity.web.gate import COOKIE, CSRF_HEADER
from safecity.web.server import listen, serve

PASSWORD = "seven grey cranes over water"


@dataclass(frozen=True)
class Spot:
    """A place to be found."""

    text: str
    kind: str
    lon: float
    lat: float


@dataclass(frozen=True)
class Town:
    """A town small enough for a test: two streets, a basemap of known bytes."""

    folder: Path
    name: str = "Kichik"
    bbox: tuple[float, float, float, float] = (69.1, 41.2, 69.4, 41.4)
    center: tuple[float, float] = (69.25, 41.3)

    def search(self, query: str, limit: int = 10) -> Sequence[Spot]:
        """Return the streets whose name holds the words."""
        streets = (Spot("Navoiy", "street", 69.2, 41.3), Spot("Bobur", "street", 69.3, 41.31))
        return [street for street in streets if query.casefold() in street.text.casefold()][:limit]


class Socket:
    """A live socket that reads JSON."""

    def __init__(self, link: ClientConnection) -> None:
        """Wrap an open connection."""
        self.link = link

    async def say(self, **message: Any) -> None:
        """Send a message."""
        await self.link.send(json.dumps(message))

    async def hear(self, type_: str) -> dict[str, Any]:
        """Return the next message of a type, passing over others."""
        async with asyncio.timeout(15):
            while True:
                message = json.loads(await self.link.recv())
                if message["type"] == type_:
                    return dict(message)


@dataclass(frozen=True)
class House:
    """A serving web room and ways to come to it."""

    deps: WebDeps
    app: Front
    port: int
    clock: ManualClock
    stack: AsyncExitStack

    @property
    def origin(self) -> str:
        """Address as a browser names it."""
        return f"http://127.0.0.1:{self.port}"

    async def stranger(self) -> httpx.AsyncClient:
        """Return somebody without a session."""
        return await self.stack.enter_async_context(httpx.AsyncClient(base_url=self.origin, timeout=20))

    async def person(self, *roles: Role, name: str = "Malika") -> httpx.AsyncClient:
        """Return somebody signed in by a one-time link, who sends what the console sends."""
        token = await accounts.create_link(self.deps.db, roles, self.clock)
        begun = await Door(self.deps.db, self.clock).use_link(token, name, PASSWORD, "test")
        client = await self.stranger()
        client.cookies.set(COOKIE, begun.token)
        client.headers.update({CSRF_HEADER: begun.session.csrf_token, "Origin": self.origin})
        return client

    async def machine(self, *roles: Role, name: str = "machine-1") -> httpx.AsyncClient:
        """Return another system with a bearer token."""
        token = new_token()
        await ensure_machine_token(self.deps.db, name, roles, token)
        client = await self.stranger()
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    @asynccontextmanager
    async def socket(
        self, client: httpx.AsyncClient, path: str = "/api/live", **headers: str
    ) -> AsyncIterator[Socket]:
        """Open a socket as a client of ours, with its cookie or bearer token."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
        own = {"Cookie": cookies} if cookies else {"Authorization": client.headers["Authorization"]}
        if cookies:
            own["Origin"] = self.origin
        url = f"ws://127.0.0.1:{self.port}{path}"
        async with connect(url, additional_headers={**own, **headers}, max_size=None) as link:
            yield Socket(link)


@asynccontextmanager
async def serving(deps: WebDeps, clock: ManualClock) -> AsyncIterator[House]:
    """Serve on a free port until the end of the block."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    app = create_app(deps)
    answering = asyncio.Event()
    task = asyncio.create_task(
        serve(app, "127.0.0.1", port, listener=listener, on_listening=lambda *_: answering.set())
    )
    try:
        await asyncio.wait(
            [task, asyncio.ensure_future(answering.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        if task.done():
            task.result()
        async with AsyncExitStack() as stack:
            yield House(deps=deps, app=app, port=port, clock=clock, stack=stack)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
