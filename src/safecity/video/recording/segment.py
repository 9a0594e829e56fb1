"""The file being written: what is whole in it, where it lies in time, and the hash chain up to there."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from safecity.video.recording.index import FragmentEntry, next_link, write_all
from safecity.video.stream.bitstream import TICKS_PER_S, VideoPacket

PARTS_LIMIT: Final = 1024
"""Buffers that one call takes (IOV_MAX of Linux, limits.h)."""
LATE_LIMIT_US: Final = 15_000_000
"""Packets at the beginning of a connection come late in one burst, but never later than this."""


class StorageState(StrEnum):
    """Whether the disk takes recordings."""

    OK = "ok"
    FULL = "full"
    HELD = "held"
    FAILING = "failing"


def storage_state(error: OSError) -> StorageState:
    """Return what an error of the disk means for recording."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return StorageState.FULL if full else StorageState.FAILING


class Segment:
    """One file of a camera while it is written, by the stream's thread alone.

    offset_us: our clock's time at tick 0 of the camera's timeline, in microseconds since 1970 UTC.
    first_ticks, end_ticks: where it begins, and what is written. link: the chain after what is written.
    """

    def __init__(
        self,
        path: Path,
        descriptor: int,
        first: VideoPacket,
        link: bytes,
        codec: str,
        *,
        has_sound: bool = False,
    ) -> None:
        """Begin an empty file, open at `descriptor`, whose first packet will be `first`."""
        self.path = path
        self.descriptor = descriptor
        self.codec = codec
        self.has_sound = has_sound
        self.first_ticks = self.end_ticks = first.ticks
        self.offset_us = round(first.time_s * 1e6) - first.ticks * 1_000_000 // TICKS_PER_S
        self.link = link
        self.size = 0
        self.entries: list[FragmentEntry] = []

    def place(self, packet: VideoPacket) -> None:
        """Learn from the packet's arrival where the file lies in time: the least delayed tells best."""
        offset_us = round(packet.time_s * 1e6) - packet.ticks * 1_000_000 // TICKS_PER_S
        if -LATE_LIMIT_US < offset_us - self.offset_us < 0:
            self.offset_us = offset_us

    def write(self, parts: Sequence[bytes]) -> int:
        """Write `parts` as one piece and return its bytes. Raises OSError; the file is then as before."""
        try:
            size = _write_parts(self.descriptor, parts)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
                os.lseek(self.descriptor, self.size, os.SEEK_SET)
            raise
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        self.entries.append(FragmentEntry(self.size, size, digest.hexdigest()))
        self.link = next_link(self.link, digest.digest())
        self.size += size
        return size

    def discard(self) -> None:
        """Close and remove a file that holds nothing."""
        os.close(self.descriptor)
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def _write_parts(descriptor: int, parts: Sequence[bytes]) -> int:
    """Write all of `parts`, without joining them first, and return their bytes. Raises OSError."""
    total = 0
    for begin in range(0, len(parts), PARTS_LIMIT):
        some = parts[begin : begin + PARTS_LIMIT]
        size = sum([len(part) for part in some])
        written = os.writev(descriptor, some)
        if written < size:
            write_all(descriptor, b"".join(some)[written:])
        total += size
    return total
