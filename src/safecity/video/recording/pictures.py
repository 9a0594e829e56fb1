"""The event pictures of one camera (snapshots/DAY/ID.jpg): their part of its share, and which of them go."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Final, NamedTuple

from safecity.video.recording.retention import DAY_S, SNAPSHOTS, Holds, remove_if_empty

HOLD_MARGIN_S: Final = 60.0
"""A picture is written so much after its event at most; holds keep it all the same."""


class _Picture(NamedTuple):
    made_s: float
    size_bytes: int
    path: Path


class Pictures:
    """What a camera's folder has of them; counted now and then, since another thread writes them."""

    def __init__(self, folder: Path, held: Callable[[], Holds]) -> None:
        """Look after the pictures below a camera's `folder`; `held` is asked before each deletion."""
        self.total_bytes = 0
        self._folder = folder / SNAPSHOTS
        self._held = held

    def count(self) -> None:
        """Count them anew. Raises OSError when the disk refuses."""
        self.total_bytes = sum(picture.size_bytes for day in self._days() for picture in _pictures(day))

    def delete_before(self, moment_s: float, at_least_bytes: float = inf) -> int:
        """Delete the oldest that were made before a moment and are not held, until so many bytes are gone.

        Returns how many. Raises OSError when the disk refuses.
        """
        deleted, missing = 0, at_least_bytes
        for day in self._days():
            if missing <= 0 or _begin_s(day) >= moment_s:
                break
            for picture in sorted(_pictures(day)):
                if missing <= 0 or picture.made_s >= moment_s:
                    break
                if not self._held().cover(picture.made_s - HOLD_MARGIN_S, picture.made_s):
                    picture.path.unlink(missing_ok=True)
                    self.total_bytes = max(self.total_bytes - picture.size_bytes, 0)
                    missing -= picture.size_bytes
                    deleted += 1
            remove_if_empty(day)
        return deleted

    def _days(self) -> list[Path]:
        return sorted(self._folder.glob("????-??-??"))


def _pictures(day: Path) -> Iterator[_Picture]:
    with os.scandir(day) as found:
        for entry in found:
            if entry.name.endswith(".jpg"):
                state = entry.stat()
                yield _Picture(state.st_mtime, state.st_size, Path(entry.path))


def _begin_s(day: Path) -> float:
    """Return when a day began, in seconds since 1970 UTC; for a folder that is no day, never."""
    try:
        # Events of the last moments of a day may be written on the next; nothing is written before its day.
        return datetime.strptime(day.name, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() - DAY_S
    except ValueError:
        return inf
