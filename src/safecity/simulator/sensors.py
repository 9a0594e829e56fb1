"""All simulated sensors: each with its own authenticated connection, all in one event loop."""

import asyncio
import contextlib
import heapq
from collections.abc import Mapping
from itertools import count
from typing import Final

import msgspec
import structlog

from safecity.bus.engine import DeviceLogin
from safecity.bus.subjects import MQTT_ROOT
from safecity.clock import Clock
from safecity.errors import Configuration, TooMany
from safecity.model.base import utc_text
from safecity.model.source import Source
from safecity.simulator.mqtt_device import MqttDevice
from safecity.simulator.pace import Pace
from safecity.simulator.scenario import rng_for
from safecity.simulator.signal import SIGNALS, Effect, normal_value
from safecity.simulator.story import Silence

log = structlog.get_logger()

TICK_S: Final = 0.1
CONNECTS_A_TICK: Final = 8
"""So many devices connect at once: a broker that comes back is not run over by all of them."""
KEEP_ALIVE_PERIOD_S: Final = 5.0
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 10.0
FAREWELL_S: Final = 1.5
ALERT_PERIOD_S: Final = 1.0
ALERT_SHARE: Final = 0.3
"""Beyond this share of an event a sensor is alert and reports every second, as detectors do."""

_encode = msgspec.json.Encoder().encode


class _Sensor:
    """One sensor: its connection, its next beat, what disturbs it."""

    def __init__(self, source: Source, device: MqttDevice) -> None:
        self.source = source
        self.device = device
        self.topic = f"{MQTT_ROOT}/{source.id}/{source.property}"
        self.effects: list[tuple[float, Effect]] = []
        self.silent_until_s = 0.0
        self.due_s = 0.0
        self.last_time = ""
        self.connect_at_s = 0.0
        self.wait_s = FIRST_WAIT_S


