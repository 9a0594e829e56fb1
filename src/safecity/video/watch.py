"""Watching one camera: gate, detector, tracker and rules over its packets, in the analysis thread.

While nothing moves only keyframes are decoded. When the gate fires, the pictures since the keyframe before
are decoded after the fact, so that what set it off is seen from its beginning.
"""

import threading
import time
from collections import deque
from typing import Any, Final, Protocol

import msgspec

from safecity.clock import Clock
from safecity.model.video_rule import ZoneIntrusion
from safecity.video.bitstream import TICKS_PER_S, StreamInfo, VideoPacket
from safecity.video.camera import CameraConfig
from safecity.video.detector import Detections
from safecity.video.gate import MotionGate
from safecity.video.picture import PictureDecoder
from safecity.video.rules import Intrusion, ZoneRule
from safecity.video.tracker import Tracker

QUEUE_LIMIT: Final = 150
"""Packets that wait for analysis at most, some seconds; then all go and the next keyframe starts anew."""
HOLD_S: Final = 5.0
"""How long pictures are looked at closely after the last motion."""


LATE_S: Final = 1.0
"""A packet that waited so long for analysis is only decoded, to catch up; that is quick."""


class WatchCounters(msgspec.Struct):
    """What was looked at since the program started; written by its threads, read by anyone.

    dropped: pictures never decoded, for want of room. skipped: decoded, due to be looked at, and too late.
    """

    dropped: int = 0
    decoded: int = 0
    skipped: int = 0
    looked_at: int = 0
    detections: int = 0
    events: int = 0
    activations: int = 0
    failures: int = 0


class Finder(Protocol):
    """What finds objects in a decoded picture."""

    def detect(self, frame: Any) -> Detections:
        """Return the objects in the picture."""
        ...


class Waiting(msgspec.Struct, frozen=True):
    """A packet on its way to analysis.

    fresh: packets before it are missing, it is a keyframe. queued_s: since when it waits, in monotonic time.
    """

    info: StreamInfo
    packet: VideoPacket
    fresh: bool
    queued_s: float


class Mailbox:
    """Packets between the stream's thread and analysis. Putting never waits; what is too much is dropped."""

    def __init__(self, counters: WatchCounters, clock: Clock, limit: int = QUEUE_LIMIT) -> None:
        """Hold at most `limit` packets; drops are counted in `counters`."""
        self._counters = counters
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._items: deque[Waiting] = deque()
        self._skipping = True

    def put(self, info: StreamInfo, packet: VideoPacket) -> None:
        """Add a packet, or drop it together with all that waits."""
        with self._lock:
            if len(self._items) >= self._limit:
                self._counters.dropped += len(self._items)
                self._items.clear()
                self._skipping = True
            if self._skipping and not packet.is_key:
                self._counters.dropped += 1
                return
            self._items.append(Waiting(info, packet, self._skipping, self._clock.monotonic_s()))
            self._skipping = False

    def restart(self) -> None:
        """Know that the stream broke off: what follows begins with a keyframe."""
        with self._lock:
            self._skipping = True

    def take(self) -> Waiting | None:
        """Return the packet that has waited longest, if any."""
        with self._lock:
            return self._items.popleft() if self._items else None

    def oldest_s(self) -> float | None:
        """Return the time of the packet that has waited longest, or None when nothing waits."""
        with self._lock:
            return self._items[0].packet.time_s if self._items else None


