"""Letting recordings go: what is too old, beyond a camera's share, or in the way on a full disk.

All of it runs in the archive's thread. Nothing goes that is held, and as long as nobody has said what is
held, nothing goes at all. That is asked again before each deletion: a hold may come in the middle of a sweep.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Final

import structlog

from safecity.clock import Clock
from safecity.model.video import Hold, RetentionPolicy
from safecity.video.recording.archive_jobs import ArchiveCounters
from safecity.video.recording.calendar import Calendar
from safecity.video.recording.claims import Claims, read_policy
from safecity.video.recording.index import DeletionReason, PrunedEntry
from safecity.video.recording.pictures import Pictures
from safecity.video.recording.pruning import prune
from safecity.video.recording.recovery import Recovered, recover_on_any_disk
from safecity.video.recording.retention import (
    EVERYTHING_HELD,
    NOTHING_HELD,
    Holds,
    Kept,
    Ledger,
    Limits,
    Retention,
    holds_by_camera,
    remove_empty_days,
)
from safecity.video.recording.space import SharedDisk

log = structlog.get_logger()

OTHERS_WITHIN_S: Final = 5.0
"""So long another process has to delete what is older than all of ours; then ours go."""

Bury = Callable[[str, Kept, DeletionReason], None]
"""Enters the tombstone of a camera's file, then deletes the file."""
Refuse = Callable[[str, OSError], None]
"""Counts and says what the disk refused."""


