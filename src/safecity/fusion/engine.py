"""Observations in, alarms out: the whole chain in one readable place.

    route -> rule -> dedupe -> guard -> link -> alarm

Route and rule are `Judge` (events and readings) and `SilenceWatch` (their absence); dedupe and guard are
`Dedupe` and `RateGuard`; link is `Linker`. Everything is decided in event time; only the wording of who is
silent, of rates, and of what was closed looks at our own clock. There is no input or output here.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from safecity.clock import Clock
from safecity.config import FusionSection
from safecity.fusion.admission import Dedupe, RateGuard
from safecity.fusion.episode import Episode
from safecity.fusion.finding import Finding, key_of, of_silence
from safecity.fusion.judge import Judge
from safecity.fusion.linker import Linker, Report
from safecity.fusion.origin import Origins
from safecity.fusion.silence import SilenceWatch
from safecity.fusion.standing import Standing
from safecity.model.base import Reason, ReasonCode
from safecity.model.incident import Alarm, Incident
from safecity.model.journal import Change, EntityKind, Feed
from safecity.model.observation import Observation, ObservationKind
from safecity.model.source import Camera, Source
from safecity.rules.alarm_rules import AlarmRules, SilenceRule

NO_ALARMS: Final[list[Alarm]] = []
HOUSEKEEPING_S: Final = 60.0

_decode_incident = msgspec.json.Decoder(Incident).decode
_decode_source = msgspec.json.Decoder(Source).decode
_decode_camera = msgspec.json.Decoder(Camera).decode


class Fusion:
    """Turns observations into alarms that know their incident.

    Redelivery is safe: an alarm's id follows from its rule and its observation, and passes once. The caller
    must keep the alarms returned until they are stored, since they are not returned again.
    """

    def __init__(self, rules: AlarmRules, settings: FusionSection, clock: Clock) -> None:
        """Begin with nothing known; call `load` before the first observation."""
        self._rules = rules
        self._clock = clock
        self.counters: dict[str, float] = dict.fromkeys(
            (
                "observations_total",
                "alarms_total",
                "held_total",
                "late_total",
                "repeated_total",
                "unknown_total",
                "unfit_total",
                "sources",
                "silent_sources",
                "open_incidents",
            ),
            0,
        )
        self._origins = Origins()
        self._judge = Judge(rules, self._origins, self.counters)
        self._silence = SilenceWatch(rules.silence, settings.silence_factor)
        self._dedupe = Dedupe()
        self._guard = RateGuard(rules.flapping)
        self._linker = Linker(settings.link_distance_m, settings.link_time_s)
        self._standing = Standing()
        self._kept_house_s = 0.0

    def load(
        self,
        incidents: Sequence[Incident],
        sources: Iterable[Source | Camera],
        alarms: Iterable[Alarm],
        pending: Iterable[Alarm] = (),
    ) -> None:
        """Take up where a process before us stopped.

        incidents: all open ones. sources: all registered sources and cameras. alarms: recent ones, and all
        of open incidents. pending: alarms that are published and not yet in an incident.
        """
        now_s = self._clock.now().timestamp()
        self._learn_sources(sources, now_s)
        for incident in incidents:
            self._linker.learn(incident)
        pending = list(pending)
        open_ids = {incident.id for incident in incidents} | {alarm.incident_id for alarm in pending}
        for alarm in pending:
            self._linker.restore(alarm, now_s)
        known = {alarm.id: alarm for alarm in (*alarms, *pending)}.values()
        self._dedupe.learn(alarm.id for alarm in known)
        self._guard.learn(known)
        for alarm in sorted(known, key=lambda a: (a.event_time, a.id)):
            if alarm.incident_id in open_ids:
                self._restore(alarm)

    def observe(self, observation: Observation) -> list[Alarm]:
        """Return the alarms that one observation makes necessary; most make none.

        Raises Invalid for an event that would be an alarm and has no place.
        """
        self.counters["observations_total"] += 1
        if observation.kind is ObservationKind.READING:
            self._silence.heard(observation.source_id, observation.receive_time.timestamp())
        findings = self._judge.judge(observation)
        return self._admit(findings) if findings else NO_ALARMS

    def silence_due(self, now: datetime) -> bool:
        """Return whether `tick` may find silence now: the moment to ask how far the telemetry was heard."""
        return self._silence.next_due_s <= now.timestamp()

    def tick(self, heard_until: datetime) -> list[Alarm]:
        """Return the alarms of sources that fell silent.

        heard_until: up to when everything that came in was heard; earlier than now while we lag behind, so
        that our own delay is not taken for their silence.
        """
        self._keep_house()
        silent = self._silence.due(heard_until.timestamp())
        if not silent:
            return NO_ALARMS
        rule = self._rules.silence
        groups = [silent] if len(silent) >= rule.mass else [[one] for one in silent]
        return self._admit(of_silence(rule, group) for group in groups)

    def feed(self, feed: Feed) -> None:
        """Take in what changed: incidents opened, changed and closed, sources new and changed."""
        for change in feed.changes:
            self._change(change)

    def resync(self, incidents: Sequence[Incident], sources: Iterable[Source | Camera] = ()) -> None:
        """Take in all open incidents anew, and changed sources, after changes may have been missed."""
        self._learn_sources(sources, self._clock.now().timestamp())
        for incident_id in self._linker.replace(incidents):
            self._closed(incident_id)
        for incident in incidents:
            self._standing.learn(incident)

    def episodes(self, source_id: str, property_: str) -> dict[str, Episode]:
        """Return the present state of each rule on a property of a source, by rule id."""
        track = self._judge.track(source_id, property_)
        return {} if track is None else track.episodes()

    def _admit(self, findings: Iterable[Finding]) -> list[Alarm]:
        alarms = [
            self._alarm(admitted)
            for finding in findings
            if self._dedupe.admit(finding.alarm_id)
            for admitted in self._guard.admit(finding)
        ]
        self.counters["alarms_total"] += len(alarms)
        self.counters["held_total"] = self._guard.held_total
        return alarms

    def _alarm(self, finding: Finding) -> Alarm:
        rule, origin, now = finding.rule, finding.origin, self._clock.now()
        alarm_id = finding.alarm_id
        at_s = finding.event_time.timestamp()
        report = Report(alarm_id, origin.id, rule.type, origin.place, at_s)
        proposal = self._linker.propose(report, now.timestamp())
        self._standing.raised(alarm_id, proposal.incident_id, finding.keys)
        return Alarm(
            id=alarm_id,
            rule_id=rule.id,
            source_id=origin.id,
            source_name=origin.name,
            observation_id=finding.observation_id,
            observation_kind=finding.kind,
            type=rule.type,
            priority=rule.priority,
            priority_reason=Reason(
                code=ReasonCode.PRIORITY_RULE, params={"rule": rule.name}, text=rule.priority_reason
            ),
            reason=finding.reason,
            place=origin.place,
            event_time=finding.event_time,
            receive_time=finding.receive_time,
            raised_at=now,
            action_text=rule.action,
            response_time_s=rule.response_time_s,
            agencies=rule.agencies,
            incident_id=proposal.incident_id,
            link_reason=proposal.reason,
            simulated=origin.simulated,
        )

    def _change(self, change: Change) -> None:
        gone = bytes(change.value) == b"null"
        match change.kind:
            case EntityKind.INCIDENT if gone:
                self._linker.forget(change.id)
                self._closed(change.id)
            case EntityKind.INCIDENT:
                incident = _decode_incident(change.value)
                self._linker.learn(incident)
                self._standing.learn(incident)
            case EntityKind.SOURCE if not gone:
                self._learn_sources([_decode_source(change.value)], self._clock.now().timestamp())
            case EntityKind.CAMERA if not gone:
                self._learn_sources([_decode_camera(change.value)], self._clock.now().timestamp())
            case _:
                return

    def _learn_sources(self, sources: Iterable[Source | Camera], now_s: float) -> None:
        sources = list(sources)
        self._origins.learn(sources)
        origins = [origin for source in sources if (origin := self._origins.get(source.id)) is not None]
        self._silence.watch(origins, now_s)

    def _closed(self, incident_id: str) -> None:
        now_s = self._clock.now().timestamp()
        for key in self._standing.closed(incident_id):
            source_id, _, rule_id = key
            rule = self._rules.by_id.get(rule_id)
            if isinstance(rule, SilenceRule):
                self._silence.raise_again(source_id, now_s + rule.again_after_s)
            elif rule is not None:
                self._judge.raise_again(key, now_s + rule.again_after_s)

    def _restore(self, alarm: Alarm) -> None:
        rule = self._rules.by_id.get(alarm.rule_id)
        if rule is None:
            return
        key = key_of(rule, alarm.source_id)
        self._standing.raised(alarm.id, alarm.incident_id, (key,))
        if isinstance(rule, SilenceRule):
            self._silence.restore(alarm.source_id)
        else:
            self._judge.restore(key, alarm.event_time.timestamp())

    def _keep_house(self) -> None:
        now_s = self._clock.now().timestamp()
        self.counters["sources"] = len(self._origins)
        self.counters["silent_sources"] = self._silence.silent_count
        self.counters["open_incidents"] = len(self._linker)
        if now_s - self._kept_house_s >= HOUSEKEEPING_S:
            self._kept_house_s = now_s
            self._guard.forget_old(now_s)
            self._linker.forget_unconfirmed(now_s)
