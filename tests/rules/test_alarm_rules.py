"""Alarm rules: what is read, what is refused and with which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.errors import Invalid
from safecity.model.base import Priority
from safecity.model.incident import IncidentType
from safecity.model.observation import Unit
from safecity.model.video_rule import VideoEventKind
from safecity.rules.alarm_rules import (
    BUILT_IN,
    CallRule,
    ThresholdRule,
    Verdict,
    load_alarm_rules,
    parse_alarm_rules,
)

TEXT = BUILT_IN.read_text(encoding="utf-8")
RULES = load_alarm_rules()
MIRRORED = parse_alarm_rules(TEXT.replace("above = 5000\nclear = 4000", "below = -5000\nclear = -4000", 1))


def test_every_rule_says_what_to_do_why_and_from_where() -> None:
    for rule in RULES.all:
        assert rule.action.endswith(".")
        assert rule.priority_reason.endswith(".")
        assert rule.origin.endswith(".")
        assert 0 < rule.response_time_s <= 3600
        assert rule.agencies


def test_every_incident_type_has_a_call_rule() -> None:
    assert {RULES.call(type_.value).type for type_ in IncidentType} == set(IncidentType)


def test_every_video_event_has_a_rule_that_does_not_flood() -> None:
    for kind in VideoEventKind:
        rule = RULES.video(kind.value)
        assert rule is not None, kind
        assert rule.quiet_s >= 60


@pytest.mark.parametrize("kind", [VideoEventKind.SMOKE, VideoEventKind.FLAME])
def test_what_is_experimental_says_so_and_wakes_nobody(kind: VideoEventKind) -> None:
    rule = RULES.video(kind.value)
    assert rule is not None
    assert rule.priority is Priority.INFO
    assert rule.name.startswith("Experimental")
    assert "xperimental" in rule.priority_reason


def test_a_call_of_an_unknown_type_is_still_somebodys_work() -> None:
    assert RULES.call("meteorite").type is IncidentType.OTHER


def test_thresholds_are_found_by_property_and_unit() -> None:
    assert [rule.id for rule in RULES.thresholds("gas_ch4", Unit.PPM)] == ["methane_10_lel", "methane_20_lel"]
    assert RULES.thresholds("gas_ch4", Unit.PERCENT) == ()
    assert set(RULES.expects("smoke")) == {Unit.PERCENT, Unit.DECIBEL}
    assert RULES.expects("humidity") == ()


@pytest.mark.parametrize(
    ("found", "replaced", "words"),
    [
        ("clear = 4000", "clear = 6000", ["'methane_10_lel'", "'clear'", "chatters"]),
        ("priority = 2", "priority = 9", ["'methane_10_lel'", "'priority'"]),
        ("clear = 4000", "claer = 4000", ["'methane_10_lel'", "'claer'"]),
        ('kind = "threshold"', 'kind = "treshold"', ["'methane_10_lel'", "'kind'", "'treshold'"]),
        ('agencies = ["fire", "city"]', "agencies = []", ["'methane_10_lel'", "'agencies'"]),
        ('agencies = ["fire", "city"]', 'agencies = ["fire", "fire"]', ["'methane_10_lel'", "twice"]),
        ('unit = "[ppm]"', 'unit = "ppm"', ["'methane_10_lel'", "'unit'", "'ppm'"]),
        ("for_s = 0", "for_s = -1", ["'methane_10_lel'", "'for_s'"]),
        ("above = 5000", "above = inf", ["'methane_10_lel'", "finite"]),
        ("above = 5000", "above = 5000\nbelow = 1", ["'methane_10_lel'", "either 'above' or 'below'"]),
        ('id = "methane_10_lel"\n', "", ["number 1", "'id'"]),
        ('id = "smoke_db"', 'id = "smoke"', ["'smoke'", "once"]),
        ('id = "call_noise"\nkind = "call"', 'id = "call_noise"\nkind = "calls"', ["'call_noise'", "'kind'"]),
        ('type = "crime"', 'type = "medical"', ["'medical'", "once"]),
        ('[[rule]]\nid = "methane_10', '[[rules]]\nid = "methane_10', ["'rules'"]),
        ('kind = "silence"', 'kind = "camera"', ["'sensor_silent'"]),
        ('[[rule]]\nid = "methane_10', '[[rule]\nid = "methane_10', ["TOML"]),
    ],
)
def test_a_wrong_rule_is_refused_by_name_and_key(found: str, replaced: str, words: list[str]) -> None:
    assert found in TEXT
    with pytest.raises(Invalid) as refusal:
        parse_alarm_rules(TEXT.replace(found, replaced, 1))
    for word in words:
        assert word in str(refusal.value)


def test_rules_without_one_for_other_calls_are_refused() -> None:
    only = TEXT[: TEXT.index('[[rule]]\nid = "call_other"')]
    with pytest.raises(Invalid, match="'other'"):
        parse_alarm_rules(only)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(Invalid, match=r"nowhere\.toml"):
        load_alarm_rules(BUILT_IN.with_name("nowhere.toml"))


@given(value=st.floats(allow_nan=False))
def test_a_threshold_has_three_answers_in_order(value: float) -> None:
    rule = RULES.by_id["methane_10_lel"]
    assert isinstance(rule, ThresholdRule)
    expected = Verdict.BEYOND if value > 5000 else Verdict.CALM if value <= 4000 else Verdict.BETWEEN
    assert rule.verdict(value) is expected


@given(value=st.floats(allow_nan=False))
def test_below_is_the_mirror_of_above(value: float) -> None:
    mirrored, rule = MIRRORED.by_id["methane_10_lel"], RULES.by_id["methane_10_lel"]
    assert isinstance(mirrored, ThresholdRule)
    assert isinstance(rule, ThresholdRule)
    assert mirrored.verdict(-value) is rule.verdict(value)


def test_call_rules_are_one_for_each_type() -> None:
    calls = [rule for rule in RULES.all if isinstance(rule, CallRule)]
    assert len({rule.type for rule in calls}) == len(calls)
