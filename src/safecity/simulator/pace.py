"""Simulated time: the real clock, run `speed` times as fast for people and vehicles."""

import asyncio

from safecity.clock import Clock
from safecity.errors import Invalid

MAX_SPEED = 1000.0


class Pace:
    """How fast the simulated city lives. Devices keep their own rhythm; only people and vehicles hurry."""

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        """Start at second 0, `speed` simulated seconds for each real one. Raises Invalid outside 0..1000."""
        if not 0 < speed <= MAX_SPEED:
            raise Invalid(f"the simulation's speed must be above 0 and at most {MAX_SPEED:g}, not {speed}")
        self.speed = speed
        self._clock = clock
        self._start_s = clock.monotonic_s()

    def elapsed_s(self) -> float:
        """Return the simulated seconds since the start."""
        return (self._clock.monotonic_s() - self._start_s) * self.speed

    def real_s(self, simulated_s: float) -> float:
        """Return how many real seconds a simulated time takes."""
        return simulated_s / self.speed

    async def sleep(self, simulated_s: float) -> None:
        """Wait for a simulated time."""
        await asyncio.sleep(max(0.0, self.real_s(simulated_s)))

    async def until(self, at_s: float) -> None:
        """Wait until simulated second `at_s` since the start."""
        await self.sleep(at_s - self.elapsed_s())
