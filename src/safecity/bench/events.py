"""Benchmark: precision and recall of every event type on named clips, real and synthetic ones apart."""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
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
    parser.add_argument(
        "--jobs", type=int, default=2, help="clips looked at side by side; the figures don't depend on it"
    )
    parser.add_argument("--told", action="store_true", help="print each event and each truth, too")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return counts, precision and recall for each kind of event, on real and on synthetic clips."""
    clips = _clips(options.reference)
    numbers = [n for n, clip in enumerate(clips) if _path(clip, options.data).exists()]
    numbers = [n for n in numbers if options.only in clips[n].name]
    parts: dict[str, dict[VideoEventKind, Tally]] = {"real": {}, "synthetic": {}}
    film_s = {"real": 0.0, "synthetic": 0.0}
    failed: list[str] = []
    for number, (events, length_s) in zip(numbers, _looked(options, numbers), strict=True):
        clip = clips[number]
        part = "synthetic" if clip.change else "real"
        film_s[part] += length_s
        if options.told:
            _tell(clip, events)
        for kind, tally in compare(events, clip.truth).items():
            parts[part].setdefault(kind, Tally()).add(tally)
            if tally.right < max(tally.told, tally.true):
                failed.append(
                    f"{clip.name}: {kind}, {tally.true} true, {tally.told} told, {tally.right} right"
                )
    return {
        "clips": len(numbers),
        **{f"{part}_film_s": round(seconds) for part, seconds in film_s.items()},
        **{
            part: {kind.value: tallies[kind].figures() for kind in VideoEventKind if kind in tallies}
            for part, tallies in parts.items()
        },
        "failed": failed,
    }


def _looked(options: argparse.Namespace, numbers: list[int]) -> Iterator[tuple[list[VideoEvent], float]]:
    """Yield the events and the length of each clip, in order."""
    paths = [(options.data, options.reference)] * len(numbers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        yield from pool.map(_look, paths, numbers)


@cache
def _detector() -> Detector:
    """Return this process's detector."""
    return Detector(threads=1)


def _look(paths: tuple[Path, Path], number: int) -> tuple[list[VideoEvent], float]:
    """Return the events of a clip and its length: of the film as it is, or of its changed pictures."""
    data, reference = paths
    clip = _clips(reference)[number]
    path, started_s = _path(clip, data), time.monotonic()
    if clip.change is not None:
        events, length_s = look(clip, coded(clip.change(pictures(path, clip))), _detector())
    else:
        with Film(path) as film:
            events, length_s = look(clip, film.packets(), _detector())
    print(f"{clip.name}: {length_s:.0f} s in {time.monotonic() - started_s:.0f} s", file=sys.stderr)
    return events, length_s


def _path(clip: Clip, data: Path) -> Path:
    return film_path() if clip.film == PEOPLE else data / clip.film


def _clips(reference: Path) -> list[Clip]:
    people = [pedestrians(reference, PEOPLE)] if reference.exists() else []
    return [*people, *annotated(), *synthetic()]


def _tell(clip: Clip, events: Iterable[Any]) -> None:
    for true in clip.truth:
        print(f"  true {true.at_s:6.1f} s {true.kind} {true.rule} {true.way}")
    for event in events:
        print(f"  told {event.time_s:6.1f} s {event.kind} {event.rule}: {event.why}")
