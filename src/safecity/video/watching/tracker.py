"""Following objects from picture to picture by place and size alone.

A Kalman filter of place and speed for each object, and in each picture three optimal assignments on overlap:
certain detections to what was seen just now, the other certain ones to what has been hidden, and uncertain
ones to what is left (ByteTrack, arXiv:2110.06864, section 3). Lengths are in shares of an object's own size
and the filter knows time, so that the same numbers serve near and far, and two pictures a second as well as
thirty.

There are no appearance features and no re-identification: an object that leaves and returns is another track,
and a track's number means nothing outside its camera and its few seconds.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import Detections, Floats, Numbers

BEGIN_SCORE: Final = 0.5
"""A detection with a lower score only continues a track; alone it begins none."""
MIN_OVERLAP: Final = 0.2
"""Overlap from which a detection can continue a track, of boxes that are both enlarged by MARGIN."""
MIN_OVERLAP_UNCERTAIN: Final = 0.5
"""The same for a detection below BEGIN_SCORE."""
MARGIN: Final = 0.2
"""Share of its size by which a box grows on each side: few pictures a second suffice (arXiv:2211.14317)."""
MARGIN_STEP_S: Final = 0.25
MARGIN_TIMES: Final = 2.5
"""Between pictures farther apart than that the margin grows in proportion, so many times at most."""
HEIGHT_WEIGHT: Final = 2.0
"""Overlap counts less by the ratio of heights to this power: half a person is seldom that person."""
NEW_WEIGHT: Final = 0.5
"""Overlap with a track that is not confirmed counts so much: what is certain has the first choice."""
RECENT_S: Final = 0.5
"""What was seen so lately before the last picture is assigned before what has been hidden for longer."""
CONFIRM_HITS: Final = 3
"""Detections that make a track; before, it counts for nothing."""
FORGET_NEW_S: Final = 0.8
FORGET_S: Final = 2.0
"""How long a track without a detection is kept, before and after it is confirmed."""
FORGET_STANDING_S: Final = 10.0
"""And a vehicle that stands: a lorry that passes before it makes no other vehicle of it."""
STANDING: Final = 0.15
"""Sizes a second below which a vehicle stands."""
STANDING_AFTER_S: Final = 2.0
"""For so long must a vehicle be followed before it can be called standing."""

PLACE_NOISE: Final = 0.1
"""Standard deviation of a detection's centre, in sizes of its box."""
SPEED_NOISE: Final = 1.5
"""Standard deviation of the speed of what is new, in sizes a second: people walk at 0.5 to 1.5."""
TURN_NOISE: Final = 0.3
"""Spectral density of the acceleration (sizes^2/s^3) in the model of nearly constant speed.

Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, section 6.2.2.
"""
SIZE_S: Final = 0.3
"""Time over which sizes are smoothed."""
SIZE_GAIN: Final = 0.15
"""And the least share of each detection's size that is taken over."""
SLOW_DOWN_S: Final = 2.0
"""Time in which the speed of something hidden is thought to fall to 1/e; straight on it would run away."""
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
_VEHICLES: Final = 2


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


Table = NDArray[np.float64]
_CENTRE, _STATE, _SIZE = slice(0, 2), slice(0, 4), slice(2, 4)
_SPEED = slice(4, 6)
_SPREAD = slice(6, 9)
_ORIGIN = slice(9, 11)
_TRAVEL, _SCORE, _CLASS, _GROUP, _HITS, _FIRST_S, _LAST_S, _ID = range(11, 19)
_COLUMNS: Final = 19
"""Columns of the table of tracks; one track is one row, and a picture costs few calls however many there are.

_STATE: centre x, centre y, width, height in pixels. _SPEED: of the centre, in pixels/s. _SPREAD: variance of
the place, covariance with the speed, variance of the speed; in sizes^2, /s and /s^2. _ORIGIN: foot point when
first seen. _TRAVEL: farthest from there so far, in pixels. Whole numbers are exact in doubles to 2^53.
"""


