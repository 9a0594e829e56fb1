"""What YOLOX and networks with finished boxes give out, as boxes.

YOLOX (arXiv:2107.08430): one row for each cell of each level: centre as offset from the cell in strides, size
as logarithm of strides, the probability of an object, and of each class given one.
"""

import numpy as np
from numpy.typing import NDArray

from safecity.video.detector.boxes import Detections, Floats, best_boxes
from safecity.video.detector.classes import Classes


def cells(width_px: int, height_px: int, strides_px: tuple[int, ...]) -> Floats:
    """Return (n, 3) left, top and stride in pixels of the cells of all levels, row by row."""
    levels = []
    for stride in strides_px:
        across, down = width_px // stride, height_px // stride
        rows, columns = np.divmod(np.arange(across * down), across)
        levels.append(np.stack((columns * stride, rows * stride, np.full(across * down, stride)), axis=1))
    return np.concatenate(levels).astype(np.float32)


def decode_yolox(output: Floats, grid: Floats, classes: Classes, confidence: float) -> Detections:
    """Return the boxes in `output` (cells, 5 + classes), in pixels of the input; `grid` is from `cells`."""
    likely = np.flatnonzero(output[:, 4] >= confidence)
    rows = output[likely]
    best, score = classes.best(rows[:, 5:])
    score = score * rows[:, 4]
    keep = score >= confidence
    rows, cell = rows[keep], grid[likely[keep]]
    centre = cell[:, :2] + rows[:, :2] * cell[:, 2:]
    half = np.exp(np.minimum(rows[:, 2:4], 20)) * cell[:, 2:] / 2
    boxes = np.concatenate((centre - half, centre + half), axis=1)
    return best_boxes(Detections(boxes.astype(np.float32), score[keep].astype(np.float32), best[keep]))


def decode_columns(output: Floats, classes: Classes, confidence: float) -> Detections:
    """Return the boxes in `output` (4 + classes, n): centre x, y, width, height in pixels, class scores."""
    best, score = classes.best(output[4:].T)
    keep = np.flatnonzero(score >= confidence)
    centre, half = output[:2, keep].T, output[2:4, keep].T / 2
    boxes = np.concatenate((centre - half, centre + half), axis=1)
    return best_boxes(Detections(boxes.astype(np.float32), score[keep].astype(np.float32), best[keep]))


def decode_rows(output: Floats, classes: Classes, confidence: float) -> Detections:
    """Return the boxes in `output` (n, 6): left, top, right, bottom in pixels, score, class number."""
    rows = output[output[:, 4] >= confidence]
    best = classes.of_numbers(_whole(rows[:, 5]))
    rows, best = rows[best >= 0], best[best >= 0]
    return best_boxes(Detections(rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), best))


def _whole(numbers: Floats) -> NDArray[np.intp]:
    return np.nan_to_num(numbers, nan=-1.0, posinf=-1.0, neginf=-1.0).round().astype(np.intp)
