"""Simulated sensors speak real MQTT to a real broker, and lose nothing when it dies."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from nats.js.api import RawStreamMsg

from engines import NatsServer, until
from safecity.bus.connection import Bus
from safecity.bus.engine import DeviceLogin
from safecity.clock import SystemClock
from safecity.errors import Configuration
from safecity.intake.mqtt import PREFIX, parse
from safecity.model.source import Source
from safecity.simulator.pace import Pace
from safecity.simulator.scenario import Scenario
from safecity.simulator.sensors import SensorFleet
from safecity.simulator.signal import Effect
from safecity.simulator.story import Silence

pytestmark = pytest.mark.engines

STREAM = "$MQTT_msgs"
PERIOD_S = 0.2


@pytest.fixture
def sensors(scenario: Scenario) -> tuple[Source, ...]:
    """A dozen sensors of the city that hurry."""
    chosen = [sensor for sensor in scenario.sensors if sensor.property in ("smoke", "noise")][:12]
    return tuple(msgspec.structs.replace(sensor, period_s=PERIOD_S) for sensor in chosen)


def logins(sensors: tuple[Source, ...]) -> dict[str, DeviceLogin]:
    return {sensor.id: DeviceLogin(sensor.id, f"secret-of-{sensor.id}") for sensor in sensors}


@pytest.fixture
def broker(sensors: tuple[Source, ...]) -> Iterator[NatsServer]:
    """A NATS server that knows the sensors."""
    with NatsServer(list(logins(sensors).values())) as server:
        yield server


def fleet_of(sensors: tuple[Source, ...], broker: NatsServer, known: dict[str, DeviceLogin]) -> SensorFleet:
    clock = SystemClock()
    return SensorFleet(sensors, known, ("127.0.0.1", broker.mqtt_port), clock, Pace(clock), seed=1)


@asynccontextmanager
async def measuring(fleet: SensorFleet) -> AsyncIterator[SensorFleet]:
    task = asyncio.create_task(fleet.run())
    yield fleet
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await fleet.stop()


async def stored(bus: Bus) -> list[RawStreamMsg]:
    """Return every message that the broker has on disk."""
    info = await bus.js.stream_info(STREAM)
    first, last = info.state.first_seq, info.state.last_seq
    return [await bus.js.get_msg(STREAM, seq) for seq in range(max(1, first), last + 1)]


async def test_each_has_its_own_login_and_its_readings_are_what_the_intake_expects(
    sensors: tuple[Source, ...], broker: NatsServer
) -> None:
    bus = await broker.ready()
    async with measuring(fleet_of(sensors, broker, logins(sensors))) as fleet:
        await until(lambda: fleet.connected == len(sensors))
        await until(lambda: fleet.acknowledged >= 5 * len(sensors))
    messages = await stored(bus)
    await bus.close()
    assert len(messages) == fleet.acknowledged
    by_id = {sensor.id: sensor for sensor in sensors}
    now = SystemClock().now()
    facts = set()
    for message in messages:
        observation = parse((message.subject or "").removeprefix(PREFIX), message.data or b"", now)
        sensor = by_id[observation.source_id]
        assert (observation.property, observation.unit) == (sensor.property, sensor.unit)
        assert abs((now - observation.event_time).total_seconds()) < 60
        facts.add(observation.id)
    assert len(facts) == len(messages)


async def test_a_wrong_login_stays_outside(sensors: tuple[Source, ...], broker: NatsServer) -> None:
    bus = await broker.ready()
    wrong = logins(sensors) | {sensors[0].id: DeviceLogin(sensors[0].id, "wrong")}
    async with measuring(fleet_of(sensors, broker, wrong)) as fleet:
        await until(lambda: fleet.connected == len(sensors) - 1)
        await until(lambda: fleet.connects > len(sensors))
        assert fleet.connected == len(sensors) - 1
    assert all(sensors[0].id not in (message.subject or "") for message in await stored(bus))
    await bus.close()


async def test_nothing_is_lost_when_the_broker_is_killed(
    sensors: tuple[Source, ...], broker: NatsServer
) -> None:
    bus = await broker.ready()
    async with measuring(fleet_of(sensors, broker, logins(sensors))) as fleet:
        await until(lambda: fleet.acknowledged > 2 * len(sensors))
        broker.kill()
        await until(lambda: fleet.connected == 0)
        await until(lambda: fleet.held > 2 * len(sensors))
        broker.start()
        await until(lambda: fleet.connected == len(sensors), 30)
        await until(lambda: fleet.held < len(sensors), 30)
    await bus.close()
    bus = await broker.ready()
    messages = await stored(bus)
    await bus.close()
    facts = {(message.subject, msgspec.json.decode(message.data or b"")["time"]) for message in messages}
    assert len(facts) >= fleet.acknowledged


async def test_an_event_is_seen_and_a_silent_sensor_is_heard_no_more(
    sensors: tuple[Source, ...], broker: NatsServer
) -> None:
    bus = await broker.ready()
    burning, silent = [sensor for sensor in sensors if sensor.property == "smoke"][:2]
    async with measuring(fleet_of(sensors, broker, logins(sensors))) as fleet:
        await until(lambda: fleet.connected == len(sensors))
        fleet.silence(Silence(source_id=silent.id, duration_s=60.0))
        before = fleet.acknowledged
        fleet.disturb(Effect(source_id=burning.id, start_s=0.0, rise_s=0.1, hold_s=60.0, strength=1.0))
        await until(lambda: fleet.acknowledged > before + 8 * len(sensors))
    heard: dict[str, list[float]] = {}
    for message in (await stored(bus))[before:]:
        device = (message.subject or "").split(".")[-2]
        heard.setdefault(device, []).append(msgspec.json.decode(message.data or b"")["value"])
    await bus.close()
    assert heard[burning.id][-1] > 12.5
    assert len(heard.get(silent.id, [])) <= 1
    assert all(max(values) < 12.5 for id_, values in heard.items() if "smoke" in id_ and id_ != burning.id)


async def test_a_sensor_without_a_login_is_said_at_once(
    sensors: tuple[Source, ...], broker: NatsServer
) -> None:
    with pytest.raises(Configuration, match=sensors[0].id):
        fleet_of(sensors, broker, {})