class Tracker:
    """The tracks of one camera. Used by one thread."""

    def __init__(self, begin_score: float = BEGIN_SCORE) -> None:
        """Follow nothing yet; only a detection with `begin_score` or more begins a track."""
        self._begin_score = begin_score
        self._next_id = 1
        self._time_s = 0.0
        self._known: Table = np.zeros((0, _COLUMNS))

    def update(self, found: Detections, time_s: float) -> Tracks:
        """Continue the tracks with what was found at `time_s`, which must not run backwards."""
        # A prediction over more than the time to forget would only carry boxes out of the picture.
        step_s = min(max(time_s - self._time_s, MIN_STEP_S), FORGET_S)
        self._time_s = max(time_s, self._time_s)
        seen = _table(found, self._time_s)
        is_free = np.ones(len(seen), dtype=bool)
        if len(self._known):
            self._predict(step_s)
            if len(seen):
                rows, columns = self._assign(seen, step_s)
                is_free[columns] = False
                self._correct(rows, seen[columns], step_s)
            self._forget()
        is_free &= seen[:, _SCORE] >= self._begin_score
        if np.count_nonzero(is_free):
            self._begin(seen[is_free])
        return self._snapshot()

    def rescale(self, across: float, down: float) -> None:
        """Go on in pictures that are so many times as wide and high: a camera's other stream."""
        self._known[:, _STATE] *= (across, down, across, down)
        self._known[:, _SPEED] *= (across, down)
        self._known[:, _ORIGIN] *= (across, down)
        self._known[:, _TRAVEL] *= down

    def _predict(self, step_s: float) -> None:
        known = self._known
        known[:, _CENTRE] += known[:, _SPEED] * step_s
        hidden = known[:, _LAST_S] < self._time_s - step_s - MIN_STEP_S
        if np.count_nonzero(hidden):
            known[hidden, _SPEED] *= np.exp(-step_s / SLOW_DOWN_S)
        flow = np.array([[1, 0, 0], [2 * step_s, 1, 0], [step_s**2, step_s, 1]])
        noise = TURN_NOISE * np.array([step_s**3 / 3, step_s**2 / 2, step_s])
        known[:, _SPREAD] = known[:, _SPREAD] @ flow + noise

    def _assign(self, seen: Table, step_s: float) -> tuple[Numbers, Numbers]:
        """Return which tracks go on with which detections."""
        known = self._known
        margin = MARGIN * min(max(step_s / MARGIN_STEP_S, 1.0), MARGIN_TIMES)
        overlap = _overlap(known[:, _STATE], seen[:, _STATE], margin)
        is_certain = seen[:, _SCORE] >= self._begin_score
        enough = overlap >= np.where(is_certain, MIN_OVERLAP, MIN_OVERLAP_UNCERTAIN)
        overlap *= enough & (known[:, _GROUP, None] == seen[:, _GROUP])
        overlap *= np.where(known[:, _HITS, None] < CONFIRM_HITS, NEW_WEIGHT, 1.0)
        is_recent = known[:, _LAST_S, None] >= self._time_s - step_s - RECENT_S
        rows: list[Numbers] = []
        columns: list[Numbers] = []
        for choice in (is_recent & is_certain, ~is_recent & is_certain, ~is_certain):
            if not np.count_nonzero(choice):
                continue
            row, column = _pairs(overlap * choice)
            if len(row):
                overlap[row] = 0
                overlap[:, column] = 0
                rows.append(row)
                columns.append(column)
        if not rows:
            return _NONE, _NONE
        return np.concatenate(rows), np.concatenate(columns)

    def _correct(self, rows: Numbers, seen: Table, step_s: float) -> None:
        """Take over what was detected of `rows`."""
        known = self._known[rows]
        residual = seen[:, _STATE] - known[:, _STATE]
        place, both = known[:, 6], known[:, 7]
        gain = known[:, 6:8] / (place + PLACE_NOISE**2)[:, None]
        known[:, _SPEED] += gain[:, 1:] * residual[:, :2]
        residual[:, :2] *= gain[:, :1]
        residual[:, 2:] *= max(1 - float(np.exp(-step_s / SIZE_S)), SIZE_GAIN)
        known[:, _STATE] += residual
        known[:, 8] -= both * gain[:, 1]
        known[:, 6:8] *= 1 - gain[:, :1]
        known[:, _SCORE] += SCORE_GAIN * (seen[:, _SCORE] - known[:, _SCORE])
        known[:, _CLASS] = seen[:, _CLASS]
        known[:, _HITS] += 1
        known[:, _LAST_S] = self._time_s
        away = _feet(known) - known[:, _ORIGIN]
        known[:, _TRAVEL] = np.maximum(known[:, _TRAVEL], np.hypot(away[:, 0], away[:, 1]))
        self._known[rows] = known

    def _forget(self) -> None:
        hidden_s = self._time_s - self._known[:, _LAST_S]
        if hidden_s.max() <= FORGET_NEW_S:
            return
        limit_s = np.where(self._known[:, _HITS] >= CONFIRM_HITS, FORGET_S, FORGET_NEW_S)
        limit_s[_standing(self._known)] = FORGET_STANDING_S
        self._known = self._known[hidden_s <= limit_s]

    def _begin(self, seen: Table) -> None:
        seen[:, _ID] = np.arange(self._next_id, self._next_id + len(seen))
        self._next_id += len(seen)
        self._known = np.concatenate((self._known, seen))

    def _snapshot(self) -> Tracks:
        known = self._known
        return Tracks(
            ids=known[:, _ID].astype(np.int64),
            boxes=_corners(known).astype(np.float32),
            classes=known[:, _CLASS].astype(np.intp),
            scores=known[:, _SCORE].astype(np.float32),
            confirmed=known[:, _HITS] >= CONFIRM_HITS,
            seen=known[:, _LAST_S] == self._time_s,
            travel_px=known[:, _TRAVEL].astype(np.float32),
            first_seen_s=known[:, _FIRST_S].copy(),
        )


