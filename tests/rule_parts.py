"""Tracks made to measure, and the walk of a rule through them."""

from collections.abc import Iterable, Sequence

import numpy as np

from safecity.model.base import Place
from safecity.model.video import Calibration, CameraSetup
from safecity.model.video_rule import CLASSES, ObjectClass, VideoRule
from safecity.video.event import VideoEvent
from safecity.video.rules import RuleEngine
from safecity.video.watching.tracker import Tracks

SIZE = (1000, 1000)
"""Width and height of the picture in pixels: square, so that shares are picture heights."""
STEP_S = 0.2
PERSON, CAR = CLASSES.index(ObjectClass.PERSON), CLASSES.index(ObjectClass.CAR)

Thing = tuple[int, float, float]
"""A track's number, and where its foot point is, as shares of the picture."""


def tracks(
    *objects: Thing,
    kind: int = PERSON,
    confirmed: bool = True,
    seen: bool = True,
    travel: float = 200,
    size: tuple[float, float] = (40, 80),
) -> Tracks:
    """Return the tracks of objects of one kind; `travel` and `size` (width, height) in pixels."""
    count = len(objects)
    feet = np.array([(x * SIZE[0], y * SIZE[1]) for _, x, y in objects], dtype=np.float32).reshape(-1, 2)
    half = np.array((size[0] / 2, 0.0))
    boxes = np.concatenate((feet - half - np.array((0.0, size[1])), feet + half), axis=1)
    return Tracks(
        ids=np.array([number for number, _, _ in objects], dtype=np.int64),
        boxes=boxes.astype(np.float32),
        classes=np.full(count, kind, dtype=np.intp),
        scores=np.full(count, 0.71, dtype=np.float32),
        confirmed=np.full(count, confirmed),
        seen=np.full(count, seen),
        travel_px=np.full(count, travel, dtype=np.float32),
        first_seen_s=np.zeros(count),
    )


def permuted(found: Tracks, order: Sequence[int]) -> Tracks:
    """Return the same tracks in another order."""
    return Tracks(*(column[list(order)] for column in found))


def setup(*rules: VideoRule, calibration: Calibration | None = None) -> CameraSetup:
    """Return a camera with these rules."""
    return CameraSetup(
        id="cam",
        name="Camera",
        place=Place(lon=13.0, lat=53.0),
        url="rtsp://camera/1",
        rules=rules,
        calibration=calibration,
    )


def engine(*rules: VideoRule, calibration: Calibration | None = None) -> RuleEngine:
    """Return an engine for a camera with these rules."""
    return RuleEngine(setup(*rules, calibration=calibration))


def walk(
    rules: RuleEngine,
    path: Iterable[Sequence[Thing]],
    step_s: float = STEP_S,
    start_s: float = 0.0,
    **options,
) -> list[VideoEvent]:
    """Return the events of a walk; `path` holds the objects of each picture."""
    return [
        event
        for n, objects in enumerate(path)
        for event in rules.look(tracks(*objects, **options), start_s + n * step_s, *SIZE)
    ]


def one(place: tuple[float, float], count: int, number: int = 1) -> list[list[Thing]]:
    """Return `count` pictures with one object at `place`."""
    return [[(number, *place)]] * count


def way(
    start: tuple[float, float], end: tuple[float, float], count: int, number: int = 1
) -> list[list[Thing]]:
    """Return `count` pictures with one object that goes straight from `start` to `end`."""
    return [[(number, *place)] for place in np.linspace(start, end, count).tolist()]
