"""Which findings become alarms: none twice, and no source more than its share."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

import structlog

from safecity.fusion.finding import Finding, of_flapping
from safecity.model.base import Priority
from safecity.model.incident import Alarm
from safecity.model.observation import ObservationKind
from safecity.rules.alarm_rules import FlappingRule

log = structlog.get_logger()

REMEMBERED: Final = 50_000
"""Alarm ids at hand; far more than can be on their way and unacknowledged."""


class Dedupe:
    """Lets each alarm id pass once."""

    def __init__(self) -> None:
        """Know none."""
        self._seen: OrderedDict[str, None] = OrderedDict()

    def admit(self, alarm_id: str) -> bool:
        """Return whether the id is new, and remember it."""
        if alarm_id in self._seen:
            return False
        self._seen[alarm_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def learn(self, alarm_ids: Iterable[str]) -> None:
        """Remember alarms that were raised before."""
        for alarm_id in alarm_ids:
            self.admit(alarm_id)


class RateGuard:
    """Holds the alarms of a source beyond its share, and says so in one alarm about the source itself.

    Counted in receive time, by our own clock, held alarms too: it holds until the source is calm. What is
    held is counted and logged, and the note is repeated while it lasts. An alarm more urgent than those that
    the source raised lately is never held.
    """

    def __init__(self, rule: FlappingRule) -> None:
        """Hold by `rule`."""
        self._rule = rule
        self._lately: dict[str, deque[tuple[float, Priority]]] = {}
        self._noted_s: dict[str, float] = {}
        self.held_total = 0

    def admit(self, finding: Finding) -> list[Finding]:
        """Return what may be raised: the finding, or the note that its source is held, or nothing."""
        if finding.kind in (ObservationKind.CALL, ObservationKind.MANUAL):
            return [finding]
        at_s, priority = finding.receive_time.timestamp(), finding.rule.priority
        if self._count(finding.origin.id, at_s, priority):
            return [finding]
        self.held_total += 1
        return self._note(finding, at_s)

    def learn(self, alarms: Iterable[Alarm]) -> None:
        """Take in alarms that were raised before a restart."""
        for alarm in sorted(alarms, key=lambda a: (a.receive_time, a.id)):
            at_s = alarm.receive_time.timestamp()
            if alarm.rule_id == self._rule.id:
                self._noted_s[alarm.source_id] = at_s
            else:
                self._count(alarm.source_id, at_s, alarm.priority)

    def forget_old(self, now_s: float) -> None:
        """Drop what lies before the window of every source."""
        limit_s = now_s - self._rule.window_s
        for source_id in [s for s, lately in self._lately.items() if lately[-1][0] <= limit_s]:
            del self._lately[source_id]
            self._noted_s.pop(source_id, None)

    def _count(self, source_id: str, at_s: float, priority: Priority) -> bool:
        """Count one alarm; return whether it may pass."""
        lately = self._lately.setdefault(source_id, deque(maxlen=self._rule.alarms))
        within = len(lately) < self._rule.alarms or lately[0][0] <= at_s - self._rule.window_s
        more_urgent = all(priority < earlier for _, earlier in lately)
        lately.append((at_s, priority))
        return within or more_urgent

    def _note(self, finding: Finding, at_s: float) -> list[Finding]:
        noted_s = self._noted_s.get(finding.origin.id)
        if noted_s is not None and at_s < noted_s + self._rule.again_after_s:
            return []
        self._noted_s[finding.origin.id] = at_s
        log.warning(
            "alarms of a flapping source are held", source=finding.origin.id, first=finding.reason.text
        )
        return [of_flapping(self._rule, finding)]