def _table(found: Detections, time_s: float) -> Table:
    """Return detections as tracks that begin at `time_s`, without a number yet."""
    rows = np.zeros((len(found.scores), _COLUMNS))
    size = found.boxes[:, 2:] - found.boxes[:, :2]
    rows[:, _CENTRE] = found.boxes[:, :2] + size / 2
    rows[:, _SIZE] = size
    rows[:, _SPREAD] = (PLACE_NOISE**2, 0, SPEED_NOISE**2)
    rows[:, _ORIGIN] = _feet(rows)
    rows[:, _SCORE] = found.scores
    rows[:, _CLASS] = found.classes
    rows[:, _GROUP] = _GROUPS[found.classes]
    rows[:, _HITS] = 1
    rows[:, _FIRST_S] = rows[:, _LAST_S] = time_s
    return rows


def _standing(known: Table) -> NDArray[np.bool_]:
    """Return which tracks are vehicles that stand."""
    sides = np.maximum(known[:, _SIZE], 1)
    pace = np.hypot(known[:, 4], known[:, 5]) / np.sqrt(sides[:, 0] * sides[:, 1])
    followed_s = known[:, _LAST_S] - known[:, _FIRST_S]
    is_vehicle = known[:, _GROUP] == _VEHICLES
    return np.asarray(is_vehicle & (pace < STANDING) & (followed_s >= STANDING_AFTER_S))


def _overlap(ours: Table, theirs: Table, margin: float) -> Table:
    """Return the (n, m) overlap of states: IoU of boxes enlarged by `margin`, less where heights differ."""
    x, y, width, height = np.maximum(ours.T, _SMALLEST)[:, :, None]
    other_x, other_y, other_width, other_height = np.maximum(theirs.T, _SMALLEST)
    grown = 2 * margin * np.sqrt(width * height)
    width, height = width + grown, height + grown
    wide, high = other_width + grown, other_height + grown
    across = _shared(np.abs(x - other_x), width, wide)
    common = across * _shared(np.abs(y - other_y), height, high)
    ratio = (height - grown) / other_height
    alike = np.minimum(ratio, 1 / ratio) ** HEIGHT_WEIGHT
    return np.asarray(common / (width * height + wide * high - common) * alike)


_SMALLEST: Final = np.array([[-np.inf], [-np.inf], [1.0], [1.0]])
"""Least values of a state: a box is a pixel wide at least."""


def _shared(distance: Table, one: Table, other: Table) -> Table:
    """Return how much two lengths share whose middles are so far from each other."""
    return np.maximum(np.minimum((one + other) / 2 - distance, np.minimum(one, other)), 0)


_NONE: Final = np.zeros(0, dtype=np.intp)


def _pairs(overlap: Table) -> tuple[Numbers, Numbers]:
    """Return the rows and columns that are paired so that the sum of overlaps is greatest."""
    rows, columns = np.nonzero(overlap)
    if len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows):
        return rows, columns
    # Where nobody else is in question the choice is made; only the others need one that is best together.
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    our, their = np.unique(rows[~alone]), np.unique(columns[~alone])
    row, column = _best(overlap[our[:, None], their])
    return np.concatenate((rows[alone], our[row])), np.concatenate((columns[alone], their[column]))


def _best(overlap: Table) -> tuple[Numbers, Numbers]:
    # Loaded with the first crowd: it takes a second that the start of recording does not have.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(overlap, maximize=True)
    real = overlap[rows, columns] > 0
    return rows[real], columns[real]


def _corners(known: Table) -> Table:
    half = np.maximum(known[:, _SIZE], 1) / 2
    return np.concatenate((known[:, _CENTRE] - half, known[:, _CENTRE] + half), axis=1)


def _feet(known: Table) -> Table:
    feet = known[:, _CENTRE].copy()
    feet[:, 1] += known[:, 3] / 2
    return feet
