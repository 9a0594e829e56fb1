"""Recording by copying the stream: fragments of at most two seconds, files of a minute, hashed as written.

It runs in the stream's own thread and waits for nothing but the kernel taking the bytes: what has to reach
the disk for sure (fsync) and be entered in the index is handed to the `Archive`.
"""

import contextlib
import errno
import hashlib
import os
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from safecity.clock import Clock
from safecity.video.bitstream import TICKS_PER_S, StreamInfo, VideoPacket
from safecity.video.fmp4 import fragment
from safecity.video.index import Entry, FileEntry, FragmentEntry, GapEntry, next_link, write_all

log = structlog.get_logger()

FRAGMENT_LIMIT_TICKS: Final = 2 * TICKS_PER_S
"""What a kill may cost at most, also when a camera sends keyframes seldom."""
RETRY_AFTER_S: Final = 5.0
"""How long a disk that refused is left alone."""


class StorageState(StrEnum):
    """Whether the disk takes recordings."""

    OK = "ok"
    FULL = "full"
    FAILING = "failing"


_STORAGE_WORDS: Final = {
    StorageState.OK: "",
    StorageState.FULL: "the disk is full",
    StorageState.FAILING: "the disk refuses recordings",
}


class RecorderCounters(msgspec.Struct):
    """What was recorded since the program started; written by the stream's thread, read by anyone."""

    files: int = 0
    fragments: int = 0
    octets: int = 0
    gaps: int = 0
    lost_packets: int = 0
    disk_errors: int = 0


class Shelf(Protocol):
    """Who makes finished files last."""

    def finish(self, folder: Path, descriptor: int, entry: FileEntry) -> None:
        """Sync and close the file behind `descriptor`, then enter it."""
        ...

    def enter(self, folder: Path, entry: Entry) -> None:
        """Enter what is not a file."""
        ...

    def make_room(self) -> None:
        """Delete what is oldest, soon: the disk is full."""
        ...


OpenFile = Callable[[Path], int]


