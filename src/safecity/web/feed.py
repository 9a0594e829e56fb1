"""The change feed as one web process keeps it: in order, without a gap, the newest part in memory."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamState
from nats.js.errors import APIError

from safecity.bus.connection import Bus
from safecity.bus.subjects import Stream
from safecity.clock import Clock
from safecity.errors import Unavailable
from safecity.model.journal import FEED, Feed

log = structlog.get_logger()

RING_SIZE: Final = 5000
"""Feeds that a console can have missed and still go on without a snapshot."""

HEARTBEAT_S: Final = 1.0
SILENT_S: Final = 3.5
"""Without a word of the server for this long (its heartbeats count) the subscription is made anew."""

RETRY_S: Final = 0.5

_decode = msgspec.json.Decoder(Feed).decode
_encode = msgspec.json.encode


class Ring:
    """The newest feeds. Every feed with a seq above `floor` that was published is in it."""

    def __init__(self, size: int = RING_SIZE) -> None:
        """Keep at most `size` feeds; begin with nothing."""
        self._feeds: deque[Feed] = deque(maxlen=size)

    @property
    def last_seq(self) -> int | None:
        """Seq of the newest feed, None before the first."""
        return self._feeds[-1].seq if self._feeds else None

    def add(self, feed: Feed) -> None:
        """Take in the next feed."""
        self._feeds.append(feed)

    def holds(self, feed: Feed) -> bool:
        """Return whether this very feed is here already: it was published twice."""
        for held in reversed(self._feeds):
            if held.seq <= feed.seq:
                return held.seq == feed.seq and _encode(held) == _encode(feed)
        return False

    def since(self, seq: int) -> list[Feed] | None:
        """Return what came after `seq`, or None when that is not all in the ring any more."""
        if not self._feeds or seq < self._feeds[0].seq - 1:
            return None
        missed = []
        for feed in reversed(self._feeds):
            if feed.seq <= seq:
                break
            missed.append(feed)
        return missed[::-1]

    def clear(self) -> None:
        """Forget everything."""
        self._feeds.clear()


class Lost(Exception):
    """The link to the stream is gone or feeds are missing from it."""


class FeedReader:
    """Reads the stream of changes in order, and begins again where it was after any interruption."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        on_feed: Callable[[Feed, float], None],
        on_gap: Callable[[], None],
        size: int = RING_SIZE,
    ) -> None:
        """Call `on_feed` with each feed and its age in seconds, `on_gap` when some are lost for ever.

        At the start the newest `size` feeds of the stream are read, so that consoles can resume over a
        restart of this process.
        """
        self._bus = bus
        self._clock = clock
        self._on_feed = on_feed
        self._on_gap = on_gap
        self._size = size
        self._next = 0
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled; the bus may come and go."""
        while True:
            subscription = None
            try:
                subscription = await self._subscribe()
                await self._read(subscription)
            except (Lost, Unavailable, nats.errors.Error, APIError, OSError, TimeoutError) as error:
                log.info("the change feed is read anew", reason=str(error) or repr(error))
                await asyncio.sleep(RETRY_S)
            finally:
                if subscription is not None and not self._bus.client.is_closed:
                    await _quietly_end(subscription)

    async def _subscribe(self) -> Subscription:
        state = (await self._bus.js.stream_info(Stream.CHANGES.value)).state
        self._next = self._begin_at(state)
        if self._next > state.last_seq:
            self.caught_up.set()
        inbox = self._bus.client.new_inbox()
        subscription = await self._bus.client.subscribe(inbox)
        config = ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._next,
            ack_policy=AckPolicy.NONE,
            filter_subject=FEED,
            idle_heartbeat=HEARTBEAT_S,
            inactive_threshold=30.0,
            mem_storage=True,
            num_replicas=1,
        )
        await self._bus.js.add_consumer(Stream.CHANGES.value, config)
        return subscription

    def _begin_at(self, state: StreamState) -> int:
        if self._next == 0:
            return max(1, state.first_seq, state.last_seq - self._size + 1)
        if state.last_seq + 1 < self._next or state.first_seq > self._next:
            # The stream was made anew, or it dropped what we had not read yet.
            self._on_gap()
            return max(1, state.first_seq)
        return self._next

    async def _read(self, subscription: Subscription) -> None:
        expected = 1
        while True:
            try:
                message = await subscription.next_msg(timeout=SILENT_S)
            except nats.errors.TimeoutError as error:
                raise Lost("nothing was heard of the server") from error
            if (message.headers or {}).get("Status"):
                continue
            place = message.metadata.sequence
            if place.consumer != expected:
                raise Lost(f"message {expected} was expected, {place.consumer} came")
            expected += 1
            self._next = place.stream + 1
            self._take(message)
            if message.metadata.num_pending == 0:
                self.caught_up.set()

    def _take(self, message: Msg) -> None:
        try:
            feed = _decode(message.data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            log.error("a change cannot be read; consoles begin anew", error=str(error))
            self._on_gap()
            return
        age_s = (self._clock.now() - message.metadata.timestamp).total_seconds()
        self._on_feed(feed, max(0.0, age_s))


async def _quietly_end(subscription: Subscription) -> None:
    try:
        await subscription.unsubscribe()
    except nats.errors.Error as error:
        log.debug("the subscription was gone already", error=repr(error))
