"""Index entries made without any video, for what only reads indexes."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from safecity.video.recording import index
from safecity.video.recording.index import DeletedEntry, DeletionReason, Entry, FileEntry, FragmentEntry
from safecity.video.recording.naming import millis_of, name_of

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
CAMERA = "cam-1"


class IndexWriter:
    """Writes the index of a camera that records a minute after the other, with files of ten bytes."""

    def __init__(self, folder: Path, camera_id: str = CAMERA) -> None:
        self.folder = folder
        self.camera_id = camera_id
        self.written: list[Entry] = []
        self._link = index.genesis(camera_id)
        self._at = START
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, entry: Entry) -> Entry:
        index.append(self.folder, entry)
        self.written.append(entry)
        return entry

    def record(self, minutes: int = 1, *, exists: bool = True) -> list[FileEntry]:
        """Enter so many files of a minute."""
        return [self._record(exists) for _ in range(minutes)]

    def _record(self, exists: bool) -> FileEntry:
        start, self._at = self._at, self._at + timedelta(minutes=1)
        path = name_of(int(start.timestamp() * 1000))
        assert millis_of(path) is not None
        content = b"0123456789"
        if exists:
            (self.folder / path).parent.mkdir(exist_ok=True)
            (self.folder / path).write_bytes(content)
        digest = hashlib.sha256(content).digest()
        after = index.next_link(self._link, digest)
        entry = FileEntry(
            camera_id=self.camera_id,
            path=path,
            start=start,
            end=self._at,
            size_bytes=len(content),
            fragments=(FragmentEntry(0, len(content), digest.hex()),),
            chain_before=self._link.hex(),
            chain_after=after.hex(),
        )
        self._link = after
        self.append(entry)
        return entry

    def pause(self, minutes: int) -> None:
        """Let time pass without a recording."""
        self._at += timedelta(minutes=minutes)

    def delete(self, file: FileEntry, at: datetime, reason: DeletionReason = DeletionReason.AGE) -> None:
        """Delete a file, its tombstone first."""
        self.append(DeletedEntry(camera_id=self.camera_id, path=file.path, at=at, reason=reason))
        (self.folder / file.path).unlink(missing_ok=True)
