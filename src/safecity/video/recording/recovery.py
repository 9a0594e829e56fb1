"""After a kill: make the files and the index of a camera agree again, keeping every whole fragment."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity.clock import Clock
from safecity.video.recording import index
from safecity.video.recording.fmp4 import Scan, codec_of, is_beginning, scan
from safecity.video.recording.index import (
    DeletedEntry,
    DeletionReason,
    FileEntry,
    FileOutline,
    FragmentEntry,
    GapEntry,
    OutageEntry,
    PrunedEntry,
)
from safecity.video.recording.naming import millis_of, moment_of
from safecity.video.recording.retention import NOTHING_HELD, SNAPSHOTS, Holds, Kept
from safecity.video.recording.sound import has_sound
from safecity.video.recording.syncing import AGAIN_SUFFIX
from safecity.video.stream.bitstream import TICKS_PER_S

log = structlog.get_logger()

NOT_RUNNING: Final = "the program was not running"
UNENTERED_LIMIT_S: Final = 600.0
"""A file that is in no index yet may reach so far behind the moment in its name."""


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """A camera's recordings as they are now.

    files: entered and present. link: the chain's last link. last_end: when the last file ended. outage: the
    time without recording that still lasts, None when nothing was ever recorded.
    repaired, removed, missing: how many files were entered late, held nothing whole, or are gone unexplained.
    """

    files: tuple[Kept, ...]
    link: bytes
    last_end: datetime | None
    outage: OutageEntry | None = None
    repaired: int = 0
    removed: int = 0
    missing: int = 0


class _Known:
    """What the index says: the files that should be there, how the chain ends, what outage lasts."""

    def __init__(self, camera_id: str, folder: Path) -> None:
        self.files: dict[str, Kept] = {}
        self.deleted: dict[str, Kept] = {}
        self.link = index.genesis(camera_id).hex()
        self.last_end: datetime | None = None
        self.outage: OutageEntry | None = None
        for _, entry in index.outline(folder):
            match entry:
                case FileOutline():
                    self.take(entry)
                case PrunedEntry():
                    self.link, self.last_end = entry.chain_after, entry.end
                case DeletedEntry() if entry.path in self.files:
                    self.deleted[entry.path] = self.files.pop(entry.path)
                case OutageEntry():
                    self.outage = entry
                case GapEntry():
                    self.outage = None
                case _:
                    pass

    def take(self, entry: FileOutline | FileEntry) -> None:
        # A name may come twice when our clock was set back: what was deleted is there again.
        self.deleted.pop(entry.path, None)
        self.files[entry.path] = kept(entry)
        self.link, self.last_end = entry.chain_after, entry.end


def kept(entry: FileOutline | FileEntry) -> Kept:
    """Return an entered file as retention knows it."""
    return Kept(entry.path, entry.start.timestamp(), entry.end.timestamp(), entry.size_bytes)


def recover(camera_id: str, folder: Path, clock: Clock, given_up: Iterable[str] = ()) -> Recovered:
    """Repair the recordings in `folder` and return what is there. Raises OSError when the disk refuses.

    given_up: files that were just deleted since the full disk had no room for the repair. Files that are not
    the recorder's are left alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index.repair(folder)
    known = _Known(camera_id, folder)
    present = _present(camera_id, folder)
    present -= _finish_deletions(folder, known, present)
    missing = sorted(known.files.keys() - present)
    for path in missing:
        _enter_missing(camera_id, folder, path, clock, path in given_up)
        del known.files[path]
    torn = sorted(present - known.files.keys())
    repaired = 0
    for path in torn:
        entry = _repair(camera_id, folder, path, bytes.fromhex(known.link))
        if entry is not None:
            _end_outage(folder, known, entry)
            index.append(folder, entry)
            known.take(entry)
            repaired += 1
    _begin_outage(camera_id, folder, known)
    return Recovered(
        files=tuple(known.files.values()),
        link=bytes.fromhex(known.link),
        last_end=known.last_end,
        outage=known.outage,
        repaired=repaired,
        removed=len(torn) - repaired,
        missing=len(missing),
    )


def recover_on_any_disk(
    camera_id: str, folder: Path, clock: Clock, held: Callable[[], Holds] = lambda: NOTHING_HELD
) -> tuple[Recovered, int]:
    """Do what `recover` does; on a full disk the oldest files that no hold covers go until there is room.

    held: asked before each deletion. Returns what is there, and how many went. Raises OSError when the disk
    refuses for another reason, or nothing is left that may be deleted.
    """
    given_up: list[str] = []
    while True:
        try:
            return recover(camera_id, folder, clock, given_up), len(given_up)
        except OSError as error:
            name = _give_up_oldest(camera_id, folder, held) if error.errno == errno.ENOSPC else None
            if name is None:
                raise
            given_up.append(name)


