"""Recommendation: constraints, then the time of arrival, then a reason for every pick and every miss.

Every free unit that can do the job is considered wherever it is: taking only those that stand in a station
costs 14 to 41 % of response time in the JEMSS test cities.
The whole set of slots is filled at once, with the least sum of arrival times, so that one versatile unit is
not spent where a plain one would have done.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safecity.city.geo import Floats, distances_m
from safecity.city.graph import RoadGraph
from safecity.clock import Clock
from safecity.config import DispatchSection
from safecity.dispatch.travel import travel_to
from safecity.dispatch.wording import Way, pick_reason, shortfall_reason
from safecity.model.base import Reason
from safecity.model.incident import Incident
from safecity.model.unit import Capability, Fix, Pick, Recommendation, Shortfall, Unit, UnitState

AT_STATION_M: Final = 100.0
"""A unit whose last fix is this near its home counts as being in its station, so its crew must turn out."""

_MISS_S: Final = 1e7
"""Cost of an empty slot in the assignment: more than any sum of arrival times."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A free unit with what is known of its way. Times in seconds; inf where there is no way."""

    unit: Unit
    position_age_s: float | None
    way: Way

    @property
    def arrival_s(self) -> float:
        """Seconds from the order to the arrival."""
        return self.way.arrival_s

    @property
    def has_way(self) -> bool:
        """Whether a road leads from the unit to the incident."""
        return math.isfinite(self.way.travel_s)


def recommend(
    graph: RoadGraph,
    incident: Incident,
    units: Sequence[Unit],
    fixes: Mapping[str, Fix],
    slots: Sequence[Capability],
    settings: DispatchSection,
    clock: Clock,
) -> Recommendation:
    """Return which free units to send to `incident`, best first in the order of `slots`, and what is missing.

    fixes: the last known position by unit id; a unit without one is taken to be at home and flagged.
    slots: the run card, one capability for each unit that is asked for.
    """
    started_s = clock.monotonic_s()
    now = clock.now()
    candidates = _candidates(graph, incident, units, fixes, slots, settings, now.timestamp())
    chosen = _assign(candidates, slots)
    taken = {i for i in chosen if i is not None}
    spare = [c for i, c in enumerate(candidates) if i not in taken]
    picks: list[Pick] = []
    shortfalls: list[Shortfall] = []
    for capability, index in zip(slots, chosen, strict=True):
        if index is None:
            reason = _why_missing(capability, units, candidates, taken)
            shortfalls.append(Shortfall(capability=capability, reason=reason))
        else:
            picks.append(_pick(capability, candidates[index], spare, candidates, settings))
    return Recommendation(
        incident_id=incident.id,
        picks=tuple(picks),
        shortfalls=tuple(shortfalls),
        computed_at=now,
        compute_ms=(clock.monotonic_s() - started_s) * 1000.0,
    )


def _candidates(
    graph: RoadGraph,
    incident: Incident,
    units: Sequence[Unit],
    fixes: Mapping[str, Fix],
    slots: Sequence[Capability],
    settings: DispatchSection,
    now_s: float,
) -> list[Candidate]:
    """Return the free units that can fill a slot and could be among the best, with their ways.

    The search stops when, for each capability, one unit more than there are slots has been reached, and then
    goes on for as long as a turnout could still change the order. Units without a way are always kept.
    """
    bits = {capability: 1 << b for b, capability in enumerate(dict.fromkeys(slots))}
    masks = {
        i: mask
        for i, unit in enumerate(units)
        if unit.state is UnitState.AVAILABLE and (mask := sum(bits.get(c, 0) for c in unit.capabilities))
    }
    if not masks:
        return []
    free = [units[i] for i in masks]
    kinds = np.fromiter(masks.values(), dtype=np.int64)
    last = [fixes.get(unit.id) for unit in free]
    home_lon, home_lat = np.array([u.home.lon for u in free]), np.array([u.home.lat for u in free])
    lon = np.array([unit.home.lon if fix is None else fix.lon for unit, fix in zip(free, last, strict=True)])
    lat = np.array([unit.home.lat if fix is None else fix.lat for unit, fix in zip(free, last, strict=True)])
    turnout_s = np.where(distances_m(lon, lat, home_lon, home_lat) <= AT_STATION_M, settings.turnout_s, 0.0)
    travel = travel_to(
        graph,
        (incident.place.lon, incident.place.lat),
        lon,
        lat,
        kinds=kinds,
        enough=[min(int((kinds & bit > 0).sum()), len(slots) + 1) for bit in bits.values()],
        slack_s=settings.turnout_s,
    )
    return [
        Candidate(
            free[i],
            None if (fix := last[i]) is None else max(0.0, now_s - fix.fix_time.timestamp()),
            Way(float(travel.time_s[i]), float(turnout_s[i]), float(travel.distance_m[i])),
        )
        for i in _shortlist(travel.time_s + turnout_s, kinds, list(bits.values()), len(slots) + 1)
    ]


