"""Making recordings last, and letting them go: one thread a shard that syncs, enters and deletes.

Order for each file: written, file synced, folder synced, entered in the index (synced), then told. Recording
threads only put work here; the queue is bounded by the disk itself, a job a minute and camera.
"""

import errno
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
from msgspec.structs import replace

from safecity.clock import Clock
from safecity.model.video import Hold, RetentionPolicy
from safecity.video.recording import index, syncing
from safecity.video.recording.archive_jobs import (
    Add,
    ArchiveCounters,
    Enter,
    Finish,
    Job,
    MakeRoom,
    Remove,
    Retry,
    SetPolicy,
    Sweep,
)
from safecity.video.recording.claims import Claims, Taken, write_policy
from safecity.video.recording.clearing import Clearing
from safecity.video.recording.index import DeletedEntry, DeletionReason, Entry, FileEntry
from safecity.video.recording.pruning import LEAST_ENTRIES
from safecity.video.recording.recovery import Recovered, kept
from safecity.video.recording.retention import Holds, Kept, Retention, free_bytes_of

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
PATIENCE_S: Final = 5.0
"""So long another process may take to let a camera's folder go: it ends its stream first."""
CLAIM_AGAIN_S: Final = 0.2
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
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Prepare; nothing runs before `start`. `on_entry` runs in the archive's thread.

        patience_s: how long another process may take to let a camera's folder go.
        """
        self.counters = ArchiveCounters()
        self._directory = directory
        self._clock = clock
        self._on_entry = on_entry
        self._tidy_period_s = tidy_period_s
        self._patience_s = patience_s
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._claims = Claims(directory)
        self._refused: deque[Enter] = deque()
        self._leaving: set[str] = set()
        self._clearing = Clearing(
            *(directory, retention, clock, self._claims, self.counters),
            bury=self._bury,
            refuse=self._refuse,
            tell=on_entry,
            free_bytes=free_bytes,
            prune_after=prune_after,
            prune_least=prune_least,
        )
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    @property
    def is_exhausted(self) -> bool:
        """Whether the disk is full and everything on it is held: then nothing more can be recorded."""
        return self._clearing.is_exhausted

    def folder(self, camera_id: str) -> Path:
        """Return where the recordings of a camera are."""
        return self._directory / camera_id

    def open_camera(self, camera_id: str) -> Recovered:
        """Repair and take over a camera's recordings; the same as `add_camera` with the default policy."""
        return self.add_camera(camera_id, RetentionPolicy())

    def add_camera(self, camera_id: str, policy: RetentionPolicy) -> Recovered:
        """Repair and take over a camera's recordings, before `start` or while running; set holds before.

        On a full disk the camera's oldest recordings go until there is room for the repair. Raises OSError
        when the disk refuses for another reason, or nothing is left that may be deleted; Taken when another
        process writes that folder and does not let it go. It waits for the disk and for that process: call it
        where that is allowed to last.
        """
        end_s = time.monotonic() + self._patience_s
        while True:
            try:
                return self._add(camera_id, policy)
            except Taken:
                if time.monotonic() >= end_s:
                    raise
            # Waited for here: in the archive's thread the files of all other cameras would wait with it.
            time.sleep(CLAIM_AGAIN_S)

    def _add(self, camera_id: str, policy: RetentionPolicy) -> Recovered:
        if self._thread.ident is None:
            return self._take_over(camera_id, policy)
        # Only one thread writes indexes, and what the camera recorded before must be entered first.
        answer: Future[Recovered] = Future()
        self._jobs.put(Add(camera_id, policy, answer))
        return answer.result(ADD_WITHIN_S)

    def _take_over(self, camera_id: str, policy: RetentionPolicy) -> Recovered:
        was_ours = camera_id in self._claims
        if not self._claims.take(camera_id):
            raise Taken
        try:
            write_policy(self.folder(camera_id), policy)
            found = self._clearing.open(camera_id)
        except BaseException:
            if not was_ours:
                self._claims.give_back(camera_id)
            raise
        self._leaving.discard(camera_id)
        self._clearing.begin(camera_id, policy)
        return found

    def remove_camera(self, camera_id: str) -> None:
        """Know that a camera records no more; what it recorded is kept by its policy all the same.

        Its recorder must have ended. The camera may be added again, here or in another process.
        """
        self._jobs.put(Remove(camera_id))

    def set_policy(self, camera_id: str, policy: RetentionPolicy) -> None:
        """Keep a camera's recordings as `policy` says, from now on. Never waits for the disk."""
        self._jobs.put(SetPolicy(camera_id, policy))

    def set_holds(self, holds: Iterable[Hold] | None) -> None:
        """Never delete what these hold: all of them, of all cameras, each time. The rest may go again.

        None: it is not known what is held, as before the first call; then nothing is deleted at all.
        """
        self._clearing.set_holds(holds)
        self._jobs.put(Sweep())

    def held(self, camera_id: str) -> Holds:
        """Return what of a camera's recordings must stay now."""
        return self._clearing.held(camera_id)

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
                    self._clearing.sweep()
                if now_s >= next_tidy_s:
                    next_tidy_s = now_s + self._tidy_period_s
                    self._clearing.tidy()
            except Exception:
                # A defect met in one job must not leave the files after it unsynced.
                log.exception("the archive failed in our own code")
        self._claims.give_back_all()

    def _do(self, job: Job) -> None:
        match job:
            case None:
                self._retry()
            case Retry():
                self._retry()
                if self._clearing.is_room_wanted:
                    self._clearing.make_room()
            case MakeRoom() | Sweep():
                # A disk that says it is full loses a file even when it looks as if it had room (quotas).
                self._clearing.sweep(at_least_bytes=int(isinstance(job, MakeRoom)))
            case Remove(camera_id):
                self._clearing.forget(camera_id)
                self._leaving.add(camera_id)
                self._let_go()
            case SetPolicy(camera_id, policy):
                write_policy(self.folder(camera_id), policy)
                self._clearing.set_policy(camera_id, policy)
            case Add(camera_id, policy, answer):
                try:
                    answer.set_result(self._take_over(camera_id, policy))
                except Exception as error:
                    answer.set_exception(error)
            case Finish(folder, descriptor, entry):
                is_sure = self._sync(folder, descriptor, entry)
                self._enter(Enter(folder, entry if is_sure else replace(entry, unsynced=True)))
            case Enter():
                self._enter(job)

    def _sync(self, folder: Path, descriptor: int, entry: FileEntry) -> bool:
        """Sync and close a file; return whether it is surely on disk."""
        try:
            syncing.sync(folder, descriptor, entry)
        except OSError as error:
            self._refuse("sync", error)
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                self._clearing.make_room(entry.size_bytes)
            return self._write_anew(folder, entry)
        return True

    def _write_anew(self, folder: Path, entry: FileEntry) -> bool:
        try:
            if syncing.write_anew(folder, entry):
                self.counters.written_anew += 1
                return True
        except OSError as error:
            self._refuse("write a recording anew", error)
        self.counters.unsynced += 1
        log.error(
            "a recording is not surely on disk, and entered as such",
            camera=entry.camera_id,
            file=entry.path,
            what_to_do="look after the disk: it refuses to write or returns other content",
        )
        return False

    def _enter(self, job: Enter) -> None:
        """Enter, in order: while an earlier entry is refused by the disk, later ones wait behind it.

        A file may be deleted for its room before its own entry found any; its tombstone then follows it.
        """
        self._refused.append(job)
        if isinstance(job.entry, FileEntry) and job.entry.camera_id in self._clearing.ledgers:
            self._clearing.ledgers[job.entry.camera_id].add(kept(job.entry))
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
        self._let_go()

    def _let_go(self) -> None:
        """Give back the folders of cameras that left, once all of theirs is entered."""
        waiting = {job.entry.camera_id for job in self._refused}
        for camera_id in self._leaving - waiting:
            self._leaving.discard(camera_id)
            self._claims.give_back(camera_id)

    def _refuse(self, what: str, error: OSError) -> None:
        self.counters.disk_errors += 1
        log.error("the disk refuses the archive", what=what, error=os.strerror(error.errno or 0))

    def _bury(self, camera_id: str, file: Kept, reason: DeletionReason) -> None:
        """Delete a recording, its tombstone first."""
        folder = self.folder(camera_id)
        entry = DeletedEntry(camera_id=camera_id, path=file.path, at=self._clock.now(), reason=reason)
        # A full disk may refuse the tombstone; it then follows as soon as the deletion has made room.
        self._enter(Enter(folder, entry))
        try:
            (folder / file.path).unlink(missing_ok=True)
        except OSError as error:
            self._refuse("delete", error)
        self._retry()
