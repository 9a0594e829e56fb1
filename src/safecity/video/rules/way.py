"""Wrong way: something moves against the only direction that is allowed."""

from typing import Final

import msgspec
import numpy as np

from safecity.model.video_rule import VideoEventKind, WrongWay
from safecity.video.event import VideoEvent
from safecity.video.rules.scene import Scene
from safecity.video.rules.shape import contains, heading_deg, turn_deg

MIN_SIGHTINGS: Final = 4
"""Pictures in which it must have been inside: a track that jumps from one car to another goes back once."""


class _Drive(msgspec.Struct):
    """One track in the area: where it was farthest along the allowed way, and whether it has counted."""

    progress: float
    x: float
    y: float
    sightings: int = 1
    counted: bool = False


class WayWatch:
    """Watches one area of one camera. Used by one thread."""

    def __init__(self, rule: WrongWay) -> None:
        """Watch what `rule` names."""
        self.rule = rule
        self.counts = {"wrong": 0}
        self._polygon = np.array(rule.polygon, dtype=np.float64)
        turn = np.radians(rule.heading_deg)
        self._allowed = np.array((np.sin(turn), -np.cos(turn)))
        self._drives: dict[int, _Drive] = {}
        self._last_event_s: float | None = None
        self._untold = 0

    def look(self, scene: Scene) -> list[VideoEvent]:
        """Return who became certain to go the wrong way."""
        if self._drives:
            alive = set(scene.ids.tolist())
            self._drives = {track: drive for track, drive in self._drives.items() if track in alive}
        inside = scene.of(self.rule.classes) & contains(self._polygon, scene.feet)
        progress = scene.heights @ self._allowed
        found = (self._step(scene, int(row), float(progress[row])) for row in np.flatnonzero(inside))
        return [event for event in found if event is not None]

    def _step(self, scene: Scene, row: int, progress: float) -> VideoEvent | None:
        x, y = (float(value) for value in scene.heights[row])
        drive = self._drives.get(int(scene.ids[row]))
        if drive is None or (progress >= drive.progress and not drive.counted):
            sightings = drive.sightings + 1 if drive else 1
            self._drives[int(scene.ids[row])] = _Drive(progress, x, y, sightings)
            return None
        drive.sightings += 1
        way = np.array([(x - drive.x, y - drive.y)])
        length = float(np.linalg.norm(way))
        if drive.counted or drive.sightings < MIN_SIGHTINGS or length < self.rule.min_travel:
            return None
        heading = float(heading_deg(way)[0])
        off_deg = float(turn_deg(np.array([heading]), self.rule.heading_deg)[0])
        velocity = scene.velocity[row][None]
        # It must still go that way: a car that made room backwards and drives on is none.
        is_going = np.isfinite(velocity).all() and (
            turn_deg(heading_deg(velocity), self.rule.heading_deg)[0] > self.rule.tolerance_deg
        )
        if off_deg <= self.rule.tolerance_deg or not is_going:
            return None
        drive.counted = True
        return self._told(scene, row, length, off_deg)

    def _told(self, scene: Scene, row: int, length: float, off_deg: float) -> VideoEvent | None:
        self.counts["wrong"] += 1
        self._untold += 1
        if self._last_event_s is not None and scene.time_s - self._last_event_s < self.rule.cool_down_s:
            return None
        self._last_event_s = scene.time_s
        count, self._untold = self._untold, 0
        speed = scene.speed(row)
        why = (
            f"{scene.class_of(row).value} moved {off_deg:.0f}° off the allowed way "
            f"in zone '{self.rule.name}' over {length:.2f} picture heights (score {scene.scores[row]:.2f}"
            + (f", {speed:.1f} m/s)" if speed is not None else ")")
        )
        return scene.event(VideoEventKind.WRONG_WAY, self.rule.name, row, why, float(count))
