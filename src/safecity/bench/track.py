"""The tracker on detections that were given: CLEAR-MOT and identity scores, and its time for 20 objects."""

import argparse
import time
from pathlib import Path
from typing import Final

import numpy as np

from safecity.bench.mot import Film, Picture, read_film, score
from safecity.errors import Invalid
from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import Detections
from safecity.video.watching.tracker import Tracker

WORDS = "the tracker: MOTA and IDF1 on given detections, milliseconds at 20 objects"

PERSON: Final = CLASSES.index(ObjectClass.PERSON)
OBJECTS: Final = 20
SIZE_PX: Final = np.array((40.0, 90.0))
UPDATES: Final = 2000
FPS: Final = 25.0
"""Pictures a second of TUD-Stadtmitte."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--data", type=Path, help="folder with gt.txt and det/det.txt in the MOT format")
    parser.add_argument("--fps", type=float, default=FPS, help="pictures a second of that film")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="look at each Nth picture only")
    parser.add_argument(
        "--out", type=Path, help="write what was followed in the MOT format, to score elsewhere"
    )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return mota and idf1 in percent at an overlap of one half, what went wrong, and ms_at_20_objects."""
    if options.every < 1 or not options.fps > 0:
        raise Invalid("--every must be 1 or more and --fps above 0")
    figures: dict[str, float] = {}
    if options.data:
        truth = _thinned(read_film(options.data / "gt.txt"), options.every)
        detections = read_film(options.data / "det" / "det.txt")
        followed = follow(detections, options.fps, range(1, max(detections) + 1, options.every))
        if options.out:
            _write(options.out, followed)
        got = score(truth, followed)
        figures = {
            "mota": round(100 * got.mota, 1),
            "idf1": round(100 * got.idf1, 1),
            "switches": got.switches,
            "fragments": got.fragments,
            "false_positives": got.false_positives,
            "misses": got.misses,
            "objects": got.objects,
        }
    return figures | {"ms_at_20_objects": round(_time_ms(), 4)}


def follow(detections: Film, fps: float, frames: range) -> Film:
    """Return what the tracker makes of given detections of people, with its defaults.

    A track counts from its first picture, though it is certain only from its third: until then its boxes are
    kept back, as an event rule does that reads when a track was first seen.
    """
    tracker = Tracker()
    kept: dict[int, list[tuple[int, np.ndarray, float]]] = {}
    certain: set[int] = set()
    for frame in frames:
        tracks = tracker.update(_people(detections.get(frame)), frame / fps)
        for row in np.flatnonzero(tracks.seen):
            number = int(tracks.ids[row])
            kept.setdefault(number, []).append((frame, tracks.boxes[row], float(tracks.scores[row])))
            if tracks.confirmed[row]:
                certain.add(number)
    return _film({number: boxes for number, boxes in kept.items() if number in certain})


def _film(tracks: dict[int, list[tuple[int, np.ndarray, float]]]) -> Film:
    frames: dict[int, list[tuple[int, np.ndarray, float]]] = {}
    for number, boxes in tracks.items():
        for frame, box, one_score in boxes:
            frames.setdefault(frame, []).append((number, box, one_score))
    return {
        frame: Picture(
            np.array([number for number, _, _ in rows], dtype=np.int64),
            np.array([box for _, box, _ in rows], dtype=np.float32),
            np.array([one_score for _, _, one_score in rows], dtype=np.float32),
        )
        for frame, rows in sorted(frames.items())
    }


def _people(picture: Picture | None) -> Detections:
    if picture is None:
        picture = Picture(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    return Detections(picture.boxes, picture.scores, np.full(len(picture.ids), PERSON, dtype=np.intp))


def _thinned(film: Film, every: int) -> Film:
    return {frame: picture for frame, picture in film.items() if (frame - 1) % every == 0}


def _write(path: Path, film: Film) -> None:
    lines = []
    for frame, picture in film.items():
        for number, box, one_score in zip(*picture, strict=True):
            left, top, right, bottom = (round(float(side), 2) for side in box)
            size = f"{right - left:.2f},{bottom - top:.2f}"
            lines.append(f"{frame},{number},{left},{top},{size},{one_score:.3f},-1,-1,-1\n")
    path.write_text("".join(lines), encoding="ascii")


def _time_ms() -> float:
    """Return the median time of an update with 20 objects that walk, turn back and are sometimes missed."""
    random = np.random.default_rng(112)
    place = random.uniform(0, 1, (OBJECTS, 2)) * (1800, 900)
    speed_px_s = random.normal(0, 60, (OBJECTS, 2))
    tracker = Tracker()
    took_s = []
    for n in range(UPDATES):
        place += speed_px_s / 5
        speed_px_s[(place < 0) | (place > (1800, 900))] *= -1
        corner = place + random.normal(0, 2, place.shape)
        boxes = np.concatenate((corner, corner + SIZE_PX), axis=1).astype(np.float32)
        found = Detections(
            boxes,
            random.uniform(0.36, 0.95, OBJECTS).astype(np.float32),
            np.full(OBJECTS, PERSON, dtype=np.intp),
        )
        begun_s = time.perf_counter()
        tracker.update(found, n / 5)
        took_s.append(time.perf_counter() - begun_s)
    return float(np.median(took_s)) * 1000
