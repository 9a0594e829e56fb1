"""CLEAR-MOT and identity scores of followed objects against a ground truth.

CLEAR-MOT: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance", EURASIP JIVP 2008,
section 2. Identity scores: Ristani et al., "Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking", arXiv:1609.01775, section 2.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from safecity.bench.mot.files import Film, Picture
from safecity.video.detector import iou

MIN_IOU: Final = 0.5
"""Overlap from which a followed box is where an object is."""
_NEVER: Final = 1e6
_NOTHING: Final = Picture(
    np.zeros(0, dtype=np.int64), np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.float32)
)


class Scores(NamedTuple):
    """What was right and wrong, in boxes; the three shares are 0 to 1 (mota may be below 0).

    switches: an object goes on under another number. fragments: it is lost and found again.
    """

    mota: float
    idf1: float
    recall: float
    precision: float
    switches: int
    fragments: int
    false_positives: int
    misses: int
    objects: int


class _Matches:
    """Which followed number each object had when it was last found, and what went wrong so far."""

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.was_found: dict[int, bool] = {}
        self.hits = self.switches = self.fragments = 0

    def look(self, truth: Picture, followed: Picture) -> None:
        """Match one picture: what was matched before and still overlaps stays, the rest by least distance."""
        overlap = iou(truth.boxes, followed.boxes)
        pairs = self._kept(truth, followed, overlap)
        free_rows = np.setdiff1d(np.arange(len(truth.ids)), [row for row, _ in pairs])
        free_columns = np.setdiff1d(np.arange(len(followed.ids)), [column for _, column in pairs])
        distance = 1 - overlap[np.ix_(free_rows, free_columns)]
        distance[distance > 1 - MIN_IOU] = _NEVER
        for row, column in zip(*linear_sum_assignment(distance), strict=True):
            if distance[row, column] < _NEVER:
                pairs.append((int(free_rows[row]), int(free_columns[column])))
        self._count(truth, followed, pairs)

    def _kept(self, truth: Picture, followed: Picture, overlap: NDArray[np.float32]) -> list[tuple[int, int]]:
        column_of = {int(number): column for column, number in enumerate(followed.ids)}
        pairs: list[tuple[int, int]] = []
        for row, number in enumerate(truth.ids.tolist()):
            column = column_of.get(self.last.get(number, -1))
            taken = any(column == other for _, other in pairs)
            if column is not None and not taken and overlap[row, column] >= MIN_IOU:
                pairs.append((row, column))
        return pairs

    def _count(self, truth: Picture, followed: Picture, pairs: list[tuple[int, int]]) -> None:
        found = {row: int(followed.ids[column]) for row, column in pairs}
        self.hits += len(found)
        for row, number in enumerate(truth.ids.tolist()):
            if row not in found:
                self.was_found[number] = False
                continue
            if number in self.last:
                self.switches += self.last[number] != found[row]
                self.fragments += not self.was_found[number]
            self.last[number] = found[row]
            self.was_found[number] = True


def score(truth: Film, followed: Film) -> Scores:
    """Return how well `followed` follows what `truth` says is there."""
    matches = _Matches()
    frames = sorted(truth.keys() | followed.keys())
    for frame in frames:
        matches.look(truth.get(frame, _NOTHING), followed.get(frame, _NOTHING))
    objects = sum(len(picture.ids) for picture in truth.values())
    boxes = sum(len(picture.ids) for picture in followed.values())
    misses, wrong = objects - matches.hits, boxes - matches.hits
    return Scores(
        mota=1 - (misses + wrong + matches.switches) / max(objects, 1),
        idf1=2 * _identity_hits(truth, followed) / max(objects + boxes, 1),
        recall=matches.hits / max(objects, 1),
        precision=matches.hits / max(boxes, 1),
        switches=matches.switches,
        fragments=matches.fragments,
        false_positives=wrong,
        misses=misses,
        objects=objects,
    )


def _identity_hits(truth: Film, followed: Film) -> int:
    """Return the boxes that are right when each object is given one followed number for the whole film.

    The one-to-one mapping with the fewest wrong and missed boxes is the one with the most right ones: both
    others follow from it.
    """
    rows = {number: row for row, number in enumerate(_numbers(truth))}
    columns = {number: column for column, number in enumerate(_numbers(followed))}
    together = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for frame in truth.keys() & followed.keys():
        one, other = truth[frame], followed[frame]
        for row, column in zip(*np.nonzero(iou(one.boxes, other.boxes) >= MIN_IOU), strict=True):
            together[rows[int(one.ids[row])], columns[int(other.ids[column])]] += 1
    best = linear_sum_assignment(together, maximize=True)
    return int(together[best].sum())


def _numbers(film: Film) -> list[int]:
    return sorted({int(number) for picture in film.values() for number in picture.ids})
