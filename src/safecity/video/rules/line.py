"""Line crossing: something goes over a drawn line, and which way."""

import math
from typing import Final

import msgspec
import numpy as np

from safecity.model.video_rule import Direction, LineCrossing, VideoEventKind
from safecity.video.event import VideoEvent
from safecity.video.rules.scene import Scene
from safecity.video.rules.shape import Doubles

BAND: Final = 0.01
"""Picture heights on each side of the line in which an object is on neither side: feet tremble by half."""
BAND_OF_BOX: Final = 0.06
"""And so much of the object's own height: a near, large object's box trembles more."""


class _Side(msgspec.Struct):
    """Where a track was last clearly on one side of the line, 1 right, -1 left; in picture heights."""

    side: int
    x: float
    y: float
    time_s: float


class LineWatch:
    """Watches one line of one camera. Used by one thread."""

    def __init__(self, line: LineCrossing) -> None:
        """Watch `line`."""
        self.line = line
        self.counts = {Direction.FORWARD.value: 0, Direction.BACKWARD.value: 0}
        self._sides: dict[int, _Side] = {}
        self._last_event_s: float | None = None
        self._untold = 0

    def look(self, scene: Scene) -> list[VideoEvent]:
        """Return the crossings that became certain."""
        rows = np.flatnonzero(scene.of(self.line.classes))
        if self._sides:
            alive = set(scene.ids.tolist())
            self._sides = {track: side for track, side in self._sides.items() if track in alive}
        if not rows.size:
            return []
        scale = np.array((scene.aspect, 1.0))
        start, end = np.array(self.line.start) * scale, np.array(self.line.end) * scale
        along = (end - start) / np.linalg.norm(end - start)
        away = scene.heights[rows] - start
        distance = along[0] * away[:, 1] - along[1] * away[:, 0]
        band = np.maximum(BAND, BAND_OF_BOX * (scene.boxes[rows, 3] - scene.boxes[rows, 1]))
        found = (
            self._step(scene, int(row), int(np.sign(distance[i])), start, end)
            for i, row in enumerate(rows)
            if abs(distance[i]) >= band[i]
        )
        return [event for event in found if event is not None]

    def _step(self, scene: Scene, row: int, side: int, start: Doubles, end: Doubles) -> VideoEvent | None:
        """Take the place of one object that is clearly on a side; return its crossing, if it is one."""
        x, y = (float(value) for value in scene.heights[row])
        before = self._sides.get(int(scene.ids[row]))
        is_through = False
        if before is not None and before.side != side:
            is_through = _meets(np.array((before.x, before.y)), np.array((x, y)), start, end)
            if is_through and scene.travel[row] < self.line.min_travel:
                # It may yet have come far enough: keep where it was.
                return None
        self._sides[int(scene.ids[row])] = _Side(side, x, y, scene.time_s)
        if before is None or before.side == side or not is_through:
            return None
        way = scene.velocity[row]
        if not np.isfinite(way).all():
            way = np.array((x - before.x, y - before.y))
        angle = _angle_deg(way, end - start)
        if angle < self.line.min_angle_deg:
            return None
        return self._crossed(scene, row, Direction.FORWARD if side > 0 else Direction.BACKWARD, angle)

    def _crossed(self, scene: Scene, row: int, direction: Direction, angle_deg: float) -> VideoEvent | None:
        self.counts[direction.value] += 1
        if self.line.direction not in {Direction.BOTH, direction}:
            return None
        self._untold += 1
        since_s = math.inf if self._last_event_s is None else scene.time_s - self._last_event_s
        if since_s < self.line.cool_down_s:
            return None
        self._last_event_s = scene.time_s
        count, self._untold = self._untold, 0
        speed = scene.speed(row)
        why = (
            f"{scene.class_of(row).value} crossed line '{self.line.name}' {direction.value} "
            f"(score {scene.scores[row]:.2f}, at {angle_deg:.0f}° to the line"
            + (f", {speed:.1f} m/s" if speed is not None else "")
            + (f", {count} crossings since the last report)" if count > 1 else ")")
        )
        return scene.event(VideoEventKind.LINE_CROSSING, self.line.name, row, why, float(count))


def _meets(a: Doubles, b: Doubles, start: Doubles, end: Doubles) -> bool:
    """Return whether the way from `a` to `b`, on different sides of a line, goes between its ends."""
    way, line = b - a, end - start
    cross = float(way[0] * line[1] - way[1] * line[0])
    if cross == 0.0:
        return False
    away = a - start
    share = float(way[0] * away[1] - way[1] * away[0]) / cross
    return 0.0 <= share <= 1.0


def _angle_deg(way: Doubles, line: Doubles) -> float:
    """Return the angle between a way and a line, 0 to 90."""
    lengths = float(np.linalg.norm(way) * np.linalg.norm(line))
    if lengths == 0.0:
        return 0.0
    cross = abs(float(way[0] * line[1] - way[1] * line[0]))
    return math.degrees(math.asin(min(1.0, cross / lengths)))
