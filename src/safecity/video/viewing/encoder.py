"""Masked pictures made into H.264 again: libx264 without look-ahead, so that each picture leaves at once."""

from fractions import Fraction
from typing import Any, Final

import av

from safecity.errors import Unavailable
from safecity.video.stream.bitstream import (
    CODECS,
    TICKS_PER_S,
    StreamInfo,
    VideoPacket,
    describe,
    join_sample,
    split_nals,
)

KEY_EVERY_S: Final = 2.0
"""A viewer who lost pictures waits this long at most for the next to begin with."""
CRF: Final = "26"
"""Constant quality of libx264; at 640 x 360 and 10 pictures a second some 200 to 500 kbit/s."""
RATE: Final = 10
"""Pictures a second for which the encoder's decisions are made."""
_KEY: Final = 1
_ANY: Final = 0
"""AV_PICTURE_TYPE_I and _NONE of FFmpeg's avutil.h."""


class Encoder:
    """One stream of H.264 from pictures of one size. Used by one thread."""

    def __init__(self, width_px: int, height_px: int) -> None:
        """Prepare for pictures of that size, both sides even."""
        context: Any = av.CodecContext.create("libx264", "w")
        context.width, context.height = width_px, height_px
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, TICKS_PER_S)
        context.framerate = Fraction(RATE)
        context.thread_count = 1
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": CRF,
            "g": str(RATE * 60),
            "forced-idr": "1",
        }
        self.size = (width_px, height_px)
        self.info: StreamInfo | None = None
        self._context = context
        self._key_ticks: int | None = None
        self._last_ticks = -1

    def encode(self, frame: Any, ticks: int, duration_ticks: int, *, key: bool = False) -> list[VideoPacket]:
        """Return the coded picture of `ticks` (1/90000 s), a keyframe when wanted or due.

        `info` is known then. A picture that isn't later than the last one is left out.
        """
        if ticks <= self._last_ticks:
            return []
        due = self._key_ticks is None or ticks - self._key_ticks >= KEY_EVERY_S * TICKS_PER_S
        frame.pict_type = _KEY if key or due else _ANY
        if key or due:
            self._key_ticks = ticks
        frame.pts, frame.time_base = ticks, self._context.time_base
        self._last_ticks = ticks
        try:
            coded = self._context.encode(frame)
        except av.error.FFmpegError as error:
            raise Unavailable("the picture cannot be encoded; try again in some seconds") from error
        return [self._packet(bytes(packet), packet.pts, duration_ticks) for packet in coded]

    def _packet(self, data: bytes, ticks: int, duration_ticks: int) -> VideoPacket:
        codec = CODECS["h264"]
        nals = split_nals(data)
        pictures = [nal for nal in nals if codec.kind(nal) not in codec.no_picture]
        if self.info is None:
            sets = tuple(nal for nal in nals if codec.kind(nal) in codec.sets)
            self.info = describe(codec, sets, pictures)
        is_key = any(codec.kind(nal) in codec.keys for nal in pictures)
        return VideoPacket(join_sample(pictures), ticks, 0, duration_ticks, is_key, 0.0)
