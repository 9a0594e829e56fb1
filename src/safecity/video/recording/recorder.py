"""Recording by copying the stream: fragments of at most two seconds, files of a minute, hashed as written.

It runs in the stream's own thread and waits for nothing but the kernel taking the bytes: what has to reach
the disk for sure (fsync) and be entered in the index is handed to the `Archive`.
"""

import os
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from safecity.clock import Clock
from safecity.video.recording.fmp4 import fragment_head
from safecity.video.recording.index import Entry, FileEntry, GapEntry, OutageEntry
from safecity.video.recording.naming import EPOCH, name_of
from safecity.video.recording.segment import Segment, StorageState, storage_state
from safecity.video.recording.sound import Sound, with_sound
from safecity.video.stream.bitstream import TICKS_PER_S, StreamInfo, VideoPacket
from safecity.video.stream.source import SoundInfo, SoundPacket

log = structlog.get_logger()

FRAGMENT_LIMIT_TICKS: Final = 2 * TICKS_PER_S
"""What a kill may cost at most, also when a camera sends keyframes seldom."""
FRAGMENT_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""What waits in memory at most: a 4K stream of 60 Mbit/s is written twice a second."""
RETRY_AFTER_S: Final = 5.0
"""How long a disk that refused is left alone."""
HOLE_TICKS: Final = 3 * TICKS_PER_S // 2
"""A stream without a picture for so long has a gap there, though its connection held (as a stall does)."""
CLOCK_AHEAD_US: Final = 2_000_000
CLOCK_BACK_US: Final = 15_000_000
"""A stream that moves so much against our clock shows that the clock was set. Backwards there is more room:
what came late in the burst at its beginning is put right by what comes in time (`timeline.LAG_LIMIT_S`)."""
SEAM_US: Final = 200_000
"""Two files that follow each other in the stream and differ less by our clock meet at one moment."""
NAMES_TRIED: Final = 50
"""Our clock, set back, may meet old names; the next free millisecond is as good."""

STORAGE_WORDS: Final = {
    StorageState.OK: "",
    StorageState.FULL: "the disk is full",
    StorageState.HELD: "the disk is full and everything on it that may be deleted is held",
    StorageState.FAILING: "the disk refuses recordings",
}
NO_PICTURE: Final = "no picture came"
NEVER_SEEN: Final = "the camera has sent no picture yet"
CLOCK_SET: Final = "this machine's clock was set forward"


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

    @property
    def is_exhausted(self) -> bool:
        """Whether the disk is full of what must not be deleted: then nothing more is recorded."""
        ...

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
        outage: OutageEntry | None = None,
        segment_s: float = 60.0,
        open_file: OpenFile = open_new,
    ) -> None:
        """Continue the recordings in `folder`, with what `Archive.open_camera` found.

        link: the chain's link after the last entered file. last_end: when that file ended. outage: the time
        without recording that lasts since then; it ends, as a gap, with the first packet.
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
        self._sound = Sound()
        self._file: Segment | None = None
        self._pending: list[VideoPacket] = []
        self._pending_bytes = 0
        self._next_ticks = 0
        self._outage = outage
        self._last_end = last_end
        self._last_end_ticks: int | None = None
        self._retry_s = 0.0

    @property
    def is_recording(self) -> bool:
        """Return whether a file is being written."""
        return self._file is not None

    @property
    def recording_since(self) -> datetime | None:
        """Return when the file began that is being written and not yet in the index, None without one."""
        file = self._file
        return None if file is None else _moment(file.offset_us, file.first_ticks)

    @property
    def storage_reason(self) -> str:
        """Return why the disk takes nothing now, or an empty text."""
        return STORAGE_WORDS[self.storage]

    def admit(self) -> None:
        """Know that from now on all that isn't recorded is missing; called before any stream is.

        Where nothing was ever recorded, an outage begins; otherwise one lasts already, since the last file.
        """
        self._begin_outage(self._clock.now(), NEVER_SEEN)

    def begin(self, info: StreamInfo) -> None:
        """Record `info` from the next keyframe on, in a file of its own."""
        self._close()
        self._info = info

    def add(self, packet: VideoPacket) -> None:
        """Take the next packet; write when a fragment is whole."""
        if self._pending and (packet.is_key or self._is_enough(packet)):
            self._flush(packet.ticks)
        if packet.is_key and self._is_due(packet):
            self._close()
        if self._file is None and not (packet.is_key and self._open(packet)):
            self._lose(packet)
            return
        self._pending.append(packet)
        self._pending_bytes += len(packet.sample)
        self._next_ticks = packet.ticks + packet.duration_ticks
        if self._file is not None:
            self._file.place(packet)

    def begin_sound(self, info: SoundInfo) -> None:
        """Record sound too, in the files that begin from now on, until the stream ends."""
        self._close()
        self._sound.begin(info)

    def add_sound(self, packet: SoundPacket) -> None:
        """Take a piece of sound; it is written with the pictures beside it."""
        if self._file is not None and self._file.has_sound:
            self._sound.add(packet)

    def end(self, reason: str) -> None:
        """Close the file; the time until the next packet is a gap for `reason`."""
        self._close()
        self._info = None
        self._sound.begin(None)
        if self._last_end is not None:
            self._begin_outage(self._last_end, reason)

    def _is_enough(self, packet: VideoPacket) -> bool:
        """Return whether what is pending is written now: it is long, or large, or a hole follows."""
        return (
            packet.ticks - self._pending[0].ticks >= FRAGMENT_LIMIT_TICKS
            or self._pending_bytes >= FRAGMENT_LIMIT_BYTES
            or packet.ticks - self._next_ticks >= HOLE_TICKS
        )

    def _is_due(self, packet: VideoPacket) -> bool:
        """Return whether `packet` begins a new file: for its length, our clock that was set, or the disk."""
        file = self._file
        if file is None:
            return False
        return (
            packet.ticks - file.first_ticks >= self._limit_ticks
            or _is_clock_set(offset_us(packet) - file.offset_us)
            or self._shelf.is_exhausted
        )

    def _open(self, packet: VideoPacket) -> bool:
        if self._info is None or self._clock.monotonic_s() < self._retry_s:
            return False
        if self._shelf.is_exhausted:
            self._refuse(StorageState.HELD, packet, "")
            return False
        try:
            file = self._create(packet, self._info)
        except OSError as error:
            self._disk_refused(error, packet)
            return False
        self._file = file
        self.storage = StorageState.OK
        self.counters.files += 1
        self._end_outage(_moment(file.offset_us, file.first_ticks))
        return True

    def _create(self, packet: VideoPacket, info: StreamInfo) -> Segment:
        """Return a new file that begins with `packet`. Raises OSError."""
        millis = round(packet.time_s * 1000)
        for tried in range(NAMES_TRIED):
            path = self._folder / name_of(millis + tried)
            try:
                descriptor = self._open_file(path)
                break
            except FileExistsError:
                if tried == NAMES_TRIED - 1:
                    raise
        heard = self._sound.info
        file = Segment(path, descriptor, packet, self._link, info.codec, has_sound=heard is not None)
        try:
            file.write([with_sound(info.init, heard)])
        except OSError:
            file.discard()
            raise
        self._join(file)
        return file

    def _join(self, file: Segment) -> None:
        """Let a file that follows the last one in the stream follow it in time, to the microsecond.

        When our clock was set forward in between, that time was never recorded: it becomes a gap.
        """
        if self._last_end is None or self._last_end_ticks != file.first_ticks:
            return
        before_us = _offset_of(self._last_end, file.first_ticks)
        if abs(file.offset_us - before_us) < SEAM_US:
            file.offset_us = before_us
        elif file.offset_us - before_us >= CLOCK_AHEAD_US:
            self._begin_outage(self._last_end, CLOCK_SET)

    def _flush(self, end_ticks: int) -> None:
        """Write what is pending; the next packet is at `end_ticks`, perhaps behind a hole."""
        file, packets = self._file, self._pending
        if file is None or not packets:
            return
        hole = end_ticks - self._next_ticks >= HOLE_TICKS
        until = self._next_ticks if hole else end_ticks
        sound = self._sound.take(file.first_ticks, until)
        head = fragment_head(len(file.entries), packets[0].ticks - file.first_ticks, packets, until, sound)
        self._pending, self._pending_bytes = [], 0
        try:
            samples = [packet.sample for packet in packets] + [piece.data for piece in sound]
            written = file.write([head, *samples])
        except OSError as error:
            self.counters.lost_packets += len(packets)
            self._disk_refused(error, packets[0])
            return
        file.end_ticks = until
        self.counters.fragments += 1
        self.counters.octets += written
        if hole:
            self._note_hole(file, until, end_ticks)

    def _note_hole(self, file: Segment, start_ticks: int, end_ticks: int) -> None:
        start = _moment(file.offset_us, start_ticks)
        self._begin_outage(start, NO_PICTURE)
        self._end_outage(_moment(file.offset_us, end_ticks))

    def _close(self) -> None:
        """Write what is pending and hand the file over."""
        if self._pending:
            self._flush(self._next_ticks)
        if self._file is not None:
            self._hand_over(self._file)

    def _hand_over(self, file: Segment) -> None:
        self._file = None
        self._limit_ticks = self._segment_ticks
        if len(file.entries) < 2:
            # A header without pictures is no recording.
            file.discard()
            return
        entry = FileEntry(
            camera_id=self.camera_id,
            path=str(file.path.relative_to(self._folder)),
            start=_moment(file.offset_us, file.first_ticks),
            end=_moment(file.offset_us, file.end_ticks),
            size_bytes=file.size,
            fragments=tuple(file.entries),
            chain_before=self._link.hex(),
            chain_after=file.link.hex(),
            codec=file.codec,
            has_sound=file.has_sound,
        )
        self._link = file.link
        self._last_end, self._last_end_ticks = entry.end, file.end_ticks
        self._shelf.finish(self._folder, file.descriptor, entry)

    def _disk_refused(self, error: OSError, packet: VideoPacket) -> None:
        state = storage_state(error)
        self.counters.disk_errors += 1
        self._refuse(state, packet, os.strerror(error.errno or 0))
        if state is StorageState.FULL:
            self._shelf.make_room()

    def _refuse(self, state: StorageState, packet: VideoPacket, error: str) -> None:
        """Give the file up where it is still whole, and say once why; `packet` is the first that is lost."""
        reason = STORAGE_WORDS[state]
        if state is not self.storage:
            log.error("recording stopped", camera=self.camera_id, reason=reason, error=error)
        self.storage = state
        self._retry_s = self._clock.monotonic_s() + RETRY_AFTER_S
        self._pending, self._pending_bytes = [], 0
        self._sound.forget()
        if self._file is not None:
            self._hand_over(self._file)
        self._begin_outage(_moment(offset_us(packet), packet.ticks), reason)

    def _lose(self, packet: VideoPacket) -> None:
        self.counters.lost_packets += 1
        self._next_ticks = packet.ticks + packet.duration_ticks

    def _begin_outage(self, start: datetime, reason: str) -> None:
        if self._outage is None:
            self._outage = OutageEntry(camera_id=self.camera_id, start=start, reason=reason)
            self._shelf.enter(self._folder, self._outage)

    def _end_outage(self, end: datetime) -> None:
        if self._outage is None:
            return
        outage, self._outage = self._outage, None
        self.counters.gaps += 1
        gap = GapEntry(
            camera_id=self.camera_id, start=outage.start, end=max(outage.start, end), reason=outage.reason
        )
        self._shelf.enter(self._folder, gap)


def offset_us(packet: VideoPacket) -> int:
    """Return our clock's time at tick 0 of the packet's timeline, in microseconds since 1970 UTC."""
    return round(packet.time_s * 1e6) - packet.ticks * 1_000_000 // TICKS_PER_S


def _offset_of(moment: datetime, ticks: int) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) - ticks * 1_000_000 // TICKS_PER_S


def _moment(offset_us: int, ticks: int) -> datetime:
    return EPOCH + timedelta(microseconds=offset_us + ticks * 1_000_000 // TICKS_PER_S)


def _is_clock_set(moved_us: int) -> bool:
    return moved_us >= CLOCK_AHEAD_US or moved_us <= -CLOCK_BACK_US
