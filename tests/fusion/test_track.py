"""One property of one source: hysteresis, duration, late and repeated values."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fusion_parts import RULES, START, reading
from safecity.fusion.episode import Phase
from safecity.fusion.track import LATENESS_S, Arrival, Track
from safecity.model.observation import Observation, Unit
from safecity.rules.alarm_rules import ThresholdRule

METHANE = RULES.thresholds("gas_ch4", Unit.PPM)
SMOKE = RULES.thresholds("smoke", Unit.PERCENT)
VALUES = st.sampled_from([3.0, 3999.0, 4500.0, 5000.0, 5001.0, 9000.0, 12_000.0])
SMOKE_VALUES = st.sampled_from([0.2, 6.0, 9.0, 12.5, 13.0, 40.0])


def raised_ids(track: Track, observations: list[Observation]) -> list[tuple[str, str]]:
    """Return (rule id, observation id) of every alarm, in the order in which they come."""
    return [
        (rule.id, found.id)
        for observation in observations
        for rule, found in track.take(observation.value or 0.0, observation)[1]
    ]


@given(values=st.lists(VALUES, max_size=60))
def test_hysteresis_never_chatters(values: list[float]) -> None:
    track = Track(METHANE)
    raised: dict[str, list[int]] = {}
    for index, value in enumerate(values):
        for rule, _ in track.take(value, reading(value, index))[1]:
            raised.setdefault(rule.id, []).append(index)
    for rule in METHANE:
        for first, second in pairwise(raised.get(rule.id, [])):
            assert any(value <= rule.clear for value in values[first:second])


@given(values=st.lists(SMOKE_VALUES, max_size=60), step_s=st.sampled_from([1, 2, 5, 10, 15]))
def test_an_alarm_needs_its_whole_duration_without_a_break(values: list[float], step_s: int) -> None:
    track, rule = Track(SMOKE), SMOKE[0]
    for index, value in enumerate(values):
        if track.take(value, reading(value, index * step_s))[1]:
            span = math.ceil(rule.for_s / step_s)
            assert index >= span
            assert all(earlier > rule.limit for earlier in values[index - span : index + 1])


@given(data=st.data(), values=st.lists(SMOKE_VALUES, min_size=2, max_size=12))
def test_any_order_within_the_bound_leaves_the_same_state(data: st.DataObject, values: list[float]) -> None:
    in_order = [reading(value, 2 * index, received_s=100) for index, value in enumerate(values)]
    assert 2 * len(values) < LATENESS_S
    shuffled = data.draw(st.permutations(in_order))
    straight, mixed = Track(SMOKE), Track(SMOKE)
    expected = raised_ids(straight, in_order)
    found = raised_ids(mixed, shuffled)
    assert mixed.episodes() == straight.episodes()
    assert len(found) >= len(expected)


@given(data=st.data(), values=st.lists(VALUES, min_size=1, max_size=12))
def test_values_of_one_moment_may_come_in_any_order(data: st.DataObject, values: list[float]) -> None:
    before = [reading(9000.0, 0), reading(3.0, 1)]
    moment = [reading(value, 2) for value in values]
    shuffled = data.draw(st.permutations(moment))
    first, second = Track(METHANE), Track(METHANE)
    one, other = raised_ids(first, before + moment), raised_ids(second, [*before, *shuffled])
    assert first.episodes() == second.episodes()
    assert set(one) == set(other)


@given(data=st.data(), values=st.lists(VALUES, min_size=1, max_size=50))
def test_a_redelivery_changes_nothing(data: st.DataObject, values: list[float]) -> None:
    track = Track(METHANE)
    observations = [reading(value, 3 * index) for index, value in enumerate(values)]
    raised_ids(track, observations)
    state = track.episodes()
    again = data.draw(st.lists(st.sampled_from(observations), max_size=20))
    assert raised_ids(track, again) == []
    assert track.episodes() == state


def test_a_late_value_raises_the_alarm_that_the_true_order_demands() -> None:
    track = Track(METHANE)
    high, low = reading(9000.0, 10, received_s=14), reading(3.0, 12)
    assert raised_ids(track, [low]) == []
    assert raised_ids(track, [high]) == [("methane_10_lel", high.id)]
    assert track.episodes()["methane_10_lel"].phase is Phase.CALM


def test_a_late_calm_value_splits_an_episode_and_the_second_half_is_raised_on_its_own_value() -> None:
    track = Track(METHANE)
    first, second = reading(9000.0, 10), reading(9001.0, 14)
    assert raised_ids(track, [first, second]) == [("methane_10_lel", first.id)]
    assert raised_ids(track, [reading(3.0, 12, received_s=15)]) == [("methane_10_lel", second.id)]


def test_a_value_older_than_the_bound_does_not_move_the_state() -> None:
    track = Track(METHANE)
    raised_ids(track, [reading(3.0, at_s) for at_s in range(0, 100, 10)])
    assert track.take(9000.0, reading(9000.0, 20, received_s=100)) == (Arrival.TOO_LATE, [])
    assert track.episodes()["methane_10_lel"].phase is Phase.CALM


def test_a_clock_that_was_set_back_is_believed_after_three_values() -> None:
    track = Track(METHANE)
    raised_ids(track, [reading(3.0, at_s) for at_s in range(3600, 3700, 10)])
    back = [reading(9000.0, at_s, received_s=3700 + at_s) for at_s in range(0, 40, 10)]
    assert raised_ids(track, back) == [("methane_10_lel", back[2].id)]


def test_two_rules_on_one_property_raise_each_for_itself() -> None:
    track = Track(METHANE)
    values = [3.0, 6000.0, 11_000.0, 6000.0, 11_000.0, 3.0, 11_000.0]
    found = raised_ids(track, [reading(value, index) for index, value in enumerate(values)])
    assert [rule_id for rule_id, _ in found] == [
        "methane_10_lel",
        "methane_20_lel",
        "methane_20_lel",
        "methane_10_lel",
        "methane_20_lel",
    ]


def test_a_restored_episode_is_not_ended_by_what_came_before_it() -> None:
    track = Track(METHANE)
    track.restore("methane_10_lel", (START.timestamp()) + 10)
    assert raised_ids(track, [reading(3.0, 5), reading(9000.0, 10), reading(9000.0, 20)]) == []
    assert track.episodes()["methane_10_lel"].phase is Phase.RAISED
    assert raised_ids(track, [reading(3.0, 30), reading(9000.0, 40)]) != []


def test_a_closed_incident_lets_what_lasts_raise_again_once() -> None:
    track = Track(METHANE)
    raised_ids(track, [reading(9000.0, 0)])
    track.raise_again("methane_10_lel", START.timestamp() + 100)
    again = [reading(9000.0, at_s) for at_s in range(10, 200, 10)]
    assert raised_ids(track, again) == [("methane_10_lel", again[9].id)]


def test_a_closed_incident_is_forgotten_when_the_value_is_calm_again() -> None:
    track = Track(METHANE)
    raised_ids(track, [reading(9000.0, 0)])
    track.raise_again("methane_10_lel", START.timestamp() + 100)
    later = [reading(3.0, 10), reading(9000.0, 20), reading(9000.0, 200)]
    assert raised_ids(track, later) == [("methane_10_lel", later[1].id)]


def test_what_is_below_is_judged_with_the_worse_of_one_moment() -> None:
    rule = METHANE[0]
    assert isinstance(rule, ThresholdRule)
    frost = replace(rule, above=None, below=-25.0, clear=-20.0)
    for pair in ([-30.0, 0.0], [0.0, -30.0]):
        track = Track((frost,))
        raised_ids(track, [reading(value, 5) for value in pair])
        assert track.episodes()[frost.id].phase is Phase.RAISED
