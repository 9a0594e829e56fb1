"""Movie fragments read back: coded pictures out of moof + mdat, and their times moved."""

import struct
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from safecity.errors import Invalid
from safecity.video.recording.fmp4 import VIDEO_TRACK, boxes
from safecity.video.recording.sound import SOUND_TRACK
from safecity.video.stream.bitstream import TICKS_PER_S, VideoPacket
from safecity.video.stream.source import SoundPacket

_NON_SYNC: Final = 0x00010000
"""Sample flag: not a picture to begin with (ISO/IEC 14496-12 section 8.8.3.1)."""
_HEAD: Final = 8


class _Box(NamedTuple):
    name: bytes
    start: int
    end: int


class _Sample(NamedTuple):
    data: bytes
    ticks: int
    shift_ticks: int
    duration_ticks: int
    is_key: bool


class _Traf(NamedTuple):
    track: int
    tfdt: _Box
    decode_ticks: int
    samples: list[tuple[int, int, int, int]]
    data_offset: int


def packets_in(data: bytes) -> list[VideoPacket]:
    """Return the coded pictures in whole fragments, in decoding order; `time_s` is 0, a file knows none.

    Raises Invalid when the bytes are no fragments of ours.
    """
    return [
        VideoPacket(sample.data, sample.ticks, sample.shift_ticks, sample.duration_ticks, sample.is_key, 0.0)
        for sample in _read(data, VIDEO_TRACK)
    ]


def sounds_in(data: bytes) -> list[SoundPacket]:
    """Return the pieces of sound in whole fragments, as `packets_in` does the pictures."""
    return [
        SoundPacket(sample.data, sample.ticks, sample.duration_ticks, 0.0)
        for sample in _read(data, SOUND_TRACK)
    ]


class Outline(NamedTuple):
    """What the moof of a fragment tells: whether a picture begins it that needs no other, and when its
    pictures are shown (1/90000 s, in decoding order).
    """

    is_key: bool
    shown_at: tuple[int, ...]


def outline_of(moof: bytes) -> Outline:
    """Return what a fragment holds; nothing when it isn't one of ours."""
    try:
        for traf in _trafs(moof, 0, len(moof)):
            if traf.track == VIDEO_TRACK and traf.samples:
                decoded = accumulate((one[0] for one in traf.samples[:-1]), initial=traf.decode_ticks)
                shown = tuple(at + one[3] for at, one in zip(decoded, traf.samples, strict=True))
                return Outline(not traf.samples[0][2] & _NON_SYNC, shown)
    except (struct.error, IndexError, ValueError):
        pass
    return Outline(is_key=False, shown_at=())


def retimed(data: bytes, scales: dict[int, int], back_ticks: int, sequence: int) -> bytes:
    """Return fragments that begin `back_ticks` (1/90000 s) earlier, numbered from `sequence`.

    scales: units per second of each track's times, as `timescales` reads them.
    """
    moved = bytearray(data)
    for box in boxes(data):
        if box.name != "moof":
            continue
        number = data.index(b"mfhd", box.offset) + 8
        moved[number : number + 4] = sequence.to_bytes(4, "big")
        sequence += 1
        for traf in _trafs(data, box.offset, box.offset + box.size):
            back = back_ticks * scales.get(traf.track, TICKS_PER_S) // TICKS_PER_S
            start = max(traf.decode_ticks - back, 0)
            width = 8 if data[traf.tfdt.start] else 4
            moved[traf.tfdt.start + 4 : traf.tfdt.start + 4 + width] = start.to_bytes(width, "big")
    return bytes(moved)


def timescales(init: bytes) -> dict[int, int]:
    """Return how many units of time a second has on each track of an initialisation segment."""
    found: dict[int, int] = {}
    for moov in _inside(init, 0, len(init)):
        if moov.name != b"moov":
            continue
        for trak in _inside(init, moov.start, moov.end):
            if trak.name == b"trak":
                head, media = _trak_times(init, trak)
                found[head] = media
    return found


def _trak_times(init: bytes, trak: _Box) -> tuple[int, int]:
    track, scale = 0, TICKS_PER_S
    for box in _inside(init, trak.start, trak.end):
        if box.name == b"tkhd":
            place = box.start + (20 if init[box.start] else 12)
            track = int.from_bytes(init[place : place + 4], "big")
        elif box.name == b"mdia":
            for inner in _inside(init, box.start, box.end):
                if inner.name == b"mdhd":
                    place = inner.start + (20 if init[inner.start] else 12)
                    scale = int.from_bytes(init[place : place + 4], "big")
    return track, scale


def _read(data: bytes, track: int) -> list[_Sample]:
    try:
        return list(_samples(data, track))
    except (struct.error, IndexError, ValueError) as error:
        raise Invalid("these bytes are no movie fragments") from error


def _samples(data: bytes, track: int) -> Iterator[_Sample]:
    for box in boxes(data):
        if box.name != "moof":
            continue
        for traf in _trafs(data, box.offset, box.offset + box.size):
            if traf.track != track:
                continue
            position, ticks = box.offset + traf.data_offset, traf.decode_ticks
            for duration, size, flags, shift in traf.samples:
                sample = data[position : position + size]
                if len(sample) != size:
                    raise ValueError("a sample is not whole")
                yield _Sample(sample, ticks, shift, duration, not flags & _NON_SYNC)
                position += size
                ticks += duration


def _trafs(data: bytes, start: int, end: int) -> Iterator[_Traf]:
    for moof in _inside(data, start, end):
        for box in _inside(data, moof.start, moof.end) if moof.name == b"moof" else ():
            if box.name == b"traf":
                yield _traf(data, box)


def _traf(data: bytes, traf: _Box) -> _Traf:
    """Read a track fragment as `fmp4.fragment` writes it: one tfhd, tfdt and trun with all its fields."""
    inner = {box.name: box for box in _inside(data, traf.start, traf.end)}
    tfhd, tfdt, trun = inner.get(b"tfhd"), inner.get(b"tfdt"), inner.get(b"trun")
    if tfhd is None or tfdt is None or trun is None:
        raise ValueError("a track fragment lacks a box")
    width = 8 if data[tfdt.start] else 4
    (flags,) = struct.unpack_from(">I", data, trun.start)
    if flags & 0xFFFFFF != 0xF01:
        raise ValueError("a track run is not written as ours are")
    count, offset = struct.unpack_from(">Ii", data, trun.start + 4)
    table = data[trun.start + 12 : trun.start + 12 + 16 * count]
    return _Traf(
        track=int.from_bytes(data[tfhd.start + 4 : tfhd.start + 8], "big"),
        tfdt=tfdt,
        decode_ticks=int.from_bytes(data[tfdt.start + 4 : tfdt.start + 4 + width], "big"),
        samples=list(struct.iter_unpack(">IIIi", table)),
        data_offset=offset,
    )


def _inside(data: bytes, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between `start` and `end`; `_Box.start` is where what they hold begins."""
    while start + _HEAD <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        if size < _HEAD or start + size > end:
            return
        yield _Box(data[start + 4 : start + 8], start + _HEAD, start + size)
        start += size


def sequence_of(data: bytes) -> int:
    """Return the number of the first fragment in `data` (ISO/IEC 14496-12 section 8.8.5), 0 for none."""
    if data[4:8] != b"moof" or data[12:16] != b"mfhd":
        return 0
    return int.from_bytes(data[20:24], "big")
