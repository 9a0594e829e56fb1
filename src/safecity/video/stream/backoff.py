"""When to try again."""

import random
from typing import Final

import msgspec

REFUSED_SPREAD: Final = 1.5
"""The wait after a refusal is up to so many times its least length: cameras come apart, none comes early."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait before trying again: doubled each time, with jitter so that cameras come apart.

    refused_s: the least wait after a refusal; cameras lock accounts that are tried too often.
    settled_s: a stream that lasted so long starts again with `first_s`.
    """

    first_s: float = 0.5
    limit_s: float = 30.0
    refused_s: float = 30.0
    settled_s: float = 10.0

    def wait_s(self, failures: int, *, refused: bool) -> float:
        """Return the wait after `failures` in a row.

        It is between half and the whole of the nominal one, but never less than `refused_s` after a refusal.
        """
        if refused:
            return self.refused_s * _jitter(1.0, REFUSED_SPREAD)
        nominal_s: float = min(self.limit_s, self.first_s * 2 ** min(failures - 1, 16))
        return nominal_s * _jitter(0.5, 1.0)


def _jitter(low: float, high: float) -> float:
    return float(random.uniform(low, high))  # noqa: S311  jitter needs no secrecy
