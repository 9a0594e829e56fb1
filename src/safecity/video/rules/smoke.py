"""Smoke and flame by how pixels change. Experimental: it finds other things too.

Flame: cells of flame's colours that flicker in one place (a flame of a metre puffs about 1.5 times a second:
Cetegen and Ahmed, Combustion and Flame 93, 1993; colours after Chen, Wu and Chiou, ICIP 2004). Smoke: a grey
veil that takes the texture of what is behind it, changes slowly, stays and grows (Toreyin, Dedeoglu and
Cetin, EUSIPCO 2005). Persons and vehicles explain what their boxes cover.
"""

import math
from collections import deque
from typing import Final

import msgspec
import numpy as np

from safecity.model.video_rule import SmokeFlame, VideoEventKind
from safecity.video.event import VideoEvent
from safecity.video.rules.gathering import Lasting
from safecity.video.rules.scene import Scene
from safecity.video.rules.shape import Doubles, Flags, cells_in
from safecity.video.rules.small import Luma, Small, edges

FPS: Final = 5.0
WINDOW: Final = 15
"""Pictures, some three seconds, over which flicker is judged."""
GAP_S: Final = 1.0
"""A longer gap between pictures shows no flicker; the window begins anew."""
RED: Final = 150.0
RED_OVER_BLUE: Final = 60.0
FLAME_SHARE: Final = (0.25, 1.0)
"""In which share of the window a cell of a flame has its colours."""
FLICKER: Final = 10.0
"""Grey levels by which a cell of a flame varies, standard deviation."""
TURNS: Final = 3
"""Times that the flicker crosses its mean within the window; what passes crosses twice."""
FLICKER_SHARE: Final = 0.35
ALIGHT: Final = 0.2
"""Share of its usual size to which a flame shrinks at most; a lamp that flashes goes out altogether."""
WEATHER: Final = 0.5
"""Share of the whole picture that a veil covers which is no smoke any more, but fog or light."""
GREY: Final = 38.0
"""Greatest difference of the colours of smoke."""
VEIL: Final = 8.0
"""Grey levels by which smoke changes what is behind it."""
VEILED_EDGES: Final = 0.75
"""Share of its steepness that a background keeps behind smoke at most."""
MIN_EDGES: Final = 5.0
SLOW: Final = (0.8, 14.0)
"""Grey levels by which a cell of smoke varies: it is neither a wall nor a person."""
BACKGROUND_S: Final = 40.0
MAX_DRIFT: Final = 0.06
"""Picture heights a second by which the middle may drift; what moves faster drives or walks."""
GROWTH: Final = 1.15
STALE_S: Final = 2.0


class _Patch(msgspec.Struct, frozen=True):
    """Where smoke or flame may be: share of the picture, middle and box as shares of the picture."""

    share: float
    middle: tuple[float, float]
    box: tuple[float, float, float, float]
    time_s: float


