"""The reasons of a recommendation, in numbers for the console's catalogues and in an English sentence.

Params of a pick (`CLOSEST_BY_ROAD`, `ONLY_CAPABLE`, `STALE_POSITION`): capability, travel_time_s, turnout_s
(0 on the road), arrival_s (their sum), distance_m; runner_up and runner_up_time_s (its arrival) where there
is one; position_age_s where a position was ever reported (`STALE_POSITION` without it: taken to be at home).
Params of a shortfall (`NO_UNIT_AVAILABLE`, `NO_ROUTE`): capability, busy, out_of_service, off_duty,
already_recommended; cut_off (call signs) for `NO_ROUTE`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from safecity.model.base import Reason, ReasonCode
from safecity.model.unit import Capability, UnitState

_BUSY = (UnitState.DISPATCHED, UnitState.EN_ROUTE, UnitState.ON_SCENE)


class Way(NamedTuple):
    """A unit's way to the incident: seconds of travel, seconds of turnout before it, metres by road."""

    travel_s: float
    turnout_s: float
    distance_m: float

    @property
    def arrival_s(self) -> float:
        """Seconds from the order to the arrival."""
        return self.travel_s + self.turnout_s


def duration(seconds_s: float) -> str:
    """Return a duration as people say it: "45 s", "3 min 20 s", "12 min"."""
    whole = round(seconds_s)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{round(whole / 60)} min"


def metres(distance_m: float) -> str:
    """Return a distance as people say it: "340 m", "2.1 km"."""
    return f"{round(distance_m, -1):.0f} m" if distance_m < 995 else f"{distance_m / 1000:.1f} km"


def pick_reason(
    capability: Capability,
    way: Way,
    *,
    runner_up: tuple[str, float] | None,
    only: bool,
    position_age_s: float | None,
    stale_s: float,
) -> Reason:
    """Return why a unit was picked; runner_up is the next best one's call sign and seconds to arrival."""
    params: dict[str, float | str] = {
        "capability": capability.value,
        "travel_time_s": round(way.travel_s, 1),
        "turnout_s": way.turnout_s,
        "arrival_s": round(way.arrival_s, 1),
        "distance_m": round(way.distance_m, 1),
    }
    if runner_up is not None:
        params |= {"runner_up": runner_up[0], "runner_up_time_s": round(runner_up[1], 1)}
    if position_age_s is not None:
        params["position_age_s"] = round(position_age_s, 1)
    text = _closest(capability, way, runner_up, only)
    if position_age_s is None or position_age_s > stale_s:
        return Reason(code=ReasonCode.STALE_POSITION, params=params, text=f"{text} {_stale(position_age_s)}")
    return Reason(
        code=ReasonCode.ONLY_CAPABLE if only else ReasonCode.CLOSEST_BY_ROAD, params=params, text=text
    )


def _closest(capability: Capability, way: Way, runner_up: tuple[str, float] | None, only: bool) -> str:
    what = f"{'The only free' if only else 'Closest'} {_name(capability)}{'' if only else ' by road'}"
    turnout = ", crew turnout included" if way.turnout_s > 0 else ""
    text = f"{what}: arrives in {duration(way.arrival_s)} over {metres(way.distance_m)}{turnout}"
    if runner_up is None:
        return f"{text}."
    return f"{text}; next is {runner_up[0]} in {duration(runner_up[1])}."


def _stale(position_age_s: float | None) -> str:
    if position_age_s is None:
        return "No position was ever reported, so it is taken to be at its station: ask by radio."
    return f"Its position is {duration(position_age_s)} old: ask by radio."


def shortfall_reason(
    capability: Capability,
    *,
    states: Mapping[UnitState, int],
    chosen_elsewhere: int,
    cut_off: Sequence[str],
) -> Reason:
    """Return why a slot stays empty.

    states: how many able units are in each state but available; chosen_elsewhere: able ones that fill another
    slot of this recommendation; cut_off: call signs of free able units from which no road leads here.
    """
    counts = {
        "already recommended": chosen_elsewhere,
        "busy": sum(states.get(state, 0) for state in _BUSY),
        "out of service": states.get(UnitState.OUT_OF_SERVICE, 0),
        "off duty": states.get(UnitState.OFF_DUTY, 0),
    }
    params: dict[str, float | str] = {"capability": capability.value}
    params |= {name.replace(" ", "_"): float(count) for name, count in counts.items()}
    if cut_off:
        params["cut_off"] = ", ".join(cut_off)
        return Reason(code=ReasonCode.NO_ROUTE, params=params, text=_cut_off(capability, cut_off))
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    more = "other " if chosen_elsewhere else ""
    text = (
        f"No {more}{_name(capability)} is free: {said}."
        if said
        else f"No unit is equipped as {_name(capability)}."
    )
    return Reason(code=ReasonCode.NO_UNIT_AVAILABLE, params=params, text=text)


def _cut_off(capability: Capability, call_signs: Sequence[str]) -> str:
    return (
        f"No road of the city joins {', '.join(call_signs)} and the incident: "
        f"check both positions before you send the {_name(capability)}."
    )


def _name(capability: Capability) -> str:
    return capability.value.replace("_", " ")
