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
_H265_SKIPPED: Final = frozenset({8, 9})
_H265_LEADING: Final = frozenset({6, 7, 8, 9})
_H265_NO_PICTURE: Final = frozenset({32, 33, 34, 35, 38})
"""NAL unit types of ITU-T H.264 table 7-1 and H.265 table 7-1: parameter sets, random access pictures, and
what an MP4 sample doesn't need (parameter sets, delimiters, filler); RASL and RADL pictures of H.265."""


class Codec(NamedTuple):
    """The NAL unit types of one video codec."""

    name: str
    sets: frozenset[int]
    keys: frozenset[int]
    no_picture: frozenset[int]
    skipped: frozenset[int] = frozenset()
    """Pictures that cannot be decoded when decoding began at the keyframe before them."""
    leading: frozenset[int] = frozenset()
    """Pictures that follow a keyframe and are shown before it."""

    def kind(self, nal: bytes) -> int:
        """Return the NAL unit type of `nal`."""
        return nal[0] & 0x1F if self.name == "h264" else (nal[0] >> 1) & 0x3F

    def is_sound(self, nal: bytes) -> bool:
        """Return whether the header of `nal` can be right (H.264 sections 7.3.1 and 7.4.1, H.265 7.3.1.2).

        forbidden_zero_bit is 0; type 0 is unspecified in H.264; nuh_temporal_id_plus1 is never 0 in H.265.
        """
        if nal[0] & 0x80:
            return False
        if self.name == "h264":
            return bool(nal[0] & 0x1F)
        return len(nal) > 1 and bool(nal[1] & 7)


CODECS: Final = {
    "h264": Codec("h264", _H264_SETS, _H264_KEYS, _H264_NO_PICTURE),
    "hevc": Codec("hevc", _H265_SETS, _H265_KEYS, _H265_NO_PICTURE, _H265_SKIPPED, _H265_LEADING),
}


class StreamInfo(NamedTuple):
    """What must be known before the first packet of a stream.

    init: the MP4 initialisation segment (ftyp + moov). record: the avcC or hvcC record in it.
    mime: what a browser's MediaSource is asked for. reorder_depth: pictures that may be decoded before one
    that is shown earlier; 0 without B-frames.
    """

    codec: str
    parameter_sets: tuple[bytes, ...]
    width: int
    height: int
    init: bytes
    record: bytes
    mime: str
    reorder_depth: int = 0


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


def split_lengths(data: bytes, length_size: int) -> list[bytes]:
    """Return the NAL units of an MP4 sample, each behind its length in `length_size` bytes."""
    nals: list[bytes] = []
    position = 0
    while position + length_size < len(data):
        length = int.from_bytes(data[position : position + length_size], "big")
        position += length_size
        if length:
            nals.append(data[position : position + length])
        position += length
    return nals


def split_record(codec: str, extradata: bytes) -> tuple[tuple[bytes, ...], int]:
    """Return the parameter sets in a file's `extradata`, and the size of its NAL lengths, 0 for start codes.

    extradata is an avcC or hvcC record (ISO/IEC 14496-15, sections 5.3.3.1 and 8.3.3.1), or Annex B.
    """
    if not extradata or extradata[0] != 1:
        return tuple(split_nals(extradata)), 0
    found: list[bytes] = []
    if codec == "h264":
        length_size, position, arrays = (_octet(extradata, 4) & 3) + 1, 5, 2
    else:
        length_size, position, arrays = (_octet(extradata, 21) & 3) + 1, 23, _octet(extradata, 22)
    for array in range(arrays):
        if codec == "h264":
            count = _octet(extradata, position) & (0x1F if array == 0 else 0xFF)
            position += 1
        else:
            count = int.from_bytes(extradata[position + 1 : position + 3], "big")
            position += 3
        for _ in range(count):
            length = int.from_bytes(extradata[position : position + 2], "big")
            found.append(extradata[position + 2 : position + 2 + length])
            position += 2 + length
    return tuple(nal for nal in found if nal), length_size


def _octet(data: bytes, position: int) -> int:
    """Return a byte, 0 behind the end."""
    return data[position] if position < len(data) else 0


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
            width, height, depth = context.width, context.height, context.reorder_depth
    except (av.error.FFmpegError, IndexError):
        width = height = depth = 0
    if not (width and height):
        raise Invalid("the camera's parameter sets describe no picture")
    init = _init_segment(codec.name, width, height, start)
    record = _record(init)
    return StreamInfo(codec.name, parameter_sets, width, height, init, record, _mime(init, record), depth)


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
        return _as_hvc1(buffer.getvalue()) if codec == "hevc" else buffer.getvalue()


def _as_hvc1(init: bytes) -> bytes:
    """Return `init` with the sample entry that says: all parameter sets are here, none in the samples.

    FFmpeg writes hev1; Apple's players take only hvc1 (ISO/IEC 14496-15, section 8.4.1.1.1: hvc1 has
    array_completeness set for all parameter sets).
    """
    data = bytearray(init)
    entry, record = init.find(b"hev1", init.find(b"stsd")), init.find(b"hvcC")
    if entry < 0 or record < 0:
        return init
    data[entry : entry + 4] = b"hvc1"
    position = record + 4 + 23
    for _ in range(data[position - 1]):
        data[position] |= 0x80
        count = int.from_bytes(data[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            position += 2 + int.from_bytes(data[position : position + 2], "big")
    return bytes(data)


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


def described_by(init: bytes) -> StreamInfo:
    """Return the video stream that the initialisation segment `init` describes, without its parameter sets.

    Raises Invalid when it describes none that we know.
    """
    record = _record(init)
    for entry, codec in ((b"avc1", "h264"), (b"hvc1", "hevc"), (b"hev1", "hevc")):
        position = init.find(entry, init.find(b"stsd"))
        if position >= 0 and len(init) >= position + 32:
            # VisualSampleEntry, ISO/IEC 14496-12 section 12.1.3.2: 24 bytes before width and height.
            width = int.from_bytes(init[position + 28 : position + 30], "big")
            height = int.from_bytes(init[position + 30 : position + 32], "big")
            return StreamInfo(codec, (), width, height, init, record, _mime(init, record))
    raise Invalid("the initialisation segment describes no H.264 or H.265 stream")