def open_new(path: Path) -> int:
    """Create the file at `path` and return its descriptor. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)


class Recorder:
    """Writes one camera's stream. Methods are called by the stream's thread, properties by any."""

    def __init__(
        self,
        camera_id: str,
        folder: Path,
        shelf: Shelf,
        clock: Clock,
        *,
        link: bytes,
        last_end: datetime | None = None,
        segment_s: float = 60.0,
        open_file: OpenFile = open_new,
    ) -> None:
        """Continue the recordings in `folder`.

        link: the chain's link after the last entered file. last_end: when that file ended; the time until the
        first packet then becomes a gap.
        """
        self.camera_id = camera_id
        self.counters = RecorderCounters()
        self.storage = StorageState.OK
        self._folder = folder
        self._shelf = shelf
        self._clock = clock
        self._link = link
        self._segment_ticks = round(segment_s * TICKS_PER_S)
        self._open_file = open_file
        # The first file is shorter, by another share for each camera, so that not all rotate at once.
        share = zlib.crc32(camera_id.encode()) / 2**32
        self._limit_ticks = round(self._segment_ticks * (0.5 + 0.5 * share))
        self._info: StreamInfo | None = None
        self._file: _OpenFile | None = None
        self._pending: list[VideoPacket] = []
        self._gap_start = last_end
        self._gap_reason = "the program was not running" if last_end else ""
        self._last_end_s: float | None = None
        self._retry_s = 0.0

    @property
    def is_recording(self) -> bool:
        """Return whether a file is being written."""
        return self._file is not None

    @property
    def storage_reason(self) -> str:
        """Return why the disk takes nothing now, or an empty text."""
        return _STORAGE_WORDS[self.storage]

    def begin(self, info: StreamInfo) -> None:
        """Record `info` from the next keyframe on, in a file of its own."""
        self._close()
        self._info = info

    def add(self, packet: VideoPacket) -> None:
        """Take the next packet; write when a fragment is whole."""
        if packet.is_key and self._is_due(packet):
            self._close(packet.ticks)
        if self._file is None and not (packet.is_key and self._open(packet)):
            self.counters.lost_packets += 1
            return
        if self._pending and (packet.is_key or self._spans_limit(packet)):
            self._flush(packet.ticks)
            if self._file is None:
                self.counters.lost_packets += 1
                return
        self._pending.append(packet)
        self._last_end_s = packet.time_s + packet.duration_ticks / TICKS_PER_S

    def end(self, reason: str) -> None:
        """Close the file; the time until the next packet is a gap for `reason`."""
        self._close()
        self._info = None
        self._begin_gap(reason)

    def _spans_limit(self, packet: VideoPacket) -> bool:
        return packet.ticks - self._pending[0].ticks >= FRAGMENT_LIMIT_TICKS

    def _is_due(self, packet: VideoPacket) -> bool:
        return self._file is not None and packet.ticks - self._file.first_ticks >= self._limit_ticks

    def _open(self, packet: VideoPacket) -> bool:
        if self._info is None or self._clock.monotonic_s() < self._retry_s:
            return False
        start = datetime.fromtimestamp(packet.time_s, UTC)
        path = self._folder / f"{start:%Y-%m-%d}" / f"{start:%H%M%S}.{start.microsecond // 1000:03d}Z.mp4"
        try:
            descriptor = self._open_file(path)
        except FileExistsError:
            # Our clock was set back on to an old file's very millisecond; the next keyframe gets a name.
            return False
        except OSError as error:
            self._disk_refused(error)
            return False
        self._file = _OpenFile(path, descriptor, packet.ticks, self._link)
        try:
            self._file.write(self._info.init)
        except OSError as error:
            self._disk_refused(error)
            return False
        self.storage = StorageState.OK
        self.counters.files += 1
        self._end_gap(start)
        return True

    def _flush(self, end_ticks: int) -> None:
        if self._file is None or not self._pending:
            return
        file, packets = self._file, self._pending
        data = fragment(len(file.entries), packets[0].ticks - file.first_ticks, packets, end_ticks)
        self._pending = []
        try:
            file.write(data)
        except OSError as error:
            self.counters.lost_packets += len(packets)
            self._last_end_s = packets[0].time_s
            self._disk_refused(error)
            return
        file.end_ticks = end_ticks
        self.counters.fragments += 1
        self.counters.octets += len(data)

    def _close(self, end_ticks: int | None = None) -> None:
        """Write what is pending and hand the file over; `end_ticks` is where the next one begins."""
        if self._pending:
            last = self._pending[-1]
            self._flush(end_ticks if end_ticks is not None else last.ticks + last.duration_ticks)
        if self._file is not None:
            self._hand_over(self._file)

    def _hand_over(self, file: "_OpenFile") -> None:
        self._file = None
        self._limit_ticks = self._segment_ticks
        if len(file.entries) < 2 or self._last_end_s is None:
            # A header without pictures is no recording.
            os.close(file.descriptor)
            file.path.unlink(missing_ok=True)
            return
        end = datetime.fromtimestamp(self._last_end_s, UTC)
        entry = FileEntry(
            camera_id=self.camera_id,
            path=str(file.path.relative_to(self._folder)),
            # Counted back from the end: the first packets of a connection often come late, in one burst.
            start=end - timedelta(seconds=(file.end_ticks - file.first_ticks) / TICKS_PER_S),
            end=end,
            size_bytes=file.size,
            fragments=tuple(file.entries),
            chain_before=self._link.hex(),
            chain_after=file.link.hex(),
        )
        self._link = file.link
        self._shelf.finish(self._folder, file.descriptor, entry)

    def _disk_refused(self, error: OSError) -> None:
        """Give the file up where it is still whole, say so once, and let the archive make room."""
        state = storage_state(error)
        reason = _STORAGE_WORDS[state]
        self.counters.disk_errors += 1
        if state is not self.storage:
            log.error(
                "recording stopped", camera=self.camera_id, reason=reason, error=os.strerror(error.errno or 0)
            )
        self.storage = state
        self._retry_s = self._clock.monotonic_s() + RETRY_AFTER_S
        self._pending = []
        if self._file is not None:
            self._hand_over(self._file)
        self._begin_gap(reason)
        if state is StorageState.FULL:
            self._shelf.make_room()

    def _begin_gap(self, reason: str) -> None:
        if self._gap_start is None and self._last_end_s is not None:
            self._gap_start = datetime.fromtimestamp(self._last_end_s, UTC)
            self._gap_reason = reason

    def _end_gap(self, end: datetime) -> None:
        if self._gap_start is None:
            return
        start, self._gap_start = self._gap_start, None
        self.counters.gaps += 1
        entry = GapEntry(camera_id=self.camera_id, start=start, end=max(start, end), reason=self._gap_reason)
        self._shelf.enter(self._folder, entry)


class _OpenFile:
    """The file being written: what is whole in it, and the chain up to there."""

    def __init__(self, path: Path, descriptor: int, first_ticks: int, link: bytes) -> None:
        self.path = path
        self.descriptor = descriptor
        self.first_ticks = first_ticks
        self.end_ticks = first_ticks
        self.link = link
        self.size = 0
        self.entries: list[FragmentEntry] = []

    def write(self, data: bytes) -> None:
        """Write `data` as one piece. Raises OSError and leaves the file as it was before."""
        try:
            write_all(self.descriptor, data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
                os.lseek(self.descriptor, self.size, os.SEEK_SET)
            raise
        digest = hashlib.sha256(data).digest()
        self.entries.append(FragmentEntry(self.size, len(data), digest.hex()))
        self.link = next_link(self.link, digest)
        self.size += len(data)


def storage_state(error: OSError) -> StorageState:
    """Return what an error of the disk means for recording."""
    return StorageState.FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else StorageState.FAILING
