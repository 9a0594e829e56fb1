"""Who enters a zone is told once, with the reason; borders, crowds, posters and ghosts are not."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon

from rule_parts import CAR, SIZE, engine, one, tracks, walk
from safecity.model.video_rule import VideoEventKind, ZoneIntrusion
from safecity.video.rules.shape import cells_in, contains
from safecity.video.rules.zone import LEAVE_S

SQUARE = ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6))
IN, OUT = (0.5, 0.5), (0.2, 0.5)


def zone(**options):
    return engine(ZoneIntrusion(name="z", polygon=SQUARE, **options))


def test_an_entry_is_told_once_with_its_reason():
    (event,) = walk(zone(), one(OUT, 5) + one(IN, 50))
    assert event.kind is VideoEventKind.ZONE_INTRUSION
    assert event.rule == "z"
    assert event.why == "person entered zone 'z' (score 0.71, 0.8 s inside)"
    assert event.time_s == pytest.approx(1.8)
    assert event.box == (0.48, 0.42, 0.52, 0.5)
    assert (event.track, event.count, event.ground, event.experimental) == (1, 1.0, None, False)


def test_passing_through_quickly_is_no_entry():
    assert walk(zone(), one(OUT, 5) + one(IN, 3) + one(OUT, 5)) == []


def test_trembling_on_the_border_is_one_entry():
    path = (one((0.41, 0.5), 3) + one((0.39, 0.5), 2)) * 20
    assert len(walk(zone(cool_down_s=0.0), path)) == 1


def test_leaving_and_coming_back_is_another_entry():
    away = round(LEAVE_S / 0.2) + 2
    rules = zone(cool_down_s=0.0)
    assert len(walk(rules, one(IN, 10) + one(OUT, away) + one(IN, 10))) == 2
    assert rules.counts["z"] == {"entries": 2}


def test_a_crowd_is_one_item_and_the_rest_is_counted():
    rules = zone(cool_down_s=20.0)
    crowd = [[(number, 0.42 + number * 0.015, 0.5) for number in range(1, 11)]] * 20
    assert len(walk(rules, crowd)) == 1
    assert rules.counts["z"] == {"entries": 10}
    (event,) = walk(rules, one(IN, 20, number=99), start_s=60.0)
    assert event.count == 10
    assert event.why.endswith("10 entered since the last report)")


@pytest.mark.parametrize(
    "options",
    [{"kind": CAR}, {"confirmed": False}, {"travel": 5.0}, {"seen": False}],
    ids=["class", "unconfirmed", "poster", "ghost"],
)
def test_what_does_not_count(options):
    assert walk(zone(), one(OUT, 5) + one(IN, 50), **options) == []


def test_one_sighting_however_long_ago_is_no_dwell():
    assert walk(zone(min_dwell_s=0.0), one(IN, 1)) == []


def test_the_foot_point_decides_not_the_head():
    assert walk(zone(), one((0.5, 0.65), 50)) == []


steps = st.lists(st.tuples(st.booleans(), st.floats(0.05, 1.0)), min_size=1, max_size=80)


@settings(deadline=None, max_examples=40)
@given(steps)
def test_no_track_is_told_more_often_than_it_left_and_never_within_the_cool_down(path):
    rules = zone(cool_down_s=5.0)
    time_s, events, absences = 0.0, [], 1
    for is_inside, step_s in path:
        time_s += step_s
        events += rules.look(tracks((1, *(IN if is_inside else OUT))), time_s, *SIZE)
        absences += not is_inside
    assert len(events) <= absences
    times = [event.time_s for event in events]
    assert all(b - a >= 5.0 for a, b in itertools.pairwise(times))


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


def test_cells_of_an_area_are_those_with_their_middle_in_it():
    cells = cells_in(np.array([(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]), 4, 8)
    assert cells[:, :4].all()
    assert not cells[:, 4:].any()
