"""A disk that several processes fill: one at a time makes room, and the oldest of all goes, whosever it is.

The turn is a lock on the directory of all recordings (flock). Only the process that claims a camera's folder
may delete there; when the oldest is another's, a file asks for it, at which every process looks each second.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Final

import structlog

from safecity.video.recording.index import INDEX_NAME
from safecity.video.recording.naming import millis_of
from safecity.video.recording.retention import Holds

log = structlog.get_logger()

WANTED_NAME: Final = ".room-wanted"
TURN_S: Final = 0.5
"""So long another process is waited for that makes room."""
TRY_AGAIN_S: Final = 0.02


class SharedDisk:
    """The directory of all recordings, as one of the processes that fill it sees it."""

    def __init__(self, directory: Path) -> None:
        """Open nothing yet."""
        self._directory = directory
        self._wanted = directory / WANTED_NAME

    @property
    def is_wanted(self) -> bool:
        """Whether a process wants room that the others may have to make."""
        return self._wanted.exists()

    def want(self) -> None:
        """Ask all processes for room."""
        # On a full disk even this may be refused; then each deletes its own oldest once its patience ends.
        with contextlib.suppress(OSError):
            self._wanted.touch()

    def withdraw(self) -> None:
        """Want room no more: it has been made, or there is none to be made."""
        with contextlib.suppress(OSError):
            self._wanted.unlink(missing_ok=True)

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Be the only one who makes room, for the block; false when another does so for long."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield _lock(descriptor)
        finally:
            os.close(descriptor)

    def oldest_of_others(self, ours: Container[str], held: Callable[[str], Holds]) -> float | None:
        """Return when the oldest file began that isn't held, of cameras that aren't `ours`; None without one.

        Seconds since 1970 UTC. A camera's newest file doesn't count: it may still be written.
        """
        found = [
            _oldest(path.parent, held(path.parent.name))
            for path in self._directory.glob(f"*/{INDEX_NAME}")
            if path.parent.name not in ours
        ]
        return min((start_s for start_s in found if start_s is not None), default=None)


def _lock(descriptor: int) -> bool:
    end_s = time.monotonic() + TURN_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end_s:
                return False
            time.sleep(TRY_AGAIN_S)
        else:
            return True


def _oldest(folder: Path, holds: Holds) -> float | None:
    """Return when the oldest began that isn't held, nor the newest; each lasts until the next begins."""
    start_s: float | None = None
    for next_s in _starts(folder):
        if start_s is not None and not holds.cover(start_s, next_s):
            return start_s
        start_s = next_s
    return None


def _starts(folder: Path) -> Iterator[float]:
    """Give when each recording in a camera's folder began, oldest first, in seconds since 1970 UTC."""
    for day in sorted(folder.glob("????-??-??")):
        names = (f"{day.name}/{name}" for name in sorted(os.listdir(day)))
        yield from (millis / 1000 for name in names if (millis := millis_of(name)) is not None)
