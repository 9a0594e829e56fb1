"""A decoded picture as arrays: luma and chroma planes that may be painted on.

A decoder refers to the pictures it gave while it decodes the next ones; painting on them would smear over the
film. So paint on a copy, and give decoders' pictures to nobody who paints.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

PAINTABLE: Final = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})
"""Planar formats of 8 bits; what is none of these becomes yuv420p."""
BLACK_LIMITED: Final = 16
"""Luma of black in limited range (ITU-R BT.601-7 section 2.5.3, BT.709-6 section 4: 16 to 235)."""
BLACK_FULL: Final = 0
GREY: Final = 128
"""Chroma without colour, in either range."""
_FULL_RANGE: Final = 2
"""AVCOL_RANGE_JPEG of FFmpeg's pixfmt.h."""


class Layer(NamedTuple):
    """One plane: its samples (rows, columns), and how many pixels of the picture one sample spans."""

    samples: Plane
    step_x: int
    step_y: int
    is_luma: bool


def own_copy(frame: Any) -> Any:
    """Return a copy of `frame` (av.VideoFrame) that may be painted on, with its time and colour range."""
    import av

    if frame.format.name not in PAINTABLE:
        given = frame.reformat(format="yuv420p")
        if given is frame:
            raise ValueError(f"a picture in {frame.format.name} cannot be painted on")
        return _dated(given, frame)
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for mine, theirs in zip(layers(copy), layers(frame), strict=True):
        mine.samples[:] = theirs.samples
    copy.color_range, copy.colorspace = frame.color_range, frame.colorspace
    return _dated(copy, frame)


def _dated(frame: Any, like: Any) -> Any:
    frame.pts = like.pts
    if like.time_base is not None:
        frame.time_base = like.time_base
    return frame


def layers(frame: Any) -> list[Layer]:
    """Return the planes of `frame` (planar YUV of 8 bits) as arrays over its own memory."""
    chroma_x = -(-frame.width // frame.planes[1].width)
    chroma_y = -(-frame.height // frame.planes[1].height)
    found = []
    for number, plane in enumerate(frame.planes):
        rows: Plane = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
        samples = rows[: plane.height, : plane.width]
        is_luma = number == 0
        found.append(Layer(samples, 1 if is_luma else chroma_x, 1 if is_luma else chroma_y, is_luma))
    return found


def black_of(frame: Any) -> int:
    """Return the luma of black in `frame`, by its colour range."""
    is_full = frame.format.name.startswith("yuvj") or int(frame.color_range) == _FULL_RANGE
    return BLACK_FULL if is_full else BLACK_LIMITED