class SensorFleet:
    """The sensors of the city. They keep the machine's time: only what happens to them follows the pace."""

    def __init__(
        self,
        sensors: tuple[Source, ...],
        logins: Mapping[str, DeviceLogin],
        broker: tuple[str, int],
        clock: Clock,
        pace: Pace,
        seed: int,
    ) -> None:
        """Prepare `sensors` for the broker at (host, port).

        Raises Configuration when a sensor has no login.
        """
        missing = [sensor.id for sensor in sensors if sensor.id not in logins]
        if missing:
            raise Configuration(
                f"the simulated sensor {missing[0]} has no MQTT login; make one for each sensor"
            )
        self._broker = broker
        self._clock = clock
        self._pace = pace
        self._rng = rng_for(seed, "readings")
        self._published = 0
        self._all_acknowledged = asyncio.Event()
        self.acknowledged = 0
        self.refused = 0
        self.connects = 0
        self._sensors = {
            sensor.id: _Sensor(sensor, MqttDevice(*broker, logins[sensor.id], self._on_acknowledged))
            for sensor in sensors
        }
        self._beats: list[tuple[float, int, _Sensor]] = []
        self._order = count()

    @property
    def connected(self) -> int:
        """How many sensors have a connection that the broker accepted."""
        return sum(sensor.device.connected for sensor in self._sensors.values())

    @property
    def held(self) -> int:
        """How many readings wait for the broker's acknowledgement."""
        return self._published - self.acknowledged

    def disturb(self, effect: Effect) -> None:
        """Let an event happen to a sensor; it reports out of turn as long as the event is there."""
        sensor = self._sensors.get(effect.source_id)
        if sensor is None:
            return
        start_in_s = self._pace.real_s(effect.start_s - self._pace.elapsed_s())
        start_s = self._clock.monotonic_s() + start_in_s
        sensor.effects.append((start_s, effect))
        self._beat(sensor, start_s + effect.rise_s)

    def silence(self, silence: Silence) -> None:
        """Let a sensor send nothing for some of its own periods."""
        sensor = self._sensors.get(silence.source_id)
        if sensor is not None:
            sensor.silent_until_s = self._clock.monotonic_s() + silence.duration_s

    async def run(self) -> None:
        """Connect and measure until cancelled."""
        now_s = self._clock.monotonic_s()
        for sensor in self._sensors.values():
            self._schedule(sensor, now_s + self._rng.uniform(0, sensor.source.period_s))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stay_connected())
            group.create_task(self._measure())

    async def stop(self) -> None:
        """Wait a moment for outstanding acknowledgements and disconnect."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S if self.connected and self.held else 0):
                await self._all_acknowledged.wait()
        for sensor in self._sensors.values():
            sensor.device.close()

    def _on_acknowledged(self) -> None:
        self.acknowledged += 1
        if self.acknowledged == self._published:
            self._all_acknowledged.set()

    def _schedule(self, sensor: _Sensor, at_s: float) -> None:
        sensor.due_s = at_s
        self._beat(sensor, at_s)

    def _beat(self, sensor: _Sensor, at_s: float) -> None:
        heapq.heappush(self._beats, (at_s, next(self._order), sensor))

    async def _measure(self) -> None:
        while True:
            now_s = self._clock.monotonic_s()
            while self._beats and self._beats[0][0] <= now_s:
                at_s, _, sensor = heapq.heappop(self._beats)
                if at_s == sensor.due_s:
                    # After a long pause of the whole process it goes on from now and does not catch up.
                    self._schedule(sensor, max(at_s, now_s - sensor.source.period_s) + sensor.source.period_s)
                elif self._share(sensor, now_s) > ALERT_SHARE:
                    self._beat(sensor, now_s + ALERT_PERIOD_S)
                if now_s >= sensor.silent_until_s:
                    self._publish(sensor, now_s)
            await asyncio.sleep(TICK_S)

    def _publish(self, sensor: _Sensor, now_s: float) -> None:
        time = utc_text(self._clock.now())
        if time == sensor.last_time:
            return  # two readings of one moment would be one and the same fact
        reading = {"value": self._value(sensor, now_s), "unit": sensor.source.unit, "time": time}
        try:
            sensor.device.publish(sensor.topic, _encode(reading))
        except TooMany:
            self.refused += 1
        else:
            sensor.last_time = time
            self._published += 1
            self._all_acknowledged.clear()

    def _value(self, sensor: _Sensor, now_s: float) -> float:
        signal = SIGNALS[sensor.source.property]
        sensor.effects = [(start_s, e) for start_s, e in sensor.effects if not e.is_over(now_s - start_s)]
        share = self._share(sensor, now_s)
        normal = normal_value(signal, self._clock.now(), sensor.source.place.lon, self._rng)
        return round(max(0.0, normal + share * signal.event), signal.decimals)

    def _share(self, sensor: _Sensor, now_s: float) -> float:
        return max((effect.share(now_s - start_s) for start_s, effect in sensor.effects), default=0.0)

    async def _stay_connected(self) -> None:
        keep_alive_at_s = 0.0
        while True:
            now_s = self._clock.monotonic_s()
            away = [s for s in self._sensors.values() if not (s.device.connected or s.device.connecting)]
            due = [sensor for sensor in away if sensor.connect_at_s <= now_s][:CONNECTS_A_TICK]
            if due and await self._broker_listens():
                for sensor in due:
                    self._connect(sensor)
            self._put_off(due, now_s)
            if now_s >= keep_alive_at_s:
                keep_alive_at_s = now_s + KEEP_ALIVE_PERIOD_S
                for sensor in self._sensors.values():
                    sensor.device.keep_alive()
            await asyncio.sleep(TICK_S)

    async def _broker_listens(self) -> bool:
        # The library connects its socket while the loop waits; so it may only knock where a door is open.
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection(*self._broker)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    def _connect(self, sensor: _Sensor) -> None:
        try:
            sensor.device.connect()
        except OSError as error:
            log.debug("broker away", device=sensor.source.id, error=str(error))
        else:
            self.connects += 1

    def _put_off(self, sensors: list[_Sensor], now_s: float) -> None:
        """Set when each of these may try next, should it still be away then."""
        for sensor in sensors:
            if sensor.connect_at_s and now_s - sensor.connect_at_s > LONGEST_WAIT_S:
                sensor.wait_s = FIRST_WAIT_S
            sensor.connect_at_s = now_s + sensor.wait_s * self._rng.uniform(0.7, 1.3)
            sensor.wait_s = min(LONGEST_WAIT_S, sensor.wait_s * 2)
