"""Camera health: does the camera still see what it was put up to see?

Four ways to lose sight, each against a slow memory of the healthy picture: covered (its texture is gone and
with it its large forms), defocused (only the fine texture is gone), moved (the edges are elsewhere), frozen
(not even noise changes). People and vehicles change some cells, dusk changes all of them slowly; both must
pass.
"""

import math
from collections import deque
from typing import Final

import msgspec
import numpy as np

from safecity.model.video_rule import CameraHealth, VideoEventKind
from safecity.video.event import VideoEvent
from safecity.video.rules.small import FINE_WIDTH, Luma, Small, blocks, edges, likeness, shift_of

STEP_S: Final = 1.0
"""Between two pictures that are judged."""
LONGEST_STEP_S: Final = 5.0
"""A camera whose pictures come more slowly than this is judged later, not sooner."""
MEMORY_S: Final = 60.0
"""Time constant of the healthy picture: faster than dusk, slower than a bus."""
LEARN_PICTURES: Final = 4
MIN_TEXTURE: Final = 2.0
"""Grey levels of steepness on average; a flatter healthy picture (fog, a wall) cannot be judged."""
LOST_TEXTURE: Final = 0.35
"""Share of the healthy texture that a covered picture keeps at most."""
NO_TEXTURE: Final = 0.12
DARK_LEVEL: Final = 20.0
"""Share of texture and grey level of a picture that shows nothing, whatever forms still shimmer in it."""
LOST_FORMS: Final = 0.5
"""Likeness of the large forms below which they are gone; a dark or blurred picture keeps them."""
KEPT_FORMS: Final = 0.75
LOST_SHARPNESS: Final = 0.6
"""Share of the healthy ratio of fine to coarse texture that a defocused picture keeps at most."""
LOST_EDGES: Final = 0.55
"""Share of the usual likeness of edges below which they are elsewhere."""
STEADY: Final = 0.5
"""Likeness to the picture before, from which a view stands still; a shaking camera has none."""
LIGHT_LEVELS: Final = 45.0
"""A picture that became so much lighter or darker at once changed its light, and with it its edges."""
MIN_SHIFT: Final = 0.012
"""Share of the picture's width; a smaller shift is the wind."""
NOISE_PICTURES: Final = 20
NOISE_HISTORY: Final = 120
FROZEN_SHARE: Final = 0.15
"""Share of the least noise that the healthy picture had; a frozen one has next to none."""
MIN_NOISE: Final = 0.02
"""Grey levels; a camera that is stiller than this when healthy cannot be judged for freezing."""
RELEARN_S: Final = 60.0
"""A view that differs so long, and is neither moved nor covered, has new light: it is learned anew."""
RELIEF: Final = 2.0
"""A good picture counts so many times as much as a bad one; a lorry that passes changes nothing."""
ADOPT_S: Final = 1800.0
"""What has been wrong for so long is how this camera sees now."""


class Sustained:
    """Says once that most pictures have been bad for long enough, and again only after it was over."""

    def __init__(self, duration_s: float) -> None:
        """Wait for `duration_s` of bad pictures."""
        self._duration_s = duration_s
        self._bad_s = 0.0
        self.is_on = False

    def update(self, is_bad: bool, step_s: float) -> bool:
        """Take a picture, so many seconds after the one before; return whether the state begins with it."""
        self._bad_s += step_s if is_bad else -RELIEF * step_s
        self._bad_s = min(max(self._bad_s, 0.0), self._duration_s)
        if self.is_on:
            self.is_on = self._bad_s > 0.0
            return False
        self.is_on = self._bad_s >= self._duration_s
        return self.is_on


class _Look(msgspec.Struct, frozen=True):
    """What is measured of one picture."""

    luma: Luma
    edges: Luma
    forms: Luma
    texture: float
    sharpness: float
    level: float


