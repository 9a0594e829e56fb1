"""Fragmented MP4 (ISO/IEC 14496-12): writing moof + mdat, and reading a file back box by box."""

import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from safecity.video.recording.sound import SOUND_TRACK
from safecity.video.stream.bitstream import VideoPacket
from safecity.video.stream.source import SoundPacket

KEY_FLAGS: Final = 0x02000000
"""Sample flags: depends on no other sample (ISO/IEC 14496-12, section 8.8.3.1)."""
DELTA_FLAGS: Final = 0x01010000
"""Sample flags: depends on others, is no sync sample."""

_MFHD: Final = struct.Struct(">I4sII")
_TFHD: Final = struct.Struct(">I4sII")
_TFDT: Final = struct.Struct(">I4sIQ")
_TRUN: Final = struct.Struct(">I4sIIi")
_ENTRY: Final = struct.Struct(">IIIi")
_DEFAULT_BASE_IS_MOOF: Final = 0x020000
_TRUN_FLAGS: Final = 0x01000F01
"""Version 1; data offset, and for each sample its duration, size, flags and composition offset."""
_TRAF_BYTES: Final = 8 + _TFHD.size + _TFDT.size + _TRUN.size
"""A track's part of a moof, without its table of samples."""
VIDEO_TRACK: Final = 1
"""The track of the pictures, whose part of a moof comes first; the sound's is `SOUND_TRACK`."""

_LAYOUT: Final = ("ftyp", "moov", "moof", "mdat")
"""How every file of ours begins."""


class Box(NamedTuple):
    """A top-level box of a file: its four-letter name and where it lies, in bytes."""

    name: str
    offset: int
    size: int


class Fragment(NamedTuple):
    """One moof with its mdat in a file; times in 1/90000 s from the file's beginning."""

    offset: int
    size: int
    start_ticks: int
    duration_ticks: int


class Scan(NamedTuple):
    """What is whole in a file: the initialisation segment, then the fragments. Bytes after `end` are torn."""

    init_size: int
    fragments: tuple[Fragment, ...]
    end: int


def fragment(
    sequence: int,
    start_ticks: int,
    packets: Sequence[VideoPacket],
    end_ticks: int,
    sound: Sequence[SoundPacket] = (),
) -> bytes:
    """Return `packets` as one moof + mdat that begins at `start_ticks`, with the `sound` beside them.

    end_ticks: decoding time of the packet after the last one, on the packets' own timeline.
    """
    head = fragment_head(sequence, start_ticks, packets, end_ticks, sound)
    return b"".join([head, *[packet.sample for packet in packets], *[piece.data for piece in sound]])


def fragment_head(
    sequence: int,
    start_ticks: int,
    packets: Sequence[VideoPacket],
    end_ticks: int,
    sound: Sequence[SoundPacket] = (),
) -> bytes:
    """Return what comes before the samples in a `fragment` of the same arguments."""
    ends = [packet.ticks for packet in packets[1:]] + [end_ticks]
    table = b"".join(
        _ENTRY.pack(
            max(end - packet.ticks, 1),
            len(packet.sample),
            KEY_FLAGS if packet.is_key else DELTA_FLAGS,
            packet.shift_ticks,
        )
        for packet, end in zip(packets, ends, strict=True)
    )
    moof_size = 8 + _MFHD.size + _TRAF_BYTES + len(table)
    data_size = sum([len(packet.sample) for packet in packets])
    heard = b""
    if sound:
        entries = _sound_table(sound)
        moof_size += _TRAF_BYTES + len(entries)
        sound_ticks = sound[0].ticks - packets[0].ticks + start_ticks
        heard = _traf(SOUND_TRACK, sound_ticks, entries, moof_size + 8 + data_size)
        data_size += sum([len(piece.data) for piece in sound])
    return b"".join(
        (
            struct.pack(">I4s", moof_size, b"moof"),
            _MFHD.pack(_MFHD.size, b"mfhd", 0, sequence),
            _traf(VIDEO_TRACK, start_ticks, table, moof_size + 8),
            heard,
            struct.pack(">I4s", 8 + data_size, b"mdat"),
        )
    )


