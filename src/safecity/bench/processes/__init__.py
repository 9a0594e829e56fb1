"""Processes of a benchmark: started, listened to, measured from outside, and always ended."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from safecity.errors import Unavailable

START_WITHIN_S: Final = 120.0
STOP_WITHIN_S: Final = 30.0


class Child:
    """A process of a benchmark: it says a line when it is ready, and one when it has ended."""

    def __init__(self, bench: str, arguments: Sequence[str]) -> None:
        """Start `safecity bench BENCH ARGUMENTS`."""
        command = [sys.executable, "-m", "safecity.cli", "bench", bench, *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def line(self) -> str:
        """Return the next line it says. Raises Unavailable when it says none."""
        timer = threading.Timer(START_WITHIN_S, self._process.kill)
        timer.start()
        text = self._process.stdout.readline().strip() if self._process.stdout else ""
        timer.cancel()
        if not text:
            raise Unavailable("a process of the benchmark did not start; its words stand above")
        return text

    def ask(self) -> str:
        """Return the line that it says to SIGUSR1."""
        self._process.send_signal(signal.SIGUSR1)
        return self.line()

    def stop(self) -> str:
        """End the process and return its last words."""
        self._process.send_signal(signal.SIGTERM)
        output, _ = self._process.communicate(timeout=STOP_WITHIN_S)
        return output.splitlines()[0] if output else ""

    def kill(self) -> None:
        """End the process at once, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def cpu_s(self) -> float:
        """Return the processor seconds, in user and kernel, that it has used (proc(5), stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pss_mb(self) -> float:
        """Return its proportional set size in 10^6 bytes: a page that n processes share counts 1/n."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        kib = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return kib * 1024 / 1e6


@contextlib.contextmanager
def child(bench: str, *arguments: str) -> Iterator[Child]:
    """Yield a process of the benchmark `bench`; it ends with the block."""
    started = Child(bench, arguments)
    try:
        yield started
    finally:
        started.kill()
