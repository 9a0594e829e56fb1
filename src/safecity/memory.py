"""How much memory a tree of processes holds."""

import threading
from types import TracebackType
from typing import Self

import psutil

PERIOD_S = 2.0


def tree_rss_mb() -> float:
    """Return the resident memory of this process and all below it, in megabytes of 10^6 bytes.

    The plain sum of resident set sizes: pages that processes share are counted in each, so the true use is
    lower than this.
    """
    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / 1e6


class Watch:
    """Looks at the memory of the tree every 2 s and remembers the most it saw."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self.peak_mb = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking."""
        self._end.set()
        self._thread.join()

    def look(self) -> float:
        """Look now and return the most that was seen so far, in megabytes."""
        self.peak_mb = max(self.peak_mb, tree_rss_mb())
        return self.peak_mb

    def _look(self) -> None:
        while not self._end.wait(PERIOD_S):
            self.look()
