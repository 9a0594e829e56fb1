"""Whose recordings are whose: a camera's folder is written by one process at a time.

The claim is a lock on the folder itself (flock), so it ends with the process however that ends. How long the
recordings stay is written into the folder too: it holds for them when nobody records the camera any more.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from safecity.model.video import RetentionPolicy
from safecity.video.recording.index import INDEX_NAME, POLICY_NAME

log = structlog.get_logger()


class Taken(OSError):
    """Another process writes this folder."""

    def __init__(self) -> None:
        """Say so in words of our own."""
        super().__init__(errno.EBUSY, "another process writes this camera's recordings")


class Claims:
    """The folders below one directory that this process writes."""

    def __init__(self, directory: Path) -> None:
        """Claim nothing yet."""
        self._directory = directory
        self._held: dict[str, int] = {}

    def __contains__(self, camera_id: str) -> bool:
        """Return whether a camera's folder is ours."""
        return camera_id in self._held

    def take(self, camera_id: str) -> bool:
        """Claim a camera's folder, which is made when there is none; return whether it is ours now."""
        folder = self._directory / camera_id
        folder.mkdir(parents=True, exist_ok=True)
        if camera_id in self._held:
            return True
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._held[camera_id] = descriptor
        return True

    def give_back(self, camera_id: str) -> None:
        """Let a folder go."""
        descriptor = self._held.pop(camera_id, None)
        if descriptor is not None:
            os.close(descriptor)

    def give_back_all(self) -> None:
        """Let all folders go."""
        for camera_id in list(self._held):
            self.give_back(camera_id)

    @contextlib.contextmanager
    def rest(self, may_be: bool = True) -> Iterator[list[str]]:
        """Claim, for the block, the folders of cameras that nobody records: removed, or switched off.

        may_be: False gives none; nobody else's recordings are touched before it is known what is held.
        """
        found = [
            path.parent.name
            for path in self._directory.glob(f"*/{INDEX_NAME}")
            if may_be and path.parent.name not in self._held
        ]
        mine = [camera_id for camera_id in found if self.take(camera_id)]
        try:
            yield mine
        finally:
            for camera_id in mine:
                self.give_back(camera_id)


def write_policy(folder: Path, policy: RetentionPolicy) -> None:
    """Write how long the recordings in `folder` stay. A disk that refuses is not worth more than a word."""
    path = folder / POLICY_NAME
    text = msgspec.json.encode(policy)
    try:
        if not folder.is_dir() or (path.exists() and path.read_bytes() == text):
            return
        partial = path.with_suffix(".partial")
        partial.write_bytes(text)
        partial.replace(path)
    except OSError as error:
        log.warning(
            "a camera's retention could not be noted beside its recordings", error=str(error.strerror)
        )


def read_policy(folder: Path) -> RetentionPolicy:
    """Return how long the recordings in `folder` stay; the installation's policy when nothing is written."""
    try:
        return msgspec.json.decode((folder / POLICY_NAME).read_bytes(), type=RetentionPolicy)
    except (OSError, msgspec.MsgspecError):
        return RetentionPolicy()
