"""Making recordings last, and letting them go: one thread a shard that syncs, enters and deletes.

Order for each file: written, file synced, folder synced, entered in the index (synced), then told. Recording
threads only put work here; the queue is bounded by the disk itself, a job a minute and camera.
"""

import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from safecity.clock import Clock
from safecity.model.video import Hold, RetentionPolicy
from safecity.video.recording import index
from safecity.video.recording.archive_jobs import (
    Add,
    ArchiveCounters,
    Enter,
    Finish,
    Job,
    MakeRoom,
    Remove,
    Retry,
    Sweep,
)
from safecity.video.recording.claims import Claims, read_policy, write_policy
from safecity.video.recording.index import DeletedEntry, DeletionReason, Entry, FileEntry
from safecity.video.recording.pruning import LEAST_ENTRIES, prune
from safecity.video.recording.recovery import Recovered, kept, recover_on_any_disk
from safecity.video.recording.retention import (
    NOTHING_HELD,
    Holds,
    Kept,
    Ledger,
    Limits,
    Retention,
    delete_snapshots,
    free_bytes_of,
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
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._ledgers: dict[str, Ledger] = {}
        self._policies: dict[str, RetentionPolicy] = {}
        self._holds: dict[str, Holds] = {}
        self._knows_holds = False
        self._claims = Claims(directory)
        self._turn: deque[str] = deque()
        self._tidied = 0
        self._refused: deque[Enter] = deque()
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
        self._jobs.put(Add(camera_id, answer))
        return answer.result(ADD_WITHIN_S)

    def _take_over(self, camera_id: str) -> Recovered:
        folder = self.folder(camera_id)
        if not self._claims.take(camera_id):
            log.error("another process writes this camera's recordings too", camera=camera_id)
        write_policy(folder, self._policies[camera_id])
        found = self._open(camera_id)
        if camera_id not in self._turn:
            self._turn.append(camera_id)
        return found

    def _open(self, camera_id: str) -> Recovered:
        holds = self._held(camera_id)
        found, given_up = recover_on_any_disk(camera_id, self.folder(camera_id), self._clock, holds)
        self.counters.deleted_for_space += given_up
        self._ledgers[camera_id] = Ledger(found.files)
        return found

    def remove_camera(self, camera_id: str) -> None:
        """Know that a camera records no more; what it recorded is kept by its policy all the same.

        Its recorder must have ended. The camera may be added again, here or in another process.
        """
        self._jobs.put(Remove(camera_id))

    def set_policy(self, camera_id: str, policy: RetentionPolicy) -> None:
        """Keep a camera's recordings as `policy` says, from now on."""
        self._policies = {**self._policies, camera_id: policy}
        write_policy(self.folder(camera_id), policy)
        self._jobs.put(Sweep())

    def set_holds(self, holds: Iterable[Hold]) -> None:
        """Never delete what these hold: all of them, of all cameras, each time. The rest may go again."""
        self._holds = holds_by_camera(holds)
        self._knows_holds = True
        self._jobs.put(Sweep())

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
        self._jobs.put(Finish(folder, descriptor, entry))

    def enter(self, folder: Path, entry: Entry) -> None:
        """Enter what is not a file."""
        self._jobs.put(Enter(folder, entry))

    def make_room(self) -> None:
        """Delete what is oldest, soon: the disk is full."""
        self._jobs.put(MakeRoom())

    def _run(self) -> None:
        next_sweep_s = self._clock.monotonic_s()
        next_tidy_s = next_sweep_s + self._tidy_period_s
        job: Job = Retry()
        while job is not None:
            try:
                job = self._jobs.get(timeout=RETRY_PERIOD_S)
            except queue.Empty:
                job = Retry()
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
        self._claims.give_back_all()

    def _do(self, job: Job) -> None:
        match job:
            case None | Retry():
                self._retry()
            case MakeRoom() | Sweep():
                # A disk that says it is full loses a file even when it looks as if it had room (quotas).
                self._sweep(at_least_bytes=int(isinstance(job, MakeRoom)))
            case Remove(camera_id):
                self._ledgers.pop(camera_id, None)
                with contextlib.suppress(ValueError):
                    self._turn.remove(camera_id)
                self._claims.give_back(camera_id)
            case Add(camera_id, answer):
                try:
                    answer.set_result(self._take_over(camera_id))
                except Exception as error:
                    answer.set_exception(error)
            case Finish(folder, descriptor, entry):
                self._sync(folder, descriptor, entry)
                self._enter(Enter(folder, entry))
            case Enter():
                self._enter(job)

    def _sync(self, folder: Path, descriptor: int, entry: FileEntry) -> None:
        try:
            os.fsync(descriptor)
            index.sync_folder((folder / entry.path).parent)
        except OSError as error:
            self._refuse("sync", error)
        finally:
            os.close(descriptor)

    def _enter(self, job: Enter) -> None:
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
        policy = self._policies.get(camera_id) or read_policy(self.folder(camera_id))
        return Limits.of(policy, self._retention)

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
        if missing > 0:
            with self._with_rest():
                missing = self._make_room(missing)
        self._judge(missing)

    def _make_room(self, missing: int) -> int:
        """Delete the oldest of all cameras until so many bytes are free; return how many still miss."""
        while missing > 0 and (found := self._oldest()) is not None:
            log.warning("the oldest recording goes: the disk is full", camera=found[0], file=found[1].path)
            self._delete(*found, DeletionReason.SPACE)
            self.counters.deleted_for_space += 1
            missing -= found[1].size_bytes
        return missing

    @contextlib.contextmanager
    def _with_rest(self) -> Iterator[list[str]]:
        """Look, for the block, after the recordings of cameras that nobody records; give their ids."""
        opened: list[str] = []
        with self._claims.rest(self._knows_holds) as rest:
            try:
                for camera_id in rest:
                    try:
                        self._open(camera_id)
                        opened.append(camera_id)
                    except OSError as error:
                        self._refuse("recordings that nobody makes any more", error)
                yield opened
            finally:
                for camera_id in opened:
                    del self._ledgers[camera_id]

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
        self._enter(Enter(folder, entry))
        try:
            (folder / file.path).unlink(missing_ok=True)
        except OSError as error:
            self._refuse("delete", error)
        self._retry()

    def _tidy(self) -> None:
        """Look at one camera's snapshots, empty folders and old entries; the next time at the next one's.

        When each has had its turn, it is that of those that nobody records.
        """
        if self._turn and self._tidied < len(self._turn):
            self._tidied += 1
            self._tidy_camera(self._turn[0])
            self._turn.rotate(-1)
            return
        self._tidied = 0
        with self._with_rest() as rest:
            for camera_id in rest:
                self._expire(camera_id, self._ledgers[camera_id])
                self._tidy_camera(camera_id)

    def _tidy_camera(self, camera_id: str) -> None:
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
