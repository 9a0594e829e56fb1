"""Event rules on tracks. Each event says why, in words, and happens once."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from safecity.model.video_rule import CLASSES, ObjectClass, ZoneIntrusion
from safecity.video.tracker import Tracks

LEAVE_S: Final = 1.0
"""So long must an object be out of a zone before coming in is a new entry; a border is never sharp."""
MIN_SIGHTINGS: Final = 2
"""Pictures in which the object was detected inside, so that no single wrong box is an entry."""


class Intrusion(msgspec.Struct, frozen=True, kw_only=True):
    """Something entered a zone. box: left, top, right, bottom, as shares of the picture's size."""

    zone: str
    track: int
    object_class: ObjectClass
    score: float
    inside_s: float
    time_s: float
    box: tuple[float, float, float, float]

    @property
    def why(self) -> str:
        """Return the reason in an English sentence."""
        return (
            f"{self.object_class.value} entered zone '{self.zone}' "
            f"(score {self.score:.2f}, {self.inside_s:.1f} s inside)"
        )


class _Visit(msgspec.Struct):
    """One track in the zone: since when, last when, seen how often, and whether it has counted."""

    since_s: float
    last_s: float
    sightings: int = 0
    counted: bool = False


class ZoneRule:
    """Watches one zone of one camera. Used by one thread."""

    def __init__(self, zone: ZoneIntrusion) -> None:
        """Watch `zone`."""
        self.zone = zone
        self.suppressed = 0
        self._polygon = np.array(zone.polygon, dtype=np.float64)
        self._classes = np.array([CLASSES.index(kind) for kind in zone.classes])
        self._visits: dict[int, _Visit] = {}
        self._last_event_s: float | None = None

    def update(self, tracks: Tracks, time_s: float, width_px: int, height_px: int) -> list[Intrusion]:
        """Return the entries that became certain at `time_s` in a picture of the given size."""
        size = np.array([width_px, height_px, width_px, height_px], dtype=np.float64)
        boxes = tracks.boxes / size
        feet = np.stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]), axis=1)
        counts = tracks.confirmed & tracks.seen & np.isin(tracks.classes, self._classes)
        inside = counts & contains(self._polygon, feet)
        self._forget(set(tracks.ids.tolist()), time_s)
        events = []
        for row in np.flatnonzero(inside):
            visit = self._visits.setdefault(int(tracks.ids[row]), _Visit(time_s, time_s))
            visit.last_s = time_s
            visit.sightings += 1
            has_moved = tracks.travel_px[row] >= self.zone.min_travel * height_px
            if has_moved and self._is_entry(visit, time_s):
                events.append(self._intrusion(tracks, int(row), boxes, visit, time_s))
        return events

    def _is_entry(self, visit: _Visit, time_s: float) -> bool:
        """Return whether this visit becomes an event now."""
        if visit.counted or visit.sightings < MIN_SIGHTINGS or time_s - visit.since_s < self.zone.min_dwell_s:
            return False
        visit.counted = True
        if self._last_event_s is not None and time_s - self._last_event_s < self.zone.cool_down_s:
            self.suppressed += 1
            return False
        self._last_event_s = time_s
        return True

    def _forget(self, alive: set[int], time_s: float) -> None:
        self._visits = {
            track: visit
            for track, visit in self._visits.items()
            if track in alive and time_s - visit.last_s <= LEAVE_S
        }

    def _intrusion(
        self, tracks: Tracks, row: int, boxes: NDArray[np.float64], visit: _Visit, time_s: float
    ) -> Intrusion:
        left, top, right, bottom = (round(float(side), 4) for side in boxes[row])
        return Intrusion(
            zone=self.zone.name,
            track=int(tracks.ids[row]),
            object_class=CLASSES[tracks.classes[row]],
            score=round(float(tracks.scores[row]), 3),
            inside_s=round(time_s - visit.since_s, 2),
            time_s=time_s,
            box=(left, top, right, bottom),
        )


def contains(polygon: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of `points` (n, 2) lie in `polygon` (m, 2), by the even-odd rule.

    Counts the edges that a ray to the right crosses (Shimrat, CACM 5 (8), 1962, algorithm 112).
    """
    start, end = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, 0:1], points[:, 1:2]
    spans = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(start[:, 1] == end[:, 1], 1.0, end[:, 1] - start[:, 1])
    crossing = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / rise
    return np.asarray((spans & (x < crossing)).sum(axis=1) % 2 == 1)
