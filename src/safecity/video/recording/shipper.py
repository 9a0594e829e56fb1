"""Copying the recording indexes into PostgreSQL. Recording never waits for it: it reads what is on disk.

How far each index is copied stands in the transaction of the copy itself, so a kill at any moment on either
side repeats nothing and leaves nothing out. While PostgreSQL is away it waits, then catches up.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import structlog

from safecity.errors import SafeCityError, Unavailable
from safecity.store import recordings
from safecity.store.database import Database
from safecity.store.recordings import DeletionRow, GapRow, Position, RecordingRow, Row
from safecity.video.recording import index
from safecity.video.recording.index import (
    DeletedEntry,
    Entry,
    FileEntry,
    GapEntry,
    Line,
    OutageEntry,
    PrunedEntry,
)

log = structlog.get_logger()

BATCH: Final = 500
"""Entries of one transaction."""
BEAT_S: Final = 5.0
"""How often it is said which cameras are being recorded."""
RETRY_S: Final = 2.0

Connect = Callable[[], Awaitable[Database]]
RecordingSince = Callable[[], Mapping[str, datetime | None]]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The next entries of an index, and how far they reach.

    pruned: the line that stands for the oldest entries, when it was met. replaced: this is not the index that
    was copied before.
    """

    reached: Position
    entries: tuple[tuple[int, Entry], ...] = ()
    pruned: PrunedEntry | None = None
    replaced: bool = False


class IndexReader:
    """Reads one camera's index on from a position, without reading the beginning again each time."""

    def __init__(self, folder: Path) -> None:
        """Read the index in `folder`."""
        self._folder = folder
        self._last: Line | None = None

    def after(self, position: Position, limit: int = BATCH) -> Batch:
        """Return the next entries after `position`, at most `limit`. Raises OSError."""
        try:
            file = (self._folder / index.INDEX_NAME).open("rb")
        except FileNotFoundError:
            return Batch(reached=position, replaced=position.number > 0)
        with file:
            pruned: PrunedEntry | None = None
            if position.number == 0:
                self._last = None
            elif not self._is_at(file, position):
                self._last, pruned = self._find(file, position)
                if self._last is None:
                    return Batch(reached=position, replaced=True)
            return self._read_on(file, position, limit, pruned)

    def _is_at(self, file: BinaryIO, position: Position) -> bool:
        """Return whether the line read last is still where it was, and is that of `position`."""
        last = self._last
        if last is None or last.number != position.number:
            return False
        file.seek(last.offset)
        return hashlib.sha256(file.read(last.end - last.offset)).digest() == position.line_hash

    def _find(self, file: BinaryIO, position: Position) -> tuple[Line | None, PrunedEntry | None]:
        """Return the line of `position` (None: this index never had it), and the pruned line before it."""
        pruned: PrunedEntry | None = None
        for line in index.lines(file):
            if line.offset == 0:
                first = index.entry_of(line, self._folder)
                pruned = first if isinstance(first, PrunedEntry) else None
            if line.number < position.number:
                continue
            is_same = hashlib.sha256(line.data).digest() == position.line_hash
            return (line if is_same or (pruned is not None and line.offset == 0) else None), pruned
        return None, pruned

    def _read_on(self, file: BinaryIO, position: Position, limit: int, pruned: PrunedEntry | None) -> Batch:
        last = self._last
        found: list[tuple[int, Entry]] = []
        for line in index.lines(file, last.number, last.end) if last else index.lines(file):
            entry = index.entry_of(line, self._folder)
            if isinstance(entry, PrunedEntry):
                pruned = entry
            elif entry is not None:
                found.append((line.number, entry))
            last = line
            if len(found) == limit:
                break
        if last is None:
            return Batch(reached=position)
        # The bytes of the line are not needed again.
        self._last = last._replace(data=b"")
        digest = hashlib.sha256(last.data).digest() if last.data else position.line_hash
        return Batch(
            reached=Position(number=last.number, line_hash=digest), entries=tuple(found), pruned=pruned
        )


