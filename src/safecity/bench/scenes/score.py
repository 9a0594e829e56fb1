"""Looking at a clip with a camera's own watch, and comparing what the rules say with what happens."""

from collections.abc import Iterable
from typing import Any

import msgspec

from safecity.bench.scenes.clips import Clip, Truth
from safecity.model.base import Place
from safecity.model.video import CameraSetup
from safecity.model.video_rule import VideoEventKind
from safecity.video.detector import EMPTY, Detections
from safecity.video.event import VideoEvent
from safecity.video.offline import Coded, FilmAnalysis
from safecity.video.watching.sighting import Finder


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


class _Nothing:
    """Finds nothing: for clips on which only rules on the picture itself are drawn."""

    def detect(self, frame: Any) -> Detections:
        return EMPTY


def look(clip: Clip, packets: Iterable[Coded], detector: Finder) -> tuple[list[VideoEvent], float]:
    """Return the events of a clip as a camera's watch tells them, and the clip's length in seconds."""
    setup = CameraSetup(
        id="clip", name=clip.name, place=Place(lon=0.0, lat=0.0), url="file:///clip", rules=clip.rules
    )
    analysis = FilmAnalysis(clip.name, setup, detector if clip.objects else _Nothing())
    length_s = 0.0
    for info, packet in packets:
        length_s = packet.time_s
        analysis.see((info, packet))
    return analysis.events, length_s


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
