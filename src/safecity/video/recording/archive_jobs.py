"""What the archive's one thread is asked to do, in the order in which it is asked, and what it counts."""

from concurrent.futures import Future
from pathlib import Path

import msgspec

from safecity.model.video import RetentionPolicy
from safecity.video.recording.index import Entry, FileEntry
from safecity.video.recording.recovery import Recovered


class ArchiveCounters(msgspec.Struct):
    """What the archive did since the program started; written by its thread, read by anyone."""

    entered: int = 0
    deleted_by_age: int = 0
    deleted_by_share: int = 0
    deleted_for_space: int = 0
    deleted_snapshots: int = 0
    prunings: int = 0
    disk_errors: int = 0
    written_anew: int = 0
    """Files whose sync the disk refused, and that were written a second time."""
    unsynced: int = 0
    """Files that are entered as not surely on disk."""
    clock_doubts: int = 0
    """How often something seemed too old while the clock was not believed."""


class Finish(msgspec.Struct, frozen=True):
    """Sync and close the file behind `descriptor`, then enter it."""

    folder: Path
    descriptor: int
    entry: FileEntry


class Enter(msgspec.Struct, frozen=True):
    """Enter what is not a file."""

    folder: Path
    entry: Entry


class Add(msgspec.Struct, frozen=True):
    """Take over a camera's recordings, and answer what was found."""

    camera_id: str
    policy: RetentionPolicy
    answer: Future[Recovered]


class SetPolicy(msgspec.Struct, frozen=True):
    """Keep a camera's recordings in another way from now on, and note that beside them."""

    camera_id: str
    policy: RetentionPolicy


class Remove(msgspec.Struct, frozen=True):
    """Let a camera's recordings go to whoever looks after them next."""

    camera_id: str


class MakeRoom(msgspec.Struct, frozen=True):
    """Delete something: the disk said that it is full."""


class Sweep(msgspec.Struct, frozen=True):
    """Look at ages, shares and free space now."""


class Retry(msgspec.Struct, frozen=True):
    """Try again what the disk refused."""


Job = Finish | Enter | Add | SetPolicy | Remove | MakeRoom | Sweep | Retry | None
"""None: end, once all before it is done."""
