"""Boxes as arrays: overlap, and one box for each object."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

NMS_IOU: Final = 0.5
"""Two boxes of one class that overlap more are one object."""
CANDIDATES: Final = 200
"""Boxes that go into non-maximum suppression at most, the best first."""


class Detections(NamedTuple):
    """What is in one picture.

    boxes: (n, 4) left, top, right, bottom in pixels. scores: (n,) 0 to 1. classes: (n,) index into CLASSES.
    """

    boxes: Floats
    scores: Floats
    classes: Numbers

    def pick(self, rows: Numbers) -> "Detections":
        """Return those with the numbers `rows`, in that order."""
        return Detections(self.boxes[rows], self.scores[rows], self.classes[rows])


EMPTY: Final = Detections(
    np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.intp)
)


def best_boxes(found: Detections) -> Detections:
    """Return one box for each object, the best first: the CANDIDATES with the highest scores, suppressed."""
    ordered = found.pick(np.argsort(-found.scores, kind="stable")[:CANDIDATES])
    return ordered.pick(suppress(ordered.boxes, ordered.classes))


def suppress(boxes: Floats, classes: Numbers) -> Numbers:
    """Return which of `boxes`, the best first, remain when each removes what overlaps it in its own class."""
    overlap = iou(boxes, boxes) > NMS_IOU
    overlap &= classes[:, None] == classes[None, :]
    alive = np.ones(len(boxes), dtype=bool)
    for i in range(len(boxes)):
        if alive[i]:
            alive[i + 1 :] &= ~overlap[i, i + 1 :]
    return np.flatnonzero(alive)


def iou(a: Floats, b: Floats) -> Floats:
    """Return the (n, m) areas of intersection over union of boxes `a` (n, 4) and `b` (m, 4)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    size = np.maximum(bottom_right - top_left, 0)
    inside = size[:, :, 0] * size[:, :, 1]
    area_a, area_b = _areas(a), _areas(b)
    return np.asarray(inside / np.maximum(area_a[:, None] + area_b[None, :] - inside, 1e-6), dtype=np.float32)


def _areas(boxes: Floats) -> Floats:
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(size[:, 0] * size[:, 1])
