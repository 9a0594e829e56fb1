"""The index of a camera's recordings: an append-only journal beside the files, one JSON object a line.

It can be read without the program and without a database. Each line is on disk (fsync) before anyone is told.
"""

import contextlib
import hashlib
import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import structlog

log = structlog.get_logger()

INDEX_NAME: Final = "index.jsonl"


class DeletionReason(StrEnum):
    """Why a recording is no longer there."""

    AGE = "age"
    SPACE = "space"
    MISSING = "missing"


class FragmentEntry(msgspec.Struct, frozen=True, array_like=True):
    """One piece of a file that was written and hashed as a whole: bytes `offset`.. of `size`."""

    offset: int
    size: int
    sha256: str


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """A finished file. `path` is relative to the camera's folder; the first fragment is the MP4 header.

    chain_before, chain_after: hex links of the camera's hash chain around this file.
    recovered: the program was killed while writing; what was whole has been hashed at the next start.
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


Entry = FileEntry | GapEntry | DeletedEntry

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def genesis(camera_id: str) -> bytes:
    """Return the link before a camera's first fragment."""
    return hashlib.sha256(b"safecity recording chain\x00" + camera_id.encode()).digest()


def next_link(link: bytes, fragment_sha256: bytes) -> bytes:
    """Return the chain's link after a fragment: SHA-256 of the link before it and the fragment's own hash."""
    return hashlib.sha256(link + fragment_sha256).digest()


def append(folder: Path, entry: Entry) -> None:
    """Write `entry` at the end of the index in `folder` and wait until it is on disk.

    Raises OSError when the disk refuses; then nothing of the entry is left.
    """
    path = folder / INDEX_NAME
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        before = os.fstat(descriptor).st_size
        try:
            write_all(descriptor, _encoder.encode(entry) + b"\n")
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
    if before == 0:
        sync_folder(folder)


def read(folder: Path) -> list[Entry]:
    """Return the entries of the index in `folder`, none when there is no index yet.

    A last line that a kill tore is cut off. A damaged line elsewhere is skipped, loudly.
    """
    path = folder / INDEX_NAME
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    entries: list[Entry] = []
    for number, line in enumerate(data[:whole].splitlines(), start=1):
        try:
            entries.append(_decoder.decode(line))
        except msgspec.MsgspecError:
            log.error("a line of a recording index is damaged", index=str(path), line=number)
    return entries


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
