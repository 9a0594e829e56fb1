"""Congestion and crowds: too many in one area for too long, with hysteresis at both ends."""

import math
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safecity.model.video_rule import Congestion, Crowd, ObjectClass, VideoEventKind
from safecity.video.calibration import Ground
from safecity.video.event import VideoEvent
from safecity.video.rules.scene import Scene
from safecity.video.rules.shape import Doubles, contains, overlap

SMOOTH_S: Final = 1.5
"""Time constant of the count: a detector loses one or another object in every picture."""
REST_S: Final = 5.0
REST_LOOKS: Final = 2.5
LONGEST_LOOK_S: Final = 12.0
"""After so long without a look the count starts anew; and so many usual times between looks, where those are
rarer: keyframes of a large stream may come ten seconds apart."""
STEP_GAIN: Final = 0.3
WARM_S: Final = 2.0
"""Tracks are confirmed in the first looks; until then a count only rises because it began."""
SAME_PERSON: Final = 0.3
"""Overlap from which a person that was found is the one that another track has just lost."""
SHOWN_S: Final = 3.0
"""How old may a fuller look be that is told in place of the latest one."""
ARRIVAL: Final = 0.4
"""Share of its own height that a vehicle must have moved to be in a queue; what is parked never has."""
SAME_PLACE: Final = 0.4
"""Overlap with a place of the queue in which a vehicle, lost and found again, is the one that came there."""
KEEP_PLACE_S: Final = 30.0
VEHICLE_M: Final = 4.5
"""A car's length; a queue goes from the front of its first to the back of its last vehicle."""
RISE_S: Final = 60.0


class Lasting:
    """Says once that a value has been high for long enough, and again only after it was low for as long."""

    def __init__(self, duration_s: float) -> None:
        """Wait `duration_s` at both ends."""
        self._duration_s = duration_s
        self._since_s: float | None = None
        self.is_on = False

    def update(self, is_high: bool, is_low: bool, time_s: float) -> bool:
        """Return whether the state began at `time_s`."""
        if not (is_low if self.is_on else is_high):
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = time_s
        if time_s - self._since_s < self._duration_s:
            return False
        self.is_on = not self.is_on
        self._since_s = None
        return self.is_on

    def due_s(self) -> float | None:
        """Return when the value must be looked at again even when nothing moves, None when it needn't."""
        return None if self._since_s is None else self._since_s + self._duration_s


class Smooth:
    """A count without its flicker: an exponential mean over time."""

    def __init__(self) -> None:
        """Know nothing."""
        self.value = 0.0
        self.is_warm = False
        self._began_s = -math.inf
        self._time_s = -math.inf
        self._usual_s = 0.0

    def update(self, value: float, time_s: float) -> float:
        """Take the count at `time_s`; return the mean."""
        step_s = time_s - self._time_s
        self._time_s = time_s
        if step_s > max(REST_S, REST_LOOKS * self._usual_s):
            self._began_s = time_s
        self._usual_s += STEP_GAIN * (min(step_s, LONGEST_LOOK_S) - self._usual_s)
        self.is_warm = time_s - self._began_s >= WARM_S
        # Until the tracks are confirmed the count is what is seen now.
        gain = 1.0 - math.exp(-step_s / SMOOTH_S) if self.is_warm else 1.0
        self.value += gain * (value - self.value)
        return self.value


class _Shown:
    """The latest look that shows what the count says: one look alone may have missed most or all of it."""

    def __init__(self) -> None:
        self._look: tuple[Scene, NDArray[np.intp]] | None = None

    def update(self, scene: Scene, rows: NDArray[np.intp], count: float) -> tuple[Scene, NDArray[np.intp]]:
        """Take a look and the mean count; return the look to tell, one with objects where there were any."""
        if self._look is None:
            self._look = (scene, rows)
        before, shown = self._look
        is_old = scene.time_s - before.time_s > SHOWN_S
        if rows.size and (is_old or rows.size >= min(round(count), shown.size)):
            self._look = (scene, rows)
        return self._look


