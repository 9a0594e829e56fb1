"""What a device got a PUBACK for is on our own stream, although the broker was killed (always true, 1)."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from engines import NatsServer, free_port
from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus, connect
from safecity.bus.consumer import Reader
from safecity.bus.engine import DeviceLogin
from safecity.bus.subjects import WRITE_TELEMETRY, Stream
from safecity.clock import SystemClock
from safecity.intake.mqtt import MqttIntake
from safecity.intake.validation import Gate
from safecity.model.observation import unpack

pytestmark = [pytest.mark.engines, pytest.mark.faults]

MESSAGES = 600
KILL_AT = (150, 350)
BBOX = (13.0, 53.0, 14.0, 54.0)
DEVICE = DeviceLogin("gas-001", "a-password-of-the-device")


class Device:
    """A sensor that remembers which readings were acknowledged."""

    def __init__(self, server: NatsServer, *, password: str = DEVICE.password) -> None:
        self._acknowledged: set[int] = set()
        self._value_of: dict[int, int] = {}
        self._server = server
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=DEVICE.device_id, clean_session=False
        )
        self._client.username_pw_set(DEVICE.device_id, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.max_inflight_messages_set(20)
        self._client.on_publish = self._on_publish
        self._client.connect("127.0.0.1", server.mqtt_port)
        self._client.loop_start()

    @property
    def acknowledged(self) -> set[int]:
        """Values that the broker acknowledged."""
        return {self._value_of[mid] for mid in list(self._acknowledged) if mid in self._value_of}

    def publish(self, value: int, topic: str = "sensors/gas-001/gas_ch4", qos: int = 1) -> None:
        payload = json.dumps({"value": value, "unit": "[ppm]", "time": _moment(value)})
        self._value_of[self._client.publish(topic, payload, qos=qos).mid] = value

    def publish_raw(self, payload: bytes, topic: str = "sensors/gas-001/gas_ch4") -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(self, _c: object, _u: object, mid: int, _r: object, _p: object) -> None:
        self._acknowledged.add(mid)


def _moment(value: int) -> str:
    return (datetime.now(UTC) - timedelta(hours=1) + timedelta(milliseconds=value)).isoformat()


async def _intake(bus: Bus) -> tuple[MqttIntake, "asyncio.Task[None]"]:
    room = MqttIntake(bus, MicroBatcher(bus), Gate(BBOX), SystemClock())
    return room, asyncio.create_task(room.run())


async def _stored(bus: Bus, wanted: set[int], patience_s: float = 40.0) -> list[int]:
    """Read our own stream until everything wanted is there."""
    values: list[int] = []

    async def read() -> None:
        async for batch in Reader(bus, WRITE_TELEMETRY).batches():
            for message in batch:
                values.extend(int(observation.value or 0) for observation in unpack(message.data))
                await message.ack()
            if wanted <= set(values):
                return

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(read(), patience_s)
    return values


async def _until(condition: Callable[[], bool], patience_s: float = 30.0) -> None:
    deadline = asyncio.get_running_loop().time() + patience_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


async def test_kill_of_the_broker_loses_nothing_acknowledged() -> None:
    with NatsServer([DEVICE]) as server:
        bus = await server.ready()
        _, work = await _intake(bus)
        device = Device(server)
        try:
            for value in range(MESSAGES):
                device.publish(value)
                if value in KILL_AT:
                    await _until(lambda: len(device.acknowledged) > 20)
                    server.kill()
                    server.start()
            await _until(lambda: len(device.acknowledged) == MESSAGES, 60)
            reader = await connect(server.url, "reader")
            stored = await _stored(reader, device.acknowledged)
            await reader.close()
        finally:
            device.stop()
            work.cancel()
            await asyncio.wait({work})
            await bus.close()
        assert device.acknowledged <= set(stored)


async def test_readings_wait_in_the_broker_while_the_intake_is_away() -> None:
    with NatsServer([DEVICE]) as server:
        bus = await server.ready()
        device = Device(server)
        try:
            for value in range(50):
                device.publish(value)
            await _until(lambda: len(device.acknowledged) == 50)
            server.kill()
            server.start()
            _, work = await _intake(bus)
            assert set(await _stored(bus, device.acknowledged)) == device.acknowledged
            work.cancel()
            await asyncio.wait({work})
        finally:
            device.stop()
            await bus.close()


async def test_quality_of_service_0_is_taken_once() -> None:
    with NatsServer([DEVICE]) as server:
        bus = await server.ready()
        room, work = await _intake(bus)
        device = Device(server)
        try:
            await _until(lambda: bus.client.is_connected)
            device.publish(7, qos=1)
            assert await _stored(bus, {7}) == [7]
            device.publish(8, qos=0)
            assert await _stored(bus, {8}) == [8]
            assert room.counters["qos0_total"] == 1
        finally:
            device.stop()
            work.cancel()
            await asyncio.wait({work})
            await bus.close()


async def test_garbage_goes_to_the_dead_letters_with_its_reason_and_stops_nothing() -> None:
    with NatsServer([DEVICE]) as server:
        bus = await server.ready()
        room, work = await _intake(bus)
        device = Device(server)
        try:
            deep = b'{"value":1,"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
            for garbage in (b"", b"\xff\xfe", b"[1, 2", b'{"value": "warm"}', b'{"value": 1e999}', deep):
                device.publish_raw(garbage)
            device.publish_raw(b'{"value": 1}', topic="sensors/gas-001/too/deep")
            device.publish(1)
            assert await _stored(bus, {1}) == [1]
            await _until(lambda: room.counters["refused_total"] == 7)
            state = (await bus.js.stream_info(Stream.DEAD.value)).state
            assert state.messages == 7
            for seq in range(1, 8):
                dead = await bus.js.get_msg(Stream.DEAD.value, seq)
                assert dead.headers is not None
                assert len(dead.headers["Reason"]) > 10
                assert dead.headers["Origin"].startswith("gas-001.")
        finally:
            device.stop()
            work.cancel()
            await asyncio.wait({work})
            await bus.close()


async def test_a_device_publishes_below_its_own_name_only_and_with_its_password_only() -> None:
    with NatsServer([DEVICE]) as server:
        bus = await server.ready()
        room, work = await _intake(bus)
        stranger = Device(server, password="a-wrong-password")
        device = Device(server)
        try:
            device.publish_raw(b'{"value": 5}', topic="sensors/gas-002/gas_ch4")
            device.publish(6)
            stranger.publish(9)
            assert await _stored(bus, {6}) == [6]
            assert room.counters["readings_total"] == 1
            assert stranger.acknowledged == set()
        finally:
            stranger.stop()
            device.stop()
            work.cancel()
            await asyncio.wait({work})
            await bus.close()


async def test_jetstream_writes_to_disk_before_it_acknowledges(nats_server: NatsServer) -> None:
    """Backbone, 7: the default flushes every two minutes and has lost acknowledged data."""
    nats_server.stop()
    monitor_port = free_port()
    with nats_server.config.open("a") as config:
        config.write(f'http: "127.0.0.1:{monitor_port}"\n')
    nats_server.start()
    async with httpx.AsyncClient() as client:
        reply = await client.get(f"http://127.0.0.1:{monitor_port}/varz")
    assert reply.json()["jetstream"]["config"]["sync_always"] is True
