"""A stopped car counts once; queues and crowds begin once and end before they begin again."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rule_parts import CAR, PERSON, SIZE, STEP_S, engine, one, tracks, walk, way
from safecity.model.video_rule import Congestion, Crowd, StoppedVehicle, VideoEventKind
from safecity.video.rules.gathering import Lasting

ALL = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
BIG = {"kind": CAR, "size": (120, 80)}


def stopped(**options):
    return engine(StoppedVehicle(name="lane", polygon=ALL, min_still_s=10.0, **options))


ARRIVES = way((0.1, 0.5), (0.5, 0.5), 10)


def test_a_stopped_car_counts_once():
    rules = stopped()
    (event,) = walk(rules, ARRIVES + one((0.5, 0.5), 500), **BIG)
    assert event.kind is VideoEventKind.STOPPED_VEHICLE
    assert event.why == "car has stood in zone 'lane' for 10 s (score 0.71)"
    assert rules.counts["lane"] == {"stopped": 1}


def test_it_counts_once_though_it_is_lost_and_found_under_other_numbers():
    path = ARRIVES + one((0.5, 0.5), 100)
    for number in range(2, 12):
        path += [[]] * 25 + one((0.503, 0.498), 60, number=number)
    assert len(walk(stopped(), path, **BIG)) == 1


def test_its_time_goes_on_while_nobody_looks():
    rules = stopped()
    assert walk(rules, ARRIVES + one((0.5, 0.5), 10), **BIG) == []
    now_s = 20 * STEP_S
    assert not rules.wants_look(now_s)
    assert rules.wants_look(now_s + 15)
    (event,) = walk(rules, one((0.5, 0.5), 10, number=2), start_s=now_s + 60, **BIG)
    assert event.time_s <= now_s + 61
    assert not rules.wants_look(now_s + 100)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (way((0.1, 0.5), (0.9, 0.5), 100), {}),
        (ARRIVES + one((0.5, 0.5), 40) + way((0.5, 0.5), (0.9, 0.5), 20), {}),
        (one((0.5, 0.5), 200), {"travel": 10.0}),
        (ARRIVES + one((0.5, 0.5), 200), {"confirmed": False}),
        (ARRIVES + one((0.5, 0.5), 200), {"kind": PERSON}),
    ],
    ids=["creeps", "drives on", "stood there", "unconfirmed", "a person"],
)
def test_what_has_not_stopped(path, options):
    assert walk(stopped(), path, **BIG | options) == []


def test_one_that_stood_there_counts_where_it_should():
    assert len(walk(stopped(must_arrive=False), one((0.5, 0.5), 100), **BIG | {"travel": 0.0})) == 1


def test_the_next_car_in_the_same_place_is_another_one():
    drives_off = way((0.5, 0.5), (0.95, 0.5), 10)
    path = ARRIVES + one((0.5, 0.5), 60) + drives_off + [[]] * 3
    again = [[(2, x, y)] for ((_, x, y),) in ARRIVES + one((0.5, 0.5), 60)]
    assert len(walk(stopped(), path + again, **BIG)) == 2


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(-0.012, 0.012), st.floats(-0.008, 0.008)), min_size=80, max_size=80))
def test_a_box_that_trembles_stands(jitter):
    path = ARRIVES + [[(1, 0.5 + x, 0.5 + y)] for x, y in jitter]
    assert len(walk(stopped(), path, **BIG)) == 1


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(5)))
def test_the_order_of_tracks_does_not_matter(order):
    def path(numbers):
        for ((_, x, _),) in ARRIVES + one((0.5, 0.5), 60):
            yield [(n, x, 0.1 + 0.18 * n) for n in numbers]

    assert len(walk(stopped(), path(order), **BIG)) == 5


def test_one_car_after_another_in_the_same_place_has_not_stopped():
    path = []
    for number in range(1, 40):
        path += way((0.35, 0.5), (0.65, 0.5), 6, number=number)
    assert walk(stopped(), path, **BIG) == []


def test_rare_looks_at_a_standing_car_are_enough():
    rules = stopped()
    assert walk(rules, ARRIVES + one((0.5, 0.5), 10), **BIG) == []
    assert len(walk(rules, one((0.5, 0.5), 12), step_s=1.5, start_s=5.0, **BIG)) == 1


def queue(count, x=0.5):
    return [(n, x, 0.05 + 0.9 * n / 20) for n in range(1, count + 1)]


def congestion(**options):
    return engine(Congestion(name="road", polygon=ALL, min_vehicles=5, min_duration_s=10.0, **options))


def test_a_queue_is_told_once_and_again_after_it_dissolved():
    rules = congestion()
    (event,) = walk(rules, [queue(8)] * 200, kind=CAR)
    assert event.kind is VideoEventKind.CONGESTION
    assert event.count == 8
    assert event.why == "8 vehicles stand or creep in zone 'road' for 10 s"
    assert walk(rules, [queue(4)] * 200, start_s=40.2, kind=CAR) == []
    assert walk(rules, [queue(8)] * 200, start_s=80.4, kind=CAR) == [], "four is not yet the end"
    assert walk(rules, [queue(1)] * 100, start_s=120.6, kind=CAR) == []
    assert len(walk(rules, [queue(8)] * 200, start_s=140.8, kind=CAR)) == 1


def test_parked_vehicles_are_no_queue():
    assert walk(congestion(), [queue(8)] * 200, kind=CAR, travel=10.0) == []


def test_one_look_that_misses_all_neither_ends_nor_loses_a_queue_or_a_crowd():
    for make, things, kind in ((congestion, queue(11), CAR), (crowds, crowd(11), PERSON)):
        (first,) = walk(make(), [things] * 100, kind=kind)
        at = round(first.time_s / STEP_S)
        for there in (0, 5):
            (event,) = walk(make(), [things] * at + [things[:there]] + [things] * 100, kind=kind)
            assert event.why.startswith("11 "), event.why
            assert event.count == 11


@pytest.mark.parametrize("step_s", [0.2, 1.5, 4.0, 6.0, 10.0])
def test_rare_looks_at_a_crowd_and_a_queue_are_enough(step_s):
    assert len(walk(crowds(), [crowd(11)] * 90, step_s=step_s)) == 1
    assert len(walk(congestion(), [queue(11)] * 90, step_s=step_s, kind=CAR)) == 1


def test_flowing_traffic_is_no_queue():
    rules = congestion()
    flow = [queue(8, x=0.1 + 0.02 * n) for n in range(40)]
    assert walk(rules, flow, kind=CAR) == []


@pytest.mark.parametrize("options", [{"kind": PERSON}, {"kind": CAR, "confirmed": False}])
def test_who_queues_without_a_vehicle(options):
    assert walk(congestion(), [queue(8)] * 200, **options) == []


def crowd(count):
    return [(n, 0.04 * n, 0.5) for n in range(1, count + 1)]


def crowds(**options):
    return engine(Crowd(name="square", polygon=ALL, min_persons=10, min_duration_s=4.0, **options))


def test_a_crowd_is_told_once_with_its_number():
    (event,) = walk(crowds(), [crowd(12)] * 300)
    assert event.kind is VideoEventKind.CROWD
    assert event.why == "12 persons in zone 'square' for 4 s, the limit is 10"
    assert event.count == 12


def test_a_crowd_that_flickers_about_the_limit_is_told_once():
    flicker = np.random.default_rng(1).integers(8, 13, 600)
    assert len(walk(crowds(), [crowd(int(n)) for n in flicker])) <= 1


def test_too_few_are_no_crowd():
    assert walk(crowds(), [crowd(9)] * 300) == []


def test_a_fast_rise_is_told_before_the_limit():
    rules = crowds(rise_per_min=4.0)
    path = [crowd(min(2 + n // 15, 8)) for n in range(300)]
    (event,) = walk(rules, path)
    assert event.why.endswith("the limit is 4 a minute")
    assert rules.counts["square"] == {"crowds": 0, "rises": 1}


def test_who_was_there_when_the_watch_began_is_no_rise():
    assert walk(crowds(rise_per_min=4.0), [crowd(8)] * 300) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 3.0)), min_size=1, max_size=120))
def test_a_state_begins_once_until_it_has_ended(values):
    state, time_s, begun = Lasting(2.0), 0.0, []
    for value, step_s in values:
        time_s += step_s
        was_on = state.is_on
        if state.update(value >= 10, value < 7, time_s):
            assert not was_on
            begun.append(time_s)
    assert all(b - a >= 2 * 2.0 for a, b in itertools.pairwise(begun))


def test_nothing_there_costs_nothing_and_says_nothing():
    rules = engine(
        Crowd(name="a", polygon=ALL), Congestion(name="b", polygon=ALL), StoppedVehicle(name="c", polygon=ALL)
    )
    assert all(rules.look(tracks(), n * 0.2, *SIZE) == [] for n in range(50))
