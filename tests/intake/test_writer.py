"""The writer stores what it can, buries what it cannot, and never stops for one message."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from engines import until
from safecity.bus.connection import Bus, can_store
from safecity.bus.subjects import Stream, telemetry
from safecity.clock import ManualClock
from safecity.intake.writer import Writer
from safecity.model.observation import Observation, ObservationKind, pack
from safecity.store.database import Database

pytestmark = pytest.mark.engines


@pytest.fixture
async def writer(database: Database, bus: Bus, clock: ManualClock) -> AsyncIterator[Writer]:
    """A writer at work."""
    room = Writer(database, bus, clock, keep_days=30)
    work = asyncio.create_task(room.run())
    yield room
    work.cancel()
    await asyncio.wait({work})


def _reading(at: datetime, value: float, **more: float) -> Observation:
    return Observation(
        source_id="gas-001",
        kind=ObservationKind.READING,
        event_time=at,
        receive_time=at,
        property="gas_ch4",
        value=value,
        **more,  # type: ignore[arg-type]
    )


async def _send(bus: Bus, *observations: Observation) -> None:
    await bus.js.publish(telemetry(0, ObservationKind.READING), pack(list(observations)))


async def _values(database: Database) -> list[float]:
    async with database.reading() as tx:
        rows = await tx.connection.fetch("SELECT value FROM observation ORDER BY value")
    return [row["value"] for row in rows]


async def test_what_was_received_on_another_day_finds_its_place(
    writer: Writer, database: Database, bus: Bus, clock: ManualClock
) -> None:
    await _send(bus, _reading(clock.now() - timedelta(days=10), 1.0))
    await _send(bus, _reading(clock.now(), 2.0))
    await until(lambda: writer.counters["observations_total"] == 2, 20)
    assert await _values(database) == [1.0, 2.0]


async def test_one_bad_message_is_buried_and_the_others_are_stored(
    writer: Writer, database: Database, bus: Bus, clock: ManualClock
) -> None:
    good = [_reading(clock.now() + timedelta(seconds=n), n) for n in range(5)]
    for number, observation in enumerate(good):
        await _send(bus, observation)
        if number == 2:
            await _send(bus, _reading(clock.now(), 99.0, lon=500.0, lat=0.0))
            await bus.js.publish(telemetry(0, ObservationKind.READING), b"garbage")
    await until(lambda: writer.counters["observations_total"] == 5, 20)
    await until(lambda: writer.counters["undecodable_total"] == 2, 20)
    assert await _values(database) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (await bus.js.stream_info(Stream.DEAD.value)).state.messages == 2


async def test_the_bus_says_whether_it_stores(bus: Bus) -> None:
    assert await can_store(bus)
    await bus.js.delete_stream(Stream.PROBE.value)
    assert not await can_store(bus, timeout_s=0.5)
