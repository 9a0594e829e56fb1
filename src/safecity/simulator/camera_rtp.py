"""H.264 in RTP: a clip cut into ready payloads once, then sent again and again with running time stamps."""

import bisect
import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import av

from safecity.errors import Configuration

RTP_CLOCK_HZ: Final = 90_000
"""The RTP clock of H.264 (RFC 6184, section 8.2.1)."""
PAYLOAD_TYPE: Final = 96
"""First dynamic payload type (RFC 3551, section 6)."""
PAYLOAD_LIMIT: Final = 1400
"""Bytes of one RTP payload, below the MTU of Ethernet even with all headers."""
NTP_EPOCH_OFFSET_S: Final = 2_208_988_800
"""Seconds from 1900 (NTP) to 1970 (Unix) (RFC 5905, figure 4)."""

_FU_A: Final = 28
_IDR: Final = 5
_START_BIT: Final = 0x80
_END_BIT: Final = 0x40


class ClipFrame(NamedTuple):
    """One picture: its RTP payloads in order, and whether decoding can start here."""

    payloads: tuple[bytes, ...]
    is_key: bool
    start_ticks: int


class Clip:
    """A film in memory that never ends: frame `n` of the loop has a time stamp for every n >= 0."""

    def __init__(self, frames: list[ClipFrame], length_ticks: int, sps: bytes, pps: bytes) -> None:
        """Keep `frames`, which start with a keyframe and last `length_ticks` of 1/90000 s together."""
        self._frames = frames
        self._starts = [frame.start_ticks for frame in frames]
        self._keys = [i for i, frame in enumerate(frames) if frame.is_key]
        self.length_ticks = length_ticks
        self.sps = sps
        self.pps = pps

    @property
    def length_s(self) -> float:
        """Return the seconds of one loop."""
        return self.length_ticks / RTP_CLOCK_HZ

    def frame(self, number: int) -> ClipFrame:
        """Return the picture of frame `number` of the endless film."""
        return self._frames[number % len(self._frames)]

    def ticks(self, number: int) -> int:
        """Return when frame `number` is shown, in 1/90000 s since frame 0."""
        loops, index = divmod(number, len(self._frames))
        return loops * self.length_ticks + self._starts[index]

    def number_at(self, ticks: int) -> int:
        """Return the frame that is on show `ticks` (1/90000 s) after frame 0."""
        loops, rest = divmod(ticks, self.length_ticks)
        return loops * len(self._frames) + bisect.bisect_right(self._starts, rest) - 1

    def key_before(self, number: int) -> int:
        """Return the last keyframe at or before frame `number`."""
        loops, index = divmod(number, len(self._frames))
        return loops * len(self._frames) + self._keys[bisect.bisect_right(self._keys, index) - 1]


def read_clip(path: Path) -> Clip:
    """Return the H.264 film in the MP4 file at `path`, ready to be sent.

    Raises Configuration when the file has no H.264 picture or begins without a keyframe.
    """
    with av.open(str(path)) as container:
        if not container.streams.video or container.streams.video[0].codec_context.name != "h264":
            raise Configuration(
                f"{path.name} holds no H.264 video; give the camera simulator an H.264 MP4 file"
            )
        stream = container.streams.video[0]
        sps, pps = _parameter_sets(stream.codec_context.extradata or b"", path.name)
        tick_scale = RTP_CLOCK_HZ * (stream.time_base or 0)
        frames: list[ClipFrame] = []
        end_ticks = 0
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            start_ticks = round(packet.pts * tick_scale)
            end_ticks = start_ticks + round((packet.duration or 0) * tick_scale)
            frames.append(_clip_frame(bytes(packet), start_ticks, sps, pps))
    if not frames or not frames[0].is_key:
        raise Configuration(
            f"{path.name} does not begin with a keyframe; re-encode it for the camera simulator"
        )
    return Clip(frames, end_ticks, sps, pps)


def packets(frame: ClipFrame, channel: int, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """Return the RTP packets of `frame`, each behind its interleaving header (RFC 2326, section 10.12).

    `sequence` is the number of the first packet; the caller adds `len(frame.payloads)` for the next frame.
    """
    parts: list[bytes] = []
    last = len(frame.payloads) - 1
    for i, payload in enumerate(frame.payloads):
        marker = 0x80 if i == last else 0
        parts.append(
            struct.pack(
                "!cBHBBHII",
                b"$",
                channel,
                12 + len(payload),
                0x80,
                marker | PAYLOAD_TYPE,
                (sequence + i) & 0xFFFF,
                timestamp & 0xFFFFFFFF,
                ssrc,
            )
        )
        parts.append(payload)
    return b"".join(parts)


def sender_report(
    channel: int, ssrc: int, now: datetime, *, timestamp: int, packet_count: int, octets: int
) -> bytes:
    """Return an interleaved RTCP sender report (RFC 3550, section 6.4.1): which wall time `timestamp` is."""
    seconds, fraction = divmod(now.timestamp() + NTP_EPOCH_OFFSET_S, 1.0)
    report = struct.pack(
        "!BBHIIIIII",
        0x80,
        200,
        6,
        ssrc,
        int(seconds) & 0xFFFFFFFF,
        int(fraction * 2**32),
        timestamp & 0xFFFFFFFF,
        packet_count & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    return struct.pack("!cBH", b"$", channel, len(report)) + report


def _parameter_sets(avcc: bytes, name: str) -> tuple[bytes, bytes]:
    """Return the first SPS and PPS of an avcC record (ISO/IEC 14496-15, section 5.3.3.1)."""
    try:
        sps_length = int.from_bytes(avcc[6:8], "big")
        sps = avcc[8 : 8 + sps_length]
        rest = avcc[8 + sps_length + 1 :]
        pps = rest[2 : 2 + int.from_bytes(rest[:2], "big")]
    except IndexError:
        sps = pps = b""
    if not sps or not pps:
        raise Configuration(f"{name} has no H.264 parameter sets; re-encode it for the camera simulator")
    return sps, pps


def _clip_frame(sample: bytes, start_ticks: int, sps: bytes, pps: bytes) -> ClipFrame:
    nals = list(_nals(sample))
    is_key = any(nal[0] & 0x1F == _IDR for nal in nals)
    if is_key:
        # Real cameras repeat the parameter sets before each IDR, so that a viewer may join there.
        nals = [sps, pps, *nals]
    return ClipFrame(tuple(payload for nal in nals for payload in _payloads(nal)), is_key, start_ticks)


def _nals(sample: bytes) -> Iterator[bytes]:
    """Yield the NAL units of an MP4 sample with 4-byte lengths."""
    position = 0
    while position + 4 <= len(sample):
        length = int.from_bytes(sample[position : position + 4], "big")
        yield sample[position + 4 : position + 4 + length]
        position += 4 + length


def _payloads(nal: bytes) -> Iterator[bytes]:
    """Yield `nal` whole, or in FU-A fragments when it is too large (RFC 6184, section 5.8)."""
    if len(nal) <= PAYLOAD_LIMIT:
        yield nal
        return
    indicator = (nal[0] & 0xE0) | _FU_A
    kind = nal[0] & 0x1F
    body = nal[1:]
    step = PAYLOAD_LIMIT - 2
    for start in range(0, len(body), step):
        flags = (_START_BIT if start == 0 else 0) | (_END_BIT if start + step >= len(body) else 0)
        yield bytes((indicator, flags | kind)) + body[start : start + step]
