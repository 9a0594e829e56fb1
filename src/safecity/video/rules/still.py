"""Stopped vehicle: it stands where none may stand, and counts once however often it is lost from sight."""

from typing import Final

import msgspec
import numpy as np

from safecity.model.video_rule import StoppedVehicle, VideoEventKind
from safecity.video.event import VideoEvent
from safecity.video.rules.scene import Scene
from safecity.video.rules.shape import Doubles, Flags, contains, overlap

SAME_PLACE: Final = 0.6
"""Overlap with the box in which it stopped; what creeps on leaves it."""
LEFT_PLACE: Final = 0.3
"""A vehicle whose own track overlaps less has driven away."""
FORGET_S: Final = 8.0
"""So long must a place be looked at without its vehicle before another one there is a new one."""
LONGEST_STEP_S: Final = 1.0
"""Between two looks that belong together; while nothing moves nobody looks, and nothing drives away."""
MIN_SIGHTINGS: Final = 3
STILL: Final = 0.015
STILL_OF_BOX: Final = 0.2
"""Picture heights a second, or shares of its own height a second, that a standing box trembles at most."""
ARRIVAL: Final = 0.4
"""Share of its own height that a vehicle must have moved to have arrived, where it must."""


class Spot(msgspec.Struct):
    """A place where a vehicle stands. unseen_s: looked at without it, since it was last seen."""

    box: Doubles
    track: int
    since_s: float
    last_s: float
    sightings: int = 1
    unseen_s: float = 0.0
    has_arrived: bool = False
    counted: bool = False


class StillWatch:
    """Watches one area of one camera. Used by one thread."""

    def __init__(self, rule: StoppedVehicle) -> None:
        """Watch what `rule` names."""
        self.rule = rule
        self.counts = {"stopped": 0}
        self._polygon = np.array(rule.polygon, dtype=np.float64)
        self._spots: list[Spot] = []
        self._looked_s = -np.inf

    def due_s(self) -> float | None:
        """Return the film time at which a place must be looked at again even when nothing moves."""
        waiting = [
            spot.since_s + self.rule.min_still_s
            for spot in self._spots
            if not spot.counted and (spot.has_arrived or not self.rule.must_arrive) and spot.sightings > 1
        ]
        return min(waiting, default=None)

    def look(self, scene: Scene) -> list[VideoEvent]:
        """Return the vehicles that have now stood long enough."""
        step_s = min(scene.time_s - self._looked_s, LONGEST_STEP_S)
        self._looked_s = scene.time_s
        inside = scene.of(self.rule.classes) & contains(self._polygon, scene.feet)
        rows = np.flatnonzero(inside & _is_still(scene))
        if not rows.size and not self._spots:
            return []
        free = {int(row) for row in rows}
        own = {int(scene.ids[row]): int(row) for row in np.flatnonzero(inside)}
        events = []
        for spot in self._spots:
            row = self._row_of(spot, scene, free, own.get(spot.track))
            if row is None:
                spot.unseen_s += step_s
                continue
            free.discard(row)
            own.pop(int(scene.ids[row]), None)
            if self._stands(spot, scene, row):
                events.append(self._event(spot, scene, row))
        self._forget(scene)
        self._spots += [self._new(scene, row) for row in sorted(free)]
        return events

    def _row_of(self, spot: Spot, scene: Scene, free: set[int], own: int | None) -> int | None:
        """Return which object stands in the spot: its own one that only trembles, else the best free one."""
        if own is not None and overlap(spot.box, scene.boxes[[own]])[0] >= LEFT_PLACE:
            return own
        rows = np.array(sorted(free), dtype=np.intp)
        if not rows.size:
            return None
        shares = overlap(spot.box, scene.boxes[rows])
        best = int(shares.argmax())
        return int(rows[best]) if shares[best] >= SAME_PLACE else None

    def _stands(self, spot: Spot, scene: Scene, row: int) -> bool:
        """Note that the vehicle is still there; return whether that is an event now."""
        spot.track, spot.last_s, spot.unseen_s = int(scene.ids[row]), scene.time_s, 0.0
        spot.sightings += 1
        spot.has_arrived |= _has_arrived(scene, row)
        if spot.counted or spot.sightings < MIN_SIGHTINGS:
            return False
        if scene.time_s - spot.since_s < self.rule.min_still_s:
            return False
        if self.rule.must_arrive and not spot.has_arrived:
            return False
        spot.counted = True
        return True

    def _new(self, scene: Scene, row: int) -> Spot:
        return Spot(
            box=scene.boxes[row].copy(),
            track=int(scene.ids[row]),
            since_s=scene.time_s,
            last_s=scene.time_s,
            has_arrived=_has_arrived(scene, row),
        )

    def _forget(self, scene: Scene) -> None:
        """Drop the places whose vehicle has driven away, or was not seen for long."""
        self._spots = [
            spot for spot in self._spots if spot.unseen_s < FORGET_S and not _has_left(spot, scene)
        ]

    def _event(self, spot: Spot, scene: Scene, row: int) -> VideoEvent:
        self.counts["stopped"] += 1
        why = (
            f"{scene.class_of(row).value} has stood in zone '{self.rule.name}' for "
            f"{scene.time_s - spot.since_s:.0f} s (score {scene.scores[row]:.2f})"
        )
        return scene.event(VideoEventKind.STOPPED_VEHICLE, self.rule.name, row, why, 1.0)


def _is_still(scene: Scene) -> Flags:
    """Return which objects hardly move; in flowing traffic one vehicle after another fills the same place."""
    pace = np.linalg.norm(scene.velocity, axis=1)
    heights = scene.boxes[:, 3] - scene.boxes[:, 1]
    return np.asarray(pace <= np.maximum(STILL, STILL_OF_BOX * heights))


def _has_arrived(scene: Scene, row: int) -> bool:
    height = float(scene.boxes[row, 3] - scene.boxes[row, 1])
    return bool(scene.travel[row] >= ARRIVAL * height)


def _has_left(spot: Spot, scene: Scene) -> bool:
    """Return whether the vehicle of the spot is seen elsewhere."""
    if spot.last_s == scene.time_s:
        return False
    rows = np.flatnonzero(scene.counts & (scene.ids == spot.track))
    return bool(rows.size) and float(overlap(spot.box, scene.boxes[rows])[0]) < LEFT_PLACE
