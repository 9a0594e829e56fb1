"""Time as a parameter: domain code never reads the machine's clock by itself."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What code may ask of time."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's present moment in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return the machine's monotonic time in seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told: for tests, replay and simulation."""

    def __init__(self, start: datetime) -> None:
        """Start at `start`, which must be aware."""
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware time, for example datetime(2026, 1, 1, tzinfo=UTC)")
        self._now = start.astimezone(UTC)
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the moment the clock was last moved to."""
        return self._now

    def monotonic_s(self) -> float:
        """Return the seconds this clock was advanced in all."""
        return self._elapsed_s

    def advance(self, seconds_s: float) -> None:
        """Move forward by `seconds_s` (not negative)."""
        if seconds_s < 0:
            raise ValueError("time only moves forward")
        self._now += timedelta(seconds=seconds_s)
        self._elapsed_s += seconds_s
