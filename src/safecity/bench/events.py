"""Benchmark: precision and recall of every event type on named clips, real and synthetic ones apart."""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safecity.bench.scenes.clips import Clip, annotated, pictures
from safecity.bench.scenes.reference import pedestrians
from safecity.bench.scenes.score import Tally, compare, look
from safecity.bench.scenes.variants import PEOPLE, coded, synthetic
from safecity.model.video_rule import VideoEventKind
from safecity.simulator.camera_data import film_path
from safecity.video.detector import Detector
from safecity.video.event import VideoEvent
from safecity.video.offline import Film

WORDS = "precision and recall of each event type on named clips"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say where the films and the annotated boxes are; clips whose film is absent are left out."""
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/videos"), help="folder of the films"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=Path("../shared/data/mot/PETS09-S2L1-cem.txt"),
        help="boxes of the pedestrian film, MOT Challenge form",
    )
    parser.add_argument("--only", default="", help="only clips whose name holds these letters")
    parser.add_argument("--told", action="store_true", help="print each event and each truth, too")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return counts, precision and recall for each kind of event, on real and on synthetic clips."""
    detector = Detector(threads=1)
    parts: dict[str, dict[VideoEventKind, Tally]] = {"real": {}, "synthetic": {}}
    film_s = {"real": 0.0, "synthetic": 0.0}
    failed: list[str] = []
    looked = []
    for clip in _clips(options):
        path = film_path() if clip.film == PEOPLE else options.data / clip.film
        if not path.exists() or options.only not in clip.name:
            continue
        part = "synthetic" if clip.change else "real"
        started_s = time.monotonic()
        events, length_s = _look(path, clip, detector)
        tallies = compare(events, clip.truth)
        if options.told:
            _tell(clip, events)
        for kind, tally in tallies.items():
            parts[part].setdefault(kind, Tally()).add(tally)
            if tally.right < max(tally.told, tally.true):
                failed.append(
                    f"{clip.name}: {kind}, {tally.true} true, {tally.told} told, {tally.right} right"
                )
        film_s[part] += length_s
        looked.append(clip.name)
        print(f"{clip.name}: {length_s:.0f} s in {time.monotonic() - started_s:.0f} s", file=sys.stderr)
    return {
        "clips": len(looked),
        **{f"{part}_film_s": round(seconds) for part, seconds in film_s.items()},
        **{
            part: {kind.value: tallies[kind].figures() for kind in VideoEventKind if kind in tallies}
            for part, tallies in parts.items()
        },
        "failed": failed,
    }


def _look(path: Path, clip: Clip, detector: Detector) -> tuple[list[VideoEvent], float]:
    """Return the events of a clip and its length: of the film as it is, or of its changed pictures."""
    if clip.change is not None:
        return look(clip, coded(clip.change(pictures(path, clip))), detector)
    with Film(path) as film:
        return look(clip, film.packets(), detector)


def _clips(options: argparse.Namespace) -> list[Clip]:
    people = [pedestrians(options.reference, PEOPLE)] if options.reference.exists() else []
    return [*people, *annotated(), *synthetic()]


def _tell(clip: Clip, events: Iterable[Any]) -> None:
    for true in clip.truth:
        print(f"  true {true.at_s:6.1f} s {true.kind} {true.rule} {true.way}")
    for event in events:
        print(f"  told {event.time_s:6.1f} s {event.kind} {event.rule}: {event.why}")