class SmokeWatch:
    """Watches one area of one camera for smoke and flame. Used by one thread."""

    pictures_fps = FPS

    def __init__(self, rule: SmokeFlame) -> None:
        """Watch what `rule` names."""
        self.rule = rule
        self.counts = {"smoke": 0, "flame": 0}
        self._polygon = np.array(rule.polygon, dtype=np.float64)
        self._boxes: Doubles = np.zeros((0, 4))
        self._boxes_s = -math.inf
        self._time_s = -math.inf
        self._lumas: deque[Luma] = deque(maxlen=WINDOW)
        self._flames: deque[Flags] = deque(maxlen=WINDOW)
        self._greys: deque[Flags] = deque(maxlen=WINDOW)
        self._background: Luma | None = None
        self._states = {kind: Lasting(rule.min_duration_s) for kind in _KINDS}
        self._patches: dict[VideoEventKind, list[_Patch]] = {kind: [] for kind in _KINDS}

    def note(self, scene: Scene) -> None:
        """Remember where persons and vehicles are."""
        self._boxes, self._boxes_s = scene.boxes[scene.counts], scene.time_s

    def look_at_picture(self, small: Small, time_s: float, *, moving: bool) -> list[VideoEvent]:
        """Return smoke or flame that has now lasted long enough."""
        step_s = time_s - self._time_s
        if step_s < 0.6 / FPS:
            return []
        self._time_s = time_s
        luma, colour = small.luma(), small.colour()
        if self._background is None or self._background.shape != luma.shape:
            self._background = luma.copy()
            self._area = cells_in(self._polygon, *luma.shape)
            self._clear()
        if not moving:
            self._background += np.float32(1.0 - math.exp(-step_s / BACKGROUND_S)) * (luma - self._background)
        if step_s > GAP_S:
            self._clear()
        self._add(luma, colour)
        if len(self._lumas) < WINDOW:
            return []
        area = self._area & ~self._explained(luma.shape, time_s)
        series = np.stack(self._lumas)
        found = {
            VideoEventKind.FLAME: self._flame(series) & area,
            VideoEventKind.SMOKE: self._smoke(series) & area,
        }
        return [event for kind, cells in found.items() for event in self._step(kind, cells, time_s)]

    def change_stream(self) -> None:
        """Begin the window and the background anew: the other stream's pixels are others."""
        self._background = None
        self._clear()

    def _clear(self) -> None:
        self._lumas.clear()
        self._flames.clear()
        self._greys.clear()

    def _add(self, luma: Luma, colour: Luma) -> None:
        red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]
        self._lumas.append(luma)
        self._flames.append((red > RED) & (red >= green) & (green > blue) & (red - blue > RED_OVER_BLUE))
        self._greys.append(np.ptp(colour, axis=2) < GREY)

    def _explained(self, shape: tuple[int, ...], time_s: float) -> Flags:
        """Return the cells that lately had a person or vehicle on them."""
        cells = np.zeros(shape[:2], dtype=bool)
        if time_s - self._boxes_s > STALE_S:
            return cells
        size = np.array((shape[1], shape[0], shape[1], shape[0]))
        for left, top, right, bottom in np.rint(self._boxes * size).astype(int):
            cells[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
        return cells

    def _flame(self, series: Luma) -> Flags:
        if not self.rule.flame:
            return np.zeros(series.shape[1:], dtype=bool)
        share = np.stack(self._flames).mean(axis=0)
        above = series > series.mean(axis=0)
        turns = (above[1:] != above[:-1]).sum(axis=0)
        coloured = (share >= FLAME_SHARE[0]) & (share <= FLAME_SHARE[1])
        flickers = (series.std(axis=0) >= FLICKER) & (turns >= TURNS)
        # The core of a large flame burns evenly: it counts where much of the whole flickers.
        is_alive = np.count_nonzero(coloured & flickers) >= FLICKER_SHARE * np.count_nonzero(coloured)
        sizes = np.sort(np.count_nonzero(np.stack(self._flames) & coloured, axis=(1, 2)))
        # The second smallest: one picture may have been hidden or damaged.
        is_alight = sizes[1] >= ALIGHT * np.median(sizes)
        return np.asarray(coloured if is_alive and is_alight else coloured & False)

    def _smoke(self, series: Luma) -> Flags:
        background = self._background
        if not self.rule.smoke or background is None:
            return np.zeros(series.shape[1:], dtype=bool)
        mean, spread = series.mean(axis=0), series.std(axis=0)
        veil = np.abs(mean - background) > VEIL
        if veil.mean() > WEATHER:
            return np.zeros(series.shape[1:], dtype=bool)
        before = edges(background)
        is_dimmed = (edges(mean) < VEILED_EDGES * before) | (before < MIN_EDGES)
        is_slow = (spread >= SLOW[0]) & (spread <= SLOW[1])
        grey = np.stack(self._greys).mean(axis=0) > 0.7
        cells = veil & is_slow & is_dimmed & grey
        # A veil without any texture behind it may be a shadow or a cloud: some must have been dimmed.
        has_dimmed = np.count_nonzero(cells & (before >= MIN_EDGES)) >= 0.15 * np.count_nonzero(cells)
        return np.asarray(cells if has_dimmed else cells & False)

    def _step(self, kind: VideoEventKind, cells: Flags, time_s: float) -> list[VideoEvent]:
        patch = _patch(cells, time_s)
        patches = self._patches[kind]
        is_there = patch is not None and patch.share >= self.rule.min_size and _stays(patches, patch)
        if patch is None or patch.share < self.rule.min_size:
            patches.clear()
        else:
            patches.append(patch)
            del patches[: -int(FPS * (self.rule.min_duration_s + 2))]
        if kind is VideoEventKind.SMOKE:
            is_there = is_there and _has_grown(patches)
        if not self._states[kind].update(is_there, patch is None, time_s) or patch is None:
            return []
        self.counts[kind.value] += 1
        return [self._event(kind, patch)]

    def _event(self, kind: VideoEventKind, patch: _Patch) -> VideoEvent:
        return VideoEvent(
            kind=kind,
            rule=self.rule.name,
            why=(
                f"experimental: {_WORDS[kind]} in zone '{self.rule.name}' "
                f"for {self.rule.min_duration_s:.0f} s, {100 * patch.share:.1f} % of the picture"
            ),
            time_s=patch.time_s,
            score=round(min(0.5, 0.2 + 10 * patch.share), 3),
            box=patch.box,
            experimental=True,
        )


_KINDS: Final = (VideoEventKind.FLAME, VideoEventKind.SMOKE)
_WORDS: Final = {
    VideoEventKind.FLAME: "something of flame's colours flickers",
    VideoEventKind.SMOKE: "a grey veil grows and hides what is behind it",
}


def _patch(cells: Flags, time_s: float) -> _Patch | None:
    """Return the largest connected part of the cells, None when there is none worth a look."""
    from scipy import ndimage

    if np.count_nonzero(cells) < 4:
        return None
    labels, count = ndimage.label(ndimage.binary_closing(cells, iterations=2) | cells)
    sizes = np.bincount(labels[cells], minlength=count + 1)
    sizes[0] = 0
    part = cells & (labels == int(sizes.argmax()))
    y, x = np.nonzero(part)
    rows, columns = cells.shape
    return _Patch(
        share=float(np.count_nonzero(part) / cells.size),
        middle=(float(x.mean() / columns), float(y.mean() / rows)),
        box=(
            round(float(x.min() / columns), 4),
            round(float(y.min() / rows), 4),
            round(float((x.max() + 1) / columns), 4),
            round(float((y.max() + 1) / rows), 4),
        ),
        time_s=time_s,
    )


def _stays(patches: list[_Patch], now: _Patch) -> bool:
    """Return whether the patch has hardly drifted since it was first seen."""
    if not patches:
        return True
    first = patches[0]
    drift = math.hypot(now.middle[0] - first.middle[0], now.middle[1] - first.middle[1])
    return drift <= MAX_DRIFT * max(now.time_s - first.time_s, 1.0)


def _has_grown(patches: list[_Patch]) -> bool:
    """Return whether the latest patches are larger than the first ones."""
    third = max(len(patches) // 3, 1)
    before = float(np.mean([patch.share for patch in patches[:third]]))
    return float(np.mean([patch.share for patch in patches[-third:]])) >= GROWTH * before
