"""Live view: the stream as fragmented MP4, one fragment a picture, made only while somebody looks.

One muxer serves all viewers of a camera. A new viewer gets the header and everything since the last keyframe,
so its first picture is there at once. Time stamps run on over lost connections; a viewer sees an outage as a
jump.
"""

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from safecity.clock import Clock
from safecity.errors import Unavailable
from safecity.video.bitstream import StreamInfo, VideoPacket
from safecity.video.fmp4 import fragment

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
    """What a new viewer needs: the type for its MediaSource, the header, and the pictures so far."""

    mime: str
    width: int
    height: int
    init: bytes
    fragments: list[bytes]


FragmentListener = Callable[[str, FragmentKind, bytes], None]


class LiveView:
    """One camera's live view. Fed by the stream's thread, asked by any."""

    def __init__(self, camera_id: str, clock: Clock, on_fragment: FragmentListener) -> None:
        """Keep what a viewer would need. on_fragment is called in the stream's thread."""
        self.camera_id = camera_id
        self._clock = clock
        self._on_fragment = on_fragment
        self._lock = threading.Lock()
        self._info: StreamInfo | None = None
        self._ring: list[VideoPacket] = []
        self._ring_bytes = 0
        self._sequence = 0
        self._until_s = 0.0

    def begin(self, info: StreamInfo) -> None:
        """Show `info` from now on; viewers get its header before its first keyframe."""
        with self._lock:
            is_new = info != self._info
            self._info = info
            self._ring = []
            wanted = self._is_wanted()
        if is_new and wanted:
            self._on_fragment(self.camera_id, FragmentKind.INIT, info.init)

    def add(self, packet: VideoPacket) -> None:
        """Keep the packet and, while somebody looks, send it on."""
        with self._lock:
            self._keep(packet)
            if not self._is_wanted():
                return
            self._sequence += 1
            data = fragment(self._sequence, packet.ticks, (packet,), packet.ticks + packet.duration_ticks)
        kind = FragmentKind.KEYFRAME if packet.is_key else FragmentKind.FRAGMENT
        self._on_fragment(self.camera_id, kind, data)

    def end(self, reason: str) -> None:
        """Know that the stream has ended: the last picture stays for stills, there is nothing to join."""
        with self._lock:
            del self._ring[1:]

    def start(self) -> LiveStart:
        """Return what a new viewer needs and keep fragments coming for LOOK_S.

        Raises Unavailable while the camera has not sent a whole keyframe.
        """
        with self._lock:
            if self._info is None or not self._ring:
                raise Unavailable("this camera sends no picture now; try again when its state is live")
            self._until_s = self._clock.monotonic_s() + LOOK_S
            last = self._ring[-1]
            end_ticks = last.ticks + last.duration_ticks
            joined = fragment(self._sequence, self._ring[0].ticks, self._ring, end_ticks)
            return LiveStart(
                mime=self._info.mime,
                width=self._info.width,
                height=self._info.height,
                init=self._info.init,
                fragments=[joined],
            )

    def last_key(self) -> tuple[StreamInfo, VideoPacket]:
        """Return the stream and its last keyframe. Raises Unavailable when there is none."""
        with self._lock:
            if self._info is None or not self._ring:
                raise Unavailable("this camera has sent no picture yet; try again when its state is live")
            return self._info, self._ring[0]

    def _keep(self, packet: VideoPacket) -> None:
        if packet.is_key:
            self._ring = [packet]
            self._ring_bytes = len(packet.sample)
        elif self._ring and self._ring_bytes + len(packet.sample) <= RING_LIMIT_BYTES:
            self._ring.append(packet)
            self._ring_bytes += len(packet.sample)

    def _is_wanted(self) -> bool:
        return self._clock.monotonic_s() < self._until_s
