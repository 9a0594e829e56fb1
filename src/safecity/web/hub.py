"""The hub: one reading of the bus for each web process, given to all live consoles."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from safecity.access.policy import Action, Object, may
from safecity.bus.subjects import ROLE_STATUS
from safecity.clock import Clock
from safecity.errors import SafeCityError, Unavailable
from safecity.model.base import Noun, utc_text
from safecity.model.journal import Change, EntityKind, Feed
from safecity.model.observation import Observation, unpack
from safecity.model.unit import Fix
from safecity.store.database import Database
from safecity.web.deps import WebDeps
from safecity.web.feed import FeedReader, Ring
from safecity.web.gate import Identity
from safecity.web.health import DATABASE, Health
from safecity.web.metrics import Metrics
from safecity.web.roles import RoleState, RoleWatch

log = structlog.get_logger()

QUEUE: Final = 1000
"""Messages that wait for a console at the most; past this it is closed, and it comes back and resumes."""

POSITIONS_EVERY_S: Final = 1.0
STATUS_EVERY_S: Final = 2.0
ALARMS_OVER: Final = timedelta(minutes=10)
POSITION_SUBJECT: Final = "obs.*.position"

SEE: Final = {
    EntityKind.INCIDENT: Action.SEE_INCIDENTS,
    EntityKind.ALARM: Action.SEE_INCIDENTS,
    EntityKind.CALL: Action.SEE_CALLS,
    EntityKind.UNIT: Action.SEE_UNITS,
    EntityKind.ASSIGNMENT: Action.SEE_UNITS,
    EntityKind.STATION: Action.SEE_UNITS,
    EntityKind.CAMERA: Action.SEE_CAMERAS,
    EntityKind.SOURCE: Action.SEE_SOURCES,
    EntityKind.CAMERA_SETUP: Action.SEE_CAMERA_SETUP,
    EntityKind.HOLD: Action.SEE_CAMERAS,
}
"""What somebody must be allowed to get the entities of a kind, in a snapshot or as a change."""

WireFix = tuple[str, float, float, float, float, int]

_encode = msgspec.json.encode


class ChangeMessage(Noun, frozen=True, tag_field="type", tag="change"):
    """What one journal entry changed."""

    seq: int
    changes: tuple[Change, ...]


class PositionsMessage(Noun, frozen=True, tag_field="type", tag="positions"):
    """Newest fixes: unit id, lon, lat, speed_mps, heading_deg, fix time in ms since 1970."""

    fixes: list[WireFix]


class StatusMessage(Noun, frozen=True, tag_field="type", tag="status"):
    """How the system is.

    alarms_10min: alarms of the last ten minutes that called for a person (ISA-18.2 counts what is
    annunciated): those that opened an incident. One that joins an open incident disturbs nobody.
    """

    now: str
    readings_per_s: float
    alarms_10min: int
    recording: int
    cameras: int
    roles: dict[str, str]
    simulated: bool


def kinds_seen_by(identity: Identity) -> frozenset[EntityKind]:
    """Return the kinds of entity that this actor may get."""
    actor = identity.actor
    return frozenset(kind for kind in EntityKind if may(actor, SEE[kind], Object(kind=kind)))


class Follower:
    """One live console: what it may see and what waits to be sent to it."""

    def __init__(self, identity: Identity) -> None:
        """Follow as `identity`."""
        self.identity = identity
        self.kinds = kinds_seen_by(identity)
        self.queue: asyncio.Queue[Feed | str] = asyncio.Queue(QUEUE)
        self.too_slow = asyncio.Event()
        self.restart = asyncio.Event()

    def offer(self, item: Feed | str) -> None:
        """Queue a change or a ready frame; a full queue ends the console's turn."""
        try:
            self.queue.put_nowait(item)
        except asyncio.QueueFull:
            self.too_slow.set()

    def offer_if_idle(self, frame: str) -> None:
        """Queue a frame that the next one replaces, unless the console is behind."""
        if self.queue.qsize() < QUEUE // 10:
            self.queue.put_nowait(frame)


