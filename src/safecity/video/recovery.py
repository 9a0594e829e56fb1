"""After a kill: make the files and the index of a camera agree again, keeping every whole fragment."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from safecity.clock import Clock
from safecity.video import index
from safecity.video.bitstream import TICKS_PER_S
from safecity.video.fmp4 import Scan, scan
from safecity.video.index import DeletedEntry, DeletionReason, FileEntry, FragmentEntry

log = structlog.get_logger()


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """A camera's recordings as they are now.

    files: entered and present, oldest first. link: the chain's last link. last_end: when the last file ended.
    repaired, removed, missing: how many files were entered late, held nothing whole, or are gone unexplained.
    """

    files: tuple[FileEntry, ...]
    link: bytes
    last_end: datetime | None
    repaired: int = 0
    removed: int = 0
    missing: int = 0


def recover(camera_id: str, folder: Path, clock: Clock) -> Recovered:
    """Repair the recordings in `folder` and return what is there. Raises OSError when the disk refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = index.read(folder)
    entered = {entry.path: entry for entry in entries if isinstance(entry, FileEntry)}
    deleted = {entry.path for entry in entries if isinstance(entry, DeletedEntry)}
    present = {str(path.relative_to(folder)) for path in folder.glob("*/*.mp4")}
    link = bytes.fromhex(list(entered.values())[-1].chain_after) if entered else index.genesis(camera_id)
    for path in sorted(present & deleted):
        (folder / path).unlink(missing_ok=True)
    missing = sorted(entered.keys() - present - deleted)
    for path in missing:
        log.error("a recording is missing", camera=camera_id, file=path)
        index.append(
            folder,
            DeletedEntry(camera_id=camera_id, path=path, at=clock.now(), reason=DeletionReason.MISSING),
        )
    torn = sorted(present - entered.keys() - deleted)
    repaired = 0
    for path in torn:
        entry = _repair(camera_id, folder, path, link)
        if entry is None:
            continue
        index.append(folder, entry)
        entered[path] = entry
        link = bytes.fromhex(entry.chain_after)
        repaired += 1
    gone = deleted | set(missing)
    files = tuple(sorted((e for p, e in entered.items() if p not in gone), key=lambda entry: entry.start))
    return Recovered(
        files=files,
        link=link,
        last_end=max((entry.end for entry in entered.values()), default=None),
        repaired=repaired,
        removed=len(torn) - repaired,
        missing=len(missing),
    )


def _repair(camera_id: str, folder: Path, name: str, link: bytes) -> FileEntry | None:
    """Cut the torn tail of a file and return its entry, or remove it when nothing in it is whole."""
    path = folder / name
    found = scan(path)
    start = _start(name)
    if not found.fragments or start is None:
        log.warning("a recording without a whole fragment was removed", camera=camera_id, file=name)
        path.unlink()
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
    )


def _start(name: str) -> datetime | None:
    """Return the moment that a file of the recorder is named for, or None when it isn't one."""
    try:
        return datetime.strptime(name, "%Y-%m-%d/%H%M%S.%fZ.mp4").replace(tzinfo=UTC)
    except ValueError:
        return None
