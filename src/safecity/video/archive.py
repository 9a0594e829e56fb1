"""Making recordings last, and letting them go: one thread a shard that syncs, enters and deletes.

Order for each file: written, file synced, folder synced, entered in the index (synced), then told. Recording
threads only put work here; the queue is bounded by the disk itself, a job a minute and camera.
"""

import os
import queue
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity.clock import Clock
from safecity.model.video import Hold, RetentionPolicy
from safecity.video import index
from safecity.video.index import DeletedEntry, DeletionReason, Entry, FileEntry
from safecity.video.pruning import LEAST_ENTRIES, prune
from safecity.video.recovery import Recovered, kept, recover_on_any_disk
from safecity.video.retention import (
    NOTHING_HELD,
    Holds,
    Kept,
    Ledger,
    Limits,
    Retention,
    delete_snapshots,
    holds_by_camera,
    remove_empty_days,
)

__all__ = ["Archive", "ArchiveCounters", "EntryListener", "Retention"]

log = structlog.get_logger()

SWEEP_PERIOD_S: Final = 20.0
"""How often age and free space are looked at."""
TIDY_PERIOD_S: Final = 300.0
"""How often one camera's snapshots, empty folders and index are looked at, each camera in its turn."""
RETRY_PERIOD_S: Final = 1.0
"""How long an entry waits that the disk refused."""
PRUNE_AFTER: Final = timedelta(days=7)
"""How long the index names a deleted file: so long the database may be away without missing its deletion."""
ADD_WITHIN_S: Final = 300.0
"""Repairing a camera's recordings may take so long: an index of a month, a slow disk."""

EntryListener = Callable[[Entry], None]


class ArchiveCounters(msgspec.Struct):
    """What the archive did since the program started; written by its thread, read by anyone."""

    entered: int = 0
    deleted_by_age: int = 0
    deleted_by_share: int = 0
    deleted_for_space: int = 0
    deleted_snapshots: int = 0
    prunings: int = 0
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


class _Add(msgspec.Struct, frozen=True):
    camera_id: str
    answer: "Future[Recovered]"


class _MakeRoom(msgspec.Struct, frozen=True):
    pass


class _Sweep(msgspec.Struct, frozen=True):
    pass


class _Retry(msgspec.Struct, frozen=True):
    pass


_Job = _Finish | _Enter | _Add | _MakeRoom | _Sweep | _Retry | None


