"""The detector on the demo film: what it finds of what a published tracker saw, and what a picture costs."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

import safecity.simulator
from safecity.bench.mot import Film, read_film
from safecity.config import DetectorFamily, VideoSection
from safecity.errors import Invalid
from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import Detections, Detector, iou, make_detector

WORDS = "the detector on the demo film: recall, precision and milliseconds a picture"

CONFIDENCE: Final = 0.45
"""Score from which a detection counts without tracking."""
MIN_IOU: Final = 0.5
FILM: Final = Path(safecity.simulator.__file__).parent / "data" / "pedestrians.mp4"
WARM_UP: Final = 3
"""Inferences before the time counts; the first ones allocate."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--reference", type=Path, help="boxes of the film in the MOT Challenge's format")
    parser.add_argument("--film", type=Path, default=FILM, help="another film; default: the demo's")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="look at each Nth picture only")
    parser.add_argument("--threads", type=int, default=1, help="of the processor, for one picture")
    parser.add_argument(
        "--model", default="", help="another network beside the shipped one: .onnx, .xml, .toml"
    )
    parser.add_argument(
        "--family", type=DetectorFamily, default=DetectorFamily.YOLOX, help="of --model, if it is no .toml"
    )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return recall and precision at an overlap of MIN_IOU, ms_per_frame; of --model too, as compared_..."""
    if options.every < 1 or options.threads < 1:
        raise Invalid("--every and --threads must be 1 or more")
    reference = read_film(options.reference) if options.reference else None
    scored = {"": _Scored(_detector(options, ""), reference)}
    if options.model:
        scored["compared_"] = _Scored(_detector(options, options.model), reference)
    for number, frame in _frames(options.film, options.every):
        # Side by side on each picture: what else the machine does then disturbs both alike.
        for one in scored.values():
            one.look(number, frame)
    figures: dict[str, float] = {}
    for prefix, one in scored.items():
        figures |= {prefix + name: value for name, value in one.figures().items()}
    return figures


def _detector(options: argparse.Namespace, model: str) -> Detector:
    settings = VideoSection(
        detector_model=model,
        detector_family=options.family,
        detector_confidence=CONFIDENCE,
        detector_threads=options.threads,
    )
    return make_detector(settings)


def _frames(film: Path, every: int) -> Iterator[tuple[int, Any]]:
    """Yield the numbers, from 1, and the pictures of a film."""
    import av

    try:
        container = av.open(str(film))
    except (OSError, av.error.FFmpegError) as error:
        raise Invalid(f"{film} is no film that can be read") from error
    with container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every == 0:
                yield index + 1, frame


class _Scored:
    """One detector, what it found and how long it took."""

    def __init__(self, detector: Detector, reference: Film | None) -> None:
        self._detector = detector
        self._reference = reference
        self._looks_ms: list[float] = []
        self._processor_ms: list[float] = []
        self._hits = self._found = self._wanted = 0

    def look(self, number: int, frame: Any) -> None:
        """Find the people in picture `number` and compare them."""
        if not self._looks_ms:
            for _ in range(WARM_UP):
                self._detector.detect(frame)
        begun, worked = time.perf_counter(), time.process_time()
        found = self._detector.detect(frame)
        self._looks_ms.append((time.perf_counter() - begun) * 1000)
        self._processor_ms.append((time.process_time() - worked) * 1000)
        if self._reference is not None:
            self._compare(number, found, self._reference)

    def _compare(self, number: int, found: Detections, reference: Film) -> None:
        people = found.boxes[found.classes == CLASSES.index(ObjectClass.PERSON)]
        self._found += len(people)
        if number in reference:
            known = reference[number].boxes
            self._wanted += len(known)
            overlap = iou(people, known)
            overlap[overlap < MIN_IOU] = 0
            self._hits += int(np.count_nonzero(overlap[linear_sum_assignment(overlap, maximize=True)]))

    def figures(self) -> dict[str, float]:
        """Return the figures, rounded."""
        if not self._looks_ms:
            raise Invalid("the film has no picture")
        figures = {
            "frames": float(len(self._looks_ms)),
            "ms_per_frame": round(float(np.median(self._looks_ms)), 2),
            "processor_ms_per_frame": round(float(np.median(self._processor_ms)), 2),
        }
        if self._reference is not None:
            figures["recall"] = round(self._hits / max(self._wanted, 1), 4)
            figures["precision"] = round(self._hits / max(self._found, 1), 4)
        return figures
