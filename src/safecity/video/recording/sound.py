"""Sound beside the pictures of a recording: AAC as a second track of the same fragmented MP4.

It is here only where the configuration allows sound and the camera's own setup asks for it. The track counts
time as the pictures do, in 1/90000 s, so that one clock places both.
"""

import struct
from typing import Final

from safecity.video.stream.bitstream import TICKS_PER_S
from safecity.video.stream.source import SoundInfo, SoundPacket

SOUND_TRACK: Final = 2
"""The track of the sound; the pictures' is 1."""
WAITING_LIMIT_BYTES: Final = 1024 * 1024
"""Sound that waits for its pictures at most; two seconds of AAC have less than a tenth."""
AAC_SAMPLES: Final = 1024
"""Samples of an access unit (ISO/IEC 14496-3, 4.5.1.1), where a camera doesn't say how long it is."""
_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_CONFIG_SIZE_AT: Final = 65
"""Where the size of the decoder's configuration stands behind the name of the mp4a box, as we write it."""
_UNDETERMINED: Final = 0x55C4
"""The language "und", packed (ISO/IEC 14496-12, section 8.4.2.3)."""


class Sound:
    """The sound of a stream that is being recorded, until the pictures beside it are written."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        self.info: SoundInfo | None = None
        self._waiting: list[SoundPacket] = []
        self._bytes = 0

    def begin(self, info: SoundInfo | None) -> None:
        """Expect sound of this kind from now on, or none."""
        self.info = info
        self.forget()

    def add(self, packet: SoundPacket) -> None:
        """Keep a piece until its pictures are written."""
        if self.info is None or self._bytes + len(packet.data) > WAITING_LIMIT_BYTES:
            return
        if not packet.duration_ticks:
            packet = packet._replace(duration_ticks=AAC_SAMPLES * TICKS_PER_S // self.info.rate_hz)
        self._waiting.append(packet)
        self._bytes += len(packet.data)

    def take(self, start_ticks: int, end_ticks: int) -> list[SoundPacket]:
        """Return what begins before `end_ticks`; later sound waits on.

        What begins before the file does, at `start_ticks`, came after the file before was closed, and is left
        out: at most some tenths of a second a minute.
        """
        taken = [packet for packet in self._waiting if start_ticks <= packet.ticks < end_ticks]
        self._waiting = [packet for packet in self._waiting if packet.ticks >= end_ticks]
        self._bytes = sum([len(packet.data) for packet in self._waiting])
        return taken

    def forget(self) -> None:
        """Let go of what waits: its pictures will not be written."""
        self._waiting, self._bytes = [], 0


def with_sound(init: bytes, info: SoundInfo | None) -> bytes:
    """Return the header `init` (ftyp + moov of one track) with a second track for the sound, if any."""
    if info is None:
        return init
    moov = init.index(b"moov") - 4
    extends = init.index(b"mvex", moov) - 4
    extends_end = extends + int.from_bytes(init[extends : extends + 4], "big")
    inside = (
        _with_next_track(init[moov + 8 : extends])
        + _track(info)
        + _box(b"mvex", init[extends + 8 : extends_end], _box(b"trex", struct.pack(">6I", 0, 2, 1, 0, 0, 0)))
        + init[extends_end:]
    )
    return init[:moov] + _box(b"moov", inside)


def has_sound(init: bytes) -> bool:
    """Return whether a header of ours has a track of sound."""
    return b"mp4a" in init


def sound_of(init: bytes) -> SoundInfo | None:
    """Return what sound a header that `with_sound` wrote describes, None when it has none."""
    entry = init.find(b"mp4a")
    if entry < 0:
        return None
    channels = int.from_bytes(init[entry + 20 : entry + 22], "big")
    rate_hz = int.from_bytes(init[entry + 28 : entry + 30], "big")
    size_at = entry + _CONFIG_SIZE_AT
    return SoundInfo("aac", init[size_at + 1 : size_at + 1 + init[size_at]], rate_hz, channels)


def codec_name(info: SoundInfo) -> str:
    """Return how RFC 6381 (section 3.3) names the sound: mp4a.40 and the audio object type."""
    kind = info.config[0] >> 3
    if kind == 31 and len(info.config) > 1:  # ISO/IEC 14496-3, 1.6.2.1: an escape to six bits more
        kind = 32 + ((info.config[0] & 7) << 3 | info.config[1] >> 5)
    return f"mp4a.40.{kind}"


def _box(name: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I4s", 8 + len(data), name) + data


def _with_next_track(before: bytes) -> bytes:
    """Return the boxes before mvex with next_track_ID of mvhd, its last field, behind the sound's."""
    header = before.index(b"mvhd") - 4
    end = header + int.from_bytes(before[header : header + 4], "big")
    return before[: end - 4] + struct.pack(">I", SOUND_TRACK + 1) + before[end:]


def _track(info: SoundInfo) -> bytes:
    """Return the trak box (ISO/IEC 14496-12, section 8.3.1) of a track whose samples are all in fragments."""
    # Enabled and part of the film; not laid out, at full volume (section 8.3.2).
    header = struct.pack(">6I8xhhhxx", 3, 0, 0, SOUND_TRACK, 0, 0, 0, 1, 0x100) + _MATRIX + bytes(8)
    media = struct.pack(">5IHH", 0, 0, 0, TICKS_PER_S, 0, _UNDETERMINED, 0)
    handler = struct.pack(">II4s12x", 0, 0, b"soun") + b"sound\x00"
    reference = _box(b"dref", struct.pack(">II", 0, 1), _box(b"url ", struct.pack(">I", 1)))
    empty = struct.pack(">II", 0, 0)
    table = _box(
        b"stbl",
        _box(b"stsd", struct.pack(">II", 0, 1), _sample_entry(info)),
        _box(b"stts", empty),
        _box(b"stsc", empty),
        _box(b"stsz", empty, bytes(4)),
        _box(b"stco", empty),
    )
    inner = _box(b"minf", _box(b"smhd", bytes(8)), _box(b"dinf", reference), table)
    return _box(
        b"trak", _box(b"tkhd", header), _box(b"mdia", _box(b"mdhd", media), _box(b"hdlr", handler), inner)
    )


def _sample_entry(info: SoundInfo) -> bytes:
    """Return the mp4a box (ISO/IEC 14496-14, section 5.6) with the decoder's configuration in an esds box."""
    entry = struct.pack(">6xH8xHHHHI", 1, info.channels, 16, 0, 0, info.rate_hz << 16)
    # ISO/IEC 14496-1, section 7.2.6: object type 0x40 is AAC, stream type 5 sound; 2 is the MP4 file format.
    decoder = struct.pack(">BB3xII", 0x40, 0x15, 0, 0) + _descriptor(5, info.config)
    stream = struct.pack(">HB", SOUND_TRACK, 0) + _descriptor(4, decoder) + _descriptor(6, b"\x02")
    return _box(b"mp4a", entry, _box(b"esds", bytes(4), _descriptor(3, stream)))


def _descriptor(tag: int, data: bytes) -> bytes:
    """Return a descriptor; lengths below 128 are one byte (ISO/IEC 14496-1, section 8.3.3)."""
    return bytes([tag, len(data)]) + data
