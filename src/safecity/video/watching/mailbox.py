"""Between a camera's streams and analysis: packets wait here, and what is too much is dropped."""

import threading
from collections import deque
from typing import Final

import msgspec

from safecity.clock import Clock
from safecity.model.video import StreamRole
from safecity.video.stream.bitstream import StreamInfo, VideoPacket

QUEUE_LIMIT: Final = 150
"""Packets that wait for analysis at most, some seconds; then all go and the next keyframe starts anew."""
QUEUE_LIMIT_BYTES: Final = 24 * 1024 * 1024
"""And their bytes: a 4K camera sends some megabytes a second."""


class WatchCounters(msgspec.Struct):
    """What was looked at since the program started; written by its threads, read by anyone.

    dropped: pictures never decoded, for want of room or time. skipped: decoded, due to be looked at, and too
    late. gated: pictures that the motion gate saw. damaged: packets that could not be decoded, counted again
    where they are decoded again. failures: defects in analysis itself.
    """

    dropped: int = 0
    decoded: int = 0
    gated: int = 0
    skipped: int = 0
    looked_at: int = 0
    detections: int = 0
    events: int = 0
    activations: int = 0
    failures: int = 0
    damaged: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """A packet on its way to analysis.

    fresh: packets before it are missing, it is a keyframe. queued_s: since when it waits, in monotonic time.
    role: the stream it is of; of the small one each picture is seen, of the large one the keyframes.
    """

    info: StreamInfo
    packet: VideoPacket
    fresh: bool
    queued_s: float
    role: StreamRole = StreamRole.MAIN


class Mailbox:
    """The packets of one camera on their way. Putting never waits; one stream at a time is let in."""

    def __init__(self, counters: WatchCounters, clock: Clock, limit: int = QUEUE_LIMIT) -> None:
        """Hold at most `limit` packets; drops are counted in `counters`."""
        self._counters = counters
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._items: deque[Waiting] = deque()
        self._bytes = 0
        self._skipping = True
        self._source = StreamRole.MAIN

    @property
    def source(self) -> StreamRole:
        """Return which stream is let in."""
        return self._source

    def use(self, role: StreamRole) -> None:
        """Let this stream in from its next keyframe on, and the other one no more."""
        with self._lock:
            if role is not self._source:
                self._source = role
                self._skipping = True

    def put(self, role: StreamRole, info: StreamInfo, packet: VideoPacket) -> None:
        """Add a packet of the stream that is let in, or drop it together with all that waits."""
        with self._lock:
            if role is not self._source:
                return
            if len(self._items) >= self._limit or self._bytes > QUEUE_LIMIT_BYTES:
                self._counters.dropped += len(self._items)
                self._items.clear()
                self._bytes = 0
                self._skipping = True
            if self._skipping and not packet.is_key:
                self._counters.dropped += 1
                return
            self._items.append(Waiting(info, packet, self._skipping, self._clock.monotonic_s(), role))
            self._bytes += len(packet.sample)
            self._skipping = False

    def restart(self, role: StreamRole) -> None:
        """Know that a stream broke off: what follows of it begins with a keyframe."""
        with self._lock:
            if role is self._source:
                self._skipping = True

    def take(self) -> Waiting | None:
        """Return the packet that has waited longest, if any."""
        with self._lock:
            if not self._items:
                return None
            item = self._items.popleft()
            self._bytes -= len(item.packet.sample)
            return item

    def oldest_s(self) -> float | None:
        """Return since when the packet waits that has waited longest, or None when nothing waits."""
        with self._lock:
            return self._items[0].queued_s if self._items else None
