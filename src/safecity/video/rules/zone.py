"""Zone intrusion: something is where nothing of its kind should be."""

from typing import Final

import msgspec
import numpy as np

from safecity.model.video_rule import VideoEventKind, ZoneIntrusion
from safecity.video.event import VideoEvent
from safecity.video.rules.scene import Scene
from safecity.video.rules.shape import contains

LEAVE_S: Final = 1.0
"""So long must an object be out of a zone before coming in is a new entry; a border is never sharp."""
MIN_SIGHTINGS: Final = 2
"""Pictures in which the object was detected inside, so that no single wrong box is an entry."""


class _Visit(msgspec.Struct):
    """One track in the zone: since when, last when, seen how often, and whether it has counted."""

    since_s: float
    last_s: float
    sightings: int = 0
    counted: bool = False


class ZoneWatch:
    """Watches one zone of one camera. Used by one thread."""

    def __init__(self, zone: ZoneIntrusion) -> None:
        """Watch `zone`."""
        self.zone = zone
        self.counts = {"entries": 0}
        self._polygon = np.array(zone.polygon, dtype=np.float64)
        self._visits: dict[int, _Visit] = {}
        self._last_event_s: float | None = None
        self._untold = 0

    def look(self, scene: Scene) -> list[VideoEvent]:
        """Return the entries that became certain."""
        inside = scene.of(self.zone.classes) & contains(self._polygon, scene.feet)
        self._forget(set(scene.ids.tolist()) if self._visits else set(), scene.time_s)
        events = []
        for row in np.flatnonzero(inside):
            visit = self._visits.setdefault(int(scene.ids[row]), _Visit(scene.time_s, scene.time_s))
            visit.last_s = scene.time_s
            visit.sightings += 1
            if scene.travel[row] >= self.zone.min_travel and self._is_entry(visit, scene.time_s):
                events.append(self._event(scene, int(row), visit))
        return events

    def _is_entry(self, visit: _Visit, time_s: float) -> bool:
        """Return whether this visit becomes an event now."""
        if visit.counted or visit.sightings < MIN_SIGHTINGS or time_s - visit.since_s < self.zone.min_dwell_s:
            return False
        visit.counted = True
        self.counts["entries"] += 1
        self._untold += 1
        if self._last_event_s is not None and time_s - self._last_event_s < self.zone.cool_down_s:
            return False
        self._last_event_s = time_s
        return True

    def _forget(self, alive: set[int], time_s: float) -> None:
        self._visits = {
            track: visit
            for track, visit in self._visits.items()
            if track in alive and time_s - visit.last_s <= LEAVE_S
        }

    def _event(self, scene: Scene, row: int, visit: _Visit) -> VideoEvent:
        count, self._untold = self._untold, 0
        more = f", {count} entered since the last report" if count > 1 else ""
        why = (
            f"{scene.class_of(row).value} entered zone '{self.zone.name}' "
            f"(score {scene.scores[row]:.2f}, {scene.time_s - visit.since_s:.1f} s inside{more})"
        )
        return scene.event(VideoEventKind.ZONE_INTRUSION, self.zone.name, row, why, float(count))