class CameraWatch:
    """The analysis of one camera. `mailbox` is for the stream's thread, the rest for the analysis thread."""

    def __init__(self, config: CameraConfig, clock: Clock) -> None:
        """Watch what the rules of `config` name."""
        self.config = config
        self.counters = WatchCounters()
        self.mailbox = Mailbox(self.counters, clock)
        self.cost_s = 0.0
        self._clock = clock
        self._gate = MotionGate()
        self._tracker = Tracker()
        self._rules = [ZoneRule(zone) for zone in config.setup.rules if isinstance(zone, ZoneIntrusion)]
        self._info: StreamInfo | None = None
        self._decoder: PictureDecoder | None = None
        self._group: list[VideoPacket] = []
        self._active_until_s: float | None = None
        self._next_look_s = 0.0

    @property
    def is_active(self) -> bool:
        """Return whether pictures are looked at closely now."""
        return self._active_until_s is not None

    def process(self, waiting: Waiting, finder: Finder, interval_s: float) -> list[Intrusion]:
        """Return the events that a packet brings; look closely at most every `interval_s` of film."""
        decoder = self._decoder_for(waiting)
        packet = waiting.packet
        if self.is_active:
            is_late = self._clock.monotonic_s() - waiting.queued_s > LATE_S
            return self._follow(decoder, packet, finder, interval_s, is_late=is_late)
        if not packet.is_key:
            self._group.append(packet)
            return []
        before, self._group = self._group, [packet]
        frame = decoder.decode_alone(packet)
        if frame is None:
            return []
        self.counters.decoded += 1
        if not self._gate.look(frame, packet.ticks / TICKS_PER_S).active:
            return []
        return self._activate(decoder, [*before, packet], finder, interval_s)

    def _decoder_for(self, waiting: Waiting) -> PictureDecoder:
        if self._decoder is None or waiting.info != self._info:
            self._info = waiting.info
            self._decoder = PictureDecoder(waiting.info)
            self._quiet()
        elif waiting.fresh:
            self._decoder.reset()
            self._quiet()
        return self._decoder

    def _activate(
        self, decoder: PictureDecoder, packets: list[VideoPacket], finder: Finder, interval_s: float
    ) -> list[Intrusion]:
        """Look closely from now on, beginning with `packets`, the group before the keyframe that moved."""
        self.counters.activations += 1
        self._group = []
        self._active_until_s = packets[-1].ticks / TICKS_PER_S + HOLD_S
        self._next_look_s = packets[0].ticks / TICKS_PER_S
        if not packets[0].is_key:
            packets = packets[-1:]
        return [event for packet in packets for event in self._follow(decoder, packet, finder, interval_s)]

    def _follow(
        self,
        decoder: PictureDecoder,
        packet: VideoPacket,
        finder: Finder,
        interval_s: float,
        *,
        is_late: bool = False,
    ) -> list[Intrusion]:
        events: list[Intrusion] = []
        for frame in decoder.decode(packet):
            self.counters.decoded += 1
            film_s = frame.pts / TICKS_PER_S
            if film_s < self._next_look_s:
                continue
            self._next_look_s = max(self._next_look_s + interval_s, film_s + interval_s / 2)
            if is_late:
                # Nobody knows whether something still moves: stay attentive until a picture has been seen.
                self._active_until_s = film_s + HOLD_S
                self.counters.skipped += 1
                continue
            time_s = packet.time_s + film_s - (packet.ticks + packet.shift_ticks) / TICKS_PER_S
            if self._gate.look(frame, film_s).active:
                self._active_until_s = max(self._active_until_s or 0.0, film_s + HOLD_S)
            events += self._look(frame, film_s, time_s, finder)
        if self._active_until_s is not None and packet.ticks / TICKS_PER_S > self._active_until_s:
            decoder.reset()
            self._quiet()
        return events

    def _look(self, frame: Any, film_s: float, time_s: float, finder: Finder) -> list[Intrusion]:
        started_s = time.thread_time()
        found = finder.detect(frame)
        self.cost_s = time.thread_time() - started_s
        self.counters.looked_at += 1
        self.counters.detections += len(found.scores)
        tracks = self._tracker.update(found, film_s)
        events = [
            msgspec.structs.replace(event, time_s=time_s)
            for rule in self._rules
            for event in rule.update(tracks, film_s, frame.width, frame.height)
        ]
        self.counters.events += len(events)
        return events

    def _quiet(self) -> None:
        self._group = []
        self._active_until_s = None
