"""The operations role: alarms and device reports from the bus, the outbox back to it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from nats.aio.msg import Msg

from safecity.bus.connection import Bus
from safecity.bus.consumer import Reader, bury
from safecity.bus.subjects import OPERATE_ALARMS, OPERATE_DEVICES, Durable
from safecity.errors import Invalid, StorageFull, Unavailable
from safecity.model.incident import Alarm
from safecity.model.observation import unpack
from safecity.operations import alarms, registry
from safecity.operations.command import forget_old_receipts
from safecity.operations.relay import Relay
from safecity.store.database import Database, Raced

log = structlog.get_logger()

ALARM_BATCH = 50
RETRY_S = 0.5
HOUSEKEEPING_S = 3600.0

_decode_alarm = msgspec.json.Decoder(Alarm).decode


class OperationsRoom:
    """Consumes what the other rooms say and keeps incidents, cameras and the feed up to date."""

    def __init__(self, database: Database, bus: Bus) -> None:
        """Work on `database` and `bus`."""
        self._database = database
        self._bus = bus
        self._relay = Relay(database, bus)
        self.counters: dict[str, float] = {
            "alarms_total": 0,
            "undecodable_total": 0,
            "camera_reports_total": 0,
        }

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relay.run())
            group.create_task(self._consume(OPERATE_ALARMS, ALARM_BATCH, self._on_alarms))
            group.create_task(self._consume(OPERATE_DEVICES, 1, self._on_device))
            group.create_task(self._keep_house())

    async def _consume(
        self, durable: Durable, limit: int, handle: Callable[[list[Msg]], Awaitable[None]]
    ) -> None:
        async for batch in Reader(self._bus, durable, window=200).batches(limit):
            while True:
                try:
                    await handle(batch)
                    break
                except (Unavailable, StorageFull, Raced) as error:
                    log.warning("operations wait", error=str(error))
                    await asyncio.sleep(RETRY_S)
                except Exception as error:
                    # One message must never stop the others, whatever is wrong with it or with us.
                    log.exception(
                        "a message could not be worked on", consumer=durable.name, error=repr(error)
                    )
                    for message in batch:
                        await self._alone(durable, message, handle)
                    break
            for message in batch:
                await message.ack()
            self.counters["feeds_total"] = self._relay.published_total

    async def _alone(
        self, durable: Durable, message: Msg, handle: Callable[[list[Msg]], Awaitable[None]]
    ) -> None:
        """Work on one message of a batch that failed; bury it when it is the one that fails."""
        while True:
            try:
                await handle([message])
            except (Unavailable, StorageFull, Raced) as error:
                log.warning("operations wait", error=str(error))
                await asyncio.sleep(RETRY_S)
            except Exception as error:
                await self._bury(durable.name, message, f"failed: {error!r}")
                return
            else:
                return

    async def _keep_house(self) -> None:
        while True:
            try:
                await forget_old_receipts(self._database)
            except Exception as error:
                log.warning("housekeeping is put off", error=repr(error))
            await asyncio.sleep(HOUSEKEEPING_S)

    async def _on_alarms(self, batch: list[Msg]) -> None:
        readable = []
        for message in batch:
            try:
                readable.append(_decode_alarm(message.data))
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                await self._bury("alarm", message, str(error))
        self.counters["alarms_total"] += await alarms.receive(self._database, readable)

    async def _on_device(self, batch: list[Msg]) -> None:
        for message in batch:
            try:
                for observation in unpack(message.data):
                    if observation.property == "camera_state":
                        await registry.camera_state(self._database, observation)
                        self.counters["camera_reports_total"] += 1
            except Unavailable:
                raise
            except (msgspec.DecodeError, ValueError, RecursionError, Invalid) as error:
                await self._bury("device", message, str(error))

    async def _bury(self, way: str, message: Msg, reason: str) -> None:
        self.counters["undecodable_total"] += 1
        while True:
            try:
                await bury(self._bus, way, message.data, reason, message.subject)
            except Exception as error:
                log.warning("dead letters wait for the bus", error=repr(error))
                await asyncio.sleep(RETRY_S)
            else:
                return
