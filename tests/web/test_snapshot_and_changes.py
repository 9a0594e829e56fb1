"""What a console shows after applying the changes equals a fresh snapshot (always true, 3).

Any sequence of commands, through the real relay, bus, hub and socket; one console stays, one loses its link
at any moment and resumes.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import until
from operations.builders import CAMERA_KEY, MARKET, VIEWER, alarm, city, setup
from safecity.access.policy import Role
from safecity.errors import Conflict, Invalid, NotFound
from safecity.model.base import Priority
from safecity.model.incident import Disposition, IncidentType
from safecity.model.unit import UnitCommand
from safecity.operations import alarms, calls, cameras, holds, incidents, registry, units
from safecity.operations.calls import CallCard, RingingCall
from safecity.operations.command import Order
from safecity.operations.holds import NewHold
from safecity.operations.relay import Relay
from safecity.store.database import Database
from web_house import House, Socket

pytestmark = pytest.mark.engines

Step = Callable[[Database], Awaitable[object]]
DROP = "drop the link"
FORGET = "drop the link and forget everything"
ANNA = Order(actor="Anna")
PRIORITIES = st.sampled_from(Priority)
DISPOSITIONS = st.sampled_from(Disposition)
WORDS = st.sampled_from(["one", "two", "three", "four"])
UNITS = st.sampled_from(["f-11", "f-12", "a-21"])
SIMPLE_CALLS = st.sampled_from([calls.claim, calls.release, calls.take, calls.abandon, calls.call_back])


def _incident(word: str) -> str:
    return alarm(word).incident_id


def _ring(word: str) -> Step:
    return lambda db: calls.receive(db, ANNA, RingingCall(call_id=word, received_at=db.clock.now()))


def _submit(word: str) -> Step:
    return lambda db: calls.submit(db, ANNA, word, CallCard(type=IncidentType.MEDICAL, place=MARKET))


def _add_camera(word: str) -> Step:
    return lambda db: cameras.add(db, ANNA, setup(word), VIEWER, CAMERA_KEY.public)


def _change_camera(word: str, name: str) -> Step:
    return lambda db: cameras.change_setup(db, ANNA, word, setup(word, name=name))


async def _hold(db: Database, word: str, key: str) -> object:
    wanted = NewHold(start=db.clock.now() - timedelta(hours=1), end=db.clock.now(), reason="break-in")
    return await holds.hold(db, Order(actor="Anna", key=key), word, wanted)


async def _release(db: Database) -> None:
    for row in await db.pool.fetch("SELECT id FROM hold WHERE released_at IS NULL ORDER BY id LIMIT 1"):
        await holds.release_hold(db, ANNA, row["id"])


STEPS = st.one_of(
    st.just(DROP),
    st.just(FORGET),
    st.builds(
        lambda w, p: lambda db: alarms.receive(db, [alarm(w, priority=p)]), WORDS, st.sampled_from(Priority)
    ),
    st.builds(lambda w: lambda db: incidents.acknowledge(db, ANNA, _incident(w)), WORDS),
    st.builds(lambda w, u: lambda db: incidents.dispatch(db, ANNA, _incident(w), [u], None), WORDS, UNITS),
    st.builds(lambda w, u: lambda db: incidents.cancel_unit(db, ANNA, _incident(w), u), WORDS, UNITS),
    st.builds(
        lambda w, d: lambda db: incidents.close(db, ANNA, _incident(w), d),
        WORDS,
        st.sampled_from(Disposition),
    ),
    st.builds(lambda w: lambda db: incidents.reopen(db, ANNA, _incident(w)), WORDS),
    st.builds(lambda w: lambda db: incidents.note(db, ANNA, _incident(w), "looked again"), WORDS),
    st.builds(lambda u, c: lambda db: units.command(db, ANNA, u, c), UNITS, st.sampled_from(UnitCommand)),
    st.builds(_ring, WORDS),
    st.builds(lambda c, w: lambda db: c(db, ANNA, w), SIMPLE_CALLS, WORDS),
    st.builds(_submit, WORDS),
    st.builds(lambda w: lambda db: calls.close(db, ANNA, w, "wrong number"), WORDS),
    st.builds(_add_camera, WORDS),
    st.builds(_change_camera, WORDS, WORDS),
    st.builds(lambda w: lambda db: cameras.remove(db, ANNA, w), WORDS),
    st.builds(lambda w, k: lambda db: _hold(db, w, f"h-{k}"), WORDS, WORDS),
    st.just(_release),
)


class Console:
    """A console: applies what it hears, and refuses a change that comes twice or out of order."""

    def __init__(self, house: House, client: httpx.AsyncClient) -> None:
        self.house = house
        self.client = client
        self.seq: int | None = None
        self.shown: dict[tuple[str, str], Any] = {}
        self.stack = AsyncExitStack()
        self.task: asyncio.Task[None] | None = None
        self.opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, say what is held, and begin to listen."""
        socket = await self.stack.enter_async_context(self.house.socket(self.client))
        await socket.say(type="hello", since=self.seq)
        self.task = asyncio.create_task(self._listen(socket))

    async def reopen(self, *, forget: bool) -> None:
        """Lose the link and come back while other commands go on; `forget` asks for a snapshot."""
        await self.drop()
        if forget:
            self.seq = None
        self.opening = asyncio.create_task(self.open())

    async def drop(self) -> None:
        """Lose the link without a word."""
        if self.opening is not None:
            await self.opening
            self.opening = None
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.stack.aclose()
        self.stack = AsyncExitStack()

    async def _listen(self, socket: Socket) -> None:
        async for text in socket.link:
            self._apply(json.loads(text))

    def _apply(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "snapshot":
                self.seq = message["seq"]
                self.shown = _keyed(message)
            case "change":
                assert self.seq is not None
                assert message["seq"] > self.seq, "a change came twice or out of order"
                self.seq = message["seq"]
                for change in message["changes"]:
                    key = (change["kind"], change["id"])
                    if change["value"] is None:
                        self.shown.pop(key, None)
                    else:
                        self.shown[key] = change["value"]


def _keyed(snapshot: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(kind, value["id"]): value for kind, values in snapshot["entities"].items() for value in values}


async def _fresh(house: House, client: httpx.AsyncClient) -> dict[tuple[str, str], Any]:
    async with house.socket(client) as socket:
        await socket.say(type="hello", since=None)
        return _keyed(await socket.hear("snapshot"))


async def _agree(console: Console, fresh: dict[tuple[str, str], Any]) -> None:
    if console.opening is not None:
        await console.opening
    task = console.task
    assert task is not None
    with suppress(TimeoutError):
        await until(lambda: console.shown == fresh or task.done(), 10)
    if task.done():
        task.result()
    assert console.shown == fresh


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
async def test_snapshot_and_changes_equal_a_fresh_snapshot(
    house: House, relay: Relay, steps: list[Any]
) -> None:
    await registry.register(house.deps.db, Order(actor="system:setup"), city())
    name = f"Person {house.clock.monotonic_s()}"
    client = await house.person(Role.DUTY_OFFICER, name=name)
    steady, shaky = Console(house, client), Console(house, client)
    await steady.open()
    await shaky.open()
    for step in steps:
        house.clock.advance(1)
        if step in (DROP, FORGET):
            await shaky.reopen(forget=step is FORGET)
            continue
        with suppress(Conflict, Invalid, NotFound):
            await step(house.deps.db)
    fresh = await _fresh(house, client)
    for console in (steady, shaky):
        await _agree(console, fresh)
        await console.drop()
    house.clock.advance(1)
