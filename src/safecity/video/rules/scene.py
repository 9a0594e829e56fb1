"""What the rules see: the tracks of one moment in shares of the picture, with their recent ways."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from safecity.model.video_rule import CLASSES, ObjectClass, VideoEventKind
from safecity.video.calibration import Ground
from safecity.video.event import VideoEvent
from safecity.video.rules.shape import Doubles, Flags
from safecity.video.watching.tracker import Tracks

TRAIL: Final = 12
"""Places of a track that are remembered; at five looks a second some two seconds."""
PACE_S: Final = 1.3
"""A speed is over so much of the way at most: walking people sway from step to step."""
MIN_PACE_S: Final = 0.35
"""And over so much at least; shorter, a box that trembles seems fast."""
CUT_OFF: Final = 0.985
"""A box that reaches the bottom edge hides its foot point: it has no place on the ground."""


class Scene(NamedTuple):
    """The objects of one moment, one row each, as shares of the picture.

    heights: foot points in picture heights, across and down, for lengths and angles. counts: confirmed and
    detected in this very picture; hidden: confirmed, and missed in it. travel: farthest from where it was
    first seen, in picture heights. velocity: of the foot point in picture heights a second, NaN while it is
    unknown. metres: east and north of the calibrated points, NaN where the ground is not seen; speed_mps the
    same.
    """

    time_s: float
    aspect: float
    ids: NDArray[np.int64]
    classes: NDArray[np.intp]
    scores: Doubles
    boxes: Doubles
    feet: Doubles
    heights: Doubles
    counts: Flags
    hidden: Flags
    travel: Doubles
    velocity: Doubles
    metres: Doubles
    speed_mps: Doubles
    ground: Ground | None

    def of(self, classes: tuple[ObjectClass, ...]) -> Flags:
        """Return which objects count and are of one of `classes`."""
        return np.asarray(self.counts & self._is(classes))

    def about(self, classes: tuple[ObjectClass, ...]) -> Flags:
        """Return which objects of one of `classes` are there, also those that others hide at the moment."""
        return np.asarray((self.counts | self.hidden) & self._is(classes))

    def _is(self, classes: tuple[ObjectClass, ...]) -> Flags:
        return np.isin(self.classes, [CLASSES.index(kind) for kind in classes])

    def class_of(self, row: int) -> ObjectClass:
        """Return what an object is."""
        return CLASSES[int(self.classes[row])]

    def place(self, row: int) -> tuple[float, float] | None:
        """Return where on the map an object stands, longitude and latitude, None when it isn't known."""
        if self.ground is None or not np.isfinite(self.metres[row]).all():
            return None
        lon, lat = self.ground.lon_lat(self.metres[row][None])[0]
        return round(float(lon), 7), round(float(lat), 7)

    def speed(self, row: int) -> float | None:
        """Return an object's speed in m/s, None when it isn't known."""
        value = float(self.speed_mps[row])
        return round(value, 2) if np.isfinite(value) else None

    def event(
        self, kind: VideoEventKind, rule: str, row: int, why: str, count: float | None = None
    ) -> VideoEvent:
        """Return an event of one object."""
        left, top, right, bottom = (round(float(side), 4) for side in self.boxes[row])
        return VideoEvent(
            kind=kind,
            rule=rule,
            why=why,
            time_s=self.time_s,
            score=round(float(self.scores[row]), 3),
            object_class=self.class_of(row),
            track=int(self.ids[row]),
            box=(left, top, right, bottom),
            ground=self.place(row),
            speed_mps=self.speed(row),
            count=count,
        )


class Trails:
    """The recent ways of a camera's tracks, by which their speeds are known. Used by one thread."""

    def __init__(self, ground: Ground | None) -> None:
        """Remember nothing yet."""
        self._ground = ground
        self._ids = np.zeros(0, dtype=np.int64)
        self._times = np.zeros((0, TRAIL))
        self._feet = np.zeros((0, TRAIL, 2))

    def scene(self, tracks: Tracks, time_s: float, width_px: int, height_px: int) -> Scene:
        """Return what the rules see of `tracks` at `time_s` in a picture of this size."""
        size = np.array([width_px, height_px, width_px, height_px], dtype=np.float64)
        boxes = tracks.boxes / size
        feet = np.stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]), axis=1)
        aspect = width_px / height_px
        self._remember(tracks.ids, feet, tracks.seen, time_s)
        order = np.searchsorted(self._ids, tracks.ids)
        times, trail = self._times[order], self._feet[order]
        metres = np.full_like(feet, np.nan)
        speed_mps = np.full(len(feet), np.nan)
        if self._ground is not None and len(feet):
            metres = np.where(feet[:, 1:] < CUT_OFF, self._ground.metres(feet), np.nan)
            ways = self._ground.metres(trail.reshape(-1, 2)).reshape(trail.shape)
            speed_mps = np.where(feet[:, 1] < CUT_OFF, np.linalg.norm(_velocity(times, ways), axis=1), np.nan)
        return Scene(
            time_s=time_s,
            aspect=aspect,
            ids=tracks.ids,
            classes=tracks.classes,
            scores=tracks.scores.astype(np.float64),
            boxes=boxes,
            feet=feet,
            heights=feet * (aspect, 1.0),
            counts=tracks.confirmed & tracks.seen,
            hidden=tracks.confirmed & ~tracks.seen,
            travel=tracks.travel_px / height_px,
            velocity=_velocity(times, trail * (aspect, 1.0)),
            metres=metres,
            speed_mps=speed_mps,
            ground=self._ground,
        )

    def _remember(self, ids: NDArray[np.int64], feet: Doubles, seen: Flags, time_s: float) -> None:
        order = np.argsort(ids)
        known = np.isin(ids[order], self._ids)
        times = np.full((len(ids), TRAIL), np.nan)
        trail = np.full((len(ids), TRAIL, 2), np.nan)
        before = np.searchsorted(self._ids, ids[order][known])
        times[known], trail[known] = self._times[before], self._feet[before]
        now = seen[order]
        times[now] = np.roll(times[now], -1, axis=1)
        trail[now] = np.roll(trail[now], -1, axis=1)
        times[now, -1] = time_s
        trail[now, -1] = feet[order][now]
        self._ids, self._times, self._feet = ids[order], times, trail


def _velocity(times: Doubles, places: Doubles) -> Doubles:
    """Return the least-squares slope (n, 2) of the latest places (n, TRAIL, 2) over their times."""
    # While nothing moves, looks are farther apart than PACE_S: then the last two make the pace.
    since = np.fmin(times[:, -1:] - PACE_S, times[:, -2:-1])
    use = (times >= since) & np.isfinite(places).all(axis=2)
    weight = use.astype(np.float64)
    count = np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    at = np.where(use, times, 0.0)
    where = np.where(use[:, :, None], places, 0.0)
    lag = np.where(use, times - at.sum(axis=1, keepdims=True) / count, 0.0)
    spread = (lag * lag).sum(axis=1)
    span = np.where(use, times, -np.inf).max(axis=1, initial=-np.inf) - np.where(use, times, np.inf).min(
        axis=1, initial=np.inf
    )
    slope = (lag[:, :, None] * where).sum(axis=1) / np.maximum(spread, 1e-9)[:, None]
    return np.asarray(np.where((span >= MIN_PACE_S)[:, None], slope, np.nan))
