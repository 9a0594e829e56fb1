"""NAL units as RTP payloads: RFC 6184 for H.264, RFC 7798 for H.265."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from safecity.errors import Configuration

PAYLOAD_LIMIT: Final = 1400
"""Bytes of one RTP payload, below the MTU of Ethernet even with all headers."""

_FU_A: Final = 28
"""Fragmentation unit of H.264 (RFC 6184, section 5.8)."""
_FU: Final = 49
"""Fragmentation unit of H.265 (RFC 7798, section 4.4.3)."""
_START_BIT: Final = 0x80
_END_BIT: Final = 0x40


class ClipCodec(StrEnum):
    """What a simulated camera can send."""

    H264 = "h264"
    HEVC = "hevc"

    @property
    def rtp_name(self) -> str:
        """Return the encoding name of the session description."""
        return "H264" if self is ClipCodec.H264 else "H265"

    def is_key(self, nal: bytes) -> bool:
        """Return whether decoding can start at the picture of `nal` (H.264 and H.265, table 7-1)."""
        if self is ClipCodec.H264:
            return nal[0] & 0x1F == 5
        return 16 <= (nal[0] >> 1) & 0x3F <= 21


def nals_of(sample: bytes, length_size: int = 4) -> Iterator[bytes]:
    """Yield the NAL units of an MP4 sample, each behind its length in `length_size` bytes."""
    position = 0
    while position + length_size <= len(sample):
        length = int.from_bytes(sample[position : position + length_size], "big")
        position += length_size
        if length:
            yield sample[position : position + length]
        position += length


def payloads(nal: bytes, codec: ClipCodec = ClipCodec.H264) -> Iterator[bytes]:
    """Yield `nal` whole, or in fragmentation units when it is too large for one packet."""
    if len(nal) <= PAYLOAD_LIMIT:
        yield nal
        return
    if codec is ClipCodec.H264:
        head, kind, body = bytes(((nal[0] & 0xE0) | _FU_A,)), nal[0] & 0x1F, nal[1:]
    else:
        # The payload header is the NAL's own two bytes with the type replaced.
        head, kind, body = bytes(((nal[0] & 0x81) | _FU << 1, nal[1])), (nal[0] >> 1) & 0x3F, nal[2:]
    step = PAYLOAD_LIMIT - len(head) - 1
    for start in range(0, len(body), step):
        flags = (_START_BIT if start == 0 else 0) | (_END_BIT if start + step >= len(body) else 0)
        yield head + bytes((flags | kind,)) + body[start : start + step]


def parameter_sets(record: bytes, codec: ClipCodec, name: str) -> tuple[bytes, ...]:
    """Return the parameter sets of an avcC or hvcC record (ISO/IEC 14496-15, sections 5.3.3.1 and 8.3.3.1).

    Raises Configuration, naming the film `name`, when there are none.
    """
    found = tuple(_avc_sets(record) if codec is ClipCodec.H264 else _hevc_sets(record))
    if len(found) < (2 if codec is ClipCodec.H264 else 3) or not all(found):
        raise Configuration(
            f"{name} has no {codec.rtp_name} parameter sets; re-encode it for the camera simulator"
        )
    return found


def _avc_sets(record: bytes) -> Iterator[bytes]:
    position = 5
    for mask in (0x1F, 0xFF):
        count = record[position] & mask if position < len(record) else 0
        position += 1
        for _ in range(count):
            length = int.from_bytes(record[position : position + 2], "big")
            yield record[position + 2 : position + 2 + length]
            position += 2 + length


def _hevc_sets(record: bytes) -> Iterator[bytes]:
    arrays = record[22] if len(record) > 22 else 0
    position = 23
    for _ in range(arrays):
        kind = record[position] & 0x3F if position < len(record) else 0
        count = int.from_bytes(record[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            length = int.from_bytes(record[position : position + 2], "big")
            if 32 <= kind <= 34:
                yield record[position + 2 : position + 2 + length]
            position += 2 + length