class _Queue:
    """Where vehicles stand that have come there; one that was hidden is found under a new number."""

    def __init__(self) -> None:
        self._boxes: Doubles = np.zeros((0, 4))
        self._seen_s: Doubles = np.zeros(0)

    def came(self, scene: Scene, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return which of the slow vehicles `rows` have come, rather than being parked."""
        boxes = scene.boxes[rows]
        has_come = scene.travel[rows] >= ARRIVAL * (boxes[:, 3] - boxes[:, 1])
        is_fresh = scene.time_s - self._seen_s <= KEEP_PLACE_S
        self._boxes, self._seen_s = self._boxes[is_fresh], self._seen_s[is_fresh]
        if rows.size and len(self._boxes):
            has_come |= [bool(overlap(box, self._boxes).max() >= SAME_PLACE) for box in boxes]
        for box in boxes[has_come]:
            others = overlap(box, self._boxes) < SAME_PLACE
            self._boxes = np.concatenate((self._boxes[others], box[None]))
            self._seen_s = np.append(self._seen_s[others], scene.time_s)
        return rows[has_come]


class CongestionWatch:
    """Watches one area for a queue. Used by one thread."""

    def __init__(self, rule: Congestion) -> None:
        """Watch what `rule` names."""
        self.rule = rule
        self.counts = {"congestions": 0}
        self._polygon = np.array(rule.polygon, dtype=np.float64)
        self._smooth = Smooth()
        self._state = Lasting(rule.min_duration_s)
        self._queue = _Queue()
        self._shown = _Shown()

    def due_s(self) -> float | None:
        """Return the film time at which the queue must be looked at again even when nothing moves."""
        return self._state.due_s()

    def look(self, scene: Scene) -> list[VideoEvent]:
        """Return the congestion that began now, if one did."""
        time_s = scene.time_s
        inside = scene.of(self.rule.classes) & contains(self._polygon, scene.feet)
        rows = self._queue.came(scene, np.flatnonzero(inside & self._slow(scene)))
        count = self._smooth.update(float(rows.size), scene.time_s)
        if not self._smooth.is_warm:
            return []
        scene, rows = self._shown.update(scene, rows, count)
        length_m = _length_m(scene.metres[rows])
        is_long = not length_m < self.rule.min_queue_m
        # The mean stays a little under what it tends to: half a vehicle is none.
        is_high = count > self.rule.min_vehicles - 0.5 and is_long
        is_low = count < self.rule.end_share * self.rule.min_vehicles
        if not self._state.update(is_high, is_low, time_s) or not rows.size:
            return []
        return [self._event(scene, rows, length_m, max(round(count), rows.size), time_s)]

    def _slow(self, scene: Scene) -> NDArray[np.bool_]:
        pace = np.linalg.norm(scene.velocity, axis=1)
        slow = pace <= self.rule.max_speed
        is_measured = np.isfinite(scene.speed_mps)
        return np.asarray(np.where(is_measured, scene.speed_mps <= self.rule.max_speed_mps, slow))

    def _event(
        self, scene: Scene, rows: NDArray[np.intp], length_m: float, count: int, time_s: float
    ) -> VideoEvent:
        self.counts["congestions"] += 1
        speeds = scene.speed_mps[rows]
        is_measured = bool(np.isfinite(speeds).any())
        speed = float(np.nanmean(speeds)) if is_measured else None
        why = (
            f"{count} vehicles stand or creep in zone '{self.rule.name}' "
            f"for {self.rule.min_duration_s:.0f} s"
            + (f", {speed:.1f} m/s on average" if speed is not None else "")
            + (f", a queue of {length_m:.0f} m" if math.isfinite(length_m) and length_m > 0 else "")
        )
        return _area_event(scene, rows, VideoEventKind.CONGESTION, self.rule.name, why, count, time_s, speed)


class CrowdWatch:
    """Watches one area for a crowd and for how fast it grows. Used by one thread."""

    def __init__(self, rule: Crowd, ground: Ground | None) -> None:
        """Watch what `rule` names; a density needs a calibrated camera, else people are counted."""
        self.rule = rule
        self.counts = {"crowds": 0, "rises": 0}
        self._polygon = np.array(rule.polygon, dtype=np.float64)
        self._threshold = float(rule.min_persons)
        self.area_m2 = ground.area_m2(self._polygon) if ground is not None else math.nan
        if rule.min_per_m2 > 0 and math.isfinite(self.area_m2):
            self._threshold = max(2.0, rule.min_per_m2 * self.area_m2)
        self._smooth = Smooth()
        self._many = Lasting(rule.min_duration_s)
        self._rising = Lasting(rule.min_duration_s)
        self._shown = _Shown()
        self._history: deque[tuple[float, float]] = deque()

    def due_s(self) -> float | None:
        """Return the film time at which the crowd must be looked at again even when nothing moves."""
        return self._many.due_s()

    def look(self, scene: Scene) -> list[VideoEvent]:
        """Return what began now: a crowd, a fast rise, both or nothing."""
        time_s = scene.time_s
        # In a crowd somebody always stands behind somebody; who was there a moment ago still is.
        there = scene.of((ObjectClass.PERSON,)) | _missed(scene)
        rows = np.flatnonzero(there & contains(self._polygon, scene.feet))
        count = self._smooth.update(float(rows.size), scene.time_s)
        if not self._smooth.is_warm:
            return []
        scene, rows = self._shown.update(scene, rows, count)
        told = max(round(count), rows.size)
        events = []
        is_high, is_low = count > self._threshold - 0.5, count < self.rule.end_share * self._threshold
        if self._many.update(is_high, is_low, time_s) and rows.size:
            self.counts["crowds"] += 1
            events.append(self._event(scene, rows, self._why_many(told), told, time_s))
        rise = self._rise(count, time_s)
        limit = self.rule.rise_per_min
        is_fast = 0 < limit <= rise and count >= self._threshold / 2
        if self._rising.update(is_fast, rise < self.rule.end_share * limit, time_s) and rows.size:
            self.counts["rises"] += 1
            why = self._why_rising(told, rise)
            events.append(self._event(scene, rows, why, told, time_s))
        return events

    def _rise(self, count: float, time_s: float) -> float:
        """Return by how much the count is over its lowest within the last minute."""
        if not self.rule.rise_per_min:
            return 0.0
        while self._history and self._history[0][0] < time_s - RISE_S:
            self._history.popleft()
        if not self._history or time_s - self._history[-1][0] >= 1.0:
            self._history.append((time_s, count))
        return count - min(value for _, value in self._history)

    def _why_many(self, count: int) -> str:
        density = (
            f", {count / self.area_m2:.2f} a square metre"
            if math.isfinite(self.area_m2) and self.area_m2 > 0
            else ""
        )
        return (
            f"{count} persons in zone '{self.rule.name}' for {self.rule.min_duration_s:.0f} s"
            f"{density}, the limit is {self._threshold:.0f}"
        )

    def _why_rising(self, count: int, rise: float) -> str:
        return (
            f"{rise:.0f} persons more in zone '{self.rule.name}' within a minute, now {count}, "
            f"the limit is {self.rule.rise_per_min:.0f} a minute"
        )

    def _event(self, scene: Scene, rows: NDArray[np.intp], why: str, count: int, time_s: float) -> VideoEvent:
        return _area_event(scene, rows, VideoEventKind.CROWD, self.rule.name, why, count, time_s, None)


def _missed(scene: Scene) -> NDArray[np.bool_]:
    """Return which persons were missed in this picture, without those that were found under a new number."""
    missed = scene.about((ObjectClass.PERSON,)) & ~scene.counts
    found = scene.boxes[scene.counts]
    for row in np.flatnonzero(missed):
        missed[row] = not overlap(scene.boxes[row], found).max(initial=0.0) >= SAME_PERSON
    return missed


def _area_event(
    scene: Scene,
    rows: NDArray[np.intp],
    kind: VideoEventKind,
    rule: str,
    why: str,
    count: int,
    time_s: float,
    speed_mps: float | None,
) -> VideoEvent:
    """Return an event of several objects: the box around them, and where their middle is."""
    boxes = scene.boxes[rows]
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    middle = int(rows[np.argmin(np.linalg.norm(scene.feet[rows] - scene.feet[rows].mean(axis=0), axis=1))])
    kinds = np.bincount(scene.classes[rows])
    return VideoEvent(
        kind=kind,
        rule=rule,
        why=why,
        time_s=time_s,
        score=round(float(scene.scores[rows].mean()), 3),
        object_class=scene.class_of(int(rows[np.argmax(scene.classes[rows] == kinds.argmax())])),
        box=(round(float(left), 4), round(float(top), 4), round(float(right), 4), round(float(bottom), 4)),
        ground=scene.place(middle),
        speed_mps=round(speed_mps, 2) if speed_mps is not None else None,
        count=float(count),
    )


def _length_m(metres: Doubles) -> float:
    """Return how long the queue of vehicles at `metres` (n, 2) is, along its main direction; NaN: unknown."""
    known = metres[np.isfinite(metres).all(axis=1)]
    if len(known) < 2:
        return math.nan
    centred = known - known.mean(axis=0)
    main = np.linalg.svd(centred, full_matrices=False)[2][0]
    return float(np.ptp(centred @ main)) + VEHICLE_M
