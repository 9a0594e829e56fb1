"""Geometry of areas and lines in the picture, on arrays."""

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


def contains(polygon: Doubles, points: Doubles) -> Flags:
    """Return which of `points` (n, 2) lie in `polygon` (m, 2), by the even-odd rule.

    Counts the edges that a ray to the right crosses (Shimrat, CACM 5 (8), 1962, algorithm 112).
    """
    start, end = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, 0:1], points[:, 1:2]
    spans = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(start[:, 1] == end[:, 1], 1.0, end[:, 1] - start[:, 1])
    crossing = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / rise
    return np.asarray((spans & (x < crossing)).sum(axis=1) % 2 == 1)


def cells_in(polygon: Doubles, rows: int, columns: int) -> Flags:
    """Return which cells (rows, columns) of a picture have their centre in `polygon` (m, 2) of 0 to 1."""
    y, x = np.mgrid[0:rows, 0:columns]
    centres = np.stack(((x + 0.5) / columns, (y + 0.5) / rows), axis=2).reshape(-1, 2)
    return contains(polygon, centres).reshape(rows, columns)


def heading_deg(way: Doubles) -> Doubles:
    """Return degrees clockwise from up (n,) of ways (n, 2) in the picture, y down."""
    return np.asarray(np.degrees(np.arctan2(way[:, 0], -way[:, 1])) % 360.0)


def turn_deg(a_deg: Doubles, b_deg: float) -> Doubles:
    """Return how far headings `a_deg` are from `b_deg`, 0 to 180."""
    return np.asarray(np.abs((a_deg - b_deg + 180.0) % 360.0 - 180.0))


def overlap(box: Doubles, boxes: Doubles) -> Doubles:
    """Return intersection over union (n,) of one box (4,) with `boxes` (n, 4)."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    inside = np.clip(high - low, 0.0, None).prod(axis=1)
    area = np.prod(box[2:] - box[:2])
    areas = np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None).prod(axis=1)
    return np.asarray(inside / np.maximum(areas + area - inside, 1e-12))


def covered(box: Doubles, boxes: Doubles) -> Doubles:
    """Return which share (n,) of one box (4,) each of `boxes` (n, 4) covers."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    return np.asarray(
        np.clip(high - low, 0.0, None).prod(axis=1) / max(float(np.prod(box[2:] - box[:2])), 1e-12)
    )
