"""Masks: parts of the picture that are painted black for everybody without the right to unmask.

Painted on the server into luma and chroma, so that no copy of what was there leaves it. An overlay in the
browser would only hide what the browser holds.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safecity.model.video import CameraSetup, Mask
from safecity.model.video_rule import Point
from safecity.video.masking.planes import GREY, Layer, black_of, layers, own_copy

Bits = NDArray[np.bool_]

_REACH_PX: Final = 0.75
"""A pixel whose centre is so near to the border is masked too: half its diagonal is 0.71."""
_FLAT_PX: Final = 1e-9
"""An edge with less rise crosses no row of pixel centres; `_touch` takes care of it."""


class Masks:
    """The masks of one camera. Rasterised once for each size of picture.

    For many threads: what is remembered is complete before it is kept, and never changed after.
    """

    def __init__(self, setup: CameraSetup) -> None:
        """Paint the masks of `setup`."""
        self._masks: tuple[Mask, ...] = setup.masks
        self._rasters: dict[tuple[int, int], Bits] = {}
        self._planes: dict[tuple[int, int, int, int], Bits] = {}

    def __bool__(self) -> bool:
        """Return whether there is anything to paint."""
        return bool(self._masks)

    def draw(self, frame: Any) -> Any:
        """Return a copy of `frame` (av.VideoFrame) with the masks painted; without masks `frame` itself."""
        return self.paint(own_copy(frame)) if self._masks else frame

    def paint(self, frame: Any) -> Any:
        """Paint on `frame` itself, which must be our own copy (`planes.own_copy`), and return it."""
        if self._masks:
            luma = black_of(frame)
            for layer in layers(frame):
                bits = self._bits(layer, frame.width, frame.height)
                np.copyto(layer.samples, np.uint8(luma if layer.is_luma else GREY), where=bits)
        return frame

    def _bits(self, layer: Layer, width_px: int, height_px: int) -> Bits:
        """Return which samples of a plane are masked: each that lends its value to a masked pixel."""
        key = (width_px, height_px, layer.step_x, layer.step_y)
        if key not in self._planes:
            whole = self._raster(width_px, height_px)
            rows, columns = layer.samples.shape
            padded = np.zeros((rows * layer.step_y, columns * layer.step_x), dtype=bool)
            padded[:height_px, :width_px] = whole
            blocks = padded.reshape(rows, layer.step_y, columns, layer.step_x)
            self._planes[key] = np.asarray(blocks.any(axis=(1, 3)), dtype=bool)
        return self._planes[key]

    def _raster(self, width_px: int, height_px: int) -> Bits:
        key = (width_px, height_px)
        if key not in self._rasters:
            bits = np.zeros((height_px, width_px), dtype=bool)
            for mask in self._masks:
                bits |= rasterise(mask.polygon, width_px, height_px)
            self._rasters[key] = bits
        return self._rasters[key]


def rasterise(polygon: Sequence[Point], width_px: int, height_px: int) -> Bits:
    """Return the (height, width) pixels that `polygon` (0..1 in both directions) covers or touches.

    Inside is where the winding number isn't zero (Sunday, "Inclusion of a point in a polygon", 2001): a
    border that crosses itself leaves no hole.
    """
    corners = np.array(polygon, dtype=np.float64) * (width_px, height_px)
    x = np.arange(width_px) + 0.5
    y = (np.arange(height_px) + 0.5)[:, None]
    winding = np.zeros((height_px, width_px), dtype=np.int16)
    touched = np.zeros((height_px, width_px), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if abs(y1 - y0) > _FLAT_PX:
            crossing = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            upward = (y0 <= y) & (y < y1)
            downward = (y1 <= y) & (y < y0)
            right_of = x >= crossing
            winding += (upward & right_of).astype(np.int16) - (downward & right_of).astype(np.int16)
        _touch(touched, (x0, y0), (x1, y1))
    return np.asarray((winding != 0) | touched, dtype=bool)


def _touch(bits: Bits, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Set the pixels that the line from `start` to `end` (in pixels) passes through."""
    height_px, width_px = bits.shape
    left, right = sorted((start[0], end[0]))
    top, bottom = sorted((start[1], end[1]))
    columns = slice(max(int(left) - 1, 0), min(int(right) + 2, width_px))
    rows = slice(max(int(top) - 1, 0), min(int(bottom) + 2, height_px))
    x = np.arange(columns.start, columns.stop) + 0.5 - start[0]
    y = (np.arange(rows.start, rows.stop) + 0.5 - start[1])[:, None]
    step_x, step_y = end[0] - start[0], end[1] - start[1]
    length2 = max(step_x**2 + step_y**2, 1e-12)
    along = np.clip((x * step_x + y * step_y) / length2, 0.0, 1.0)
    away2 = (x - along * step_x) ** 2 + (y - along * step_y) ** 2
    bits[rows, columns] |= away2 <= _REACH_PX**2