class Clearing:
    """What one shard's archive lets go, and when."""

    def __init__(
        self,
        directory: Path,
        retention: Retention,
        clock: Clock,
        claims: Claims,
        counters: ArchiveCounters,
        *,
        bury: Bury,
        refuse: Refuse,
        tell: Callable[[PrunedEntry], None],
        free_bytes: Callable[[Path], int],
        prune_after: timedelta,
        prune_least: int,
    ) -> None:
        """Look after nothing yet, and delete nothing before it is known what is held."""
        self.ledgers: dict[str, Ledger] = {}
        self.is_exhausted = False
        self._directory = directory
        self._retention = retention
        self._clock = clock
        self._claims = claims
        self._counters = counters
        self._bury = bury
        self._refuse = refuse
        self._tell = tell
        self._free_bytes = free_bytes
        self._prune_after = prune_after
        self._prune_least = prune_least
        self._holds: dict[str, Holds] | None = None
        self._pictures: dict[str, Pictures] = {}
        self._policies: dict[str, RetentionPolicy] = {}
        self._calendar = Calendar(clock)
        self._disk = SharedDisk(directory)
        self._waits_since_s: float | None = None
        self._turn: deque[str] = deque()
        self._tidied = 0

    def set_holds(self, holds: Iterable[Hold] | None) -> None:
        """Never delete what these hold, of all cameras; None: it is not known, so delete nothing."""
        if holds is None:
            log.error(
                "nothing recorded is deleted, since it is not known what is held",
                what_to_do="let the database answer; watch the free space until it does",
            )
        self._holds = None if holds is None else holds_by_camera(holds)

    def held(self, camera_id: str) -> Holds:
        """Return what of a camera must stay now."""
        holds = self._holds
        return EVERYTHING_HELD if holds is None else holds.get(camera_id, NOTHING_HELD)

    def open(self, camera_id: str) -> Recovered:
        """Repair a camera's recordings and look after them. Raises OSError when the disk refuses."""
        folder = self._directory / camera_id
        found, given_up = recover_on_any_disk(camera_id, folder, self._clock, lambda: self.held(camera_id))
        self._counters.deleted_for_space += given_up
        pictures = Pictures(folder, lambda: self.held(camera_id))
        pictures.count()
        self.ledgers[camera_id], self._pictures[camera_id] = Ledger(found.files), pictures
        return found

    def begin(self, camera_id: str, policy: RetentionPolicy) -> None:
        """Look after a camera that this process records now, by its policy."""
        self._policies[camera_id] = policy
        if camera_id not in self._turn:
            self._turn.append(camera_id)

    def set_policy(self, camera_id: str, policy: RetentionPolicy) -> None:
        """Know another policy of a camera; that of one that nobody records lies beside its recordings."""
        if self._policies.get(camera_id, policy) != policy:
            self._policies[camera_id] = policy
            self._expire(camera_id, self.ledgers[camera_id])

    def forget(self, camera_id: str) -> None:
        """Look after a camera no more: its recordings are those of whoever claims the folder next."""
        self.ledgers.pop(camera_id, None)
        self._pictures.pop(camera_id, None)
        self._policies.pop(camera_id, None)
        with contextlib.suppress(ValueError):
            self._turn.remove(camera_id)

    def sweep(self, at_least_bytes: int = 0) -> None:
        """Delete what is beyond a camera's limits; then the oldest of all while the disk has little room."""
        self._calendar.look()
        for camera_id, ledger in self.ledgers.items():
            self._expire(camera_id, ledger)
        self.make_room(at_least_bytes)

    def make_room(self, at_least_bytes: int = 0) -> None:
        """Delete the oldest of all while the disk has little room, or a process that shares it wants some.

        When the oldest is that of another process, that one deletes it; ours go when it doesn't.
        """
        try:
            with self._disk.turn() as is_ours:
                if is_ours:
                    self._take_turn(at_least_bytes)
                elif at_least_bytes:
                    self._disk.want()
        except OSError as error:
            self._refuse("free space", error)

    @property
    def is_room_wanted(self) -> bool:
        """Whether a process that shares the disk wants room."""
        return self._disk.is_wanted

    def _take_turn(self, at_least_bytes: int) -> None:
        free_bytes = self._free_bytes(self._directory)
        missing = max(at_least_bytes, int(self._disk.is_wanted), self._retention.min_free_bytes - free_bytes)
        if self._holds is None:
            self._judge(missing, is_anything_left=False)
            return
        left: float | None = None
        if missing > 0:
            with self._with_rest():
                missing, left = self._delete_oldest(missing)
        if missing > 0 and left is not None:
            self._disk.want()
        else:
            self._disk.withdraw()
            self._waits_since_s = None
        self._judge(missing, is_anything_left=left is not None)

    def tidy(self) -> None:
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
                self._expire(camera_id, self.ledgers[camera_id])
                self._tidy_camera(camera_id)

    def _limits(self, camera_id: str) -> Limits:
        policy = self._policies.get(camera_id) or read_policy(self._directory / camera_id)
        return Limits.of(policy, self._retention)

    def _delete_oldest(self, missing: int) -> tuple[int, float | None]:
        """Delete the oldest until so many bytes are free, or another process has older ones.

        Returns how many bytes still miss, and when the oldest began that others have; None without one.
        """
        theirs_s = self._disk.oldest_of_others(self.ledgers, self.held)
        missing -= self._clear_pictures(missing)
        while missing > 0 and (found := self._oldest()) is not None:
            if theirs_s is not None and theirs_s < found[1].start_s and self._is_patient():
                return missing, theirs_s
            log.warning("the oldest recording goes: the disk is full", camera=found[0], file=found[1].path)
            self._delete(*found, DeletionReason.SPACE)
            self._counters.deleted_for_space += 1
            missing -= found[1].size_bytes
        if theirs_s is None:
            missing -= self._clear_pictures(missing)
        return missing, theirs_s

    def _clear_pictures(self, missing: int) -> int:
        """Delete pictures older than every recording that may go; return how many bytes went."""
        oldest, went = self._oldest(), 0
        before_s = inf if oldest is None else oldest[1].start_s
        for camera_id, pictures in self._pictures.items():
            had = pictures.total_bytes
            if had and went < missing:
                self._delete_pictures(camera_id, before_s, missing - went)
                went += had - pictures.total_bytes
        return went

    def _is_patient(self) -> bool:
        """Return whether the other process still has time to delete its oldest."""
        now_s = self._clock.monotonic_s()
        if self._waits_since_s is None:
            self._waits_since_s = now_s
        return now_s - self._waits_since_s < OTHERS_WITHIN_S

    def _judge(self, missing: int, *, is_anything_left: bool) -> None:
        exhausted = missing > 0 and not is_anything_left and self._oldest() is None
        if exhausted and not self.is_exhausted:
            knows = self._holds is not None
            log.error(
                "the disk is full and every recording on it is held"
                if knows
                else "the disk is full, and nothing may go as long as it is not known what is held",
                missing_bytes=missing,
                what_to_do="release holds, or give the recordings a larger disk"
                if knows
                else "let the database answer, or give the recordings a larger disk",
            )
        elif self.is_exhausted and not exhausted:
            log.warning("the disk has room again for recordings")
        self.is_exhausted = exhausted

    def _oldest(self) -> tuple[str, Kept] | None:
        """Return the oldest recording of all cameras that isn't held, with its camera."""
        found = [
            (camera_id, file)
            for camera_id, ledger in self.ledgers.items()
            if (file := ledger.oldest(self.held(camera_id))) is not None
        ]
        return min(found, key=lambda one: one[1].start_s, default=None)

    @contextlib.contextmanager
    def _with_rest(self) -> Iterator[list[str]]:
        """Look, for the block, after the recordings of cameras that nobody records; give their ids."""
        opened: list[str] = []
        with self._claims.rest(self._holds is not None) as rest:
            try:
                for camera_id in rest:
                    try:
                        self.open(camera_id)
                        opened.append(camera_id)
                    except OSError as error:
                        self._refuse("recordings that nobody makes any more", error)
                yield opened
            finally:
                for camera_id in opened:
                    del self.ledgers[camera_id], self._pictures[camera_id]

    def _expire(self, camera_id: str, ledger: Ledger) -> None:
        limits = self._limits(camera_id)
        too_old_s = self._clock.now().timestamp() - limits.max_age_s
        expired = ledger.expired(too_old_s, self.held(camera_id))
        if expired and not self._calendar.is_believed(self.ledgers.values()):
            self._counters.clock_doubts += 1
            expired = []
        for file in expired:
            if not self.held(camera_id).cover(file.start_s, file.end_s):
                self._delete(camera_id, file, DeletionReason.AGE)
                self._counters.deleted_by_age += 1
        if limits.max_bytes is not None:
            self._keep_share(camera_id, limits.max_bytes)

    def _keep_share(self, camera_id: str, max_bytes: int) -> None:
        """Delete a camera's oldest while its recordings and pictures take more than their share."""
        ledger, pictures = self.ledgers[camera_id], self._pictures[camera_id]
        while (beyond := ledger.total_bytes + pictures.total_bytes - max_bytes) > 0:
            oldest = ledger.oldest(self.held(camera_id))
            if self._delete_pictures(camera_id, inf if oldest is None else oldest.start_s, beyond):
                continue
            if oldest is None:
                break
            self._delete(camera_id, oldest, DeletionReason.SHARE)
            self._counters.deleted_by_share += 1

    def _delete_pictures(self, camera_id: str, before_s: float, at_least_bytes: float = inf) -> int:
        """Delete a camera's oldest pictures, and return how many."""
        try:
            deleted = self._pictures[camera_id].delete_before(before_s, at_least_bytes)
        except OSError as error:
            self._refuse("delete a picture", error)
            return 0
        self._counters.deleted_snapshots += deleted
        return deleted

    def _delete(self, camera_id: str, file: Kept, reason: DeletionReason) -> None:
        self.ledgers[camera_id].remove(file)
        self._bury(camera_id, file, reason)

    def _tidy_camera(self, camera_id: str) -> None:
        folder, now = self._directory / camera_id, self._clock.now()
        too_old = now - timedelta(seconds=self._limits(camera_id).max_age_s)
        if not self._calendar.is_believed(self.ledgers.values()):
            return
        self._delete_pictures(camera_id, too_old.timestamp())
        try:
            self._pictures[camera_id].count()
            remove_empty_days(folder, now)
            pruned = prune(camera_id, folder, now - self._prune_after, now, self._prune_least)
        except OSError as error:
            self._refuse("tidy", error)
            return
        if pruned is not None:
            self._counters.prunings += 1
            self._tell(pruned)
