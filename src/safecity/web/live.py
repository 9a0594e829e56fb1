"""The live WebSocket: a snapshot and then changes, or what was missed since the last one."""

import asyncio
from typing import Any, Final

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.params import SkipValidation

from safecity.access.policy import Action
from safecity.errors import SafeCityError
from safecity.model.base import Noun
from safecity.model.journal import EntityKind, Feed
from safecity.store import journal, snapshot
from safecity.web.deps import WebDeps
from safecity.web.gate import Gate, needs
from safecity.web.hub import Follower, Hub, WireFix
from safecity.web.provide import Deps, Who
from safecity.web.sockets import (
    CLOSE_POLICY,
    CLOSE_RESTART,
    CLOSE_TRY_AGAIN,
    Ended,
    close,
    close_for,
    first_of,
    stay_valid,
    until,
)

HELLO_WITHIN_S: Final = 10.0
MAX_MESSAGE: Final = 4096


class Hello(Noun, frozen=True, tag_field="type", tag="hello"):
    """The first message of a console: the last seq that it holds, null for a snapshot."""

    since: int | None = None


class Ping(Noun, frozen=True, tag_field="type", tag="ping"):
    """Asks whether the link lives; t is the console's own time in milliseconds."""

    t: float


class Pong(Noun, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ping."""

    t: float


class SnapshotMessage(Noun, frozen=True, tag_field="type", tag="snapshot"):
    """Everything current that the actor may see, as of journal entry `seq`."""

    seq: int
    entities: dict[EntityKind, list[Any]]
    positions: list[WireFix]


class Resumed(Noun, frozen=True, tag_field="type", tag="resumed"):
    """Instead of a snapshot: the missed changes follow."""

    seq: int


_decode = msgspec.json.Decoder(Hello | Ping).decode


@websocket("/api/live", opt=needs(Action.FOLLOW, "live"))
async def live(
    socket: WebSocket[Any, Any, Any],
    deps: Deps,
    who: Who,
    gate: NamedDependency[SkipValidation[Gate]],
    hub: NamedDependency[SkipValidation[Hub]],
) -> None:
    """Follow everything current that the actor may see."""
    await socket.accept()
    try:
        since = await _hello(socket)
        async with hub.following(who) as follower:
            floor = await _begin(socket, deps, hub, follower, since)
            await _follow(socket, gate, hub, follower, floor)
    except WebSocketDisconnect:
        return
    except Ended as closing:
        await close_for(socket, closing)
    except SafeCityError as error:
        await close(socket, CLOSE_TRY_AGAIN, str(error))


async def _hello(socket: WebSocket[Any, Any, Any]) -> int | None:
    try:
        message = await asyncio.wait_for(_receive(socket), HELLO_WITHIN_S)
    except TimeoutError as error:
        raise Ended(CLOSE_POLICY, "the first message must be a hello") from error
    if not isinstance(message, Hello):
        raise Ended(CLOSE_POLICY, "the first message must be a hello")
    return message.since


async def _receive(socket: WebSocket[Any, Any, Any]) -> Hello | Ping:
    text = await socket.receive_text()
    if len(text) > MAX_MESSAGE:
        raise Ended(CLOSE_POLICY, "that message is too long")
    try:
        message: Hello | Ping = _decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Ended(CLOSE_POLICY, "that message cannot be read") from error
    return message


async def _begin(
    socket: WebSocket[Any, Any, Any], deps: WebDeps, hub: Hub, follower: Follower, since: int | None
) -> int:
    """Send what the console lacks and return the seq up to which it now holds everything.

    The follower is attached before; between looking into the ring and returning nothing is awaited, and a
    snapshot is taken after attaching, so that no change falls between and none comes twice.
    """
    missed = hub.ring.since(since) if since is not None else None
    if missed is not None and since is not None:
        newest = missed[-1].seq if missed else since
        if missed or hub.ring.last_seq == since or await _exists(deps, since):
            # Changes that came while the database was asked wait in the queue, all after `newest`.
            await socket.send_text(_text(Resumed(seq=newest)))
            for feed in missed:
                await _send_feed(socket, hub, follower, feed)
            return newest
    return await _send_snapshot(socket, deps, hub, follower)


async def _exists(deps: WebDeps, seq: int) -> bool:
    async with deps.db.reading() as tx:
        return seq <= await journal.head(tx)


async def _send_snapshot(
    socket: WebSocket[Any, Any, Any], deps: WebDeps, hub: Hub, follower: Follower
) -> int:
    async with deps.db.reading() as tx:
        taken = await snapshot.take(tx)
    entities = {kind: list(found) for kind, found in taken.entities.items() if kind in follower.kinds}
    positions = hub.positions(taken.positions) if EntityKind.UNIT in follower.kinds else []
    message = SnapshotMessage(seq=taken.seq, entities=entities, positions=positions)
    await socket.send_text(await asyncio.to_thread(_text, message))
    return taken.seq


async def _follow(
    socket: WebSocket[Any, Any, Any], gate: Gate, hub: Hub, follower: Follower, floor: int
) -> None:
    await first_of(
        _listen(socket, follower),
        _send(socket, hub, follower, floor),
        stay_valid(gate, follower.identity),
        until(follower.too_slow, CLOSE_TRY_AGAIN, "too slow; come back and resume"),
        until(follower.restart, CLOSE_RESTART, "begin anew"),
    )


async def _listen(socket: WebSocket[Any, Any, Any], follower: Follower) -> None:
    while True:
        message = await _receive(socket)
        if isinstance(message, Ping):
            follower.offer(_text(Pong(t=message.t)))


async def _send(socket: WebSocket[Any, Any, Any], hub: Hub, follower: Follower, floor: int) -> None:
    while True:
        item = await follower.queue.get()
        if isinstance(item, str):
            await socket.send_text(item)
        elif item.seq > floor:
            await _send_feed(socket, hub, follower, item)


async def _send_feed(socket: WebSocket[Any, Any, Any], hub: Hub, follower: Follower, feed: Feed) -> None:
    frame = hub.frame(feed, follower.kinds)
    if frame is not None:
        await socket.send_text(frame)


def _text(message: Noun) -> str:
    return msgspec.json.encode(message).decode()


HANDLERS = (live,)