class Shipper:
    """Copies the indexes of one shard's cameras, as they grow."""

    def __init__(
        self, connect: Connect, directory: Path, recording_since: RecordingSince = dict[str, datetime | None]
    ) -> None:
        """Prepare; nothing runs before `run`.

        connect: opens the database, and raises Unavailable while that is away. directory: the recordings.
        recording_since: for each camera the start of its unfinished file, asked every BEAT_S.
        """
        self.copied = 0
        self.failures = 0
        self._connect = connect
        self._directory = directory
        self._recording_since = recording_since
        self._readers: dict[str, IndexReader] = {}
        self._dirty: set[str] = set()
        self._copying: set[str] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        """Return how many cameras have entries that are not copied yet."""
        return len(self._dirty | self._copying)

    def add_cameras(self, camera_ids: Iterable[str]) -> None:
        """Copy the indexes of these cameras, from wherever they are. Called in the event loop."""
        self._dirty.update(camera_ids)
        self._wake.set()

    def notify(self, entry: Entry) -> None:
        """Know that an index has grown: the archive's `on_entry`, called in its thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the archive
                self._loop.call_soon_threadsafe(self.add_cameras, (entry.camera_id,))

    def counters(self) -> dict[str, float]:
        """Return what was copied and what failed, for metrics."""
        return {
            "index_entries_copied_total": float(self.copied),
            "index_copy_failures_total": float(self.failures),
            "indexes_waiting": float(self.waiting),
        }

    async def run(self) -> None:
        """Copy until cancelled, however often the database goes away."""
        self._loop = asyncio.get_running_loop()
        database = await self._open()
        try:
            while True:
                self._wake.clear()
                if not await self._work(database):
                    await asyncio.sleep(RETRY_S)
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), BEAT_S)
        finally:
            await database.close()

    async def _open(self) -> Database:
        while True:
            try:
                return await self._connect()
            except Unavailable as error:
                self.failures += 1
                log.warning("recordings are not copied to the database now", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def _work(self, database: Database) -> bool:
        """Copy what there is; return whether the database took everything."""
        fine = True
        try:
            async with database.writing() as tx:
                await recordings.note_recording(tx, self._recording_since())
            for camera_id in sorted(self._dirty):
                fine &= await self._copy_all(database, camera_id)
        except SafeCityError as error:
            self.failures += 1
            log.warning("recordings are not copied to the database now", reason=str(error))
            return False
        return fine

    async def _copy_all(self, database: Database, camera_id: str) -> bool:
        # Not dirty from the beginning: what is entered while we copy makes the camera dirty again.
        self._dirty.discard(camera_id)
        self._copying.add(camera_id)
        try:
            while await self._copy_some(database, camera_id):
                pass
            return True
        except SafeCityError:
            self._dirty.add(camera_id)
            raise
        except Exception:
            # One camera's damaged index or row must not hold up those of the others.
            self._dirty.add(camera_id)
            self.failures += 1
            log.exception("an index was not copied to the database", camera=camera_id)
            return False
        finally:
            self._copying.discard(camera_id)

    async def _copy_some(self, database: Database, camera_id: str) -> bool:
        """Copy the next batch in one transaction; return whether there may be more."""
        reader = self._readers.setdefault(camera_id, IndexReader(self._directory / camera_id))
        async with database.writing() as tx:
            position = await recordings.position(tx, camera_id)
            batch = await asyncio.to_thread(reader.after, position)
            if batch.replaced:
                log.error("a recording index was replaced; its copy begins anew", camera=camera_id)
                await recordings.begin_anew(tx, camera_id)
                return True
            if batch.pruned is not None:
                await recordings.prune(tx, camera_id, batch.pruned.entries)
            for _, run in groupby(batch.entries, key=lambda one: type(one[1])):
                await recordings.copy(tx, camera_id, [_row(number, entry) for number, entry in run])
            await recordings.advance(tx, camera_id, batch.reached)
        self.copied += len(batch.entries)
        return len(batch.entries) == BATCH


def _row(number: int, entry: Entry) -> Row:
    match entry:
        case FileEntry():
            return RecordingRow(
                path=entry.path,
                number=number,
                start=entry.start,
                end=entry.end,
                size_bytes=entry.size_bytes,
                codec=entry.codec,
                recovered=entry.recovered,
                chain_before=bytes.fromhex(entry.chain_before),
                chain_after=bytes.fromhex(entry.chain_after),
            )
        case OutageEntry():
            return GapRow(number=number, start=entry.start, end=None, reason=entry.reason)
        case GapEntry():
            return GapRow(number=number, start=entry.start, end=entry.end, reason=entry.reason)
        case DeletedEntry():
            return DeletionRow(path=entry.path, at=entry.at, reason=entry.reason.value)
        case PrunedEntry():
            raise AssertionError("a pruned entry is no row; the reader gives it apart")
