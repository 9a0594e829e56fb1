"""Which incident an alarm belongs to, and why: an open one, or a new one."""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from safecity.fusion.grid import Grid
from safecity.fusion.kinship import kin_log_odds, reach_sigma_m
from safecity.model.base import Place, Reason, ReasonCode, derived_id, distance_m
from safecity.model.incident import Alarm, Incident, IncidentType

SIGMA_OF_95: Final = math.sqrt(-2 * math.log(0.05))
"""Radius that holds 95 % of a circular normal distribution, in standard deviations (Rayleigh): 2.448."""

BACKGROUND_PER_M2_S: Final = 10 * 4_900 / (335e6 * 86_400)
"""Unrelated incidents: 10,000 calls a day of which 51 % are duplicates, over the 335 km2 of Tashkent, and ten
times as dense where people are (our assumption), since that is where incidents are too."""

LINK_LOG_ODDS: Final = math.log(9)
"""Linked from 9 to 1 on: 90 %."""


class Report(NamedTuple):
    """What the linker looks at in an alarm. at_s: event time in seconds since 1970."""

    alarm_id: str
    source_id: str
    type: IncidentType
    place: Place
    at_s: float


class Proposal(NamedTuple):
    """The incident that an alarm should join or open."""

    incident_id: str
    reason: Reason


class Candidate:
    """An open incident, or one that we proposed and that is about to be opened."""

    __slots__ = ("confirmed", "first_s", "id", "last_s", "place", "proposed_s", "sources", "type")

    def __init__(self, id_: str, type_: IncidentType, place: Place, at_s: float) -> None:
        """Begin with its first report."""
        self.id = id_
        self.type = type_
        self.place = place
        self.first_s = self.last_s = self.proposed_s = at_s
        self.sources: set[str] = set()
        self.confirmed = False

    def gap_s(self, at_s: float) -> float:
        """Return how far a moment lies from the time between its first and last report."""
        return max(0.0, self.first_s - at_s, at_s - self.last_s)


