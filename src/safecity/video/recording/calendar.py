"""Whether the machine's clock may be believed when it says that recordings are old.

A clock that is set far forward, by a dead battery or a slip of the hand, would make everything too old at
once, and what is deleted does not come back when the clock is put right. So nothing goes by its age for a day
after a leap: of the wall clock beside the monotonic one while the program runs, or of what has been recorded
over a restart. A leap that was right, after long repairs for instance, only delays deletion by that day.
"""

from collections.abc import Iterable
from typing import Final

import structlog

from safecity.clock import Clock
from safecity.video.recording.retention import DAY_S, Ledger

log = structlog.get_logger()

LEAP_S: Final = 3600.0
"""So far the wall clock may run ahead of the monotonic one between two looks: more than a time server
corrects on a sane machine, less than any retention that makes sense."""
ABSENCE_S: Final = 3 * DAY_S
"""So long nothing may have been recorded before that looks like a clock set forward: a long weekend."""
DOUBT_S: Final = DAY_S
"""How long somebody has to put the clock right, until it is believed."""
SAY_AGAIN_S: Final = 3600.0


class Calendar:
    """Says, each time before recordings go by their age, whether the clock may be believed."""

    def __init__(self, clock: Clock) -> None:
        """Begin to look at `clock`; it is believed unless the recordings contradict it."""
        self._clock = clock
        self._even_since_s = clock.monotonic_s()
        self._offset_s = self._offset_now_s()
        self._offset_before_s: float | None = None
        self._said_s: float | None = None

    def is_believed(self, ledgers: Iterable[Ledger]) -> bool:
        """Return whether what seems too old in these recordings may go."""
        self.look()
        even_s = self._clock.monotonic_s() - self._even_since_s
        doubted = even_s < DOUBT_S and (self._offset_before_s is not None or self._contradict(ledgers))
        self._say(doubted, even_s)
        return not doubted

    def look(self) -> None:
        """Notice a leap forward since the last look, and its end when the clock is put right."""
        offset_s = self._offset_now_s()
        if offset_s - self._offset_s > LEAP_S:
            self._even_since_s = self._clock.monotonic_s()
            if self._offset_before_s is None:
                self._offset_before_s = self._offset_s
        elif self._offset_before_s is not None and offset_s - self._offset_before_s <= LEAP_S:
            self._offset_before_s = None
        self._offset_s = offset_s

    def _contradict(self, ledgers: Iterable[Ledger]) -> bool:
        """Return whether nothing was recorded for long, until less than a day ago."""
        now_s = self._clock.now().timestamp()
        found = [ledger.around(now_s - DOUBT_S, now_s) for ledger in ledgers]
        before_s = max((end_s for end_s, _ in found if end_s is not None), default=None)
        after_s = min((start_s for _, start_s in found if start_s is not None), default=now_s)
        return before_s is not None and after_s - before_s > ABSENCE_S

    def _offset_now_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic_s()

    def _say(self, doubted: bool, even_s: float) -> None:
        now_s = self._clock.monotonic_s()
        if not doubted:
            if self._said_s is not None:
                log.warning("recordings go by their age again")
            self._said_s = None
        elif self._said_s is None or now_s - self._said_s >= SAY_AGAIN_S:
            self._said_s = now_s
            log.error(
                "no recording goes by its age: the clock of this machine seems to have been set forward",
                clock=self._clock.now().isoformat(),
                believed_in_s=round(DOUBT_S - even_s),
                what_to_do="put the clock right; if it is right, nothing needs to be done",
            )
