"""The writer: observations from the bus into the store, each once."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import asyncpg
import msgspec
import structlog
from nats.aio.msg import Msg

from safecity.bus.connection import Bus
from safecity.bus.consumer import Reader, bury, stream_sequence
from safecity.bus.subjects import WRITE_EVENTS, WRITE_TELEMETRY, Durable
from safecity.clock import Clock
from safecity.errors import StorageFull, Unavailable
from safecity.model.observation import unpack
from safecity.store import observations
from safecity.store.database import Database
from safecity.store.observations import Delivery

log = structlog.get_logger()

RETRY_S = 0.5
BATCHES_AT_ONCE = 2
"""While one batch waits for its commit the next is decoded; receipts make any order safe."""

MESSAGES_AT_ONCE = 200
HOUSEKEEPING_S = 10.0
MAX_DAYS_AT_ONCE = 8
CORRUPT = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, OverflowError)
"""What the store raises for a value that can never be stored: the message goes to the dead letters."""


class Writer:
    """Writes telemetry and events, each by its own consumer, so that telemetry never delays the others."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        clock: Clock,
        keep_days: int,
        on_committed: Callable[[Sequence[Delivery]], None] | None = None,
    ) -> None:
        """Write to `database` what `bus` brings; days older than `keep_days` are dropped.

        on_committed: told of every batch after its commit, for measurements.
        """
        self._on_committed = on_committed
        self._database = database
        self._bus = bus
        self._clock = clock
        self._keep_days = keep_days
        self.counters: dict[str, float] = dict.fromkeys(
            ("observations_total", "repeated_total", "undecodable_total", "lag_ms"), 0
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self._make_partitions()
        async with asyncio.TaskGroup() as group:
            for durable in (WRITE_TELEMETRY, WRITE_EVENTS):
                group.create_task(self._consume(durable))
            group.create_task(self._keep_house())

    async def _consume(self, durable: Durable) -> None:
        epoch = await self._epoch(durable)
        room = asyncio.Semaphore(BATCHES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            async for batch in Reader(self._bus, durable).batches(MESSAGES_AT_ONCE):
                await room.acquire()
                group.create_task(self._take(durable, epoch, batch, room))

    async def _take(
        self, durable: Durable, epoch: int, batch: Sequence[Msg], room: asyncio.Semaphore
    ) -> None:
        try:
            deliveries = await self._decode(durable, batch)
            await self._write(durable, epoch, deliveries)
        finally:
            room.release()
        for message in batch:
            await message.ack()
        self._note_lag(deliveries)
        if self._on_committed is not None:
            self._on_committed(deliveries)

    async def _epoch(self, durable: Durable) -> int:
        info = await self._bus.js.stream_info(durable.stream.value)
        created = info.created
        if created is None:
            raise Unavailable(f"the bus does not say when the stream {durable.stream} was made")
        return int(created.timestamp() * 1_000_000)

    async def _decode(self, durable: Durable, batch: Sequence[Msg]) -> list[Delivery]:
        deliveries = []
        for message in batch:
            try:
                deliveries.append(Delivery(seq=stream_sequence(message), observations=unpack(message.data)))
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                await self._bury(durable, message.data, str(error))
        return deliveries

    async def _write(self, durable: Durable, epoch: int, deliveries: Sequence[Delivery]) -> None:
        partitions_made = False
        while deliveries:
            try:
                written = await observations.write(self._database, durable.name, epoch, deliveries)
            except (Unavailable, StorageFull) as error:
                log.warning("the writer waits", consumer=durable.name, error=str(error))
                await asyncio.sleep(RETRY_S)
            except CORRUPT as error:
                if "no partition" in str(error) and not partitions_made:
                    # Received on other days than these: while we were away, or by a clock that was wrong.
                    partitions_made = await self._make_partitions_of(deliveries)
                    continue
                await self._write_apart(durable, epoch, deliveries, error)
                return
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.exception("the writer is refused", consumer=durable.name, error=repr(error))
                await asyncio.sleep(RETRY_S)
            else:
                total = sum(len(delivery.observations) for delivery in deliveries)
                self.counters["observations_total"] += written
                self.counters["repeated_total"] += total - written
                return

    async def _write_apart(
        self, durable: Durable, epoch: int, deliveries: Sequence[Delivery], error: Exception
    ) -> None:
        """Find the message that cannot be stored by halving; only that one is buried."""
        if len(deliveries) == 1:
            payload = msgspec.msgpack.encode(deliveries[0].observations)
            await self._bury(durable, payload, str(error))
            return
        middle = len(deliveries) // 2
        await self._write(durable, epoch, deliveries[:middle])
        await self._write(durable, epoch, deliveries[middle:])

    async def _bury(self, durable: Durable, payload: bytes, reason: str) -> None:
        self.counters["undecodable_total"] += 1
        while True:
            try:
                await bury(self._bus, "write", payload, reason, durable.name)
            except Exception as error:
                log.warning("dead letters wait for the bus", error=repr(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _note_lag(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries and deliveries[-1].observations:
            newest = deliveries[-1].observations[-1].receive_time
            self.counters["lag_ms"] = max(0.0, (self._clock.now() - newest) / timedelta(milliseconds=1))

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            try:
                await self._make_partitions()
                await observations.drop_old_partitions(
                    self._database, self._clock.now().date(), self._keep_days
                )
                for durable in (WRITE_TELEMETRY, WRITE_EVENTS):
                    await self._prune(durable)
            except Exception as error:
                log.warning("housekeeping is put off", error=repr(error))

    async def _prune(self, durable: Durable) -> None:
        info = await self._bus.js.consumer_info(durable.stream.value, durable.name)
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        await observations.prune_receipts(self._database, durable.name, await self._epoch(durable), floor)

    async def _make_partitions_of(self, deliveries: Sequence[Delivery]) -> bool:
        days = {o.receive_time.date() for delivery in deliveries for o in delivery.observations}
        try:
            for day in sorted(days)[:MAX_DAYS_AT_ONCE]:
                await observations.ensure_partition(self._database, day)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.warning("a day could not be made", error=repr(error))
            await asyncio.sleep(RETRY_S)
        return True

    async def _make_partitions(self) -> None:
        while True:
            try:
                await observations.ensure_partitions(self._database, self._clock.now().date())
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("the writer waits for the database", error=repr(error))
                await asyncio.sleep(RETRY_S)
            else:
                return