class Hub:
    """Reads changes, positions and heartbeats once and gives them to every follower."""

    def __init__(self, deps: WebDeps, metrics: Metrics, roles: RoleWatch, health: Health) -> None:
        """Work on the engines of `deps`."""
        self.health = health
        self._counted = (0, 0, 0)
        self._deps = deps
        self._metrics = metrics
        self._roles = roles
        self.followers: set[Follower] = set()
        self._newest: dict[str, WireFix] = {}
        self._moved: set[str] = set()
        self._frames: dict[tuple[int, frozenset[EntityKind]], str] = {}
        self.ring = Ring()
        self.reader = FeedReader(deps.bus, deps.clock, self._on_feed, self._on_gap)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run while the web process serves."""
        heard = [
            await self._deps.bus.client.subscribe(POSITION_SUBJECT, cb=self._on_positions),
            await self._deps.bus.client.subscribe(f"{ROLE_STATUS}.*", cb=self._on_heartbeat),
        ]
        tasks = [
            asyncio.create_task(work, name=f"hub-{name}")
            for name, work in (
                ("feed", self.reader.run()),
                ("positions", _every(POSITIONS_EVERY_S, self._send_positions)),
                ("status", _every(STATUS_EVERY_S, self._send_status)),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for follower in self.followers:
                follower.restart.set()
            await self._end(heard)

    @asynccontextmanager
    async def following(self, identity: Identity) -> AsyncIterator[Follower]:
        """Give a follower that gets everything from this moment on."""
        follower = Follower(identity)
        self.followers.add(follower)
        self._metrics.live_clients.inc()
        try:
            yield follower
        finally:
            self.followers.discard(follower)
            self._metrics.live_clients.dec()
            if follower.too_slow.is_set():
                self._metrics.live_dropped.inc()

    def frame(self, feed: Feed, kinds: frozenset[EntityKind]) -> str | None:
        """Return the frame of a change for somebody who sees `kinds`, None when nothing of it is for them."""
        key = (feed.seq, kinds)
        if key not in self._frames:
            seen = tuple(change for change in feed.changes if change.kind in kinds)
            if len(self._frames) > QUEUE:
                self._frames.clear()
            message = ChangeMessage(seq=feed.seq, changes=seen)
            self._frames[key] = _encode(message).decode() if seen else ""
        return self._frames[key] or None

    def positions(self, stored: Collection[Fix]) -> list[WireFix]:
        """Return the newest fix of each unit, from the bus or from what is stored."""
        newest = {fix.unit_id: _wire(fix) for fix in stored}
        for unit_id, fix in self._newest.items():
            known = newest.get(unit_id)
            if known is None or known[5] <= fix[5]:
                newest[unit_id] = fix
        return [newest[unit_id] for unit_id in sorted(newest)]

    def _on_feed(self, feed: Feed, age_s: float) -> None:
        self._metrics.feed_lag_s.observe(age_s)
        if self.ring.holds(feed):
            return
        if self.ring.last_seq is not None and feed.seq <= self.ring.last_seq:
            # The journal began anew below this bus: nothing that was held is true any more.
            self._on_gap()
        self.ring.add(feed)
        for follower in self.followers:
            follower.offer(feed)

    def _on_gap(self) -> None:
        log.warning("changes are missing from the bus; every console takes a new snapshot")
        self.ring.clear()
        self._frames.clear()
        for follower in self.followers:
            follower.restart.set()

    async def _on_positions(self, message: Msg) -> None:
        try:
            packet = unpack(message.data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return  # the writer keeps it as a dead letter
        for observation in packet:
            fix = _fix_of(observation)
            if fix is not None and (fix[0] not in self._newest or self._newest[fix[0]][5] < fix[5]):
                self._newest[fix[0]] = fix
                self._moved.add(fix[0])

    async def _on_heartbeat(self, message: Msg) -> None:
        try:
            self._roles.hear(message.data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            log.warning("a role's heartbeat cannot be read", subject=message.subject, error=str(error))

    async def _send_positions(self) -> None:
        if not self._moved:
            return
        fixes = [self._newest[unit_id] for unit_id in sorted(self._moved)]
        self._moved.clear()
        frame = _encode(PositionsMessage(fixes=fixes)).decode()
        for follower in self.followers:
            if EntityKind.UNIT in follower.kinds:
                follower.offer_if_idle(frame)

    async def _send_status(self) -> None:
        if not self.followers:
            return
        frame = _encode(await self.status()).decode()
        for follower in self.followers:
            follower.offer_if_idle(frame)

    async def status(self) -> StatusMessage:
        """Return how the system is now; while the database is away, counts are the last known ones."""
        now = self._deps.clock.now()
        states = await self.health.states()
        if states[DATABASE] is RoleState.RUNNING:
            with suppress(Unavailable):
                self._counted = await _counts(self._deps.db, self._deps.clock)
        alarms, cameras, recording = self._counted
        return StatusMessage(
            now=utc_text(now),
            readings_per_s=self._roles.readings_per_s(),
            alarms_10min=alarms,
            recording=recording,
            cameras=cameras,
            roles={role: str(state) for role, state in states.items()},
            simulated=self._deps.simulated,
        )

    async def _end(self, heard: list[Subscription]) -> None:
        for subscription in heard:
            if not self._deps.bus.client.is_closed:
                with suppress(Exception):
                    await subscription.unsubscribe()


async def _every(period_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await work()
        except SafeCityError as error:
            log.warning("a live message is left out", error=str(error))
        except Exception:
            log.exception("a live message failed")
        await asyncio.sleep(period_s)


async def _counts(database: Database, clock: Clock) -> tuple[int, int, int]:
    async with database.reading() as tx:
        row = await tx.connection.fetchrow(
            "SELECT (SELECT count(*) FROM incident WHERE opened_at > $1) AS alarms, count(*) AS cameras, "
            "count(*) FILTER (WHERE doc @> '{\"recording\": true}') AS recording FROM camera",
            clock.now() - ALARMS_OVER,
        )
    return (row["alarms"], row["cameras"], row["recording"]) if row else (0, 0, 0)


def _wire(fix: Fix) -> WireFix:
    time_ms = int(fix.fix_time.timestamp() * 1000)
    return (fix.unit_id, fix.lon, fix.lat, round(fix.speed_mps, 2), round(fix.heading_deg, 1), time_ms)


def _fix_of(observation: Observation) -> WireFix | None:
    if observation.lon is None or observation.lat is None:
        return None
    return (
        observation.source_id,
        observation.lon,
        observation.lat,
        round(observation.value or 0.0, 2),
        round(observation.heading_deg or 0.0, 1),
        int(observation.event_time.timestamp() * 1000),
    )
