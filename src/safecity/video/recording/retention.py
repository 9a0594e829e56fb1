"""What of a camera's recordings may go, and in which order: by age, by its share, never when held."""

import bisect
import contextlib
import math
import shutil
from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from safecity.errors import Invalid
from safecity.model.video import Hold, RetentionPolicy
from safecity.video.recording.naming import millis_of, name_of

log = structlog.get_logger()

DAY_S: Final = 86_400.0
SNAPSHOTS: Final = "snapshots"
"""Folder of event pictures below a camera's own: snapshots/DAY/ID.jpg."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long recordings stay: at most `max_age_s`, and only while `min_free_bytes` of the disk are free."""

    max_age_s: float = 5 * DAY_S
    min_free_bytes: int = 512 * 1024 * 1024


class Limits(NamedTuple):
    """One camera's limits; `max_bytes` None: only what the disk has."""

    max_age_s: float
    max_bytes: int | None

    @classmethod
    def of(cls, policy: RetentionPolicy, default: Retention) -> "Limits":
        """Return a camera's policy laid over the installation's."""
        age_s = default.max_age_s if policy.max_age_days is None else policy.max_age_days * DAY_S
        return cls(age_s, None if policy.max_gb is None else round(policy.max_gb * 1e9))


class Holds:
    """The times of one camera that must not be deleted, as whole intervals in seconds since 1970."""

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        """Take the holds of one camera; released ones count for nothing."""
        found = sorted((h.start.timestamp(), h.end.timestamp()) for h in holds if h.released_at is None)
        self._starts: list[float] = []
        self._ends: list[float] = []
        for start_s, end_s in found:
            if self._ends and start_s <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end_s)
            else:
                self._starts.append(start_s)
                self._ends.append(end_s)

    def cover(self, start_s: float, end_s: float) -> bool:
        """Return whether any moment from `start_s` to `end_s` is held."""
        before = bisect.bisect_right(self._starts, end_s)
        return before > 0 and self._ends[before - 1] >= start_s

    @classmethod
    def on_everything(cls) -> "Holds":
        """Return what holds all times: for as long as it isn't known what is held."""
        holds = cls()
        holds._starts, holds._ends = [-math.inf], [math.inf]
        return holds


NOTHING_HELD: Final = Holds()
EVERYTHING_HELD: Final = Holds.on_everything()


def free_bytes_of(folder: Path) -> int:
    """Return what is free for us on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def holds_by_camera(holds: Iterable[Hold]) -> dict[str, Holds]:
    """Return the holds of each camera that has any."""
    sorted_out: dict[str, list[Hold]] = {}
    for hold in holds:
        sorted_out.setdefault(hold.camera_id, []).append(hold)
    return {camera_id: Holds(found) for camera_id, found in sorted_out.items()}


class Kept(NamedTuple):
    """A recorded file that is there; times in seconds since 1970 UTC."""

    path: str
    start_s: float
    end_s: float
    size_bytes: int


class Ledger:
    """The files of one camera that are there, oldest first: 32 bytes for each, since there may be 50,000."""

    def __init__(self, files: Sequence[Kept] = ()) -> None:
        """Begin with what recovery found."""
        self._names = array("q")
        self._starts = array("d")
        self._ends = array("d")
        self._sizes = array("q")
        self.total_bytes = 0
        for file in sorted(files, key=lambda file: file.start_s):
            self.add(file)

    def __len__(self) -> int:
        """Return how many files there are."""
        return len(self._names)

    def add(self, file: Kept) -> None:
        """Enter a finished file. Raises Invalid for one whose name isn't ours."""
        millis = millis_of(file.path)
        if millis is None:
            raise Invalid(f"'{file.path}' is no name of a recording")
        at = bisect.bisect_right(self._starts, file.start_s)
        self._names.insert(at, millis)
        self._starts.insert(at, file.start_s)
        self._ends.insert(at, file.end_s)
        self._sizes.insert(at, file.size_bytes)
        self.total_bytes += file.size_bytes

    def oldest(self, holds: Holds = NOTHING_HELD) -> Kept | None:
        """Return the oldest file that isn't held."""
        for at in range(len(self._names)):
            if not holds.cover(self._starts[at], self._ends[at]):
                return self._kept(at)
        return None

    def expired(self, before_s: float, holds: Holds = NOTHING_HELD) -> list[Kept]:
        """Return the files that ended before a moment and are not held, oldest first."""
        # Each start lies before its own end: behind the first that began too late there is nothing to find.
        until = bisect.bisect_left(self._starts, before_s)
        return [
            self._kept(at)
            for at in range(until)
            if self._ends[at] < before_s and not holds.cover(self._starts[at], self._ends[at])
        ]

    def around(self, since_s: float, until_s: float) -> tuple[float | None, float | None]:
        """Return when the last file ended that began before `since_s`, and when the first one began after it.

        That is looked for until `until_s`; None for what there isn't.
        """
        at = bisect.bisect_left(self._starts, since_s)
        end_s = self._ends[at - 1] if at else None
        is_there = at < len(self._starts) and self._starts[at] <= until_s
        return end_s, self._starts[at] if is_there else None

    def remove(self, file: Kept) -> None:
        """Forget a file that has been deleted."""
        at = bisect.bisect_left(self._starts, file.start_s)
        while at < len(self._starts) and self._starts[at] == file.start_s:
            if name_of(self._names[at]) == file.path:
                for column in (self._names, self._starts, self._ends, self._sizes):
                    del column[at]
                self.total_bytes -= file.size_bytes
                return
            at += 1

    def held(self, holds: Holds) -> tuple[int, int]:
        """Return how many files are held, and their bytes."""
        sizes = [
            self._sizes[at] for at in range(len(self._names)) if holds.cover(self._starts[at], self._ends[at])
        ]
        return len(sizes), sum(sizes)

    def _kept(self, at: int) -> Kept:
        return Kept(name_of(self._names[at]), self._starts[at], self._ends[at], self._sizes[at])


def remove_empty_days(folder: Path, now: datetime) -> None:
    """Remove folders of past days from which every recording has been deleted."""
    yesterday = f"{now.astimezone(UTC) - timedelta(days=1):%Y-%m-%d}"
    for day in folder.glob("????-??-??"):
        if day.name < yesterday:
            remove_if_empty(day)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder unless something is in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()
