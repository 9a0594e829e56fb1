"""The fusion role: observations from the bus, alarms back to it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from safecity.bus.connection import Bus
from safecity.bus.consumer import Reader, bury
from safecity.bus.subjects import FUSE_EVENTS, FUSE_TELEMETRY, STREAM_SUBJECTS, Durable, Stream, alarm
from safecity.clock import Clock
from safecity.config import Settings
from safecity.errors import Invalid, Unavailable
from safecity.fusion.engine import Fusion
from safecity.model.incident import Alarm, Incident
from safecity.model.journal import FEED, Feed
from safecity.model.observation import Observation, pack, unpack
from safecity.model.source import Camera, Source
from safecity.rules.alarm_rules import AlarmRules
from safecity.store import journal
from safecity.store.database import Database

log = structlog.get_logger()

TICK_S: Final = 1.0
RETRY_S: Final = 0.5
RESYNC_S: Final = 60.0
"""How often open incidents and new sources are read anew, in case the core subject lost a change."""

TELEMETRY_BATCH: Final = 50
"""Messages of up to 100 readings that are read at once; between two messages events have their turn."""

RECENT_ALARMS: Final = (
    "incident_id IN (SELECT id FROM incident WHERE state <> 'closed') "
    "OR raised_at > $1::timestamptz - interval '15 minutes'"
)

_encode = msgspec.json.Encoder().encode
_decode_alarm = msgspec.json.Decoder(Alarm).decode
_decode_feed = msgspec.json.Decoder(Feed).decode


class FusionRoom:
    """Runs the fusion engine between the bus and the store."""

    def __init__(
        self, database: Database, bus: Bus, settings: Settings, clock: Clock, rules: AlarmRules
    ) -> None:
        """Fuse by `rules` what `bus` brings; `database` is only read."""
        self._database = database
        self._bus = bus
        self._clock = clock
        self.engine = Fusion(rules, settings.fusion, clock)
        self.counters = self.engine.counters
        self.counters |= dict.fromkeys(("undecodable_total", "failed_total", "feeds_total"), 0.0)
        self.ready = asyncio.Event()
        self._feeds: asyncio.Queue[Feed] = asyncio.Queue()
        self._seq = self._synced_seq = 0
        self._reconnects = 0
        self._heard_until: datetime | None = None

    async def run(self) -> None:
        """Work until cancelled; raises Unavailable when bus or store are away at the start."""
        subscription = await self._bus.client.subscribe(FEED, cb=self._on_feed)
        try:
            await self._load()
            self.ready.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_feed())
                group.create_task(self._consume_events())
                group.create_task(self._consume_telemetry())
                group.create_task(self._tick())
                group.create_task(self._resync())
        finally:
            self.ready.clear()
            if not self._bus.client.is_closed:
                await subscription.unsubscribe()

    async def _load(self) -> None:
        # The stream first: an alarm that leaves it between the two reads is in the store by then.
        pending = await self._pending_alarms()
        async with self._database.reading() as tx:
            self._seq = self._synced_seq = await journal.head(tx)
            incidents = await tx.current(Incident)
            sources: list[Source | Camera] = [
                *await tx.select(Source, "true"),
                *await tx.select(Camera, "true"),
            ]
            alarms = await tx.select(Alarm, RECENT_ALARMS, self._clock.now())
        stored = {stored.id for stored in alarms}
        waiting = [found for found in pending if found.id not in stored]
        self.engine.load(incidents, sources, alarms, waiting)
        log.info(
            "fusion begins",
            sources=len(sources),
            open_incidents=len(incidents),
            recent_alarms=len(alarms),
            pending_alarms=len(waiting),
        )

    async def _pending_alarms(self) -> list[Alarm]:
        """Return the alarms that are published and that operations has not yet taken."""
        found: list[Alarm] = []
        seq = 1
        while True:
            try:
                message = await self._bus.js.get_msg(
                    Stream.ALARMS, seq=seq, subject=STREAM_SUBJECTS[Stream.ALARMS], next=True
                )
            except NotFoundError:
                return found
            seq = (message.seq or seq) + 1
            try:
                found.append(_decode_alarm(message.data or b""))
            except (msgspec.DecodeError, ValueError) as error:
                log.warning("an alarm on the bus cannot be read", seq=message.seq, error=str(error))

    async def _on_feed(self, message: Msg) -> None:
        try:
            self._feeds.put_nowait(_decode_feed(message.data))
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("a change cannot be read", error=str(error))

    async def _follow_feed(self) -> None:
        while True:
            feed = await self._feeds.get()
            if feed.seq <= self._seq:
                continue
            self._seq = feed.seq
            self.counters["feeds_total"] += 1
            try:
                self.engine.feed(feed)
            except (msgspec.DecodeError, ValueError) as error:
                log.warning("a change cannot be used", seq=feed.seq, error=str(error))

    async def _consume_events(self) -> None:
        async for batch in Reader(self._bus, FUSE_EVENTS).batches():
            for message in batch:
                await self._publish(await self._observe(FUSE_EVENTS, message))
                await message.ack()

    async def _consume_telemetry(self) -> None:
        async for batch in Reader(self._bus, FUSE_TELEMETRY).batches(TELEMETRY_BATCH):
            for message in batch:
                await self._publish(await self._observe(FUSE_TELEMETRY, message))
                await message.ack()
                await asyncio.sleep(0)

    async def _observe(self, durable: Durable, message: Msg) -> list[Alarm]:
        try:
            observations = unpack(message.data)
        except (msgspec.DecodeError, ValueError) as error:
            self.counters["undecodable_total"] += 1
            await self._bury(durable, message.data, str(error))
            return []
        if durable is FUSE_TELEMETRY and observations:
            self._note_heard(observations[-1])
        alarms: list[Alarm] = []
        for observation in observations:
            try:
                alarms += self.engine.observe(observation)
            except Invalid as error:
                self.counters["failed_total"] += 1
                await self._bury(durable, pack([observation]), str(error))
            except Exception as error:
                log.exception("an observation could not be judged", source=observation.source_id)
                self.counters["failed_total"] += 1
                await self._bury(durable, pack([observation]), f"judging failed: {error!r}")
        return alarms

    def _note_heard(self, observation: Observation) -> None:
        if self._heard_until is None or observation.receive_time > self._heard_until:
            self._heard_until = observation.receive_time

    async def _publish(self, alarms: Sequence[Alarm]) -> None:
        """Return when JetStream has every alarm on disk; keeps trying, since they are not made again."""
        if alarms:
            await asyncio.gather(*(self._publish_one(found) for found in alarms))

    async def _publish_one(self, found: Alarm) -> None:
        payload, headers = _encode(found), {"Nats-Msg-Id": found.id}
        told = False
        while True:
            try:
                await self._bus.js.publish(alarm(found.priority), payload, headers=headers, timeout=5)
            except Exception as error:
                if not told:
                    log.warning("an alarm waits for the bus", alarm=found.id, error=repr(error))
                told = True
                await asyncio.sleep(RETRY_S)
            else:
                log.info("alarm", rule=found.rule_id, source=found.source_id, why=found.reason.text)
                return

    async def _bury(self, durable: Durable, payload: bytes, reason: str) -> None:
        log.warning("buried", consumer=durable.name, reason=reason)
        while True:
            try:
                await bury(self._bus, "fuse", payload, reason, durable.name)
            except Exception as error:
                log.warning("a dead letter waits for the bus", error=repr(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = self._clock.now()
            heard_until = now
            if self.engine.silence_due(now):
                heard_until = await self._heard(now)
            await self._publish(self.engine.tick(heard_until))

    async def _heard(self, now: datetime) -> datetime:
        """Return up to when all telemetry was heard: now, or the newest reading while some still waits."""
        try:
            info = await self._bus.js.consumer_info(FUSE_TELEMETRY.stream.value, FUSE_TELEMETRY.name)
        except Exception as error:
            log.warning("nobody is called silent while the bus does not answer", error=repr(error))
            return self._heard_until or datetime.min.replace(tzinfo=now.tzinfo)
        if not info.num_pending and not info.num_ack_pending:
            return now
        return self._heard_until or datetime.min.replace(tzinfo=now.tzinfo)

    async def _resync(self) -> None:
        waited_s = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            waited_s += TICK_S
            reconnects = self._bus.client.stats["reconnects"]
            if waited_s < RESYNC_S and reconnects == self._reconnects:
                continue
            try:
                async with self._database.reading() as tx:
                    incidents = await tx.current(Incident)
                    sources: list[Source | Camera] = [
                        *await tx.select(Source, "seq > $1", self._synced_seq),
                        *await tx.select(Camera, "seq > $1", self._synced_seq),
                    ]
                    self._synced_seq = await journal.head(tx)
            except Unavailable as error:
                log.warning("open incidents cannot be read anew", error=str(error))
                continue
            self.engine.resync(incidents, sources)
            waited_s, self._reconnects = 0.0, reconnects
