"""Proof that recordings are as they were written: the hash chain, checked from the files themselves."""

import hashlib
from pathlib import Path

import msgspec

from safecity.video import index
from safecity.video.index import DeletedEntry, FileEntry


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. `broken` has a sentence for each thing that is not as it was written."""

    camera_id: str
    files: int
    fragments: int
    deleted: int
    broken: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Return whether everything agreed."""
        return not self.broken


def verify(camera_id: str, folder: Path) -> ChainReport:
    """Read every entered file of the camera in `folder` again and compare each fragment, link by link.

    Deleted files have a tombstone; their hashes in the index keep the chain closed. Raises OSError when the
    folder cannot be read.
    """
    entries = index.read(folder)
    deleted = {entry.path for entry in entries if isinstance(entry, DeletedEntry)}
    files = [entry for entry in entries if isinstance(entry, FileEntry)]
    broken: list[str] = []
    link = index.genesis(camera_id)
    for entry in files:
        if entry.chain_before != link.hex():
            broken.append(f"{entry.path}: it does not follow the file before it")
        link = _fold(entry, broken)
        if entry.path not in deleted:
            broken.extend(_compare(folder, entry))
    return ChainReport(
        camera_id=camera_id,
        files=len(files),
        fragments=sum(len(entry.fragments) for entry in files),
        deleted=len(deleted),
        broken=tuple(broken),
    )


def _fold(entry: FileEntry, broken: list[str]) -> bytes:
    """Return the link after `entry` as its fragment hashes give it."""
    link = bytes.fromhex(entry.chain_before)
    for piece in entry.fragments:
        link = index.next_link(link, bytes.fromhex(piece.sha256))
    if link.hex() != entry.chain_after:
        broken.append(f"{entry.path}: its fragments do not add up to its link")
    return link


def _compare(folder: Path, entry: FileEntry) -> list[str]:
    """Return a sentence for each fragment of the file that is not what was entered."""
    path = folder / entry.path
    if not path.exists():
        return [f"{entry.path}: the file is missing"]
    broken = []
    with path.open("rb") as file:
        for number, piece in enumerate(entry.fragments):
            file.seek(piece.offset)
            if hashlib.sha256(file.read(piece.size)).hexdigest() != piece.sha256:
                broken.append(f"{entry.path}: fragment {number} was changed")
    if path.stat().st_size != entry.size_bytes:
        broken.append(f"{entry.path}: it has {path.stat().st_size} bytes and had {entry.size_bytes}")
    return broken
