"""Who enters a zone is told once, with the reason; borders, crowds, posters and ghosts are not."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon

from safecity.model.video_rule import CLASSES, ObjectClass, ZoneIntrusion
from safecity.video.rules import LEAVE_S, Intrusion, ZoneRule, contains
from safecity.video.tracker import Tracks

SQUARE = ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6))
SIZE = (1000, 1000)
PERSON, CAR = CLASSES.index(ObjectClass.PERSON), CLASSES.index(ObjectClass.CAR)


def tracks(
    *objects: tuple[int, float, float], kind: int = PERSON, confirmed: bool = True, travel: float = 200
):
    """Return tracks of (number, foot x, foot y), the latter as shares of the picture."""
    count = len(objects)
    feet = np.array([(x * SIZE[0], y * SIZE[1]) for _, x, y in objects], dtype=np.float32).reshape(-1, 2)
    return Tracks(
        ids=np.array([number for number, _, _ in objects], dtype=np.int64),
        boxes=np.concatenate((feet - np.array((20, 80)), feet + np.array((20, 0))), axis=1).astype(
            np.float32
        ),
        classes=np.full(count, kind, dtype=np.intp),
        scores=np.full(count, 0.71, dtype=np.float32),
        confirmed=np.full(count, confirmed),
        seen=np.ones(count, dtype=bool),
        travel_px=np.full(count, travel, dtype=np.float32),
        first_seen_s=np.zeros(count),
    )


def walk(rule: ZoneRule, path, step_s: float = 0.2, start_s: float = 0.0, **options) -> list[Intrusion]:
    """Return the events of a walk; `path` holds the objects of each picture."""
    return [
        event
        for n, objects in enumerate(path)
        for event in rule.update(tracks(*objects, **options), start_s + n * step_s, *SIZE)
    ]


IN, OUT = (0.5, 0.5), (0.2, 0.5)


def one(place: tuple[float, float], count: int, number: int = 1):
    return [[(number, *place)]] * count


def test_an_entry_is_told_once_with_its_reason():
    rule = ZoneRule(ZoneIntrusion(name="tracks", polygon=SQUARE))
    events = walk(rule, one(OUT, 5) + one(IN, 50))
    assert len(events) == 1
    assert events[0].why == "person entered zone 'tracks' (score 0.71, 0.8 s inside)"
    assert events[0].time_s == pytest.approx(1.8)
    assert events[0].box == (0.48, 0.42, 0.52, 0.5)


def test_passing_through_quickly_is_no_entry():
    rule = ZoneRule(ZoneIntrusion(name="z", polygon=SQUARE, min_dwell_s=0.8))
    assert walk(rule, one(OUT, 5) + one(IN, 3) + one(OUT, 5)) == []


def test_trembling_on_the_border_is_one_entry():
    rule = ZoneRule(ZoneIntrusion(name="z", polygon=SQUARE, cool_down_s=0.0))
    assert len(walk(rule, (one((0.41, 0.5), 3) + one((0.39, 0.5), 2)) * 20)) == 1


def test_leaving_and_coming_back_is_another_entry():
    rule = ZoneRule(ZoneIntrusion(name="z", polygon=SQUARE, cool_down_s=0.0))
    away = round(LEAVE_S / 0.2) + 2
    assert len(walk(rule, one(IN, 10) + one(OUT, away) + one(IN, 10))) == 2
    assert rule.suppressed == 0


def test_a_crowd_is_one_item_and_the_rest_is_counted():
    rule = ZoneRule(ZoneIntrusion(name="z", polygon=SQUARE, cool_down_s=20.0))
    crowd = [[(number, 0.42 + number * 0.015, 0.5) for number in range(1, 11)]] * 20
    assert len(walk(rule, crowd)) == 1
    assert rule.suppressed == 9
    assert len(walk(rule, one(IN, 20, number=99), start_s=60.0)) == 1


@pytest.mark.parametrize(
    "options", [{"kind": CAR}, {"confirmed": False}, {"travel": 5.0}], ids=["class", "unconfirmed", "poster"]
)
def test_what_does_not_count(options):
    rule = ZoneRule(ZoneIntrusion(name="z", polygon=SQUARE))
    assert walk(rule, one(OUT, 5) + one(IN, 50), **options) == []


def test_one_sighting_however_long_ago_is_no_dwell():
    rule = ZoneRule(ZoneIntrusion(name="z", polygon=SQUARE, min_dwell_s=0.0))
    assert walk(rule, one(IN, 1)) == []


def test_the_foot_point_decides_not_the_head():
    rule = ZoneRule(ZoneIntrusion(name="z", polygon=SQUARE))
    assert walk(rule, one((0.5, 0.65), 50)) == []


steps = st.lists(st.tuples(st.booleans(), st.floats(0.05, 1.0)), min_size=1, max_size=80)


@settings(max_examples=40)
@given(steps)
def test_no_track_is_told_more_often_than_it_left_and_never_within_the_cool_down(path):
    rule = ZoneRule(ZoneIntrusion(name="z", polygon=SQUARE, cool_down_s=5.0))
    time_s, events, absences, out_s = 0.0, [], 1, 0.0
    for is_inside, step_s in path:
        time_s += step_s
        events += rule.update(tracks((1, *(IN if is_inside else OUT))), time_s, *SIZE)
        out_s = 0.0 if is_inside else out_s + step_s
        absences += not is_inside
    assert len(events) <= absences
    times = [event.time_s for event in events]
    assert all(b - a >= 5.0 for a, b in itertools.pairwise(times))
    assert all(event.inside_s >= 0.8 - 1e-9 for event in events)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=8, unique=True),
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), min_size=1, max_size=20),
)
def test_contains_agrees_with_shapely(corners, points):
    area = Polygon(corners)
    if not area.is_valid or area.area == 0:
        return
    inside = contains(np.array(corners, dtype=np.float64), np.array(points, dtype=np.float64))
    for point, is_inside in zip(points, inside, strict=True):
        if area.boundary.distance(Point(point)) > 1e-6:
            assert bool(is_inside) == area.contains(Point(point))
