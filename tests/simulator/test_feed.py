"""The mirror of the live feed: snapshot, changes, and going on after a lost link, over a real WebSocket."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve

from engines import until
from safecity.model.base import Place
from safecity.model.call import Call, CallState
from safecity.model.incident import Incident
from safecity.simulator.api import Token
from safecity.simulator.feed import Feed
from simulator.stage import TOKEN, incident, ringing


class Server:
    """A live feed that says what a test wants."""

    def __init__(self) -> None:
        self.hellos: list[dict[str, Any]] = []
        self.links: list[ServerConnection] = []
        self.url = ""

    async def follow(self, link: ServerConnection) -> None:
        """Accept a link."""
        assert link.request is not None
        assert link.request.path == "/api/live"
        assert link.request.headers["Authorization"] == f"Bearer {TOKEN}"
        self.hellos.append(msgspec.json.decode(await link.recv()))
        self.links.append(link)
        await link.wait_closed()

    async def say(self, message: dict[str, Any]) -> None:
        """Send a message on the newest link."""
        await self.links[-1].send(msgspec.json.encode(message).decode())


@asynccontextmanager
async def following(token: Token) -> AsyncIterator[tuple[Server, Feed]]:
    server = Server()
    async with serve(server.follow, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        feed = Feed(f"http://127.0.0.1:{port}", token, random.Random(1))
        task = asyncio.create_task(feed.run())
        await until(lambda: len(server.links) == 1)
        yield server, feed
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def change(seq: int, kind: str, id_: str, value: object) -> dict[str, Any]:
    return {"type": "change", "seq": seq, "changes": [{"kind": kind, "id": id_, "value": value}]}


async def test_snapshot_then_changes(token: Token) -> None:
    async with following(token) as (server, feed):
        assert server.hellos == [{"type": "hello", "since": None}]
        first = ringing("call-1")
        entities = {"call": [first], "camera": [{"id": "unknown to us"}], "incident": []}
        await server.say({"type": "snapshot", "seq": 3, "entities": entities, "positions": []})
        await until(lambda: feed.ready)
        assert feed.all(Call) == [first]
        claimed = msgspec.structs.replace(first, state=CallState.CLAIMED)
        await server.say(change(4, "call", "call-1", claimed))
        await server.say({"type": "positions", "fixes": [["a-21", 13.2, 53.5, 3.0, 90.0, 1]]})
        await server.say({"type": "status", "now": "2026-11-22T09:00:00Z", "readings_per_s": 1.0})
        await server.say(change(5, "incident", "incident-1", incident(Place(lon=13.2, lat=53.5))))
        await until(lambda: bool(feed.all(Incident)))
        assert feed.find(Call, "call-1") == claimed
        await server.say(change(6, "call", "call-1", None))
        await until(lambda: feed.find(Call, "call-1") is None)


async def test_a_lost_link_is_resumed_where_it_was(token: Token) -> None:
    async with following(token) as (server, feed):
        entities = {"call": [ringing("call-1")]}
        await server.say({"type": "snapshot", "seq": 7, "entities": entities, "positions": []})
        await until(lambda: feed.ready)
        await server.links[0].close()
        await until(lambda: len(server.links) == 2)
        assert server.hellos[1] == {"type": "hello", "since": 7}
        await server.say({"type": "resumed", "seq": 8})
        await server.say(change(8, "call", "call-2", ringing("call-2")))
        await until(lambda: len(feed.all(Call)) == 2)


async def test_garbage_ends_the_link_and_not_the_feed(token: Token) -> None:
    async with following(token) as (server, feed):
        await server.links[0].send("{not json")
        await until(lambda: len(server.links) == 2)
        await server.say({"type": "snapshot", "seq": 1, "entities": {}, "positions": []})
        await until(lambda: feed.ready)