def _traf(track: int, start_ticks: int, table: bytes, data_offset: int) -> bytes:
    """Return one track's part of a moof; its samples lie `data_offset` bytes behind the moof's beginning."""
    trun_size = _TRUN.size + len(table)
    return b"".join(
        (
            struct.pack(">I4s", _TRAF_BYTES + len(table), b"traf"),
            _TFHD.pack(_TFHD.size, b"tfhd", _DEFAULT_BASE_IS_MOOF, track),
            _TFDT.pack(_TFDT.size, b"tfdt", 0x01000000, start_ticks),
            _TRUN.pack(trun_size, b"trun", _TRUN_FLAGS, len(table) // _ENTRY.size, data_offset),
            table,
        )
    )


def _sound_table(sound: Sequence[SoundPacket]) -> bytes:
    """Return the samples of a track run; each lasts until the next, so that a lost one makes no hole."""
    ends = [piece.ticks for piece in sound[1:]] + [sound[-1].ticks + sound[-1].duration_ticks]
    return b"".join(
        _ENTRY.pack(max(end - piece.ticks, 1), len(piece.data), KEY_FLAGS, 0)
        for piece, end in zip(sound, ends, strict=True)
    )


def boxes(data: bytes | mmap.mmap) -> Iterator[Box]:
    """Yield the whole top-level boxes of `data`, in order; stop at the first that is torn or no box."""
    position, length = 0, len(data)
    while position + 8 <= length:
        size = int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        if size < 8 or position + size > length or not name.isalnum():
            return
        yield Box(name.decode("ascii"), position, size)
        position += size


def codec_of(init: bytes) -> str:
    """Return the codec, as FFmpeg names it, of a header (ISO/IEC 14496-15, sections 5.4.2 and 8.4.1)."""
    return "hevc" if b"hvcC" in init else "h264"


def is_beginning(path: Path) -> bool:
    """Return whether a file is what a killed recorder leaves before its first fragment is whole.

    That is nothing, or a header with at most a torn fragment. Raises OSError when it cannot be read.
    """
    if path.stat().st_size == 0:
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        whole = list(boxes(data))
        names = [box.name for box in whole]
        end = whole[-1].offset + whole[-1].size if whole else 0
        torn = data[end + 4 : end + 8]
    if len(names) >= len(_LAYOUT) or tuple(names) != _LAYOUT[: len(names)]:
        return False
    return _LAYOUT[len(names)].encode().startswith(torn)


def scan(path: Path) -> Scan:
    """Return what is whole in the fragmented MP4 file at `path`. Raises OSError when it cannot be read."""
    if path.stat().st_size == 0:
        return Scan(0, (), 0)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _scan(data)


def _scan(data: mmap.mmap) -> Scan:
    init_size = 0
    fragments: list[Fragment] = []
    moof: Box | None = None
    for box in boxes(data):
        if box.name == "moov":
            init_size = box.offset + box.size
        elif box.name == "moof" and init_size:
            moof = box
        elif box.name == "mdat" and moof is not None:
            start, duration = _times(data[moof.offset : moof.offset + moof.size])
            fragments.append(Fragment(moof.offset, moof.size + box.size, start, duration))
            moof = None
    end = fragments[-1].offset + fragments[-1].size if fragments else init_size
    return Scan(init_size, tuple(fragments), end)


def _times(moof: bytes) -> tuple[int, int]:
    """Return start and duration (1/90000 s) of the pictures of a moof that `fragment` wrote."""
    tfdt, trun = moof.find(b"tfdt"), moof.find(b"trun")
    if tfdt < 0 or trun < 0:
        return 0, 0
    start = int.from_bytes(moof[tfdt + 8 : tfdt + 16], "big")
    count = int.from_bytes(moof[trun + 8 : trun + 12], "big")
    table = moof[trun + 16 : trun + 16 + count * _ENTRY.size]
    return start, sum(
        entry[0] for entry in _ENTRY.iter_unpack(table[: len(table) // _ENTRY.size * _ENTRY.size])
    )
