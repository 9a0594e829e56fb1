"""Looking at a clip as a camera's watch does, and comparing what the rules say with what happens."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from safecity.bench.scenes.clips import Clip, Film, Truth
from safecity.model.base import Place
from safecity.model.video import CameraSetup
from safecity.model.video_rule import VideoEventKind
from safecity.video.detector import Detector
from safecity.video.event import VideoEvent
from safecity.video.rules import RuleEngine
from safecity.video.watching.gate import MotionGate
from safecity.video.watching.tracker import Tracker

HOLD_S: Final = 5.0
"""Objects are looked for so long after the last motion, as a camera's watch does."""


class Tally(msgspec.Struct):
    """Of one kind of event on one clip: how often it happens, was told, and was told rightly."""

    true: int = 0
    told: int = 0
    right: int = 0

    def add(self, other: "Tally") -> None:
        """Add another clip's counts."""
        self.true += other.true
        self.told += other.told
        self.right += other.right

    def figures(self) -> dict[str, float | int | None]:
        """Return the counts with precision and recall, None where there is nothing to divide by."""
        return {
            "true": self.true,
            "told": self.told,
            "right": self.right,
            "precision": round(self.right / self.told, 3) if self.told else None,
            "recall": round(self.right / self.true, 3) if self.true else None,
        }


def look(clip: Clip, film: Film, detector: Detector) -> tuple[list[VideoEvent], float]:
    """Return the events of a clip and its length in seconds."""
    import av

    setup = CameraSetup(
        id="clip", name=clip.name, place=Place(lon=0.0, lat=0.0), url="file:///clip", rules=clip.rules
    )
    engine, gate, tracker = RuleEngine(setup), MotionGate(), Tracker()
    events: list[VideoEvent] = []
    active_until_s = time_s = 0.0
    for time_s, picture in film:
        frame: Any = av.VideoFrame.from_ndarray(picture, format="rgb24")
        is_moving = gate.look(frame, time_s).active
        active_until_s = time_s + HOLD_S if is_moving else active_until_s
        if clip.objects and (time_s <= active_until_s or engine.wants_look(time_s)):
            tracks = tracker.update(detector.detect(frame), time_s)
            events += engine.look(tracks, time_s, frame.width, frame.height)
        events += engine.look_at_picture(frame, time_s, is_moving)
    return events, time_s


def compare(events: Iterable[VideoEvent], truth: Iterable[Truth]) -> dict[VideoEventKind, Tally]:
    """Return the counts of each kind; each event stands for one truth at most, the nearest in time first."""
    tallies: dict[VideoEventKind, Tally] = {}
    told, open_ = list(events), list(truth)
    for event in told:
        tallies.setdefault(event.kind, Tally()).told += 1
    for true in open_:
        tallies.setdefault(true.kind, Tally()).true += 1
    pairs = sorted(
        (abs(event.time_s - true.at_s), i, j)
        for i, event in enumerate(told)
        for j, true in enumerate(open_)
        if _may_be(event, true)
    )
    used_events: set[int] = set()
    used_truths: set[int] = set()
    for _, i, j in pairs:
        if i not in used_events and j not in used_truths:
            used_events.add(i)
            used_truths.add(j)
            tallies[told[i].kind].right += 1
    return tallies


def _may_be(event: VideoEvent, true: Truth) -> bool:
    is_same = event.kind is true.kind and event.rule == true.rule
    return is_same and abs(event.time_s - true.at_s) <= true.within_s and f" {true.way}" in f"{event.why} "
