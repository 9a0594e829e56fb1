"""What happens is decided by the seed, and has the shape that real calls have."""

from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.model.incident import IncidentType
from safecity.simulator.scenario import Scenario, apart_m, rng_for
from safecity.simulator.signal import SIGNALS, Effect, normal_value
from safecity.simulator.story import Happening, Story
from safecity.simulator.words import LANGUAGES, NOTES, WORDS


def first(scenario: Scenario, count: int) -> list[Happening]:
    return list(islice(Story(scenario, 60.0), count))


def test_the_same_seed_tells_the_same_story(scenario: Scenario) -> None:
    assert first(scenario, 200) == first(scenario, 200)


def test_it_begins_at_once_with_a_fire_that_a_sensor_and_people_see(scenario: Scenario) -> None:
    fire = first(scenario, 1)[0]
    assert fire.type is IncidentType.FIRE_BUILDING
    assert fire.at_s < 5
    assert fire.calls
    assert any(effect.strength == 1.0 for effect in fire.effects)
    assert apart_m(fire.place, scenario.cameras[0].place) < 150


def test_calls_come_as_often_as_configured(scenario: Scenario) -> None:
    happenings = first(scenario, 2000)
    calls = sum(len(happening.calls) for happening in happenings)
    assert 54 < calls / (happenings[-1].at_s / 3600) < 66


def test_time_never_runs_backwards(scenario: Scenario) -> None:
    times = [happening.at_s for happening in first(scenario, 500)]
    assert times == sorted(times)


def test_callers_stand_near_what_they_report(scenario: Scenario) -> None:
    calls = [(h.place, call) for h in first(scenario, 300) for call in h.calls]
    assert all(apart_m(place, call.place) < 80 for place, call in calls)
    assert all(call.words and call.notes for _, call in calls)
    located = [call.caller_place for _, call in calls if call.caller_place]
    within_50_m = sum(place.uncertainty_m <= 50 for place in located) / len(located)
    assert 0.78 < within_50_m < 0.9
    assert 0.9 < len(located) / len(calls) < 0.99
    assert 0.02 < sum(call.patience_s < 10 for _, call in calls) / len(calls) < 0.12


def test_one_fire_is_often_seen_by_two_sensors(scenario: Scenario) -> None:
    seen_by = [len(h.effects) for h in first(scenario, 400) if h.type is IncidentType.FIRE_BUILDING]
    assert min(seen_by) >= 1
    assert sum(count > 1 for count in seen_by) >= 3


def test_sensors_fall_silent_and_come_back(scenario: Scenario) -> None:
    faults = [h for h in first(scenario, 400) if h.type is IncidentType.DEVICE_FAULT]
    assert faults
    assert all(60 < fault.silences[0].duration_s < 300 for fault in faults)


def test_later_moves_everything(scenario: Scenario) -> None:
    fire = first(scenario, 1)[0]
    moved = fire.later(100.0)
    assert moved.at_s == fire.at_s + 100
    assert [e.start_s for e in moved.effects] == pytest.approx([e.start_s + 100 for e in fire.effects])


def test_there_are_words_in_every_language_for_every_type_that_people_report() -> None:
    for type_, by_language in WORDS.items():
        assert set(by_language) == set(LANGUAGES)
        assert all("{place}" in words for spoken in by_language.values() for words in spoken)
        assert NOTES[type_]


@given(since_s=st.floats(-100, 5000), rise_s=st.floats(0.5, 60), hold_s=st.floats(1, 900))
def test_an_effect_stays_within_its_strength_and_ends(since_s: float, rise_s: float, hold_s: float) -> None:
    effect = Effect(source_id="s", start_s=0, rise_s=rise_s, hold_s=hold_s, strength=0.85)
    assert 0.0 <= effect.share(since_s) <= 0.85
    assert effect.share(rise_s + hold_s / 2) == 0.85
    if effect.is_over(since_s):
        assert effect.share(since_s) < 0.01


def test_a_normal_day_raises_no_alarm_and_an_event_does() -> None:
    limits = {"smoke": 12.5, "gas_ch4": 5000, "noise": 110, "pm2_5": 225.5, "temperature": 57}
    limits |= {"radiation": 1.0, "water_level": 2.5}
    rng = rng_for(1, "test")
    for property_, signal in SIGNALS.items():
        day = [datetime(2026, 11, 22, hour, 30, tzinfo=UTC) for hour in range(24)]
        values = [normal_value(signal, moment, 13.26, rng) for moment in day for _ in range(50)]
        assert max(values) < limits[property_]
        assert min(values) + 0.85 * signal.event > limits[property_]
