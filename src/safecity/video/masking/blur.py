"""People made unrecognisable: what is in their boxes becomes a handful of flat blocks, in luma and chroma.

The rule: a block is at least a sixth of the height and of the width, whichever is longer, of the box around a
person, after the box has grown by MARGIN. A standing person then is at most six blocks high:

- A head, an eighth of the body's height, is less than one block: one colour. Where a box holds only a head,
  it is at most four or five blocks high; people stop recognising faces between 18 and 15 blocks across
  (T. Bachmann, European Journal of Cognitive Psychology 3(1), 1991), and networks still recognised mosaics
  that people did not, with blocks much smaller than these (McPherson, Shokri, Shmatikov, arXiv:1609.00408).
- A body of 1.7 m shows at 3.5 px/m, where IEC 62676-4 puts mere monitoring at 12.5 px/m and recognition at
  125 px/m.
- Gait is how limbs move against each other; both legs are in the same two or three rows of blocks.

Flat blocks, and no soft blur: a blur can be undone in part, an average of thousands of pixels cannot.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safecity.video.masking.planes import Layer, Plane, layers, own_copy

MARGIN: Final = 0.2
"""Share of its size by which a box grows on each side: detectors cut hands and feet, and people move on."""
BLOCKS: Final = 6
"""Blocks along the longer side of a grown box at most."""
SMALLEST_BLOCK_PX: Final = 8
"""People who are only a few pixels high lose their few details too."""

Boxes = NDArray[np.float32]


def blur_persons(frame: Any, boxes: Boxes) -> Any:
    """Return a copy of `frame` (av.VideoFrame) in which everything in `boxes` is unrecognisable.

    boxes: (n, 4) left, top, right, bottom in pixels, as a detector gives them. Without boxes, `frame` itself.
    """
    return paint_persons(own_copy(frame), boxes) if len(boxes) else frame


def paint_persons(frame: Any, boxes: Boxes) -> Any:
    """Paint on `frame` itself, which must be our own copy (`planes.own_copy`), and return it."""
    if len(boxes):
        painted = layers(frame)
        for box in boxes:
            area = grown(box, frame.width, frame.height)
            if area is not None:
                block_px = block_of(area)
                for layer in painted:
                    _flatten(layer, area, block_px)
    return frame


def coarse(frame: Any) -> Any:
    """Return a copy of `frame` that is coarse all over: what is shown when nobody knows where people are.

    The same rule, with the whole picture as the box: nobody in it can be larger than the picture.
    """
    painted = own_copy(frame)
    area = (0, 0, painted.width, painted.height)
    for layer in layers(painted):
        _flatten(layer, area, block_of(area))
    return painted


def grown(box: NDArray[np.float32], width_px: int, height_px: int) -> tuple[int, int, int, int] | None:
    """Return `box` grown by MARGIN, in whole pixels of the picture; None when nothing of it is inside."""
    left, top, right, bottom = (float(side) for side in box)
    # What cannot be a number hides everything: a defect must not show anybody.
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return 0, 0, width_px, height_px
    more_x, more_y = MARGIN * (right - left), MARGIN * (bottom - top)
    area = (
        max(math.floor(left - more_x), 0),
        max(math.floor(top - more_y), 0),
        min(math.ceil(right + more_x), width_px),
        min(math.ceil(bottom + more_y), height_px),
    )
    return area if area[0] < area[2] and area[1] < area[3] else None


def block_of(area: tuple[int, int, int, int]) -> int:
    """Return the side of a block, in pixels, for a grown box."""
    left, top, right, bottom = area
    return max(-(-max(right - left, bottom - top) // BLOCKS), SMALLEST_BLOCK_PX)


def _flatten(layer: Layer, area: tuple[int, int, int, int], block_px: int) -> None:
    """Replace each block of `area` by its mean; samples that belong to a pixel of the area go with it."""
    left, top, right, bottom = area
    rows = slice(top // layer.step_y, -(-bottom // layer.step_y))
    columns = slice(left // layer.step_x, -(-right // layer.step_x))
    part = layer.samples[rows, columns]
    part[:] = _blocks(part, -(-block_px // layer.step_y), -(-block_px // layer.step_x))


def _blocks(part: Plane, rows: int, columns: int) -> Plane:
    """Return `part` with each block of rows x columns samples, counted from its top left, at its mean."""
    height, width = part.shape
    at_y, at_x = np.arange(0, height, rows), np.arange(0, width, columns)
    sums = np.add.reduceat(np.add.reduceat(part, at_y, axis=0, dtype=np.uint32), at_x, axis=1)
    heights, widths = np.diff(at_y, append=height), np.diff(at_x, append=width)
    means = (sums // (heights[:, None] * widths[None, :])).astype(np.uint8)
    return np.repeat(np.repeat(means, heights, axis=0), widths, axis=1)
