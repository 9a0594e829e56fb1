"""The fusion role on a real bus and a real store: nothing lost, nothing twice, telemetry never in the way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from nats.aio.msg import Msg

from engines import NatsServer, until
from fusion_parts import RULES, call, incident_of, north, reading, sensor
from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus
from safecity.bus.consumer import Reader
from safecity.bus.subjects import FUSE_EVENTS, FUSE_TELEMETRY, OPERATE_ALARMS, dead, telemetry
from safecity.clock import ManualClock
from safecity.config import Settings
from safecity.fusion.room import FusionRoom
from safecity.model.base import Priority, ReasonCode
from safecity.model.incident import Alarm, Incident, IncidentType
from safecity.model.journal import FEED, Change, EntityKind, Feed
from safecity.model.observation import Observation, ObservationKind, pack
from safecity.model.source import Source
from safecity.operations.room import OperationsRoom
from safecity.store.database import Database
from safecity.store.transaction import Entity

pytestmark = pytest.mark.engines


@asynccontextmanager
async def running(database: Database, bus: Bus, clock: ManualClock) -> AsyncIterator[FusionRoom]:
    """Run a fusion room and stop it as a killed process would: nothing is finished."""
    room = FusionRoom(database, bus, Settings(), clock, RULES)
    task = asyncio.create_task(room.run())
    try:
        async with asyncio.timeout(20):
            ready = asyncio.create_task(room.ready.wait())
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
        if task.done():
            await task
        yield room
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def store(database: Database, *entities: Entity) -> int:
    """Put entities into the store with one journal entry; return its seq."""
    async with database.writing() as tx:
        for entity in entities:
            tx.put(entity)
        return await tx.journal(actor="system:test", action="test.put", object_kind="test", object_id="x")


async def tell(bus: Bus, seq: int, kind: EntityKind, id_: str, value: object | None) -> None:
    """Publish one change as the relay does."""
    raw = msgspec.Raw(b"null" if value is None else msgspec.json.encode(value))
    feed = Feed(seq=seq, changes=(Change(kind=kind, id=id_, value=raw),))
    await bus.js.publish(FEED, msgspec.json.encode(feed))


@asynccontextmanager
async def reading_alarms(bus: Bus, ack: bool = True) -> AsyncIterator[list[Alarm]]:
    """Collect the alarms that operations would get."""
    found: list[Alarm] = []

    async def read() -> None:
        async for batch in Reader(bus, OPERATE_ALARMS).batches():
            for message in batch:
                found.append(msgspec.json.decode(message.data, type=Alarm))
                if ack:
                    await message.ack()

    task = asyncio.create_task(read())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_async(holds: Callable[[], Awaitable[bool]], within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.02)


async def all_acknowledged(bus: Bus) -> bool:
    infos = [await bus.js.consumer_info(d.stream.value, d.name) for d in (FUSE_TELEMETRY, FUSE_EVENTS)]
    return all(info.num_pending == 0 and info.num_ack_pending == 0 for info in infos)


async def put(bus: Bus, *observations: Observation) -> None:
    batcher = MicroBatcher(bus)
    await batcher.put(observations)


async def test_readings_and_calls_become_alarms_of_one_incident(
    database: Database, bus: Bus, clock: ManualClock
) -> None:
    await store(database, sensor())
    async with running(database, bus, clock) as room, reading_alarms(bus) as alarms:
        await put(bus, reading(3.0, 0), reading(6000.0, 10))
        await until(lambda: len(alarms) == 1)
        await put(bus, call(1, IncidentType.GAS, 30, north(40, 20)))
        await until(lambda: len(alarms) == 2)
        assert alarms[1].incident_id == alarms[0].incident_id
        assert alarms[1].link_reason.code is ReasonCode.LINKED_NEAR
        assert alarms[0].raised_at == clock.now()
        assert room.counters["observations_total"] == 3
        assert room.counters["alarms_total"] == 2
        await until_async(lambda: all_acknowledged(bus))


async def test_a_room_that_comes_back_raises_nothing_twice(
    database: Database, bus: Bus, clock: ManualClock
) -> None:
    await store(database, sensor())
    async with reading_alarms(bus) as alarms:
        async with running(database, bus, clock):
            await put(bus, reading(6000.0, 10))
            await until(lambda: len(alarms) == 1)
        await store(database, alarms[0], incident_of(alarms[0]))
        async with running(database, bus, clock) as room:
            await put(bus, reading(6100.0, 20), reading(3.0, 30), reading(6200.0, 40))
            await until(lambda: len(alarms) == 2)
            await until_async(lambda: all_acknowledged(bus))
            assert alarms[1].incident_id == alarms[0].incident_id
            assert alarms[1].link_reason.code is ReasonCode.LINKED_SAME_SOURCE
            assert room.counters["alarms_total"] == 1


async def test_an_alarm_that_operations_has_not_taken_yet_is_known_after_a_restart(
    database: Database, bus: Bus, clock: ManualClock
) -> None:
    await store(database, sensor())
    async with running(database, bus, clock):
        await put(bus, reading(6000.0, 10))
        await until_async(lambda: all_acknowledged(bus))
    async with running(database, bus, clock) as room:
        await put(bus, reading(6100.0, 20), call(1, IncidentType.GAS, 30, north(40, 20)))
        await until_async(lambda: all_acknowledged(bus))
        assert room.counters["alarms_total"] == 1
    async with reading_alarms(bus) as alarms:
        await until(lambda: len(alarms) == 2)
        assert alarms[0].incident_id == alarms[1].incident_id


async def test_the_feed_brings_sources_and_closes_incidents(
    database: Database, bus: Bus, clock: ManualClock
) -> None:
    async with running(database, bus, clock) as room, reading_alarms(bus) as alarms:
        seq = await store(database, sensor())
        await tell(bus, seq, EntityKind.SOURCE, "gas-1", sensor())
        await until(lambda: room.counters["feeds_total"] == 1)
        await put(bus, call(1, IncidentType.GAS, 0))
        await until(lambda: len(alarms) == 1)
        first = alarms[0].incident_id
        await tell(bus, seq + 1, EntityKind.INCIDENT, first, incident_of(alarms[0]))
        await tell(bus, seq + 2, EntityKind.INCIDENT, first, None)
        await until(lambda: room.counters["feeds_total"] == 3)
        await put(bus, reading(6000.0, 20))
        await until(lambda: len(alarms) == 2)
        assert alarms[1].incident_id != first


async def test_what_cannot_be_read_or_placed_is_buried_with_its_reason_and_stops_nothing(
    database: Database, bus: Bus, clock: ManualClock
) -> None:
    await store(database, sensor())
    buried: list[Msg] = []

    async def on_dead(message: Msg) -> None:
        buried.append(message)

    await bus.client.subscribe(dead("fuse"), cb=on_dead)
    async with running(database, bus, clock) as room, reading_alarms(bus) as alarms:
        nowhere = msgspec.structs.replace(call(1), lon=None, lat=None)
        await bus.js.publish(telemetry(0, ObservationKind.READING), b"garbage")
        await bus.js.publish("event.call", b"\xc1")
        await bus.js.publish("event.call", pack([nowhere]))
        await put(bus, reading(6000.0, 10), call(2, IncidentType.CRIME, 0, north(900)))
        await until(lambda: len(alarms) == 2 and len(buried) == 3)
        await until_async(lambda: all_acknowledged(bus))
        assert room.counters["undecodable_total"] == 2
        assert room.counters["failed_total"] == 1
        assert any("no place" in (message.headers or {})["Reason"] for message in buried)


async def test_silence_is_raised_by_the_tick_and_only_when_all_was_heard(
    database: Database, bus: Bus, clock: ManualClock
) -> None:
    await store(database, sensor())
    async with running(database, bus, clock) as room, reading_alarms(bus) as alarms:
        clock.advance(70)
        await until(lambda: len(alarms) == 1)
        assert alarms[0].rule_id == "sensor_silent"
        await until(lambda: room.counters["silent_sources"] == 1)


async def test_a_room_goes_on_when_a_killed_bus_comes_back(
    database: Database, bus: Bus, nats_server: NatsServer, clock: ManualClock
) -> None:
    await store(database, sensor())
    async with running(database, bus, clock), reading_alarms(bus) as alarms:
        await put(bus, reading(3.0, 0))
        await until_async(lambda: all_acknowledged(bus))
        clock.advance(70)
        nats_server.kill()
        await asyncio.to_thread(nats_server.start)
        await put(bus, reading(6000.0, 75))
        await until(lambda: any(alarm.rule_id == "methane_10_lel" for alarm in alarms), within_s=30)


async def test_operations_opens_the_incident_that_fusion_proposes(
    database: Database, bus: Bus, clock: ManualClock
) -> None:
    await store(database, sensor())
    operations = asyncio.create_task(OperationsRoom(database, bus).run())

    async def incidents() -> list[Incident]:
        async with database.reading() as tx:
            return await tx.current(Incident)

    async def joined() -> bool:
        return [len(incident.links) for incident in await incidents()] == [3]

    try:
        async with running(database, bus, clock) as room:
            await put(bus, reading(6000.0, 0), reading(11_000.0, 10))
            await put(bus, call(1, IncidentType.GAS, 30, north(40, 20)))
            await until_async(joined)
            (incident,) = await incidents()
            assert incident.priority is Priority.CRITICAL
            assert incident.links[2].reason.code is ReasonCode.LINKED_NEAR
            await until(lambda: room.counters["feeds_total"] == 3)
    finally:
        operations.cancel()
        await asyncio.gather(operations, return_exceptions=True)


async def test_telemetry_in_bulk_does_not_hold_up_a_call(
    database: Database, bus: Bus, clock: ManualClock
) -> None:
    sources: list[Source] = [sensor(f"gas-{n}", place=north(5000 + n)) for n in range(100)]
    await store(database, *sources)
    bulk = [reading(3.0, at_s, f"gas-{n}") for at_s in range(300) for n in range(100)]
    for start in range(0, len(bulk), 100):
        await bus.js.publish(telemetry(0, ObservationKind.READING), pack(bulk[start : start + 100]))
    await bus.js.publish("event.call", pack([call(1)]))
    async with running(database, bus, clock) as room, reading_alarms(bus) as alarms:
        await until(lambda: len(alarms) == 1)
        at_alarm = room.counters["observations_total"]
        await until_async(lambda: all_acknowledged(bus))
        assert room.counters["observations_total"] == len(bulk) + 1
        assert at_alarm < len(bulk)
