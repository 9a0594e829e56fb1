"""Making sure that a finished file is on the disk, and knowing when it isn't.

After a failed fsync Linux forgets that pages were never written: a second fsync of the same file succeeds and
means nothing (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). What is
still in memory is therefore checked against its hashes, written anew to other blocks, and synced there.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from safecity.video.recording.index import FileEntry, sync_folder

AGAIN_SUFFIX: Final = ".again"
"""Of a file being written anew; it counts for nothing until it has the recording's name."""


def sync(folder: Path, descriptor: int, entry: FileEntry) -> None:
    """Sync a finished file and its day's folder, and close it. Raises OSError when the disk refuses."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder((folder / entry.path).parent)


def write_anew(folder: Path, entry: FileEntry) -> bool:
    """Write a file anew whose sync was refused; return whether it is whole and on disk now.

    False when its content is damaged already: then it is left as it is. Raises OSError when the disk refuses.
    """
    path = folder / entry.path
    content = path.read_bytes()
    if not _is_whole(content, entry):
        return False
    again = path.with_name(path.name + AGAIN_SUFFIX)
    try:
        with again.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        again.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            again.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return True


def _is_whole(content: bytes, entry: FileEntry) -> bool:
    pieces = ((content[piece.offset : piece.offset + piece.size], piece.sha256) for piece in entry.fragments)
    return len(content) == entry.size_bytes and all(
        hashlib.sha256(piece).hexdigest() == sha256 for piece, sha256 in pieces
    )