def _shortlist(arrival_s: Floats, kinds: NDArray[np.int64], bits: list[int], size: int) -> list[int]:
    """Return the indices of the `size` earliest of each kind, and of all that never arrive where few do.

    No more than `size` of a kind can matter: the slots, and one to name as the next best.
    """
    chosen: set[int] = set()
    for bit in bits:
        able = np.flatnonzero(kinds & bit)
        order = able[np.argsort(arrival_s[able], kind="stable")]
        chosen.update(order[:size].tolist())
    return sorted(chosen)


def _assign(candidates: list[Candidate], slots: Sequence[Capability]) -> list[int | None]:
    """Return for each slot the index of its candidate, or None: as few misses as can be, then the least time.

    Solved exactly as a linear assignment (Crouse, IEEE Trans. Aerospace 52(4), 2016, as in scipy).
    """
    from scipy.optimize import linear_sum_assignment

    reachable = [i for i, c in enumerate(candidates) if c.has_way]
    cost: NDArray[np.float64] = np.full((len(slots), len(reachable) + len(slots)), _MISS_S)
    for row, capability in enumerate(slots):
        for column, i in enumerate(reachable):
            able = capability in candidates[i].unit.capabilities
            cost[row, column] = candidates[i].arrival_s if able else 3 * _MISS_S
    columns = linear_sum_assignment(cost)[1] if len(slots) else np.empty(0, dtype=np.int64)
    return [reachable[column] if column < len(reachable) else None for column in map(int, columns)]


def _pick(
    capability: Capability,
    chosen: Candidate,
    spare: list[Candidate],
    candidates: list[Candidate],
    settings: DispatchSection,
) -> Pick:
    able = [c for c in spare if capability in c.unit.capabilities and c.has_way]
    next_best = min(able, key=lambda c: c.arrival_s, default=None)
    only = sum(capability in c.unit.capabilities for c in candidates) == 1
    return Pick(
        unit_id=chosen.unit.id,
        call_sign=chosen.unit.call_sign,
        agency=chosen.unit.agency,
        capability=capability,
        travel_time_s=round(chosen.way.travel_s, 1),
        distance_m=round(chosen.way.distance_m, 1),
        reason=pick_reason(
            capability,
            chosen.way,
            runner_up=None if next_best is None else (next_best.unit.call_sign, next_best.arrival_s),
            only=only,
            position_age_s=chosen.position_age_s,
            stale_s=settings.stale_position_s,
        ),
    )


def _why_missing(
    capability: Capability, units: Sequence[Unit], candidates: list[Candidate], taken: set[int]
) -> Reason:
    able = [unit for unit in units if capability in unit.capabilities]
    cut_off = [
        c.unit.call_sign
        for i, c in enumerate(candidates)
        if i not in taken and capability in c.unit.capabilities
    ]
    return shortfall_reason(
        capability,
        states=Counter(unit.state for unit in able if unit.state is not UnitState.AVAILABLE),
        chosen_elsewhere=sum(capability in candidates[i].unit.capabilities for i in taken),
        cut_off=cut_off,
    )