class _Healthy:
    """What the camera shows when nothing is wrong with it, forgetting slowly."""

    def __init__(self) -> None:
        """Know nothing."""
        self.seen = 0
        self.edges = np.zeros((0, 0), dtype=np.float32)
        self.forms = self.edges
        self.texture = self.sharpness = self.level = self.alike = 0.0

    def learn(self, now: _Look, step_s: float) -> None:
        """Take in a picture, so many seconds after the one before."""
        self.seen += 1
        gain = max(1.0 / self.seen, 1.0 - math.exp(-step_s / MEMORY_S))
        if self.seen == 1:
            self.edges, self.forms = now.edges.copy(), now.forms.copy()
        alike = likeness(now.edges, self.edges)
        self.edges += gain * (now.edges - self.edges)
        self.forms += gain * (now.forms - self.forms)
        self.texture += gain * (now.texture - self.texture)
        self.sharpness += gain * (now.sharpness - self.sharpness)
        self.level += gain * (now.level - self.level)
        self.alike += gain * (alike - self.alike)


class HealthWatch:
    """Watches the picture of one camera. Used by one thread."""

    pictures_fps = 1 / STEP_S

    def __init__(self, rule: CameraHealth) -> None:
        """Watch what `rule` switches on."""
        self.rule = rule
        self.counts: dict[str, int] = {}
        self._states = {
            VideoEventKind.CAMERA_COVERED: Sustained(rule.covered_s),
            VideoEventKind.CAMERA_DEFOCUSED: Sustained(rule.defocused_s),
            VideoEventKind.CAMERA_MOVED: Sustained(rule.moved_s),
            VideoEventKind.CAMERA_FROZEN: Sustained(rule.frozen_s),
        }
        self._wanted = {
            VideoEventKind.CAMERA_COVERED: rule.covered,
            VideoEventKind.CAMERA_DEFOCUSED: rule.defocused,
            VideoEventKind.CAMERA_MOVED: rule.moved,
            VideoEventKind.CAMERA_FROZEN: rule.frozen,
        }
        self._noise: deque[float] = deque(maxlen=NOISE_HISTORY)
        self._time_s = -math.inf
        self._healthy = _Healthy()
        self._last: _Look | None = None
        self._wrong_s = self._strange_s = 0.0

    def look_at_picture(self, small: Small, time_s: float, *, moving: bool) -> list[VideoEvent]:
        """Return what the camera has lost with this picture."""
        if time_s - self._time_s < STEP_S - 0.05 or not any(self._wanted.values()):
            return []
        step_s, self._time_s = time_s - self._time_s, time_s
        now = _measure(small)
        if self._last is None or self._last.luma.shape != now.luma.shape:
            self._forget()
            self._last = now
            return []
        last, self._last = self._last, now
        noise = float(np.abs(now.luma - last.luma).mean())
        if self._healthy.seen < LEARN_PICTURES or self._healthy.texture < MIN_TEXTURE:
            self._healthy.learn(now, step_s)
            self._noise.append(noise)
            return []
        wrong = self._wrong(now, last, noise, step_s)
        return self._tell(wrong, min(step_s, LONGEST_STEP_S), time_s)

    def change_stream(self) -> None:
        """Learn anew what the camera shows: another stream is as sharp and as noisy as it is."""
        self._forget()
        self._noise.clear()

    def _forget(self) -> None:
        """Begin to learn the healthy picture."""
        self._healthy = _Healthy()
        self._last = None
        self._wrong_s = self._strange_s = 0.0

    def _wrong(self, now: _Look, last: _Look, noise: float, step_s: float) -> dict[VideoEventKind, str]:
        """Return what is wrong with this picture, each with its figures in words."""
        wrong = self._lost_sight(now, last)
        if VideoEventKind.CAMERA_COVERED not in wrong:
            wrong |= self._frozen(noise)
        self._take_in(now, noise, step_s, is_wrong=bool(wrong))
        return wrong

    def _frozen(self, noise: float) -> dict[VideoEventKind, str]:
        least = float(np.percentile(self._noise, 10)) if len(self._noise) >= NOISE_PICTURES else 0.0
        if least < MIN_NOISE or noise >= FROZEN_SHARE * least:
            return {}
        return {
            VideoEventKind.CAMERA_FROZEN: (
                f"nothing changes, not even noise ({noise:.3f} grey levels from picture to picture, "
                f"at least {least:.3f} before)"
            )
        }

    def _take_in(self, now: _Look, noise: float, step_s: float, *, is_wrong: bool) -> None:
        """Learn from a healthy picture; from a strange one only when it has long been so."""
        self._wrong_s = self._wrong_s + step_s if is_wrong else 0.0
        is_strange = likeness(now.edges, self._healthy.edges) < LOST_EDGES * self._healthy.alike
        self._strange_s = self._strange_s + step_s if is_strange and not is_wrong else 0.0
        if self._wrong_s > ADOPT_S or self._strange_s > RELEARN_S:
            self._forget()
        elif not is_wrong:
            self._noise.append(noise)
            if not is_strange:
                self._healthy.learn(now, step_s)

    def _lost_sight(self, now: _Look, last: _Look) -> dict[VideoEventKind, str]:
        healthy = self._healthy
        texture = now.texture / healthy.texture
        forms = likeness(now.forms, healthy.forms)
        is_dark = texture < NO_TEXTURE and now.level < DARK_LEVEL
        if is_dark or (texture < LOST_TEXTURE and forms < LOST_FORMS):
            return {
                VideoEventKind.CAMERA_COVERED: (
                    f"{100 * texture:.0f} % of the usual texture is left, likeness of the forms {forms:.2f}, "
                    f"grey level {now.level:.0f}"
                )
            }
        sharpness = now.sharpness / healthy.sharpness
        if sharpness < LOST_SHARPNESS and forms >= KEPT_FORMS:
            return {
                VideoEventKind.CAMERA_DEFOCUSED: (
                    f"{100 * sharpness:.0f} % of the usual sharpness is left, the forms are the same "
                    f"(likeness {forms:.2f})"
                )
            }
        return self._elsewhere(now, last, texture)

    def _elsewhere(self, now: _Look, last: _Look, texture: float) -> dict[VideoEventKind, str]:
        healthy = self._healthy
        alike = likeness(now.edges, healthy.edges)
        if alike >= LOST_EDGES * healthy.alike or texture < LOST_TEXTURE:
            return {}
        if likeness(now.edges, last.edges) < STEADY or abs(now.level - healthy.level) > LIGHT_LEVELS:
            return {}
        down, right = shift_of(now.edges, healthy.edges)
        share = math.hypot(down, right) / now.luma.shape[1]
        moved = np.roll(healthy.edges, (down, right), axis=(0, 1))
        if share >= MIN_SHIFT and likeness(now.edges, moved) > alike + 0.2:
            how = f"shifted by {100 * share:.0f} % of its width"
        elif alike < LOST_EDGES * healthy.alike / 2:
            how = "shows another view"
        else:
            return {}
        return {
            VideoEventKind.CAMERA_MOVED: (
                f"{how} (likeness of edges {alike:.2f}, usually {healthy.alike:.2f})"
            )
        }

    def _tell(self, wrong: dict[VideoEventKind, str], step_s: float, time_s: float) -> list[VideoEvent]:
        events = []
        for kind, state in self._states.items():
            if state.update(kind in wrong, step_s) and self._wanted[kind]:
                self.counts[kind.value] = self.counts.get(kind.value, 0) + 1
                events.append(_event(kind, wrong[kind], time_s))
        if any(event.kind is VideoEventKind.CAMERA_MOVED for event in events):
            # From here on the new view is the healthy one.
            self._forget()
            self._states[VideoEventKind.CAMERA_MOVED] = Sustained(self.rule.moved_s)
        return events


_WORDS: Final = {
    VideoEventKind.CAMERA_COVERED: "the camera is covered or in the dark",
    VideoEventKind.CAMERA_DEFOCUSED: "the camera is out of focus",
    VideoEventKind.CAMERA_MOVED: "the camera was moved: the picture",
    VideoEventKind.CAMERA_FROZEN: "the camera's picture is frozen",
}
_SCORE: Final = 0.9
"""There is no measure behind a single event; what the rule as a whole is worth is in docs/video-events.md."""


def _event(kind: VideoEventKind, figures: str, time_s: float) -> VideoEvent:
    joint = " " if kind is VideoEventKind.CAMERA_MOVED else ": "
    return VideoEvent(kind=kind, rule="", why=f"{_WORDS[kind]}{joint}{figures}", time_s=time_s, score=_SCORE)


def _measure(small: Small) -> _Look:
    luma, fine = small.luma(), small.luma(FINE_WIDTH)
    steep = edges(luma)
    coarse = float(edges(blocks(luma, 4)).mean())
    return _Look(
        luma=luma,
        edges=steep,
        forms=blocks(luma),
        texture=float(steep.mean()),
        sharpness=float(edges(fine).mean()) / max(coarse, 1e-3),
        level=float(luma.mean()),
    )