class Linker:
    """Knows the open incidents and proposes one for each alarm."""

    def __init__(self, link_distance_m: float, link_time_s: float) -> None:
        """Never link farther apart than these, beyond what the stated uncertainties explain."""
        self._distance_m = link_distance_m
        self._time_s = link_time_s
        self._open: dict[str, Candidate] = {}
        self._by_source: dict[str, set[str]] = {}
        self._grid = Grid()

    def __len__(self) -> int:
        """Return how many incidents are open or proposed."""
        return len(self._open)

    def propose(self, report: Report, now_s: float) -> Proposal:
        """Return where the alarm belongs, and remember it from `now_s` on, before anybody confirms it."""
        known = self._same_source(report)
        if known is not None:
            return self._join(known, report, _same_source_reason(known))
        best = max(
            self._rated(report), key=lambda rated: (rated[0], -rated[1].first_s, rated[1].id), default=None
        )
        if best is not None and best[0] >= LINK_LOG_ODDS:
            return self._join(best[1], report, _near_reason(best[1], report, best[0]))
        candidate = Candidate(derived_id("incident", report.alarm_id), report.type, report.place, report.at_s)
        candidate.proposed_s = now_s
        return self._join(candidate, report, _first_reason(best[1] if best else None, report))

    def restore(self, alarm: Alarm, now_s: float) -> None:
        """Take up a proposal from before a restart that is still on its way."""
        candidate = self._open.get(alarm.incident_id)
        if candidate is None:
            at_s = alarm.event_time.timestamp()
            candidate = Candidate(alarm.incident_id, alarm.type, alarm.place, at_s)
            candidate.proposed_s = now_s
        candidate.sources.add(alarm.source_id)
        self._keep(candidate)

    def learn(self, incident: Incident) -> None:
        """Take in what an open incident is now."""
        first_s = incident.event_time.timestamp()
        candidate = self._open.get(incident.id)
        if candidate is None:
            candidate = Candidate(incident.id, incident.type, incident.place, first_s)
        candidate.confirmed = True
        candidate.type, candidate.place = incident.type, incident.place
        candidate.first_s = min(candidate.first_s, first_s)
        candidate.last_s = max([candidate.last_s, *(link.at.timestamp() for link in incident.links)])
        candidate.sources |= {link.source_id for link in incident.links}
        self._keep(candidate)

    def forget(self, incident_id: str) -> None:
        """Take out an incident that was closed."""
        candidate = self._open.pop(incident_id, None)
        if candidate is None:
            return
        self._grid.remove(incident_id)
        for source_id in candidate.sources:
            ids = self._by_source.get(source_id, set())
            ids.discard(incident_id)
            if not ids:
                self._by_source.pop(source_id, None)

    def replace(self, incidents: Iterable[Incident]) -> list[str]:
        """Take in all open incidents; return the ids of those that are open no more."""
        still = set()
        for incident in incidents:
            still.add(incident.id)
            self.learn(incident)
        gone = [id_ for id_, candidate in self._open.items() if candidate.confirmed and id_ not in still]
        for id_ in gone:
            self.forget(id_)
        return gone

    def forget_unconfirmed(self, now_s: float) -> None:
        """Take out our own proposals that nobody opened within the linking time."""
        for candidate in list(self._open.values()):
            if not candidate.confirmed and candidate.proposed_s < now_s - self._time_s:
                self.forget(candidate.id)

    def _same_source(self, report: Report) -> Candidate | None:
        kin = [
            self._open[id_]
            for id_ in self._by_source.get(report.source_id, ())
            if self._open[id_].type is report.type
            or kin_log_odds(self._open[id_].type, report.type) > -math.inf
        ]
        return max(kin, key=lambda c: (c.type is report.type, c.last_s, c.id), default=None)

    def _rated(self, report: Report) -> list[tuple[float, Candidate]]:
        reach_m = self._reach_m(report.type, report.place)
        near = self._grid.near(report.place.lon, report.place.lat, reach_m)
        rated = [(self._log_odds(self._open[id_], report), self._open[id_]) for id_ in near]
        return [(odds, candidate) for odds, candidate in rated if odds > -math.inf]

    def _log_odds(self, candidate: Candidate, report: Report) -> float:
        """Return the log-odds that both are one incident against a new one nearby by chance.

        One incident: places differ by a circular normal distribution of both stated uncertainties and the
        reach of the type; delays are exponential with a third of the linking time as mean. By chance:
        unrelated incidents fall evenly over city and day.
        """
        kin = kin_log_odds(candidate.type, report.type)
        gap_s = candidate.gap_s(report.at_s)
        if kin == -math.inf or gap_s > self._time_s:
            return -math.inf
        spread_m = reach_sigma_m(candidate.type, report.type)
        stated_m = math.hypot(candidate.place.uncertainty_m, report.place.uncertainty_m)
        apart_m = _apart_m(candidate.place, report.place)
        if apart_m - stated_m > max(self._distance_m, SIGMA_OF_95 * spread_m):
            return -math.inf
        variance = (stated_m / SIGMA_OF_95) ** 2 + spread_m**2
        mean_delay_s = self._time_s / 3
        together = -(apart_m**2) / (2 * variance) - gap_s / mean_delay_s
        return together - math.log(2 * math.pi * variance * mean_delay_s * BACKGROUND_PER_M2_S) + kin

    def _reach_m(self, type_: IncidentType, place: Place) -> float:
        return max(self._distance_m, SIGMA_OF_95 * reach_sigma_m(type_, type_)) + place.uncertainty_m

    def _join(self, candidate: Candidate, report: Report, reason: Reason) -> Proposal:
        candidate.first_s = min(candidate.first_s, report.at_s)
        candidate.last_s = max(candidate.last_s, report.at_s)
        candidate.sources.add(report.source_id)
        self._keep(candidate)
        return Proposal(candidate.id, reason)

    def _keep(self, candidate: Candidate) -> None:
        self._open[candidate.id] = candidate
        for source_id in candidate.sources:
            self._by_source.setdefault(source_id, set()).add(candidate.id)
        place = candidate.place
        self._grid.put(candidate.id, place.lon, place.lat, self._reach_m(candidate.type, place))


def _apart_m(a: Place, b: Place) -> float:
    return distance_m(a.lon, a.lat, b.lon, b.lat)


def _words(type_: IncidentType) -> str:
    return type_.value.replace("_", " ")


def _same_source_reason(candidate: Candidate) -> Reason:
    return Reason(
        code=ReasonCode.LINKED_SAME_SOURCE,
        params={"type": candidate.type.value},
        text="The same source again, and its incident is still open",
    )


def _near_reason(candidate: Candidate, report: Report, odds: float) -> Reason:
    apart_m = round(_apart_m(candidate.place, report.place))
    apart_s = round(abs(report.at_s - candidate.first_s))
    same = candidate.type is report.type
    kind = "same kind" if same else f"related kind ({_words(candidate.type)}, {_words(report.type)})"
    return Reason(
        code=ReasonCode.LINKED_NEAR,
        params={
            "distance_m": float(apart_m),
            "apart_s": float(apart_s),
            "kind": "same" if same else "related",
            "log_odds": round(odds, 2),
        },
        text=f"{apart_m} m and {apart_s} s from the first report, {kind}",
    )


def _first_reason(nearest: Candidate | None, report: Report) -> Reason:
    if nearest is None:
        return Reason(
            code=ReasonCode.FIRST_REPORT, text="First report: nothing of a related kind is open nearby"
        )
    apart_m = round(_apart_m(nearest.place, report.place))
    return Reason(
        code=ReasonCode.FIRST_REPORT,
        params={"distance_m": float(apart_m), "type": nearest.type.value},
        text=f"First report: too far from the open {_words(nearest.type)}, {apart_m} m away, to be the same",
    )
