"""No alarm twice, and no source more than its share."""

from fusion_parts import RULES, an_alarm, call, north, reading
from safecity.fusion import admission
from safecity.fusion.admission import Dedupe, RateGuard
from safecity.fusion.finding import Finding, of_observation
from safecity.fusion.origin import Origin
from safecity.model.base import Priority

GUARD = RULES.flapping
FLAPPING = "source_flapping"
METHANE = "methane_10_lel"


def finding(at_s: float, rule_id: str = METHANE) -> Finding:
    return of_observation(RULES.by_id[rule_id], reading(9000.0, at_s), Origin("gas-1", "Gas 1", north(0)))


def admitted(guard: RateGuard, *findings: Finding) -> list[str]:
    return [passed.rule.id for one in findings for passed in guard.admit(one)]


def test_an_alarm_id_passes_once() -> None:
    dedupe = Dedupe()
    dedupe.learn(["old"])
    assert [dedupe.admit(id_) for id_ in ("new", "new", "old")] == [True, False, False]


def test_the_memory_of_ids_is_bounded() -> None:
    dedupe = Dedupe()
    dedupe.learn(f"id-{n}" for n in range(admission.REMEMBERED + 1))
    assert dedupe.admit("id-0")
    assert not dedupe.admit(f"id-{admission.REMEMBERED}")


def test_a_flapping_source_is_held_and_said_once() -> None:
    guard = RateGuard(GUARD)
    passed = admitted(guard, *(finding(20 * n) for n in range(12)))
    assert passed == [METHANE] * GUARD.alarms + [FLAPPING]
    assert guard.held_total == 12 - GUARD.alarms


def test_it_is_held_until_it_is_calm_and_then_heard_again() -> None:
    guard = RateGuard(GUARD)
    admitted(guard, *(finding(60 * n) for n in range(30)))
    assert admitted(guard, finding(1800)) == []
    assert admitted(guard, finding(1800 + GUARD.window_s + 1)) == [METHANE]


def test_the_note_is_repeated_while_it_lasts() -> None:
    guard = RateGuard(GUARD)
    span = int(2 * GUARD.again_after_s + 300)
    passed = admitted(guard, *(finding(at_s) for at_s in range(0, span, 30)))
    assert passed.count(FLAPPING) == 3


def test_what_is_more_urgent_than_all_before_is_never_held() -> None:
    guard = RateGuard(GUARD)
    admitted(guard, *(finding(20 * n) for n in range(12)))
    assert admitted(guard, finding(250, "methane_20_lel")) == ["methane_20_lel"]


def test_calls_are_never_held() -> None:
    guard, rule = RateGuard(GUARD), RULES.call("fire_building")
    origin = Origin("operator", "operator", north(0))
    calls = [of_observation(rule, call(1, at_s=n), origin) for n in range(20)]
    assert admitted(guard, *calls) == [rule.id] * 20


def test_a_restart_does_not_open_the_gate() -> None:
    guard = RateGuard(GUARD)
    guard.learn(an_alarm(str(n), priority=Priority.HIGH, at_s=20 * n) for n in range(GUARD.alarms))
    assert admitted(guard, finding(120)) == [FLAPPING]


def test_old_counts_are_dropped() -> None:
    guard = RateGuard(GUARD)
    admitted(guard, finding(0))
    guard.forget_old(finding(GUARD.window_s + 1).receive_time.timestamp())
    assert guard._lately == {}
