"""How often somebody may try."""

from collections import OrderedDict, deque
from typing import Final

from safecity.clock import Clock
from safecity.errors import TooMany

MAX_KEYS: Final = 10_000
"""Names and addresses remembered; the longest unused is forgotten first."""


class RateLimiter:
    """At most `tries` within `window_s` for each key, counted in this process."""

    def __init__(self, clock: Clock, tries: int, window_s: float) -> None:
        """Count by `clock`."""
        self._clock = clock
        self._tries = tries
        self._window_s = window_s
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, key: str) -> None:
        """Count a try; raises TooMany with the seconds to wait when there were too many."""
        now_s = self._clock.monotonic_s()
        times = self._seen.setdefault(key, deque())
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_KEYS:
            self._seen.popitem(last=False)
        while times and times[0] <= now_s - self._window_s:
            times.popleft()
        if len(times) >= self._tries:
            wait_s = max(1, round(times[0] + self._window_s - now_s))
            raise TryLater(f"too many attempts; try again in {wait_s} s", wait_s)
        times.append(now_s)

    def take_back(self, key: str) -> None:
        """Take back one counted try, after a success."""
        times = self._seen.get(key)
        if times:
            times.pop()


class TryLater(TooMany):
    """Too many, and when it may be tried again."""

    def __init__(self, sentence: str, retry_after_s: int) -> None:
        """Say `sentence`; `retry_after_s` goes into the answer's Retry-After header."""
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
