"""One property of one source through time: its recent values and the episode of each rule on it.

Values may come late. The last `LATENESS_S` seconds of values stay at hand, in the order of their own time;
a late one is put where it belongs and the episodes are worked out again from the settled state before them.
So any order of arrival within the bound leaves the same state, and an alarm that the true order demands is
raised however late its cause comes.
"""

import math
from bisect import insort
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from msgspec.structs import replace

from safecity.fusion.episode import CALM, Episode, Phase, step
from safecity.model.observation import Observation, Unit
from safecity.rules.alarm_rules import SeriesRule, ThresholdRule, Verdict

LATENESS_S: Final = 30.0
"""How late a value may come, by its source's own clock, and still be put where it belongs."""

MAX_WINDOW: Final = 32
"""Values at hand for one track; a source faster than MAX_WINDOW / LATENESS_S has a shorter bound."""

SET_BACK_AFTER: Final = 3
"""So many newly received values in a row older than the bound say: the source's clock was set back."""

Value = tuple[float, float, Observation | None]
"""One value: its time in seconds since 1970, the number that rules look at, and, only where a rule finds it
beyond (so that it may have to raise an alarm later), the observation."""

Raised = tuple[SeriesRule, Observation]
"""That a rule raises an alarm on an observation."""


class Arrival(IntEnum):
    """How a value stands to those before it."""

    IN_ORDER = 0
    LATE = 1
    REPEATED = 2
    TOO_LATE = 3


class Track:
    """The rules on one property of one source, with their state."""

    __slots__ = (
        "_again",
        "_base",
        "_head",
        "_head_s",
        "_late_run",
        "_received_s",
        "_settled_s",
        "_window",
        "_worse",
        "rules",
        "unit",
    )

    def __init__(self, rules: Sequence[SeriesRule]) -> None:
        """Begin calm."""
        self.rules = tuple(rules)
        self.unit = next((r.unit for r in rules if isinstance(r, ThresholdRule)), Unit.NONE)
        self._worse = 1.0 if any(isinstance(r, ThresholdRule) and r.above is None for r in rules) else -1.0
        self._base: list[Episode] = [CALM] * len(rules)
        self._head: list[Episode] = [CALM] * len(rules)
        self._window: list[Value] = []
        self._head_s = -math.inf
        self._settled_s = -math.inf
        self._received_s = -math.inf
        self._late_run = 0
        self._again: dict[int, float] | None = None

    def take(self, number: float, observation: Observation) -> tuple[Arrival, list[Raised]]:
        """Take one value; return how it arrived and the alarms that it makes necessary."""
        at_s = observation.event_time.timestamp()
        received_s = observation.receive_time.timestamp()
        newly_received = received_s > self._received_s
        if newly_received:
            self._received_s = received_s
        if at_s > self._head_s:
            self._late_run = 0
            return Arrival.IN_ORDER, self._append(at_s, number, observation)
        if at_s > self._settled_s:
            return self._insert(at_s, number, observation)
        self._late_run += newly_received
        if self._late_run < SET_BACK_AFTER:
            return Arrival.TOO_LATE, []
        self._set_back(at_s)
        return Arrival.IN_ORDER, self._append(at_s, number, observation)

    def restore(self, rule_id: str, since_s: float) -> None:
        """Take up a rule's open episode where it was before a restart."""
        for index, rule in enumerate(self.rules):
            if rule.id == rule_id and self._head[index].since_s < since_s:
                self._base[index] = self._head[index] = Episode(Phase.RAISED, since_s, since_s)

    def raise_again(self, rule_id: str, from_s: float) -> None:
        """Let a rule that is still raised raise anew from a moment on: its incident was closed."""
        for index, rule in enumerate(self.rules):
            if rule.id == rule_id and self._head[index].phase is Phase.RAISED:
                self._again = (self._again or {}) | {index: from_s}

    def episodes(self) -> dict[str, Episode]:
        """Return the present episode of each rule, by rule id."""
        return {rule.id: episode for rule, episode in zip(self.rules, self._head, strict=True)}

    def _append(self, at_s: float, number: float, observation: Observation) -> list[Raised]:
        raised: list[Raised] = []
        beyond = False
        for index, rule in enumerate(self.rules):
            verdict = rule.verdict(number)
            before = self._head[index]
            if verdict is Verdict.BEYOND:
                beyond = True
            elif before is CALM:
                continue
            after, raises = step(before, verdict, at_s, for_s=rule.for_s, quiet_s=rule.quiet_s)
            self._head[index] = after
            if raises or (self._again is not None and self._is_due_again(index, verdict, at_s)):
                raised.append((rule, observation))
        self._head_s = at_s
        self._window.append((at_s, number, observation if beyond else None))
        while self._window[0][0] < at_s - LATENESS_S or len(self._window) > MAX_WINDOW:
            self._settle(self._window.pop(0))
        return raised

    def _settle(self, value: Value) -> None:
        at_s, number, observation = value
        self._settled_s = at_s
        for index, rule in enumerate(self.rules):
            before = self._base[index]
            if observation is not None or before is not CALM:
                verdict = rule.verdict(number)
                self._base[index], _ = step(before, verdict, at_s, for_s=rule.for_s, quiet_s=rule.quiet_s)

    def _is_due_again(self, index: int, verdict: Verdict, at_s: float) -> bool:
        again = self._again or {}
        if index not in again:
            return False
        still_raised = self._head[index].phase is Phase.RAISED
        due = still_raised and verdict is Verdict.BEYOND and at_s >= again[index]
        if due or not still_raised:
            del again[index]
            self._again = again or None
        return due

    def _insert(self, at_s: float, number: float, observation: Observation) -> tuple[Arrival, list[Raised]]:
        if any(known[0] == at_s and known[1] == number for known in self._window):
            return Arrival.REPEATED, []
        beyond = any(rule.verdict(number) is Verdict.BEYOND for rule in self.rules)
        before = [self._fold(index)[1] for index in range(len(self.rules))]
        insort(self._window, (at_s, number, observation if beyond else None), key=self._order)
        raised: list[Raised] = []
        for index, rule in enumerate(self.rules):
            self._head[index], after = self._fold(index)
            more = len(after) - len(before[index])
            new = [found for found in after if found not in before[index]]
            raised += [(rule, found) for found in new[: max(0, more)]]
        return Arrival.LATE, raised

    def _order(self, value: Value) -> tuple[float, float]:
        return value[0], self._worse * value[1]

    def _fold(self, index: int) -> tuple[Episode, list[Observation]]:
        rule, episode = self.rules[index], self._base[index]
        raised: list[Observation] = []
        for at_s, number, observation in self._window:
            episode, raises = step(
                episode, rule.verdict(number), at_s, for_s=rule.for_s, quiet_s=rule.quiet_s
            )
            if raises and observation is not None:
                raised.append(observation)
        return episode, raised

    def _set_back(self, at_s: float) -> None:
        self._late_run = 0
        self._window.clear()
        self._settled_s = -math.inf
        self._head = [
            episode if episode is CALM else replace(episode, since_s=at_s, last_s=at_s)
            for episode in self._head
        ]
        self._base = list(self._head)
