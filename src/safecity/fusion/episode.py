"""The state of one rule on one source: calm, rising towards an alarm, or raised."""

import math
from enum import IntEnum
from typing import Final

import msgspec

from safecity.rules.alarm_rules import Verdict


class Phase(IntEnum):
    """Where an episode stands."""

    CALM = 0
    RISING = 1
    RAISED = 2


class Episode(msgspec.Struct, frozen=True, gc=False):
    """One rule's state. Times are seconds since 1970 by the source's own clock.

    since_s: when the phase began. last_s: when a value was last beyond, kept while raised.
    """

    phase: Phase = Phase.CALM
    since_s: float = -math.inf
    last_s: float = -math.inf


CALM: Final = Episode()


def step(
    before: Episode, verdict: Verdict, at_s: float, *, for_s: float, quiet_s: float
) -> tuple[Episode, bool]:
    """Return the episode after one value, and whether this value raises an alarm.

    for_s: how long values must be beyond without a break. quiet_s: an episode ends when none was beyond for
    this long. Only a value younger than the last one beyond ends an episode: when two values of one moment
    contradict each other, the worse one counts.
    """
    if before.phase is Phase.RAISED:
        if at_s - before.last_s < quiet_s:
            return _while_raised(before, verdict, at_s), False
        before = CALM
    if verdict is not Verdict.BEYOND:
        return CALM, False
    since_s = before.since_s if before.phase is Phase.RISING else at_s
    if at_s - since_s >= for_s:
        return Episode(Phase.RAISED, at_s, at_s), True
    return Episode(Phase.RISING, since_s, at_s), False


def _while_raised(before: Episode, verdict: Verdict, at_s: float) -> Episode:
    if verdict is Verdict.BEYOND:
        return Episode(Phase.RAISED, before.since_s, max(at_s, before.last_s))
    if verdict is Verdict.CALM and at_s > before.last_s:
        return CALM
    return before
