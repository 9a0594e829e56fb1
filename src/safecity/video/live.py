"""Live view: the stream as fragmented MP4, one fragment a picture, made only while somebody looks.

One muxer serves all viewers of a stream. A new viewer gets the header and everything since the last keyframe,
so its first picture is there at once. Time stamps run on over lost connections; a viewer sees an outage as a
jump. A view may be asked for under both names of a camera's streams: a camera without a small stream, or with
one that is lost, shows its large one under both.
"""

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from safecity.clock import Clock
from safecity.errors import Unavailable
from safecity.model.video import StreamRole
from safecity.video.recording.fmp4 import fragment
from safecity.video.stream.bitstream import StreamInfo, VideoPacket

LOOK_S: Final = 15.0
"""How long one request keeps the fragments coming; viewers renew it every 10 s."""
RING_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""A group of pictures that is larger isn't kept; its late viewers wait for the next keyframe."""


class FragmentKind(StrEnum):
    """What a piece of live stream is."""

    INIT = "init"
    KEYFRAME = "keyframe"
    FRAGMENT = "fragment"


class LiveStart(msgspec.Struct, frozen=True, kw_only=True):
    """What a new viewer needs: the type for its MediaSource, the header, and the pictures so far.

    taken_at_s: when the last of them was taken, seconds since 1970 UTC; 0 where that isn't known.
    """

    mime: str
    width: int
    height: int
    init: bytes
    fragments: list[bytes]
    taken_at_s: float = 0.0


FragmentListener = Callable[[str, StreamRole, FragmentKind, bytes], None]


class LiveView:
    """The live view of one stream. Fed by the stream's thread, asked by any."""

    def __init__(self, camera_id: str, clock: Clock, on_fragment: FragmentListener) -> None:
        """Keep what a viewer would need.

        on_fragment is called in the stream's thread, once for each name under which the view is looked at.
        """
        self.camera_id = camera_id
        self._clock = clock
        self._on_fragment = on_fragment
        self._lock = threading.Lock()
        self._info: StreamInfo | None = None
        self._ring: list[VideoPacket] = []
        self._ring_bytes = 0
        self._has_ended = False
        self._sequence = 0
        self._until_s: dict[StreamRole, float] = {}

    def begin(self, info: StreamInfo) -> None:
        """Show `info` from now on; viewers get its header before its first keyframe."""
        with self._lock:
            is_new = info != self._info
            self._info = info
            self._ring = []
            self._has_ended = False
            names = self._wanted()
        if is_new:
            for name in names:
                self._on_fragment(self.camera_id, name, FragmentKind.INIT, info.init)

    def add(self, packet: VideoPacket) -> None:
        """Keep the packet and, while somebody looks, send it on."""
        with self._lock:
            self._keep(packet)
            names = self._wanted()
            if not names:
                return
            self._sequence += 1
            data = fragment(self._sequence, packet.ticks, (packet,), packet.ticks + packet.duration_ticks)
        kind = FragmentKind.KEYFRAME if packet.is_key else FragmentKind.FRAGMENT
        for name in names:
            self._on_fragment(self.camera_id, name, kind, data)

    def end(self, reason: str) -> None:
        """Know that the stream has ended: there is nothing to join; its last keyframe stays for stills."""
        with self._lock:
            del self._ring[1:]
            self._has_ended = True

    def start(self, name: StreamRole, *, keep: bool = True) -> LiveStart:
        """Return what a new viewer needs and keep fragments coming under `name` for LOOK_S.

        keep: false only to look at what is there, also at the last keyframe of a stream that has ended, with
        its own time. Raises Unavailable until a whole keyframe has come, and to join what has ended.
        """
        with self._lock:
            if self._info is None or not self._ring or (keep and self._has_ended):
                raise Unavailable("this camera sends no picture now; try again when its state is live")
            if keep:
                self._until_s[name] = self._clock.monotonic_s() + LOOK_S
            last = self._ring[-1]
            end_ticks = last.ticks + last.duration_ticks
            joined = fragment(self._sequence, self._ring[0].ticks, self._ring, end_ticks)
            return LiveStart(
                mime=self._info.mime,
                width=self._info.width,
                height=self._info.height,
                init=self._info.init,
                fragments=[joined],
                taken_at_s=last.time_s,
            )

    def hand_over(self, name: StreamRole, other: "LiveView") -> None:
        """Let those who look under `name` see `other` from now on; its header tells them to begin anew."""
        with self._lock:
            until_s = self._until_s.pop(name, 0.0)
        other.take_over(name, until_s)

    def take_over(self, name: StreamRole, until_s: float) -> None:
        """Show this stream under `name` until `until_s` (monotonic), to those who saw another one there."""
        if until_s <= self._clock.monotonic_s():
            return
        with self._lock:
            self._until_s[name] = until_s
            info = self._info
        if info is not None:
            self._on_fragment(self.camera_id, name, FragmentKind.INIT, info.init)

    def _keep(self, packet: VideoPacket) -> None:
        if packet.is_key:
            self._ring = [packet]
            self._ring_bytes = len(packet.sample)
        elif self._ring and self._ring_bytes + len(packet.sample) <= RING_LIMIT_BYTES:
            self._ring.append(packet)
            self._ring_bytes += len(packet.sample)

    def _wanted(self) -> list[StreamRole]:
        """Return the names under which somebody looks now."""
        if not self._until_s:
            return []
        now_s = self._clock.monotonic_s()
        return [name for name, until_s in self._until_s.items() if now_s < until_s]
