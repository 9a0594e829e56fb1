"""Following objects from picture to picture by place alone: alpha-beta filter, optimal assignment on overlap.

There are no appearance features and no re-identification: an object that leaves and returns is another track,
and a track's number means nothing outside its camera and its few seconds.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import Detections, Floats, Numbers, iou

ALPHA: Final = 0.6
BETA: Final = ALPHA**2 / (2 - ALPHA)
"""Gains of position and speed, related as is optimal for turning tracks (Benedict and Bordner, 1962)."""
MIN_OVERLAP: Final = 0.1
"""Overlap, of boxes enlarged by MARGIN, from which a detection can continue a track."""
MARGIN: Final = 0.25
"""Share by which boxes grow on each side; a few pictures a second are enough then (arXiv:2211.14317)."""
CONFIRM_HITS: Final = 3
"""Detections that make a track; before, it counts for nothing."""
FORGET_NEW_S: Final = 0.8
FORGET_S: Final = 2.0
"""How long a track without a detection is kept, before and after it is confirmed."""
SCORE_GAIN: Final = 0.3
MIN_STEP_S: Final = 0.02

_GROUP_OF: Final = {
    ObjectClass.PERSON: 0,
    ObjectClass.BICYCLE: 1,
    ObjectClass.MOTORCYCLE: 1,
    ObjectClass.CAR: 2,
    ObjectClass.BUS: 2,
    ObjectClass.TRUCK: 2,
}
_GROUPS: Final = np.array([_GROUP_OF[kind] for kind in CLASSES])
"""Classes that detectors take for one another; a van is a car, then a truck, and still one track."""


class Tracks(NamedTuple):
    """The objects of a camera at one moment, one row each.

    boxes: left, top, right, bottom in pixels. seen: detected in this very picture. travel_px: the farthest
    that the foot point has been from where it was first seen.
    """

    ids: NDArray[np.int64]
    boxes: Floats
    classes: Numbers
    scores: Floats
    confirmed: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    travel_px: Floats
    first_seen_s: NDArray[np.float64]


_ROW: Final = np.dtype(
    [
        ("id", np.int64),
        ("state", np.float32, (4,)),  # centre x, centre y, width, height in pixels
        ("speed", np.float32, (4,)),  # of the state, in pixels/s
        ("origin", np.float32, (2,)),  # foot point when first seen, in pixels
        ("travel", np.float32),  # farthest from the origin so far, in pixels
        ("class", np.intp),
        ("score", np.float32),
        ("hits", np.int64),
        ("first_s", np.float64),
        ("last_s", np.float64),
    ]
)


class Tracker:
    """The tracks of one camera. Used by one thread."""

    def __init__(self) -> None:
        """Follow nothing yet."""
        self._next_id = 1
        self._time_s = 0.0
        self._rows = np.zeros(0, dtype=_ROW)

    def update(self, found: Detections, time_s: float) -> Tracks:
        """Continue the tracks with what was found at `time_s`, which must not run backwards."""
        step_s = max(time_s - self._time_s, MIN_STEP_S)
        self._time_s = max(time_s, self._time_s)
        # A prediction over more than the time to forget would only carry boxes out of the picture.
        self._rows["state"] += self._rows["speed"] * np.float32(min(step_s, FORGET_S))
        rows, columns = self._assign(found)
        self._correct(rows, found, columns, step_s)
        self._forget()
        self._begin(found, np.setdiff1d(np.arange(len(found.boxes)), columns))
        return self._snapshot()

    def _assign(self, found: Detections) -> tuple[Numbers, Numbers]:
        known = self._rows
        if not len(known) or not len(found.boxes):
            return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
        overlap = iou(_enlarged(_corners(known["state"])), _enlarged(found.boxes))
        overlap[_GROUPS[known["class"]][:, None] != _GROUPS[found.classes][None, :]] = 0
        # Loaded with the first object: it takes a second that the start of recording does not have.
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(overlap, maximize=True)
        good = overlap[rows, columns] >= MIN_OVERLAP
        return rows[good], columns[good]

    def _correct(self, rows: Numbers, found: Detections, columns: Numbers, step_s: float) -> None:
        known = self._rows
        residual = _centred(found.boxes[columns]) - known["state"][rows]
        known["state"][rows] += np.float32(ALPHA) * residual
        # The second sighting is the first that tells a speed at all: take it whole.
        gain = np.where(known["hits"][rows] == 1, 1.0, BETA).astype(np.float32)[:, None]
        known["speed"][rows] += gain * residual / np.float32(step_s)
        known["speed"][rows, 2:] *= np.float32(0.5)
        known["score"][rows] += np.float32(SCORE_GAIN) * (found.scores[columns] - known["score"][rows])
        known["class"][rows] = found.classes[columns]
        known["hits"][rows] += 1
        known["last_s"][rows] = self._time_s
        away = np.linalg.norm(_feet(known["state"][rows]) - known["origin"][rows], axis=1)
        known["travel"][rows] = np.maximum(known["travel"][rows], away)

    def _forget(self) -> None:
        limit_s = np.where(self._rows["hits"] >= CONFIRM_HITS, FORGET_S, FORGET_NEW_S)
        self._rows = self._rows[self._time_s - self._rows["last_s"] <= limit_s]

    def _begin(self, found: Detections, columns: Numbers) -> None:
        new = np.zeros(len(columns), dtype=_ROW)
        new["id"] = np.arange(self._next_id, self._next_id + len(columns))
        new["state"] = _centred(found.boxes[columns])
        new["origin"] = _feet(new["state"])
        new["class"] = found.classes[columns]
        new["score"] = found.scores[columns]
        new["hits"] = 1
        new["first_s"] = new["last_s"] = self._time_s
        self._next_id += len(columns)
        self._rows = np.concatenate((self._rows, new))

    def _snapshot(self) -> Tracks:
        rows = self._rows
        return Tracks(
            ids=rows["id"].copy(),
            boxes=_corners(rows["state"]),
            classes=rows["class"].copy(),
            scores=rows["score"].copy(),
            confirmed=rows["hits"] >= CONFIRM_HITS,
            seen=rows["last_s"] == self._time_s,
            travel_px=rows["travel"].copy(),
            first_seen_s=rows["first_s"].copy(),
        )


def _centred(boxes: Floats) -> Floats:
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate((boxes[:, :2] + size / 2, size), axis=1)


def _corners(state: Floats) -> Floats:
    half = np.maximum(state[:, 2:], 1) / 2
    return np.concatenate((state[:, :2] - half, state[:, :2] + half), axis=1)


def _feet(state: Floats) -> Floats:
    feet = state[:, :2].copy()
    feet[:, 1] += state[:, 3] / 2
    return feet


def _enlarged(boxes: Floats) -> Floats:
    reach = (boxes[:, 2:] - boxes[:, :2]) * np.float32(MARGIN)
    return np.concatenate((boxes[:, :2] - reach, boxes[:, 2:] + reach), axis=1)
