"""Object left behind: something new lies still where somebody was, and is neither a person nor a vehicle.

A slow background, and for each cell that differs from it the value it has taken and for how long. People who
pass in front of it interrupt nothing. What the cells show is compared with the background: an object has
edges of its own, a place from which something was taken has lost them, and a shadow keeps the texture below.
"""

import math
from collections import deque
from typing import Final

import msgspec
import numpy as np

from safecity.model.video_rule import ObjectLeft, VideoEventKind
from safecity.video.event import VideoEvent
from safecity.video.rules.scene import Scene
from safecity.video.rules.shape import Doubles, Flags, cells_in, covered
from safecity.video.rules.small import Luma, Small, edges, likeness

STEP_S: Final = 0.45
"""Between two pictures that are used."""
DIFFERENT: Final = 16.0
"""Grey levels from the background; compression noise and swaying grass stay below."""
SAME: Final = 9.0
"""Grey levels within which a cell still shows the same thing."""
HIDDEN_S: Final = 4.0
"""So long may somebody stand in front of it before the cell shows something else."""
LEARN_S: Final = 20.0
"""Time constant of the background, where nothing differs from it."""
FLOOD_SHARE: Final = 0.4
"""A change of so much of the picture is light or the camera itself."""
MIN_CELLS: Final = 5
PART: Final = 0.4
"""Share of its time that a cell must have been still to belong to a thing that lies there."""
EDGE_CELLS: Final = 2
MIN_FILL: Final = 0.35
"""Share of its box that it fills; the outline of a shaken picture does not."""
BEFORE_S: Final = 30.0
AFTER_S: Final = 15.0
"""Somebody must have been there so long before, or after, it came to lie still."""
NEAR: Final = 0.5
"""Share by which the box of somebody is enlarged on each side: arms, and a bag put down beside."""
OCCUPIED_S: Final = 3.0
OCCUPIED: Final = 0.3
"""Share of the object's box that somebody's box covers, by whom it is explained."""
STAYED: Final = 0.25
"""Share of the time that a person or vehicle was found at the place; the detector often overlooks one."""
FRESH_LOOK_S: Final = 15.0
"""How old may the last look for persons and vehicles be when an object is told."""
KEEP_S: Final = 300.0


class _Visitors(msgspec.Struct, frozen=True):
    """Where persons and vehicles were at one moment: boxes (n, 4) as shares of the picture."""

    time_s: float
    boxes: Doubles


