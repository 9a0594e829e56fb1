"""Sensors by MQTT: what the broker stored becomes packed observations on our own stream.

The broker's PUBACK at QoS 1 means that `$MQTT_msgs` has the message on disk; capture by a stream of our own
is not part of that promise. So this reads `$MQTT_msgs` itself through a durable consumer, and acknowledges
there only when TELEMETRY has the observation on disk. QoS 0 is taken from the live subject, and promises
nothing.
"""

import asyncio
from datetime import datetime

import msgspec
import structlog
from nats.aio.msg import Msg

from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus
from safecity.bus.consumer import Reader, bury
from safecity.bus.subjects import INTAKE_MQTT, MQTT_ROOT
from safecity.clock import Clock
from safecity.errors import Invalid, Unavailable
from safecity.intake.validation import Gate
from safecity.model.observation import Observation, ObservationKind, Unit

log = structlog.get_logger()

PREFIX = f"$MQTT.msgs.{MQTT_ROOT}."
QOS_HEADER = "Nmqtt-Pub"
MAX_PAYLOAD_BYTES = 64 * 1024
RETRY_S = 0.5
MAX_LIVE = 5000
"""QoS 0 readings on their way to the stream at most; more are dropped, counted: QoS 0 promises nothing."""


class Reading(msgspec.Struct, frozen=True):
    """The JSON that a device sends to sensors/<device_id>/<property>; without a time it is now."""

    value: float
    unit: Unit = Unit.NONE
    time: datetime | None = None


_decode = msgspec.json.Decoder(Reading).decode


def parse(topic: str, payload: bytes, now: datetime) -> Observation:
    """Return the observation of one MQTT message; `topic` is "<device_id>.<property>", as NATS writes it.

    Raises Invalid with the reason when topic or payload is not what it must be.
    """
    device_id, dot, property_ = topic.partition(".")
    if not (device_id and dot and property_) or "." in property_:
        raise Invalid(f"the topic must be {MQTT_ROOT}/<device>/<property>")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Invalid(f"a reading may have at most {MAX_PAYLOAD_BYTES} bytes")
    try:
        reading = _decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Invalid(f'this is not a reading such as {{"value": 1.5, "unit": "m"}}: {error}') from error
    return Observation(
        source_id=device_id,
        kind=ObservationKind.READING,
        event_time=reading.time or now,
        receive_time=now,
        property=property_,
        value=reading.value,
        unit=reading.unit,
    )


class MqttIntake:
    """Moves device messages from the broker's stream to TELEMETRY."""

    def __init__(self, bus: Bus, batcher: MicroBatcher, gate: Gate, clock: Clock) -> None:
        """Read and publish over `bus`."""
        self._bus = bus
        self._batcher = batcher
        self._gate = gate
        self._clock = clock
        self.counters: dict[str, float] = dict.fromkeys(
            ("readings_total", "refused_total", "qos0_total", "qos0_dropped_total"), 0
        )
        self._live: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._bus.client.subscribe(f"{MQTT_ROOT}.>", cb=self._on_live)
        async for batch in Reader(self._bus, INTAKE_MQTT).batches():
            await asyncio.gather(*[self._store(message) for message in batch])

    async def _store(self, message: Msg) -> None:
        topic = message.subject.removeprefix(PREFIX)
        while True:
            try:
                await self._take(topic, message.data)
                await message.ack()
            except Unavailable as error:
                log.warning("sensor readings wait for the bus", error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _on_live(self, message: Msg) -> None:
        # QoS 1 comes here too, and is already in the stream.
        if (message.headers or {}).get(QOS_HEADER) != "0":
            return
        self.counters["qos0_total"] += 1
        if len(self._live) >= MAX_LIVE:
            self.counters["qos0_dropped_total"] += 1
            return
        task = asyncio.create_task(self._take_live(message))
        self._live.add(task)
        task.add_done_callback(self._live.discard)

    async def _take_live(self, message: Msg) -> None:
        try:
            await self._take(message.subject.removeprefix(f"{MQTT_ROOT}."), message.data)
        except Unavailable as error:
            self.counters["qos0_dropped_total"] += 1
            log.warning("a QoS 0 reading was lost", error=str(error))

    async def _take(self, topic: str, payload: bytes) -> None:
        now = self._clock.now()
        try:
            observation = parse(topic, payload, now)
            self._gate.check(observation, now)
        except Invalid as error:
            await self._refuse(payload, str(error), topic)
            return
        except Exception as error:
            # One message must never stop the others, whatever is wrong with it or with us.
            log.exception("a reading could not be judged", topic=topic)
            await self._refuse(payload, f"judging failed: {error!r}", topic)
            return
        await self._batcher.add(observation)
        self.counters["readings_total"] += 1

    async def _refuse(self, payload: bytes, reason: str, topic: str) -> None:
        self.counters["refused_total"] += 1
        await _bury(self._bus, payload, reason, topic)


async def _bury(bus: Bus, payload: bytes, reason: str, topic: str) -> None:
    try:
        await bury(bus, "mqtt", payload[:MAX_PAYLOAD_BYTES], reason, topic)
    except Exception as error:
        raise Unavailable(f"the bus did not take a dead letter: {error}") from error
