"""Proof that recordings are as they were written: the hash chain, checked from the files themselves."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from safecity.model.video import Hold
from safecity.video.recording import index
from safecity.video.recording.index import DeletedEntry, FileEntry, FileOutline, PrunedEntry
from safecity.video.recording.retention import Holds


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. `broken` has a sentence for each thing that is not as it was written.

    files: all that the index still names, `deleted` of them gone with a tombstone; pruned: those before them,
    of which only the links are kept. bytes: of the files that are there; held_bytes: of those that are held.
    """

    camera_id: str
    files: int
    fragments: int
    deleted: int
    broken: tuple[str, ...]
    pruned: int = 0
    bytes: int = 0
    held_files: int = 0
    held_bytes: int = 0

    @property
    def is_whole(self) -> bool:
        """Return whether everything agreed."""
        return not self.broken


class _Walk:
    """One camera's chain, link by link, in the memory of one entry."""

    def __init__(self, camera_id: str, folder: Path, deleted: set[int], holds: Holds) -> None:
        self.files = self.fragments = self.pruned = self.bytes = self.held_files = self.held_bytes = 0
        self.broken: list[str] = []
        self.missing: dict[int, str] = {}
        self._folder = folder
        self._deleted = deleted
        self._holds = holds
        self._link = index.genesis(camera_id).hex()

    def take(self, number: int, entry: index.Entry) -> None:
        if isinstance(entry, PrunedEntry):
            self._follow(entry.chain_before, "the entries that were taken together")
            self._link = entry.chain_after
            self.pruned += entry.files
        elif isinstance(entry, FileEntry):
            self._follow(entry.chain_before, entry.path)
            self._link = _fold(entry, self.broken)
            self.files += 1
            self.fragments += len(entry.fragments)
            if number not in self._deleted:
                self._take_present(number, entry)

    def _follow(self, chain_before: str, what: str) -> None:
        if chain_before != self._link:
            self.broken.append(f"{what}: it does not follow the file before it")

    def _take_present(self, number: int, entry: FileEntry) -> None:
        self.bytes += entry.size_bytes
        if self._holds.cover(entry.start.timestamp(), entry.end.timestamp()):
            self.held_files += 1
            self.held_bytes += entry.size_bytes
        try:
            self.broken.extend(_compare(self._folder, entry))
        except FileNotFoundError:
            self.missing[number] = entry.path


def verify(camera_id: str, folder: Path, holds: Iterable[Hold] = ()) -> ChainReport:
    """Read every entered file of the camera in `folder` again and compare each fragment, link by link.

    Deleted files have a tombstone; their hashes in the index keep the chain closed. Safe beside a running
    recorder. Raises OSError when the folder cannot be read.
    """
    deleted = _deleted(folder)
    own = Holds(hold for hold in holds if hold.camera_id == camera_id)
    walk = _Walk(camera_id, folder, deleted, own)
    for number, entry in index.entries(folder):
        walk.take(number, entry)
    if walk.missing:
        # Beside a running recorder a file may have gone, with its tombstone, while we were reading.
        deleted = _deleted(folder)
        gone = [path for number, path in walk.missing.items() if number not in deleted]
        walk.broken.extend(f"{path}: the file is missing" for path in gone)
    return ChainReport(
        camera_id=camera_id,
        files=walk.files,
        fragments=walk.fragments,
        deleted=len(deleted),
        broken=tuple(walk.broken),
        pruned=walk.pruned,
        bytes=walk.bytes,
        held_files=walk.held_files,
        held_bytes=walk.held_bytes,
    )


def _deleted(folder: Path) -> set[int]:
    """Return the numbers of the files that have a tombstone."""
    newest: dict[str, int] = {}
    deleted: set[int] = set()
    for line, entry in index.outline(folder):
        if isinstance(entry, FileOutline):
            newest[entry.path] = line.number
        elif isinstance(entry, DeletedEntry) and entry.path in newest:
            deleted.add(newest[entry.path])
    return deleted


def _fold(entry: FileEntry, broken: list[str]) -> str:
    """Return the link after `entry` as its fragment hashes give it."""
    link = bytes.fromhex(entry.chain_before)
    for piece in entry.fragments:
        link = index.next_link(link, bytes.fromhex(piece.sha256))
    if link.hex() != entry.chain_after:
        broken.append(f"{entry.path}: its fragments do not add up to its link")
    return link.hex()


def _compare(folder: Path, entry: FileEntry) -> list[str]:
    """Return a sentence for each fragment of the file that is not what was entered.

    Raises FileNotFoundError when the file isn't there.
    """
    broken = []
    with (folder / entry.path).open("rb") as file:
        for number, piece in enumerate(entry.fragments):
            file.seek(piece.offset)
            if hashlib.sha256(file.read(piece.size)).hexdigest() != piece.sha256:
                broken.append(f"{entry.path}: fragment {number} was changed")
        size = file.seek(0, os.SEEK_END)
    if size != entry.size_bytes:
        broken.append(f"{entry.path}: it has {size} bytes and had {entry.size_bytes}")
    return broken
