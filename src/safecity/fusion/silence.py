"""Who has fallen silent: each source is judged against its own rhythm."""

import heapq
import math
from collections.abc import Iterable
from typing import Final

import msgspec

from safecity.fusion.origin import Origin
from safecity.rules.alarm_rules import SilenceRule

NEVER: Final = math.inf


class Silent(msgspec.Struct, frozen=True):
    """A source that missed too many beats: last heard and overdue since, in seconds since 1970."""

    origin: Origin
    last_s: float
    due_s: float


class SilenceWatch:
    """Keeps for each source when it was last heard, by our own clock, and finds those overdue.

    A heap holds when to look at each source next; the entry is as old as the last look, so hearing a source
    costs one dictionary write. An entry that is not the source's newest counts for nothing.
    """

    def __init__(self, rule: SilenceRule, default_factor: float) -> None:
        """Judge by `rule`, with `default_factor` where it names none."""
        self._rule = rule
        self._factor = rule.factor or default_factor
        self._watched: dict[str, Origin] = {}
        self._last_s: dict[str, float] = {}
        self._silent: set[str] = set()
        self._again_s: dict[str, float] = {}
        self._entry_s: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._gathered: dict[str, Silent] = {}

    def watch(self, origins: Iterable[Origin], now_s: float) -> None:
        """Watch sources that have a rhythm, as if heard now unless they were heard before."""
        for origin in origins:
            if origin.period_s <= 0:
                continue
            new = origin.id not in self._watched
            self._watched[origin.id] = origin
            if new:
                self._last_s.setdefault(origin.id, now_s)
                self._look(origin.id, self._due_s(origin))

    def heard(self, source_id: str, received_s: float) -> None:
        """Note that a watched source was heard; older news than known changes nothing."""
        known_s = self._last_s.get(source_id)
        if known_s is None or received_s <= known_s:
            return
        self._last_s[source_id] = received_s
        if source_id in self._silent:
            self._silent.discard(source_id)
            self._again_s.pop(source_id, None)
            self._gathered.pop(source_id, None)
            self._look(source_id, self._due_s(self._watched[source_id]))

    def restore(self, source_id: str) -> None:
        """Take up a silence that was raised before a restart: it is not raised a second time."""
        self._silent.add(source_id)

    def raise_again(self, source_id: str, from_s: float) -> None:
        """Let a source that is still silent raise anew at a moment: its incident was closed."""
        if source_id in self._silent:
            self._again_s[source_id] = from_s
            self._look(source_id, from_s)

    @property
    def next_due_s(self) -> float:
        """When something must be looked at next, in seconds since 1970; infinite when nothing is watched."""
        gathered_s = min((s.due_s for s in self._gathered.values()), default=NEVER) + self._rule.gather_s
        return min(self._heap[0][0] if self._heap else NEVER, gathered_s)

    def due(self, until_s: float) -> list[Silent]:
        """Return the sources that fell silent by `until_s`, in the order of their due times.

        They are gathered for `gather_s`, so that many that fall silent together come together; one that is
        heard again meanwhile does not come.
        """
        while self._heap and self._heap[0][0] <= until_s:
            entry_s, source_id = heapq.heappop(self._heap)
            if self._entry_s.get(source_id) == entry_s:
                self._judge(source_id, until_s)
        gathered = sorted(self._gathered.values(), key=lambda s: (s.due_s, s.origin.id))
        if not gathered or until_s < gathered[0].due_s + self._rule.gather_s:
            return []
        self._gathered.clear()
        return gathered

    def _judge(self, source_id: str, until_s: float) -> None:
        origin, last_s = self._watched[source_id], self._last_s[source_id]
        due_s = self._due_s(origin)
        if source_id in self._silent:
            again_s = self._again_s.pop(source_id, NEVER)
            if again_s <= until_s:
                self._gathered[source_id] = Silent(origin, last_s, again_s)
        elif due_s > until_s:
            self._look(source_id, due_s)
        else:
            self._silent.add(source_id)
            self._gathered[source_id] = Silent(origin, last_s, due_s)

    def _look(self, source_id: str, at_s: float) -> None:
        self._entry_s[source_id] = at_s
        heapq.heappush(self._heap, (at_s, source_id))

    @property
    def silent_count(self) -> int:
        """How many sources are silent now."""
        return len(self._silent)

    def _due_s(self, origin: Origin) -> float:
        wait_s = max(self._rule.min_s, origin.period_s * self._factor)
        return self._last_s[origin.id] + wait_s
