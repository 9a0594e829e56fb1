"""H.264 and H.265 as bytes: NAL units, parameter sets, and what a decoder or browser must be told."""

import io
from fractions import Fraction
from typing import Final, NamedTuple

import av

from safecity.errors import Invalid

TICKS_PER_S: Final = 90_000
"""All stream times here are in 1/90000 s, the RTP clock of video (RFC 3551, section 5)."""

_H264_SETS: Final = frozenset({7, 8})
_H264_KEYS: Final = frozenset({5})
_H264_NO_PICTURE: Final = frozenset({7, 8, 9, 12})
_H265_SETS: Final = frozenset({32, 33, 34})
_H265_KEYS: Final = frozenset(range(16, 22))
_H265_NO_PICTURE: Final = frozenset({32, 33, 34, 35, 38})
"""NAL unit types of ITU-T H.264 table 7-1 and H.265 table 7-1: parameter sets, random access pictures, and
what an MP4 sample doesn't need (parameter sets, delimiters, filler)."""


class Codec(NamedTuple):
    """The NAL unit types of one video codec."""

    name: str
    sets: frozenset[int]
    keys: frozenset[int]
    no_picture: frozenset[int]

    def kind(self, nal: bytes) -> int:
        """Return the NAL unit type of `nal`."""
        return nal[0] & 0x1F if self.name == "h264" else (nal[0] >> 1) & 0x3F


CODECS: Final = {
    "h264": Codec("h264", _H264_SETS, _H264_KEYS, _H264_NO_PICTURE),
    "hevc": Codec("hevc", _H265_SETS, _H265_KEYS, _H265_NO_PICTURE),
}


class StreamInfo(NamedTuple):
    """What must be known before the first packet of a stream.

    init: the MP4 initialisation segment (ftyp + moov). record: the avcC or hvcC record in it.
    mime: what a browser's MediaSource is asked for.
    """

    codec: str
    parameter_sets: tuple[bytes, ...]
    width: int
    height: int
    init: bytes
    record: bytes
    mime: str


class VideoPacket(NamedTuple):
    """One coded picture on a camera's monotonic timeline.

    sample: NAL units with 4-byte lengths, without parameter sets. ticks: decoding time. shift_ticks: how much
    later it is shown. time_s: when it was taken, seconds since 1970 UTC by our clock.
    """

    sample: bytes
    ticks: int
    shift_ticks: int
    duration_ticks: int
    is_key: bool
    time_s: float


def split_nals(data: bytes) -> list[bytes]:
    """Return the NAL units of an Annex B byte stream (H.264 annex B); start codes cannot occur inside one."""
    return [nal for part in data.split(b"\x00\x00\x01") if (nal := part.rstrip(b"\x00"))]


def join_sample(nals: list[bytes]) -> bytes:
    """Return `nals` as an MP4 sample: each behind its length in 4 bytes (ISO/IEC 14496-15, section 5.3.4)."""
    return b"".join(part for nal in nals for part in (len(nal).to_bytes(4, "big"), nal))


def describe(codec: Codec, parameter_sets: tuple[bytes, ...], key_nals: list[bytes]) -> StreamInfo:
    """Return the stream that begins with a keyframe of `key_nals` under `parameter_sets`.

    Raises Invalid when FFmpeg finds no picture size in them.
    """
    start = b"".join(b"\x00\x00\x00\x01" + nal for nal in (*parameter_sets, *key_nals))
    try:
        with av.open(io.BytesIO(start), format=codec.name) as source:
            context = source.streams.video[0].codec_context
            width, height = context.width, context.height
    except (av.error.FFmpegError, IndexError):
        width = height = 0
    if not (width and height):
        raise Invalid("the camera's parameter sets describe no picture")
    init = _init_segment(codec.name, width, height, start)
    record = _record(init)
    return StreamInfo(codec.name, parameter_sets, width, height, init, record, _mime(init, record))


def _init_segment(codec: str, width: int, height: int, start: bytes) -> bytes:
    """Return ftyp + moov as FFmpeg's muxer writes them once it has seen the first keyframe."""
    buffer = io.BytesIO()
    options = {"movflags": "empty_moov+default_base_moof+frag_custom"}
    with av.open(buffer, "w", format="mp4", options=options) as out:
        stream = out.add_mux_stream(codec, width=width, height=height)
        stream.time_base = Fraction(1, TICKS_PER_S)
        packet = av.Packet(start)
        packet.stream = stream
        packet.time_base = stream.time_base
        packet.pts = packet.dts = 0
        packet.is_keyframe = True
        out.mux_one(packet)
        return buffer.getvalue()


def _record(init: bytes) -> bytes:
    """Return the decoder configuration record inside an initialisation segment."""
    for name in (b"avcC", b"hvcC"):
        position = init.find(name)
        if position >= 4:
            size = int.from_bytes(init[position - 4 : position], "big")
            return init[position + 4 : position - 4 + size]
    raise Invalid("the initialisation segment has no decoder configuration")


def _mime(init: bytes, record: bytes) -> str:
    """Return the MIME type with the codecs parameter (RFC 6381, section 3.3; ISO/IEC 14496-15, annex E)."""
    if b"avcC" in init:
        return f'video/mp4; codecs="avc1.{record[1:4].hex().upper()}"'
    entry = "hvc1" if b"hvc1" in init else "hev1"
    space = ("", "A", "B", "C")[record[1] >> 6]
    tier = "H" if record[1] & 0x20 else "L"
    compatibility = int(f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1], 2)
    constraints = record[6:12].rstrip(b"\x00")
    tail = "".join(f".{byte:X}" for byte in constraints)
    profile = f"{space}{record[1] & 0x1F}.{compatibility:X}.{tier}{record[12]}"
    return f'video/mp4; codecs="{entry}.{profile}{tail}"'
