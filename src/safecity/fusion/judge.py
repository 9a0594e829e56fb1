"""From an observation to what the rules say of it: the first two stages, route and rule."""

import math
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from safecity.errors import Invalid
from safecity.fusion.finding import CAMERA_STATE, EpisodeKey, Finding, of_observation
from safecity.fusion.origin import Origin, Origins
from safecity.fusion.track import Arrival, Raised, Track
from safecity.model.observation import Observation, ObservationKind
from safecity.rules.alarm_rules import AlarmRules, SeriesRule, Verdict

log = structlog.get_logger()

CALLER: Final = "112 call"
BY_HAND: Final = "operator"


class Judge:
    """Brings each observation before the rules that look at it, and keeps their state by source and property.

    `counters` is counted in place: unknown_total (readings of unregistered sources), unfit_total (no number,
    or not in the unit that the rules want), late_total, repeated_total.
    """

    def __init__(self, rules: AlarmRules, origins: Origins, counters: dict[str, float]) -> None:
        """Judge by `rules` what comes from `origins`."""
        self._rules = rules
        self._origins = origins
        self._counters = counters
        self._tracks: dict[tuple[str, str], Track] = {}
        self._wrong_units: set[tuple[str, str]] = set()
        self._by_kind: dict[ObservationKind, Callable[[Observation], Iterable[Finding]]] = {
            ObservationKind.READING: self._reading,
            ObservationKind.CALL: self._call,
            ObservationKind.MANUAL: self._call,
            ObservationKind.VIDEO: self._video,
            ObservationKind.DEVICE: self._device,
        }

    def judge(self, observation: Observation) -> Iterable[Finding]:
        """Return what the rules find in one observation; positions are nobody's alarm.

        Raises Invalid for an event that would be an alarm and has no place.
        """
        by_kind = self._by_kind.get(observation.kind)
        return by_kind(observation) if by_kind else ()

    def track(self, source_id: str, property_: str) -> Track | None:
        """Return the state of one property of one source, None when nothing was seen of it."""
        return self._tracks.get((source_id, property_))

    def restore(self, key: EpisodeKey, since_s: float) -> None:
        """Take up an episode that was open before a restart."""
        source_id, property_, rule_id = key
        rule = self._rules.by_id.get(rule_id)
        if isinstance(rule, SeriesRule):
            self._track(source_id, property_, self._siblings(rule, property_)).restore(rule_id, since_s)

    def raise_again(self, key: EpisodeKey, from_s: float) -> None:
        """Let an episode whose incident was closed raise anew from a moment on, if it still lasts."""
        source_id, property_, rule_id = key
        track = self._tracks.get((source_id, property_))
        if track is not None:
            track.raise_again(rule_id, from_s)

    def _reading(self, observation: Observation) -> Iterable[Finding]:
        source_id, property_ = observation.source_id, observation.property
        track = self._tracks.get((source_id, property_))
        origin = self._origins.get(source_id)
        if origin is None:
            self._counters["unknown_total"] += 1
            return ()
        if track is None:
            rules = self._rules.thresholds(property_, observation.unit)
            if not rules:
                return self._no_rule(observation)
            track = self._track(source_id, property_, rules)
        value = observation.value
        if value is None or not math.isfinite(value) or observation.unit is not track.unit:
            return self._unfit(observation)
        return self._found(track, value, observation, origin)

    def _call(self, observation: Observation) -> Iterable[Finding]:
        name = CALLER if observation.kind is ObservationKind.CALL else BY_HAND
        origin = self._origins.of(observation, name)
        if origin is None:
            raise _unplaced(observation)
        return (of_observation(self._rules.call(observation.property), observation, origin),)

    def _video(self, observation: Observation) -> Iterable[Finding]:
        rule = self._rules.video(observation.property)
        if rule is None:
            return ()
        # An event without a score is taken for certain: a duplicate beats a miss.
        return self._event(observation, rule, 1.0 if observation.value is None else observation.value)

    def _device(self, observation: Observation) -> Iterable[Finding]:
        if observation.property != CAMERA_STATE:
            return ()
        state = (observation.detail or {}).get("state")
        return self._event(observation, self._rules.camera, self._rules.camera.value_of(str(state)))

    def _event(self, observation: Observation, rule: SeriesRule, number: float) -> Iterable[Finding]:
        origin = self._origins.of(observation)
        if origin is None:
            if rule.verdict(number) is Verdict.BEYOND:
                raise _unplaced(observation)
            return ()
        track = self._track(observation.source_id, observation.property, (rule,))
        return self._found(track, number, observation, origin)

    def _found(
        self, track: Track, number: float, observation: Observation, origin: Origin
    ) -> Iterable[Finding]:
        arrival, raised = track.take(number, observation)
        if arrival is not Arrival.IN_ORDER:
            self._counters["repeated_total" if arrival is Arrival.REPEATED else "late_total"] += 1
        return [_finding(found, origin) for found in raised] if raised else ()

    def _track(self, source_id: str, property_: str, rules: tuple[SeriesRule, ...]) -> Track:
        key = (source_id, property_)
        track = self._tracks.get(key)
        if track is None:
            track = self._tracks[key] = Track(rules)
        return track

    def _siblings(self, rule: SeriesRule, property_: str) -> tuple[SeriesRule, ...]:
        unit = getattr(rule, "unit", None)
        return (rule,) if unit is None else self._rules.thresholds(property_, unit)

    def _no_rule(self, observation: Observation) -> Iterable[Finding]:
        if self._rules.expects(observation.property):
            return self._unfit(observation)
        return ()

    def _unfit(self, observation: Observation) -> Iterable[Finding]:
        self._counters["unfit_total"] += 1
        key = (observation.source_id, observation.property)
        if key not in self._wrong_units:
            self._wrong_units.add(key)
            wanted = ", ".join(sorted({unit or "none" for unit in self._rules.expects(observation.property)}))
            log.warning(
                "a reading cannot be judged",
                source=observation.source_id,
                property=observation.property,
                value=observation.value,
                unit=observation.unit,
                wanted=wanted,
            )
        return ()


def _unplaced(observation: Observation) -> Invalid:
    return Invalid(
        f"'{observation.property}' of '{observation.source_id}' has no place: register the source, or state "
        "lon and lat in degrees"
    )


def _finding(raised: Raised, origin: Origin) -> Finding:
    rule, observation = raised
    return of_observation(rule, observation, origin)
