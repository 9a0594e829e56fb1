"""The micro-batcher at every way in: many observations in a bus message, acknowledged when on disk."""

import asyncio
from collections.abc import Sequence

from ulid import ULID

from safecity.bus.connection import Bus
from safecity.bus.subjects import PARTITIONS, event, partition, telemetry
from safecity.errors import Unavailable
from safecity.model.observation import TELEMETRY, Observation, ObservationKind, pack


class _Bucket:
    """Observations of one subject that wait for company, and the future that all of them share."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None


class MicroBatcher:
    """Packs telemetry by partition: at most `size` observations or `delay_s` of waiting.

    Events (calls, video, devices) go out at once, one to a message, on their own stream. Either way the
    returned future is done only when JetStream has the message on disk, and fails when it was refused.
    """

    def __init__(self, bus: Bus, size: int = 100, delay_s: float = 0.010, max_waiting: int = 1000) -> None:
        """Publish over `bus`; at most `max_waiting` messages may be unacknowledged."""
        self._bus = bus
        self._size = size
        self._delay_s = delay_s
        self._buckets: dict[str, _Bucket] = {}
        self._in_flight: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(max_waiting)
        self.stored_count = 0

    def add(self, observation: Observation) -> "asyncio.Future[None]":
        """Take one observation; the future is done when it is on disk.

        The future raises Unavailable when JetStream refused it or did not answer.
        """
        if observation.kind in TELEMETRY:
            return self._add_packed(observation)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._send(event(observation.kind), [observation], stored, observation.id)
        return stored

    async def put(self, observations: Sequence[Observation]) -> None:
        """Take many observations and return when all are on disk; raises Unavailable like `add`."""
        pending = {self.add(observation) for observation in observations}
        if pending:
            await asyncio.gather(*pending)

    async def flush(self) -> None:
        """Send what waits and return when everything in flight was answered."""
        for subject in list(self._buckets):
            self._close(subject)
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    @property
    def in_flight(self) -> int:
        """Messages sent and not yet acknowledged."""
        return len(self._in_flight)

    def _add_packed(self, observation: Observation) -> "asyncio.Future[None]":
        subject = _SUBJECTS[observation.kind][partition(observation.source_id)]
        bucket = self._buckets.get(subject)
        if bucket is None:
            bucket = self._buckets[subject] = _Bucket()
            bucket.timer = asyncio.get_running_loop().call_later(self._delay_s, self._close, subject)
        bucket.observations.append(observation)
        if len(bucket.observations) >= self._size:
            self._close(subject)
        return bucket.stored

    def _close(self, subject: str) -> None:
        bucket = self._buckets.pop(subject, None)
        if bucket is None:
            return
        if bucket.timer is not None:
            bucket.timer.cancel()
        self._send(subject, bucket.observations, bucket.stored, str(ULID()))

    def _send(
        self, subject: str, observations: list[Observation], stored: "asyncio.Future[None]", message_id: str
    ) -> None:
        task = asyncio.get_running_loop().create_task(
            self._publish(subject, observations, stored, message_id)
        )
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _publish(
        self, subject: str, observations: list[Observation], stored: "asyncio.Future[None]", message_id: str
    ) -> None:
        try:
            async with self._room:
                await self._bus.js.publish(
                    subject, pack(observations), headers={"Nats-Msg-Id": message_id}, timeout=10
                )
        except Exception as error:
            if not stored.done():
                stored.set_exception(Unavailable(f"the bus did not store the observations: {error}"))
                stored.exception()
            return
        self.stored_count += len(observations)
        if not stored.done():
            stored.set_result(None)


_SUBJECTS = {
    kind: [telemetry(part, kind) for part in range(PARTITIONS)]
    for kind in (ObservationKind.READING, ObservationKind.POSITION)
}
