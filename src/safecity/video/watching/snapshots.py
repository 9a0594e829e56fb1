"""Snapshots: for each event one JPEG of its picture, masked and with people made unrecognisable, on disk.

Written by a thread of its own, so that neither the stream nor analysis waits for a disk or an encoder. What
is on disk shows nobody, by the same rules as every masked picture: small, masks painted, people and riders
blocks, looked for once more with care; where nobody knows where people are, the whole picture is coarse.
"""

import os
import queue
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from safecity.model.video import CameraSetup
from safecity.video.detector import Detections, Floats
from safecity.video.masking.blur import blur_persons, coarse
from safecity.video.masking.hidden import persons, small_of
from safecity.video.masking.mask import Masks
from safecity.video.picture import jpeg

log = structlog.get_logger()

FOLDER: Final = "snapshots"
WAITING_PIXELS: Final = 24 * 1920 * 1080
"""Pictures that wait for the writer hold at most so many pixels, 75 MB; further events go without one."""

Search = Callable[[Any], Detections | None]
"""Returns what is in a small picture from a low score on, None when that cannot be told."""


class Snapshot(msgspec.Struct, frozen=True):
    """A picture to be kept.

    id: of the observation. at: its event time. frame: av.VideoFrame. persons: (n, 4) boxes in its pixels of
    those whom analysis follows, None when nobody knows where people are.
    """

    id: str
    at: datetime
    frame: Any
    persons: Floats | None
    setup: CameraSetup


class SnapshotCounters(msgspec.Struct):
    """What became of snapshots since the program started. dropped: for want of room. failed: not written."""

    written: int = 0
    dropped: int = 0
    failed: int = 0


def snapshot_path(directory: Path, camera_id: str, at: datetime, id_: str) -> Path:
    """Return where the snapshot of an event lies below the recordings in `directory`."""
    return directory / camera_id / FOLDER / f"{at:%Y-%m-%d}" / f"{id_}.jpg"


def private_jpeg(snapshot: Snapshot, search: Search) -> bytes:
    """Return the picture as JPEG as everybody with a purpose may see it."""
    frame = small_of(snapshot.frame)
    if snapshot.setup.blur_persons:
        boxes = _boxes(snapshot, frame, search)
        frame = coarse(frame) if boxes is None else blur_persons(frame, boxes)
    return jpeg(Masks(snapshot.setup).draw(frame))


def _boxes(snapshot: Snapshot, small: Any, search: Search) -> Floats | None:
    """Return whom to hide in `small`: whoever is found with care, and all whom analysis knew of."""
    if snapshot.persons is None:
        return None
    try:
        found = search(small)
    except Exception:
        # Whatever failed there, the picture must not be kept clear.
        log.exception("people could not be found in a snapshot; it is coarse", camera=snapshot.setup.id)
        return None
    if found is None:
        return None
    full = snapshot.frame
    scale = np.array([small.width / full.width, small.height / full.height] * 2, np.float32)
    return np.concatenate((persons(found).boxes, snapshot.persons * scale)).astype(np.float32, copy=False)


class Snapshots:
    """Writes the snapshots of one shard."""

    def __init__(self, directory: Path, search: Search) -> None:
        """Write below `directory`, where the recordings are.

        search: looks for people with care; called in the writer's thread.
        """
        self.counters = SnapshotCounters()
        self._directory = directory
        self._search = search
        self._lock = threading.Lock()
        self._pixels = 0
        self._jobs: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Write what waits, then end; return whether it has ended within `timeout_s`."""
        if self._thread.ident is None:
            return True
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def take(self, snapshot: Snapshot) -> bool:
        """Keep a picture soon; return false when too many wait. Never waits."""
        pixels = snapshot.frame.width * snapshot.frame.height
        with self._lock:
            if self._pixels + pixels > WAITING_PIXELS:
                self.counters.dropped += 1
                return False
            self._pixels += pixels
        self._jobs.put(snapshot)
        return True

    def _run(self) -> None:
        for torn in self._directory.glob(f"*/{FOLDER}/*/*.partial"):
            torn.unlink(missing_ok=True)
        while (job := self._jobs.get()) is not None:
            try:
                self._write(job)
                self.counters.written += 1
            except OSError as error:
                self.counters.failed += 1
                reason = os.strerror(error.errno or 0)
                log.warning("a snapshot was not kept", camera=job.setup.id, error=reason)
            except Exception:
                # A picture that cannot be made private isn't written at all; the others still are.
                self.counters.failed += 1
                log.exception("a snapshot could not be made", camera=job.setup.id)
            finally:
                with self._lock:
                    self._pixels -= job.frame.width * job.frame.height

    def _write(self, job: Snapshot) -> None:
        data = private_jpeg(job, self._search)
        path = snapshot_path(self._directory, job.setup.id, job.at, job.id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        partial = path.with_suffix(".partial")
        try:
            partial.write_bytes(data)
            partial.chmod(0o640)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