def _give_up_oldest(camera_id: str, folder: Path, held: Callable[[], Holds]) -> str | None:
    """Delete the oldest file that isn't held, and return its name; None when there is none.

    The repair, which found no room, writes its tombstone.
    """
    for path in sorted(folder.glob("*/*.mp4")):
        name = str(path.relative_to(folder))
        start = moment_of(name)
        if start is None or held().cover(start.timestamp(), start.timestamp() + UNENTERED_LIMIT_S):
            continue
        log.warning("the oldest recording goes: the disk is full", camera=camera_id, file=name)
        path.unlink(missing_ok=True)
        return name
    return None


def _present(camera_id: str, folder: Path) -> set[str]:
    """Return the names of the files that are the recorder's, and say what else is there."""
    ours: set[str] = set()
    foreign: list[str] = []
    for path in folder.glob("*"):
        if path.name in {index.INDEX_NAME, index.POLICY_NAME, SNAPSHOTS}:
            continue
        for found in path.iterdir() if path.is_dir() else [path]:
            name = str(found.relative_to(folder))
            if found.suffix == AGAIN_SUFFIX:
                found.unlink(missing_ok=True)
            elif millis_of(name) is None:
                foreign.append(name)
            else:
                ours.add(name)
    if foreign:
        log.warning(
            "files that are no recordings are left alone",
            camera=camera_id,
            files=len(foreign),
            first=min(foreign),
        )
    return ours


def _finish_deletions(folder: Path, known: _Known, present: set[str]) -> set[str]:
    """Remove files that have a tombstone and are still there; return their names."""
    finished = set()
    for path in present & known.deleted.keys():
        # Another size: not what was deleted, but a later file that got the same name and was never entered.
        if (folder / path).stat().st_size == known.deleted[path].size_bytes:
            (folder / path).unlink(missing_ok=True)
            finished.add(path)
    return finished


def _enter_missing(camera_id: str, folder: Path, path: str, clock: Clock, given_up: bool) -> None:
    reason = DeletionReason.SPACE if given_up else DeletionReason.MISSING
    if not given_up:
        log.error("a recording is missing", camera=camera_id, file=path)
    index.append(folder, DeletedEntry(camera_id=camera_id, path=path, at=clock.now(), reason=reason))


def _end_outage(folder: Path, known: _Known, entry: FileEntry) -> None:
    """Enter the gap before a recovered file, when the kill came before it was entered."""
    outage = known.outage
    if outage is None:
        return
    end = max(outage.start, entry.start)
    index.append(
        folder, GapEntry(camera_id=entry.camera_id, start=outage.start, end=end, reason=outage.reason)
    )
    known.outage = None


def _begin_outage(camera_id: str, folder: Path, known: _Known) -> None:
    """Enter that nothing is recorded since the last file, unless an outage lasts already."""
    if known.outage is not None or known.last_end is None:
        return
    known.outage = OutageEntry(camera_id=camera_id, start=known.last_end, reason=NOT_RUNNING)
    index.append(folder, known.outage)


def _repair(camera_id: str, folder: Path, name: str, link: bytes) -> FileEntry | None:
    """Cut the torn tail of a file and return its entry, or remove it when nothing in it is whole."""
    path = folder / name
    found = scan(path)
    start = moment_of(name)
    if not found.fragments or start is None:
        if is_beginning(path):
            log.warning("a recording without a whole fragment was removed", camera=camera_id, file=name)
            path.unlink()
        else:
            log.error("a file is no recording of ours and is left alone", camera=camera_id, file=name)
        return None
    cut_bytes = path.stat().st_size - found.end
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, found.end)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    index.sync_folder(path.parent)
    log.info("a recording was recovered", camera=camera_id, file=name, cut_bytes=cut_bytes)
    return _entry(camera_id, folder, name, start, found, link)


def _entry(camera_id: str, folder: Path, name: str, start: datetime, found: Scan, link: bytes) -> FileEntry:
    spans = [(0, found.init_size), *((piece.offset, piece.size) for piece in found.fragments)]
    before = link
    pieces: list[FragmentEntry] = []
    with (folder / name).open("rb") as file:
        init = file.read(found.init_size)
        for offset, size in spans:
            file.seek(offset)
            digest = hashlib.sha256(file.read(size)).digest()
            pieces.append(FragmentEntry(offset, size, digest.hex()))
            link = index.next_link(link, digest)
    last = found.fragments[-1]
    duration = timedelta(seconds=(last.start_ticks + last.duration_ticks) / TICKS_PER_S)
    return FileEntry(
        camera_id=camera_id,
        path=name,
        start=start,
        end=start + duration,
        size_bytes=found.end,
        fragments=tuple(pieces),
        chain_before=before.hex(),
        chain_after=link.hex(),
        recovered=True,
        codec=codec_of(init),
        has_sound=has_sound(init),
    )
