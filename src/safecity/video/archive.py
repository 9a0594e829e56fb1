"""Making recordings last, and letting them go: one thread a shard that syncs, enters and deletes.

Order for each file: written, file synced, folder synced, entered in the index (synced), then told. Recording
threads only put work here; the queue is bounded by the disk itself, a job a minute and camera.
"""

import errno
import heapq
import os
import queue
import shutil
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity.clock import Clock
from safecity.video import index
from safecity.video.index import DeletedEntry, DeletionReason, Entry, FileEntry
from safecity.video.recovery import Recovered, recover

log = structlog.get_logger()

SWEEP_PERIOD_S: Final = 20.0
"""How often age and free space are looked at."""
RETRY_PERIOD_S: Final = 1.0
"""How long an entry waits that the disk refused."""

EntryListener = Callable[[Entry], None]


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long recordings stay: at most `max_age_s`, and only while `min_free_bytes` of the disk are free."""

    max_age_s: float = 5 * 86_400.0
    min_free_bytes: int = 512 * 1024 * 1024


class ArchiveCounters(msgspec.Struct):
    """What the archive did since the program started; written by its thread, read by anyone."""

    entered: int = 0
    deleted_by_age: int = 0
    deleted_for_space: int = 0
    disk_errors: int = 0


def free_bytes_of(folder: Path) -> int:
    """Return what is free for us on the disk of `folder`."""
    return shutil.disk_usage(folder).free


class _Finish(msgspec.Struct, frozen=True):
    folder: Path
    descriptor: int
    entry: FileEntry


class _Enter(msgspec.Struct, frozen=True):
    folder: Path
    entry: Entry


class _MakeRoom(msgspec.Struct, frozen=True):
    pass


class Archive:
    """The recordings of one shard: DIRECTORY/CAMERA/DAY/TIME.mp4, and DIRECTORY/CAMERA/index.jsonl."""

    def __init__(
        self,
        directory: Path,
        retention: Retention,
        clock: Clock,
        on_entry: EntryListener,
        *,
        free_bytes: Callable[[Path], int] = free_bytes_of,
    ) -> None:
        """Prepare; `open_camera` for each camera, then `start`. `on_entry` runs in the archive's thread."""
        self.counters = ArchiveCounters()
        self._directory = directory
        self._retention = retention
        self._clock = clock
        self._on_entry = on_entry
        self._free_bytes = free_bytes
        self._jobs: queue.SimpleQueue[_Finish | _Enter | _MakeRoom | None] = queue.SimpleQueue()
        self._oldest: list[tuple[datetime, str, str, datetime, int]] = []
        self._refused: list[_Enter] = []
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    def folder(self, camera_id: str) -> Path:
        """Return where the recordings of a camera are."""
        return self._directory / camera_id

    def open_camera(self, camera_id: str) -> Recovered:
        """Repair and take over a camera's recordings. Called before `start`.

        On a full disk the camera's oldest recordings go until there is room for the repair. Raises OSError
        when the disk refuses for another reason, or nothing is left to delete.
        """
        while True:
            try:
                found = recover(camera_id, self.folder(camera_id), self._clock)
                break
            except OSError as error:
                if error.errno != errno.ENOSPC or not self._delete_unentered(camera_id):
                    raise
        for entry in found.files:
            self._keep(entry)
        return found

    def _delete_unentered(self, camera_id: str) -> bool:
        """Delete a camera's oldest file, whose tombstone the repair writes; return whether there was one."""
        oldest = min(self.folder(camera_id).glob("*/*.mp4"), default=None)
        if oldest is None:
            return False
        log.warning("the oldest recording goes: the disk is full", camera=camera_id, file=oldest.name)
        oldest.unlink(missing_ok=True)
        self.counters.deleted_for_space += 1
        return True

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Do what is still to do, then end; return whether it has ended within `timeout_s`."""
        if self._thread.ident is None:
            return True
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def finish(self, folder: Path, descriptor: int, entry: FileEntry) -> None:
        """Sync and close the file behind `descriptor`, then enter it."""
        self._jobs.put(_Finish(folder, descriptor, entry))

    def enter(self, folder: Path, entry: Entry) -> None:
        """Enter what is not a file."""
        self._jobs.put(_Enter(folder, entry))

    def make_room(self) -> None:
        """Delete what is oldest, soon: the disk is full."""
        self._jobs.put(_MakeRoom())

    def _run(self) -> None:
        next_sweep_s = self._clock.monotonic_s()
        ended = False
        while not ended:
            job: _Finish | _Enter | _MakeRoom | None = None
            try:
                job = self._jobs.get(timeout=RETRY_PERIOD_S)
                ended = job is None
            except queue.Empty:
                pass
            try:
                self._do(job)
                if self._clock.monotonic_s() >= next_sweep_s:
                    next_sweep_s = self._clock.monotonic_s() + SWEEP_PERIOD_S
                    self._sweep()
            except Exception:
                # A defect met in one job must not leave the files after it unsynced.
                log.exception("the archive failed in our own code")

    def _do(self, job: _Finish | _Enter | _MakeRoom | None) -> None:
        match job:
            case None:
                self._retry()
            case _MakeRoom():
                # The disk said it is full: one file goes even when its free space looks sufficient (quotas).
                self._sweep(at_least_bytes=1)
            case _Finish(folder, descriptor, entry):
                self._sync(folder, descriptor, entry)
                self._enter(_Enter(folder, entry))
            case _Enter():
                self._enter(job)

    def _sync(self, folder: Path, descriptor: int, entry: FileEntry) -> None:
        try:
            os.fsync(descriptor)
            index.sync_folder((folder / entry.path).parent)
        except OSError as error:
            self._refuse("sync", error)
        finally:
            os.close(descriptor)

    def _enter(self, job: _Enter) -> None:
        """Enter, in order: while an earlier entry is refused by the disk, later ones wait behind it.

        A file may be deleted for its room before its own entry found any; its tombstone then follows it.
        """
        self._refused.append(job)
        if isinstance(job.entry, FileEntry):
            self._keep(job.entry)
        self._retry()

    def _retry(self) -> None:
        while self._refused:
            job = self._refused[0]
            try:
                index.append(job.folder, job.entry)
            except OSError as error:
                self._refuse("index", error)
                return
            self._refused.pop(0)
            self.counters.entered += 1
            self._on_entry(job.entry)

    def _refuse(self, what: str, error: OSError) -> None:
        self.counters.disk_errors += 1
        log.error("the disk refuses the archive", what=what, error=os.strerror(error.errno or 0))

    def _keep(self, entry: FileEntry) -> None:
        heapq.heappush(self._oldest, (entry.start, entry.camera_id, entry.path, entry.end, entry.size_bytes))

    def _sweep(self, at_least_bytes: int = 0) -> None:
        """Delete what is too old; then the oldest of all cameras while the disk has too little room."""
        limit = self._clock.now() - timedelta(seconds=self._retention.max_age_s)
        while self._oldest and self._oldest[0][3] < limit:
            self._delete(DeletionReason.AGE)
            self.counters.deleted_by_age += 1
        try:
            missing = max(at_least_bytes, self._retention.min_free_bytes - self._free_bytes(self._directory))
        except OSError as error:
            self._refuse("free space", error)
            return
        while missing > 0 and self._oldest:
            missing -= self._delete(DeletionReason.SPACE)
            self.counters.deleted_for_space += 1

    def _delete(self, reason: DeletionReason) -> int:
        """Delete the oldest recording, its tombstone first; return its bytes."""
        _, camera_id, path, _, size = heapq.heappop(self._oldest)
        folder = self.folder(camera_id)
        if reason is DeletionReason.SPACE:
            log.warning("the oldest recording goes: the disk is full", camera=camera_id, file=path)
        entry = DeletedEntry(camera_id=camera_id, path=path, at=self._clock.now(), reason=reason)
        # A full disk may refuse the tombstone; it then follows as soon as the deletion has made room.
        self._enter(_Enter(folder, entry))
        try:
            (folder / path).unlink(missing_ok=True)
        except OSError as error:
            self._refuse("delete", error)
        self._retry()
        return size
