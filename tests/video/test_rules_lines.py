"""Lines and ways: who crosses n times is told n times, who trembles, walks along or passes by is not."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rule_parts import CAR, SIZE, engine, one, permuted, tracks, walk, way
from safecity.model.video_rule import Direction, LineCrossing, ObjectClass, VideoEventKind, WrongWay

LINE = {"name": "gate", "start": (0.3, 0.5), "end": (0.7, 0.5)}
UP, DOWN = (0.5, 0.35), (0.5, 0.65)


def line(**options):
    return engine(LineCrossing(**{**LINE, "cool_down_s": 0.0} | options))


def test_a_crossing_is_told_once_with_its_way_and_angle():
    (event,) = walk(line(), way(UP, DOWN, 20))
    assert event.kind is VideoEventKind.LINE_CROSSING
    assert event.why == "person crossed line 'gate' forward (score 0.71, at 90° to the line)"
    (event,) = walk(line(), way(DOWN, UP, 20))
    assert "backward" in event.why


def test_forward_is_from_the_left_hand_to_the_right_hand():
    """Somebody who looks up along a line has its left side at smaller x."""
    upwards = engine(LineCrossing(name="l", start=(0.5, 0.9), end=(0.5, 0.1), direction=Direction.FORWARD))
    assert len(walk(upwards, way((0.3, 0.5), (0.7, 0.5), 20))) == 1
    assert walk(upwards, way((0.7, 0.5), (0.3, 0.5), 20), start_s=100) == []
    assert upwards.counts["l"] == {"forward": 1, "backward": 1}


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 8), st.integers(6, 25), st.floats(0.05, 0.3))
def test_who_crosses_n_times_is_told_n_times(times, pictures, reach):
    above, below = (0.5, 0.5 - reach), (0.5, 0.5 + reach)
    path = []
    for n in range(times):
        path += way(above, below, pictures) if n % 2 == 0 else way(below, above, pictures)
    rules = line(min_travel=0.02)
    events = walk(rules, path)
    assert len(events) == times
    assert [("forward" in event.why) for event in events] == [n % 2 == 0 for n in range(times)]
    assert rules.counts["gate"] == {"forward": math.ceil(times / 2), "backward": times // 2}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-0.0095, 0.0095), min_size=10, max_size=60))
def test_trembling_on_the_line_is_no_crossing(jitter):
    assert walk(line(min_travel=0.0), [[(1, 0.5, 0.5 + y)] for y in jitter]) == []


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-0.004, 0.004), min_size=40, max_size=40))
def test_jitter_on_the_way_changes_nothing(jitter):
    path = [[(1, x, y + error)] for ((_, x, y),), error in zip(way(UP, DOWN, 40), jitter, strict=True)]
    assert len(walk(line(), path)) == 1


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (way((0.1, 0.3), (0.1, 0.7), 20), {}),
        (way((0.75, 0.3), (0.75, 0.7), 20), {}),
        (way((0.31, 0.485), (0.69, 0.515), 40), {}),
        (way(UP, (0.5, 0.49), 20), {}),
        (way(UP, DOWN, 20), {"kind": CAR}),
        (way(UP, DOWN, 20), {"confirmed": False}),
        (way(UP, DOWN, 20), {"travel": 20.0}),
        (way(UP, DOWN, 20), {"seen": False}),
    ],
    ids=["beside", "past the end", "along", "up to", "class", "unconfirmed", "hardly moved", "ghost"],
)
def test_what_is_no_crossing(path, options):
    assert walk(line(classes=(ObjectClass.PERSON,)), path, **options) == []


def test_the_other_way_is_counted_and_not_told():
    rules = line(direction=Direction.BACKWARD)
    assert walk(rules, way(UP, DOWN, 20)) == []
    assert rules.counts["gate"] == {"forward": 1, "backward": 0}


def test_a_group_is_told_once_and_counted():
    rules = line(cool_down_s=10.0)
    group = [[(n, 0.32 + 0.03 * n, y) for n in range(1, 11)] for ((_, _, y),) in way(UP, DOWN, 20)]
    (event,) = walk(rules, group)
    assert event.count == 1
    (later,) = walk(rules, way(DOWN, UP, 20, number=77), start_s=60)
    assert later.count == 10
    assert rules.counts["gate"] == {"forward": 10, "backward": 1}


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(6)))
def test_the_order_of_tracks_does_not_matter(order):
    rules, other = line(), line()
    for n, ((_, _, y),) in enumerate(way(UP, DOWN, 20)):
        found = tracks(*((k, 0.35 + 0.05 * k, y + 0.02 * k) for k in range(6)))
        a = rules.look(found, n * 0.2, *SIZE)
        b = other.look(permuted(found, order), n * 0.2, *SIZE)
        assert sorted(event.track for event in a) == sorted(event.track for event in b)
    assert rules.counts == other.counts == {"gate": {"forward": 6, "backward": 0}}


def one_way(**options):
    return engine(WrongWay(name="ramp", polygon=((0, 0), (1, 0), (1, 1), (0, 1)), heading_deg=0.0, **options))


def test_against_the_allowed_way_is_told_once():
    (event,) = walk(one_way(), way((0.5, 0.2), (0.5, 0.9), 30), kind=CAR)
    assert event.kind is VideoEventKind.WRONG_WAY
    assert event.why.startswith("car moved 180° off the allowed way in zone 'ramp' over 0.1")
    assert event.time_s < 2.0


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (way((0.5, 0.9), (0.5, 0.2), 30), {}),
        (way((0.1, 0.5), (0.9, 0.5), 30), {}),
        (one((0.5, 0.5), 50), {}),
        (
            way((0.5, 0.9), (0.5, 0.4), 20)
            + way((0.5, 0.4), (0.5, 0.48), 10)
            + way((0.5, 0.48), (0.5, 0.2), 20),
            {},
        ),
        (way((0.5, 0.2), (0.5, 0.9), 30), {"confirmed": False}),
        (way((0.5, 0.2), (0.5, 0.9), 30), {"kind": 0}),
    ],
    ids=["the allowed way", "across", "stands", "makes room", "unconfirmed", "a person"],
)
def test_what_is_no_wrong_way(path, options):
    assert walk(one_way(), path, **{"kind": CAR} | options) == []


def test_who_turns_round_goes_the_wrong_way():
    (event,) = walk(one_way(), way((0.5, 0.9), (0.5, 0.4), 20) + way((0.5, 0.4), (0.5, 0.9), 20), kind=CAR)
    assert event.time_s > 4.0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)), min_size=20, max_size=60))
def test_a_trembling_parked_car_goes_nowhere(jitter):
    assert walk(one_way(), [[(1, 0.5 + x, 0.5 + y)] for x, y in jitter], kind=CAR) == []
