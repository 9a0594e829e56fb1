"""The event table compares fairly: one event for one truth, the right rule, way and time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from safecity.bench.scenes import reference, variants
from safecity.bench.scenes.clips import Clip, Picture, Truth, annotated
from safecity.bench.scenes.score import Tally, compare, look
from safecity.model.video_rule import LineCrossing, VideoEventKind, ZoneIntrusion
from safecity.video.event import VideoEvent

LINE = VideoEventKind.LINE_CROSSING


def told(at_s: float, way: str = "forward", rule: str = "gate") -> VideoEvent:
    return VideoEvent(
        kind=LINE, rule=rule, why=f"car crossed line '{rule}' {way} (0.7)", time_s=at_s, score=0.7
    )


def true(at_s: float, way: str = "forward", rule: str = "gate") -> Truth:
    return Truth(kind=LINE, rule=rule, at_s=at_s, way=way)


def test_one_event_stands_for_one_truth() -> None:
    tally = compare([told(1.0), told(1.2), told(9.0)], [true(1.1), true(8.0), true(30.0)])[LINE]
    assert tally == Tally(true=3, told=3, right=2)
    assert tally.figures() == {"true": 3, "told": 3, "right": 2, "precision": 0.667, "recall": 0.667}


def test_another_way_another_rule_and_another_time_are_wrong() -> None:
    events = [told(1.0, way="backward"), told(10.0, rule="other"), told(22.0)]
    assert compare(events, [true(1.0), true(10.0), true(20.0)])[LINE].right == 0


def test_nothing_told_and_nothing_true_have_no_share() -> None:
    assert Tally(true=1).figures()["precision"] is None
    assert Tally(told=1).figures()["recall"] is None


def walk(x: float, ys: list[float]) -> reference.Boxes:
    return {1: [(n / 10, x, y) for n, y in enumerate(ys)]}


def test_the_plain_meaning_of_a_crossing_and_an_entry() -> None:
    down_and_up = [0.3 + n / 100 for n in range(40)] + [0.7 - n / 100 for n in range(40)]
    line = LineCrossing(name="l", start=(0.2, 0.5), end=(0.8, 0.5))
    assert [found.way for found in reference.crossings(walk(0.5, down_and_up), line)] == [
        "forward",
        "backward",
    ]
    assert reference.crossings(walk(0.9, down_and_up), line) == []
    zone = ZoneIntrusion(name="z", polygon=((0.0, 0.6), (1.0, 0.6), (1.0, 1.0), (0.0, 1.0)))
    (entry,) = reference.entries(walk(0.5, down_and_up), zone)
    assert 3.8 <= entry.at_s <= 4.0


def test_a_clip_is_watched_as_a_camera_is() -> None:
    """A cap before the lens is told through encoder, decoder, gate and rules of the cameras."""
    noise = np.random.default_rng(3)
    view = np.kron(noise.integers(40, 200, (18, 32)), np.ones((10, 10)))[..., None]

    def film() -> Iterator[tuple[float, Picture]]:
        for n in range(60):
            seen = view + noise.normal(0, 4, view.shape) if n < 30 else np.zeros_like(view)
            yield n / 2, np.repeat(np.clip(seen, 0, 255), 3, axis=2).astype(np.uint8)

    clip = Clip(name="capped", film="made", rules=(), truth=(), objects=False)
    events, length_s = look(clip, variants.coded(film()), None)  # type: ignore[arg-type]
    assert [event.kind for event in events] == [VideoEventKind.CAMERA_COVERED]
    assert 15 + 7 <= events[0].time_s <= 26
    assert length_s == 29.5


def test_every_annotated_event_names_a_rule_of_its_clip() -> None:
    for clip in [*annotated(), *variants.synthetic()]:
        names = {rule.name for rule in clip.rules} | {""}
        assert {truth.rule for truth in clip.truth} <= names, clip.name
        assert Path(clip.film).name == clip.film