class LeftWatch:
    """Watches one area of one camera. Used by one thread."""

    pictures_fps = 2.0

    def __init__(self, rule: ObjectLeft) -> None:
        """Watch what `rule` names."""
        self.rule = rule
        self.counts = {"left": 0}
        self._polygon = np.array(rule.polygon, dtype=np.float64)
        self._visitors: deque[_Visitors] = deque()
        self._looked_s = -math.inf
        self._time_s = -math.inf
        self._due_s: float | None = None
        self._background: Luma | None = None

    def note(self, scene: Scene) -> None:
        """Remember where persons and vehicles are."""
        self._looked_s = scene.time_s
        self._due_s = None
        boxes = scene.boxes[scene.counts]
        if boxes.size and (not self._visitors or scene.time_s - self._visitors[-1].time_s >= STEP_S):
            self._visitors.append(_Visitors(scene.time_s, boxes))
        while self._visitors and self._visitors[0].time_s < scene.time_s - KEEP_S:
            self._visitors.popleft()

    def due_s(self) -> float | None:
        """Return since when something lies there that must be looked at, None when nothing does."""
        return self._due_s

    def look_at_picture(self, small: Small, time_s: float, *, moving: bool) -> list[VideoEvent]:
        """Return the objects that have now lain still for long enough."""
        if time_s - self._time_s < STEP_S:
            return []
        step_s = min(time_s - self._time_s, HIDDEN_S)
        self._time_s = time_s
        luma = small.luma()
        if self._background is None or self._background.shape != luma.shape:
            self._restart(luma)
            return []
        background = self._background
        different = np.abs(luma - background) > DIFFERENT
        if different.mean() > FLOOD_SHARE:
            self._restart(luma)
            return []
        background += np.where(different, 0.0, 1.0 - math.exp(-step_s / LEARN_S)) * (luma - background)
        self._follow(luma, different, step_s)
        # What is hidden now may be gone: it is told when it is seen.
        ripe = (self._still_s >= self.rule.min_still_s) & (self._hidden_s == 0.0)
        if np.count_nonzero(ripe & self._area) < MIN_CELLS:
            return []
        differs = np.abs(self._value - background) > DIFFERENT
        # One thing ripens cell by cell: its edges later, and what somebody hid for a moment.
        return self._judge(ripe & differs, differs & (self._still_s >= PART * self.rule.min_still_s), time_s)

    def _restart(self, luma: Luma) -> None:
        self._background = luma.copy()
        self._value = luma.copy()
        self._still_s = np.zeros_like(luma)
        self._hidden_s = np.zeros_like(luma)
        self._area: Flags = cells_in(self._polygon, *luma.shape)

    def _follow(self, luma: Luma, different: Flags, step_s: float) -> None:
        """Note for each cell which value it has taken, since when, and for how long it is hidden."""
        same = different & (np.abs(luma - self._value) <= SAME)
        self._still_s[same] += np.float32(step_s)
        self._hidden_s = np.where(same, 0.0, self._hidden_s + np.float32(step_s)).astype(np.float32)
        is_new = self._hidden_s >= HIDDEN_S
        # A cell that shows the background again, or something else for long, begins anew.
        begin = is_new | (different & ~same & (self._still_s == 0))
        self._value[begin] = luma[begin]
        self._still_s[begin] = 0.0
        self._hidden_s[begin] = 0.0

    def _judge(self, ripe: Flags, still: Flags, time_s: float) -> list[VideoEvent]:
        """Judge each connected part of the `still` cells that has enough `ripe` ones."""
        from scipy import ndimage

        still = still | ripe
        labels, count = ndimage.label(ndimage.binary_closing(still, iterations=1) | still)
        events = []
        for part in range(1, count + 1):
            cells = labels == part
            is_inside = np.count_nonzero(cells & self._area) * 2 >= np.count_nonzero(cells)
            if is_inside and np.count_nonzero(cells & ripe) >= MIN_CELLS:
                events += self._judge_one(cells, time_s)
        return events

    def _judge_one(self, cells: Flags, time_s: float) -> list[VideoEvent]:
        """Return an event for one still thing, or absorb what is none, or wait."""
        box = _box_of(cells)
        rows, columns = cells.shape
        aspect = columns / rows
        size = max((box[2] - box[0]) * aspect, box[3] - box[1])
        if size < self.rule.min_size or np.count_nonzero(cells) < MIN_CELLS:
            return []
        fill = np.count_nonzero(cells) / max(float((box[2] - box[0]) * (box[3] - box[1])) * cells.size, 1.0)
        still_s = float(np.median(self._still_s[cells]))
        if self._visited_s(box, time_s - still_s) is None:
            return self._absorb(cells)
        if time_s - self._looked_s > FRESH_LOOK_S:
            self._due_s = self._due_s or time_s
            return []
        # Who stands still is waited for: learned as background, the place would seem new once it is left.
        if self._is_occupied(box, time_s, still_s):
            return []
        if size > self.rule.max_size or fill < MIN_FILL or not self._is_object(cells):
            return self._absorb(cells)
        self._absorb(cells)
        self.counts["left"] += 1
        return [self._event(box, still_s, size, time_s)]

    def _is_object(self, cells: Flags) -> bool:
        """Return whether the cells show a thing that came, not one that went, and no shadow."""
        from scipy import ndimage

        background = self._background
        if background is None:
            return False
        ring = ndimage.binary_dilation(cells) & ~ndimage.binary_erosion(cells)
        picture = np.where(cells, self._value, background)
        came, went = float(edges(picture)[ring].mean()), float(edges(background)[ring].mean())
        if came < 1.15 * went:
            return False
        inside = ndimage.binary_erosion(cells)
        is_shadow = (
            np.count_nonzero(inside) >= 4 * MIN_CELLS
            and float(edges(background)[inside].mean()) > 6.0
            and likeness(self._value[inside], background[inside]) > 0.85
        )
        return not is_shadow

    def _visited_s(self, box: Doubles, onset_s: float) -> float | None:
        """Return when somebody was at the place about the time it came to lie there, None when nobody was."""
        for visitors in self._visitors:
            if not onset_s - BEFORE_S <= visitors.time_s <= onset_s + AFTER_S:
                continue
            boxes = visitors.boxes
            reach = (boxes[:, 2:] - boxes[:, :2]) * NEAR
            near = np.concatenate((boxes[:, :2] - reach, boxes[:, 2:] + reach), axis=1)
            if covered(box, near).max(initial=0.0) > 0.0:
                return visitors.time_s
        return None

    def _is_occupied(self, box: Doubles, time_s: float, still_s: float) -> bool:
        """Return whether it is a person or vehicle itself: one is there now, or was for much of the time."""
        there = [v.time_s for v in self._visitors if covered(box, v.boxes).max(initial=0.0) > OCCUPIED]
        is_there_now = any(moment >= min(time_s, self._looked_s) - OCCUPIED_S for moment in there)
        stayed_s = STEP_S * sum(moment >= time_s - still_s for moment in there)
        return is_there_now or stayed_s >= STAYED * still_s

    def _absorb(self, cells: Flags) -> list[VideoEvent]:
        """Make the cells background: they are told, or nothing to tell."""
        from scipy import ndimage

        if self._background is not None:
            # With the cells that it covers in part: they would ripen later, as a second thing.
            whole = ndimage.binary_dilation(cells, iterations=EDGE_CELLS)
            self._background[whole] = self._value[whole]
            self._still_s[whole] = 0.0
        return []

    def _event(self, box: Doubles, still_s: float, size: float, time_s: float) -> VideoEvent:
        left, top, right, bottom = (round(float(side), 4) for side in box)
        return VideoEvent(
            kind=VideoEventKind.OBJECT_LEFT,
            rule=self.rule.name,
            why=(
                f"something lies in zone '{self.rule.name}' for {still_s:.0f} s where somebody was, neither "
                f"person nor vehicle ({size:.2f} picture heights large)"
            ),
            time_s=time_s,
            score=round(min(0.95, 0.5 + still_s / (4 * self.rule.min_still_s)), 3),
            box=(left, top, right, bottom),
            count=1.0,
        )


def _box_of(cells: Flags) -> Doubles:
    """Return left, top, right, bottom of the cells as shares of the picture."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    height, width = cells.shape
    return np.array(
        (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
    )
