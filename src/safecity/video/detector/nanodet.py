"""What NanoDet gives out, as boxes (github.com/RangiLyu/nanodet, Apache-2.0)."""

from collections.abc import Sequence

import numpy as np

from safecity.video.detector.boxes import EMPTY, Detections, Floats, best_boxes
from safecity.video.detector.classes import Classes


def centres(width_px: int, height_px: int, stride: int) -> Floats:
    """Return (n, 3) centre x, centre y and stride in pixels of the cells of one level, row by row."""
    across, down = width_px // stride, height_px // stride
    rows, columns = np.divmod(np.arange(across * down, dtype=np.float32), np.float32(across))
    centre = np.stack((columns, rows), axis=1) * stride + (stride - 1) / 2
    return np.concatenate((centre, np.full((across * down, 1), stride)), axis=1).astype(np.float32)


def decode_nanodet(
    outputs: Sequence[Floats], levels: Sequence[Floats], classes: Classes, confidence: float
) -> Detections:
    """Return the boxes in the network's outputs, in pixels of its input.

    outputs: for each level (cells, classes) scores, then for each level (cells, 4 * bins) distances: 4 sides
    with a distribution over the bins each (generalized focal loss, arXiv:2006.04388, section 3.2).
    levels: for each level what `centres` returns.
    """
    picked: list[Detections] = []
    for level, cell in enumerate(levels):
        best, score = classes.best(outputs[level])
        rows = np.flatnonzero(score >= confidence)
        if rows.size:
            boxes = _boxes(outputs[level + len(levels)][rows], cell[rows])
            picked.append(Detections(boxes, score[rows].astype(np.float32), best[rows]))
    if not picked:
        return EMPTY
    return best_boxes(Detections(*(np.concatenate(column) for column in zip(*picked, strict=True))))


def _boxes(distances: Floats, cell: Floats) -> Floats:
    """Return (n, 4) boxes from (n, 4 * bins) distributions: the expected distance of each side."""
    logits = distances.reshape(len(distances), 4, -1)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    expected = (weights @ np.arange(logits.shape[2], dtype=np.float32)) / weights.sum(axis=2)
    reach = expected * cell[:, 2:3]
    return np.concatenate((cell[:, :2] - reach[:, :2], cell[:, :2] + reach[:, 2:]), axis=1).astype(np.float32)
