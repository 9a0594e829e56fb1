"""The index of a camera's recordings: an append-only journal beside the files, one JSON object a line.

It can be read without the program and without a database. Each line is on disk (fsync) before anyone is told.
Every entry has a number, 1, 2, 3 ... for ever: when old lines are taken together (`pruning`), the one line
that takes their place says how many it stands for.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec
import structlog

log = structlog.get_logger()

INDEX_NAME: Final = "index.jsonl"
NEW_NAME: Final = "index.jsonl.new"
"""An index being rewritten; it counts for nothing until it has taken the index's name."""

POLICY_NAME: Final = "retention.json"
"""How long this camera's recordings stay, for who looks after them once nobody records it."""


class DeletionReason(StrEnum):
    """Why a recording is no longer there."""

    AGE = "age"
    """Older than this camera's recordings are kept."""
    SHARE = "share"
    """This camera's own share of the disk is used up."""
    SPACE = "space"
    """The disk is full: the oldest of all cameras went."""
    MISSING = "missing"
    """Somebody else took the file away."""


class FragmentEntry(msgspec.Struct, frozen=True, array_like=True):
    """One piece of a file that was written and hashed as a whole: bytes `offset`.. of `size`."""

    offset: int
    size: int
    sha256: str


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """A finished file. `path` is relative to the camera's folder; the first fragment is the MP4 header.

    chain_before, chain_after: hex links of the camera's hash chain around this file.
    recovered: the program was killed while writing; what was whole has been hashed at the next start.
    codec: h264 or hevc, as FFmpeg names them. has_sound: it has a track of sound, as policy allowed.
    unsynced: the disk never confirmed that it holds this file.
    """

    camera_id: str
    path: str
    start: datetime
    end: datetime
    size_bytes: int
    fragments: tuple[FragmentEntry, ...]
    chain_before: str
    chain_after: str
    recovered: bool = False
    codec: str = "h264"
    has_sound: bool = False
    unsynced: bool = False


class OutageEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="outage"):
    """The beginning of a time without recording, and why; it lasts until the gap entry of the same start."""

    camera_id: str
    start: datetime
    reason: str


class GapEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="gap"):
    """A time of which there is no recording, and why: one entry an outage, however often it was retried."""

    camera_id: str
    start: datetime
    end: datetime
    reason: str


class DeletedEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="deleted"):
    """The tombstone of a file: its hashes stay in the index, so the chain is still verifiable."""

    camera_id: str
    path: str
    at: datetime
    reason: DeletionReason


class PrunedEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="pruned"):
    """The first line of an index whose oldest entries, all of files deleted long ago, were taken together.

    entries: how many entries it stands for, so that those after it keep their numbers. files, size_bytes,
    gaps: how much that was. start, end: the time those recordings covered. at: when it was done.
    chain_before, chain_after: the links around them; the first is the camera's genesis.
    """

    camera_id: str
    entries: int
    files: int
    size_bytes: int
    gaps: int
    start: datetime
    end: datetime
    at: datetime
    chain_before: str
    chain_after: str


Entry = FileEntry | OutageEntry | GapEntry | DeletedEntry | PrunedEntry


class FileOutline(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """A finished file without its fragments: what is needed of ten thousand of them at once."""

    path: str
    start: datetime
    end: datetime
    size_bytes: int
    chain_before: str
    chain_after: str


Outline = FileOutline | OutageEntry | GapEntry | DeletedEntry | PrunedEntry


class Line(NamedTuple):
    """One line: the number of its entry, where it begins and ends in the file (bytes), and what it says."""

    number: int
    offset: int
    end: int
    data: bytes


_PRUNED: Final = b'{"kind":"pruned"'
_encoder = msgspec.json.Encoder()
_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_outline = msgspec.json.Decoder(Outline).decode
_decode_pruned = msgspec.json.Decoder(PrunedEntry).decode


def genesis(camera_id: str) -> bytes:
    """Return the link before a camera's first fragment."""
    return hashlib.sha256(b"safecity recording chain\x00" + camera_id.encode()).digest()


def next_link(link: bytes, fragment_sha256: bytes) -> bytes:
    """Return the chain's link after a fragment: SHA-256 of the link before it and the fragment's own hash."""
    return hashlib.sha256(link + fragment_sha256).digest()


def encode(entry: Entry) -> bytes:
    """Return the line of `entry`."""
    return _encoder.encode(entry) + b"\n"


def append(folder: Path, entry: Entry) -> None:
    """Write `entry` at the end of the index in `folder` and wait until it is on disk.

    Raises OSError when the disk refuses; then nothing of the entry is left.
    """
    path = folder / INDEX_NAME
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        before = os.fstat(descriptor).st_size
        try:
            write_all(descriptor, encode(entry))
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
    if before == 0:
        sync_folder(folder)


def repair(folder: Path) -> None:
    """Cut off a last line that a kill tore, and forget a rewriting that was not finished.

    Only for the one process that writes this index; for all others a torn line is one that is being written.
    """
    (folder / NEW_NAME).unlink(missing_ok=True)
    path = folder / INDEX_NAME
    if not path.exists():
        return
    with path.open("r+b") as file:
        size = position = file.seek(0, os.SEEK_END)
        while position > 0:
            step = min(65_536, position)
            file.seek(position - step)
            found = file.read(step).rfind(b"\n")
            if found >= 0:
                position += found + 1 - step
                break
            position -= step
        if position < size:
            log.warning("a torn line of a recording index was cut off", index=str(path))
            file.truncate(position)


def lines(file: BinaryIO, number: int = 0, offset: int = 0) -> Iterator[Line]:
    """Yield the whole lines of an index from `offset`, whose entry follows that of `number`.

    A torn last line is left out.
    """
    file.seek(offset)
    for data in file:
        if not data.endswith(b"\n"):
            return
        number = _stands_for(data) or number + 1
        yield Line(number, offset, offset + len(data), data)
        offset += len(data)


def entry_of(line: Line, folder: Path) -> Entry | None:
    """Return what a line says, or None, loudly, when it is damaged."""
    try:
        entry: Entry = _decode_entry(line.data)
        return entry
    except msgspec.MsgspecError:
        log.error("a line of a recording index is damaged", index=str(folder), number=line.number)
        return None


def entries(folder: Path) -> Iterator[tuple[int, Entry]]:
    """Yield number and content of each entry in `folder`; a damaged line is skipped, loudly."""
    with contextlib.suppress(FileNotFoundError), (folder / INDEX_NAME).open("rb") as file:
        for line in lines(file):
            entry = entry_of(line, folder)
            if entry is not None:
                yield line.number, entry


def read(folder: Path) -> list[Entry]:
    """Return all entries of the index in `folder`; `entries` needs less memory."""
    return [entry for _, entry in entries(folder)]


def outline(folder: Path) -> Iterator[tuple[Line, Outline]]:
    """Yield each entry without its hashes, which is ten times faster. A damaged line is skipped, loudly."""
    with contextlib.suppress(FileNotFoundError), (folder / INDEX_NAME).open("rb") as file:
        for line in lines(file):
            try:
                yield line, _decode_outline(line.data)
            except msgspec.MsgspecError:
                log.error("a line of a recording index is damaged", index=str(folder), number=line.number)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`; a short write goes on, an error is raised as OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stands_for(data: bytes) -> int:
    """Return how many entries a pruned line stands for; 0 for any other line."""
    if not data.startswith(_PRUNED):
        return 0
    try:
        return _decode_pruned(data).entries
    except msgspec.MsgspecError:
        return 0
