"""Keeping an index small: its oldest entries, when their files are all deleted long ago, become one line.

The new index is written beside the old one, synced, and takes its name in one step; a kill at any moment
leaves the one or the other.
"""

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity.video.recording import index
from safecity.video.recording.index import DeletedEntry, FileOutline, GapEntry, Line, Outline, PrunedEntry

log = structlog.get_logger()

LEAST_ENTRIES: Final = 1000
"""Fewer lines are not worth a rewriting; a camera makes 3,000 a day."""


class _Prefix(msgspec.Struct):
    """What can be taken together: all `lines` lines up to that of a file, which ends at byte `end`."""

    entries: int = 0
    lines: int = 0
    end: int = 0
    files: int = 0
    size_bytes: int = 0
    gaps: int = 0
    start: datetime | None = None
    until: datetime | None = None
    chain_before: str = ""
    chain_after: str = ""


def prune(
    camera_id: str, folder: Path, deleted_before: datetime, at: datetime, least: int = LEAST_ENTRIES
) -> PrunedEntry | None:
    """Take the oldest entries together whose files were all deleted before a moment; return what was written.

    Nothing happens for fewer than `least` lines, or when the chain through them is not whole: then they are
    evidence. Only for the process that writes this index. Raises OSError when the disk refuses; the index is
    then as before.
    """
    found = _prefix(camera_id, folder, _gone(folder, deleted_before))
    if found.lines < max(least, 1) or found.start is None or found.until is None:
        return None
    entry = PrunedEntry(
        camera_id=camera_id,
        entries=found.entries,
        files=found.files,
        size_bytes=found.size_bytes,
        gaps=found.gaps,
        start=found.start,
        end=found.until,
        at=at,
        chain_before=found.chain_before,
        chain_after=found.chain_after,
    )
    _rewrite(folder, entry, found.end)
    log.info("old entries of a recording index were taken together", camera=camera_id, entries=found.lines)
    return entry


def _gone(folder: Path, before: datetime) -> set[int]:
    """Return the numbers of the files that were deleted before a moment, and are truly not there."""
    newest: dict[str, int] = {}
    gone: set[int] = set()
    for line, entry in index.outline(folder):
        if isinstance(entry, FileOutline):
            newest[entry.path] = line.number
        elif isinstance(entry, DeletedEntry) and entry.path in newest and entry.at < before:
            gone.add(newest[entry.path])
    return {number for path, number in newest.items() if number in gone and not (folder / path).exists()}


def _prefix(camera_id: str, folder: Path, gone: set[int]) -> _Prefix:
    reached, seen = _Prefix(), _Prefix(chain_after=index.genesis(camera_id).hex())
    for line, entry in index.outline(folder):
        if isinstance(entry, FileOutline) and line.number not in gone:
            break
        if not _take(seen, line, entry):
            log.error("a recording index is not pruned: its chain is broken", camera=camera_id)
            break
        if isinstance(entry, FileOutline | PrunedEntry):
            reached = msgspec.structs.replace(seen)
    return reached


def _take(seen: _Prefix, line: Line, entry: Outline) -> bool:
    """Add `entry` to what was seen; return whether the chain goes on through it."""
    seen.entries, seen.end = line.number, line.end
    seen.lines += not isinstance(entry, PrunedEntry)
    seen.gaps += isinstance(entry, GapEntry)
    if not isinstance(entry, FileOutline | PrunedEntry):
        return True
    if entry.chain_before != seen.chain_after:
        return False
    seen.chain_before = seen.chain_before or entry.chain_before
    seen.chain_after = entry.chain_after
    seen.start = min(seen.start or entry.start, entry.start)
    seen.until = max(seen.until or entry.end, entry.end)
    seen.size_bytes += entry.size_bytes
    seen.files += entry.files if isinstance(entry, PrunedEntry) else 1
    seen.gaps += entry.gaps if isinstance(entry, PrunedEntry) else 0
    return True


def _rewrite(folder: Path, entry: PrunedEntry, keep_from: int) -> None:
    """Replace the index by `entry` and everything from byte `keep_from` on."""
    new = folder / index.NEW_NAME
    try:
        with (folder / index.INDEX_NAME).open("rb") as old, new.open("wb") as file:
            file.write(index.encode(entry))
            old.seek(keep_from)
            shutil.copyfileobj(old, file)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(0o640)
        new.rename(folder / index.INDEX_NAME)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    index.sync_folder(folder)
