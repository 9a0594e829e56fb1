"""Between a session and those who get its stream: can be shut off at once, whatever the session is doing.

A session that is told to stop may hang in the network for seconds. Shutting its tap ends its stream for good,
so that another session may feed the same recorder at once.
"""

import threading
from typing import NamedTuple

from safecity.clock import Clock
from safecity.video.stream.bitstream import TICKS_PER_S, StreamInfo, VideoPacket
from safecity.video.stream.session import PacketSink
from safecity.video.stream.source import SoundInfo, SoundPacket, SoundSink


class Position(NamedTuple):
    """How far a stream has come: where its next packet would lie (1/90000 s), and when (monotonic)."""

    ticks: int
    at_s: float


class Tap:
    """Lets one session's stream through to `sink` until it is shut."""

    def __init__(
        self,
        sink: PacketSink,
        clock: Clock,
        after: Position | None = None,
        sound: SoundSink | None = None,
    ) -> None:
        """Stand open. after: where the session before this one ended; the timeline runs on from there.

        sound: who gets the sound; without one none passes.
        """
        self._sink: PacketSink | None = sink
        self._sound = sound
        self._clock = clock
        self._after = after
        self._offset_ticks = 0
        self._lock = threading.Lock()
        self._flowing = False
        self._position = after

    @property
    def position(self) -> Position | None:
        """Return how far the stream has come, None while nothing ever came."""
        return self._position

    def begin(self, info: StreamInfo) -> None:
        """Pass on."""
        with self._lock:
            if self._sink is not None:
                self._flowing = True
                self._sink.begin(info)

    def add(self, packet: VideoPacket) -> None:
        """Pass on, on the timeline of the camera."""
        with self._lock:
            if self._sink is None:
                return
            if self._after is not None:
                away_s = max(self._clock.monotonic_s() - self._after.at_s, 0.0)
                self._offset_ticks = self._after.ticks + round(away_s * TICKS_PER_S) - packet.ticks
                self._after = None
            if self._offset_ticks:
                packet = packet._replace(ticks=packet.ticks + self._offset_ticks)
            self._sink.add(packet)
            self._position = Position(packet.ticks + packet.duration_ticks, self._clock.monotonic_s())

    def begin_sound(self, info: SoundInfo) -> None:
        """Pass on."""
        with self._lock:
            if self._sound is not None:
                # What has heard of sound hears of the end too.
                self._flowing = True
                self._sound.begin_sound(info)

    def add_sound(self, packet: SoundPacket) -> None:
        """Pass on, beside its pictures; none while these have no place on the camera's timeline."""
        with self._lock:
            if self._sound is not None and self._after is None:
                self._sound.add_sound(packet._replace(ticks=packet.ticks + self._offset_ticks))

    def end(self, reason: str) -> None:
        """Pass on; more may come."""
        with self._lock:
            if self._sink is not None:
                self._flowing = False
                self._sink.end(reason)

    def shut(self, reason: str) -> None:
        """Let nothing through any more. Waits for the packet that is just passing, not for the network."""
        with self._lock:
            sink, self._sink, self._sound = self._sink, None, None
            if sink is not None and self._flowing:
                sink.end(reason)