class Archive:
    """The recordings of one shard: DIRECTORY/CAMERA/DAY/TIME.mp4, and DIRECTORY/CAMERA/index.jsonl.

    Cameras come and go, and policies and holds change, while it runs; those calls come from any thread.
    """

    def __init__(
        self,
        directory: Path,
        retention: Retention,
        clock: Clock,
        on_entry: EntryListener,
        *,
        free_bytes: Callable[[Path], int] = free_bytes_of,
        prune_after: timedelta = PRUNE_AFTER,
        prune_least: int = LEAST_ENTRIES,
        tidy_period_s: float = TIDY_PERIOD_S,
    ) -> None:
        """Prepare; nothing runs before `start`. `on_entry` runs in the archive's thread."""
        self.counters = ArchiveCounters()
        self._directory = directory
        self._retention = retention
        self._clock = clock
        self._on_entry = on_entry
        self._free_bytes = free_bytes
        self._prune_after = prune_after
        self._prune_least = prune_least
        self._tidy_period_s = tidy_period_s
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._ledgers: dict[str, Ledger] = {}
        self._policies: dict[str, RetentionPolicy] = {}
        self._holds: dict[str, Holds] = {}
        self._turn: deque[str] = deque()
        self._refused: deque[_Enter] = deque()
        self._exhausted = False
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    @property
    def is_exhausted(self) -> bool:
        """Whether the disk is full and everything on it is held: then nothing more can be recorded."""
        return self._exhausted

    def folder(self, camera_id: str) -> Path:
        """Return where the recordings of a camera are."""
        return self._directory / camera_id

    def open_camera(self, camera_id: str) -> Recovered:
        """Repair and take over a camera's recordings; the same as `add_camera` with the default policy."""
        return self.add_camera(camera_id, RetentionPolicy())

    def add_camera(self, camera_id: str, policy: RetentionPolicy) -> Recovered:
        """Repair and take over a camera's recordings, before `start` or while running; set holds before.

        On a full disk the camera's oldest recordings go until there is room for the repair. Raises OSError
        when the disk refuses for another reason, or nothing is left that may be deleted. It waits for the
        disk: call it where that is allowed to last.
        """
        self._policies = {**self._policies, camera_id: policy}
        if self._thread.ident is None:
            return self._take_over(camera_id)
        # Only one thread writes indexes, and what the camera recorded before must be entered first.
        answer: Future[Recovered] = Future()
        self._jobs.put(_Add(camera_id, answer))
        return answer.result(ADD_WITHIN_S)

    def _take_over(self, camera_id: str) -> Recovered:
        found, given_up = recover_on_any_disk(
            camera_id, self.folder(camera_id), self._clock, self._held(camera_id)
        )
        self.counters.deleted_for_space += given_up
        self._ledgers[camera_id] = Ledger(found.files)
        if camera_id not in self._turn:
            self._turn.append(camera_id)
        return found

    def remove_camera(self, camera_id: str) -> None:
        """Know that a camera records no more; what it recorded is kept by its policy all the same.

        Its recorder must have ended. The camera may be added again.
        """
        self._jobs.put(_Sweep())

    def set_policy(self, camera_id: str, policy: RetentionPolicy) -> None:
        """Keep a camera's recordings as `policy` says, from now on."""
        self._policies = {**self._policies, camera_id: policy}
        self._jobs.put(_Sweep())

    def set_holds(self, holds: Iterable[Hold]) -> None:
        """Never delete what these hold (all of them, each time); what no hold covers may go again."""
        self._holds = holds_by_camera(holds)
        self._jobs.put(_Sweep())

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
        next_tidy_s = next_sweep_s + self._tidy_period_s
        job: _Job = _Retry()
        while job is not None:
            try:
                job = self._jobs.get(timeout=RETRY_PERIOD_S)
            except queue.Empty:
                job = _Retry()
            try:
                self._do(job)
                now_s = self._clock.monotonic_s()
                if now_s >= next_sweep_s:
                    next_sweep_s = now_s + SWEEP_PERIOD_S
                    self._sweep()
                if now_s >= next_tidy_s:
                    next_tidy_s = now_s + self._tidy_period_s
                    self._tidy()
            except Exception:
                # A defect met in one job must not leave the files after it unsynced.
                log.exception("the archive failed in our own code")

    def _do(self, job: _Job) -> None:
        match job:
            case None | _Retry():
                self._retry()
            case _MakeRoom():
                # The disk said it is full: one file goes even when its free space looks sufficient (quotas).
                self._sweep(at_least_bytes=1)
            case _Sweep():
                self._sweep()
            case _Add(camera_id, answer):
                try:
                    answer.set_result(self._take_over(camera_id))
                except Exception as error:
                    answer.set_exception(error)
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
            self._ledgers.setdefault(job.entry.camera_id, Ledger()).add(kept(job.entry))
        self._retry()

    def _retry(self) -> None:
        while self._refused:
            job = self._refused[0]
            try:
                index.append(job.folder, job.entry)
            except OSError as error:
                self._refuse("index", error)
                return
            self._refused.popleft()
            self.counters.entered += 1
            self._on_entry(job.entry)

    def _refuse(self, what: str, error: OSError) -> None:
        self.counters.disk_errors += 1
        log.error("the disk refuses the archive", what=what, error=os.strerror(error.errno or 0))

    def _limits(self, camera_id: str) -> Limits:
        return Limits.of(self._policies.get(camera_id, RetentionPolicy()), self._retention)

    def _held(self, camera_id: str) -> Holds:
        return self._holds.get(camera_id, NOTHING_HELD)

    def _sweep(self, at_least_bytes: int = 0) -> None:
        """Delete what is beyond a camera's limits; then the oldest of all while the disk has little room."""
        for camera_id, ledger in self._ledgers.items():
            self._expire(camera_id, ledger)
        try:
            missing = max(at_least_bytes, self._retention.min_free_bytes - self._free_bytes(self._directory))
        except OSError as error:
            self._refuse("free space", error)
            return
        while missing > 0:
            found = self._oldest()
            if found is None:
                break
            log.warning("the oldest recording goes: the disk is full", camera=found[0], file=found[1].path)
            self._delete(*found, DeletionReason.SPACE)
            self.counters.deleted_for_space += 1
            missing -= found[1].size_bytes
        self._judge(missing)

    def _expire(self, camera_id: str, ledger: Ledger) -> None:
        limits, holds = self._limits(camera_id), self._held(camera_id)
        for file in ledger.expired(self._clock.now().timestamp() - limits.max_age_s, holds):
            self._delete(camera_id, file, DeletionReason.AGE)
            self.counters.deleted_by_age += 1
        while limits.max_bytes is not None and ledger.total_bytes > limits.max_bytes:
            oldest = ledger.oldest(holds)
            if oldest is None:
                break
            self._delete(camera_id, oldest, DeletionReason.SHARE)
            self.counters.deleted_by_share += 1

    def _oldest(self) -> tuple[str, Kept] | None:
        """Return the oldest recording of all cameras that isn't held, with its camera."""
        found = [
            (camera_id, file)
            for camera_id, ledger in self._ledgers.items()
            if (file := ledger.oldest(self._held(camera_id))) is not None
        ]
        return min(found, key=lambda one: one[1].start_s, default=None)

    def _judge(self, missing: int) -> None:
        """Know whether all that is left is held: then recording stops, loudly; nothing held is deleted."""
        exhausted = missing > 0 and any(len(ledger) for ledger in self._ledgers.values())
        if exhausted and not self._exhausted:
            log.error(
                "recording stops: the disk is full and everything on it is held",
                missing_bytes=missing,
                what_to_do="release holds, or give the recordings a larger disk",
            )
        elif self._exhausted and not exhausted:
            log.warning("the disk has room again for recordings")
        self._exhausted = exhausted

    def _delete(self, camera_id: str, file: Kept, reason: DeletionReason) -> None:
        """Delete a recording, its tombstone first."""
        self._ledgers[camera_id].remove(file)
        folder = self.folder(camera_id)
        entry = DeletedEntry(camera_id=camera_id, path=file.path, at=self._clock.now(), reason=reason)
        # A full disk may refuse the tombstone; it then follows as soon as the deletion has made room.
        self._enter(_Enter(folder, entry))
        try:
            (folder / file.path).unlink(missing_ok=True)
        except OSError as error:
            self._refuse("delete", error)
        self._retry()

    def _tidy(self) -> None:
        """Look at one camera's snapshots, empty folders and old entries; the next time at the next one's."""
        if not self._turn:
            return
        camera_id = self._turn[0]
        self._turn.rotate(-1)
        folder, now = self.folder(camera_id), self._clock.now()
        too_old = now - timedelta(seconds=self._limits(camera_id).max_age_s)
        try:
            self.counters.deleted_snapshots += delete_snapshots(folder, too_old, self._held(camera_id))
            remove_empty_days(folder, now)
            pruned = prune(camera_id, folder, now - self._prune_after, now, self._prune_least)
        except OSError as error:
            self._refuse("tidy", error)
            return
        if pruned is not None:
            self.counters.prunings += 1
            self._on_entry(pruned)
