"""A film in RTP: cut into ready packets once, then sent again and again with new numbers in the headers."""

import bisect
import struct
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import av

from safecity.errors import Configuration
from safecity.simulator.camera_payload import ClipCodec, nals_of, parameter_sets, payloads

RTP_CLOCK_HZ: Final = 90_000
"""The RTP clock of video (RFC 6184, section 8.2.1; RFC 7798, section 7.1)."""
PAYLOAD_TYPE: Final = 96
"""First dynamic payload type (RFC 3551, section 6)."""
NTP_EPOCH_OFFSET_S: Final = 2_208_988_800
"""Seconds from 1900 (NTP) to 1970 (Unix) (RFC 5905, figure 4)."""
FRAMING_BYTES: Final = 4
"""What stands before each packet in an RTSP connection (RFC 2326, section 10.12)."""
RTP_HEADER_BYTES: Final = 12

_HEAD: Final = struct.Struct("!cBHBBHII")
_NUMBERS: Final = struct.Struct("!HII")
_NUMBERS_AT: Final = 6


class ClipFrame(NamedTuple):
    """One picture as RTP packets, each behind its framing, with sequence, time and source still 0.

    starts: where in `data` the framing of each packet begins. octets: payload bytes in all.
    """

    data: bytes
    starts: tuple[int, ...]
    octets: int
    is_key: bool
    start_ticks: int


class Clip:
    """A film in memory that never ends: frame `n` of the loop has a time stamp for every n >= 0."""

    def __init__(
        self,
        frames: list[ClipFrame],
        length_ticks: int,
        sets: tuple[bytes, ...],
        codec: ClipCodec = ClipCodec.H264,
    ) -> None:
        """Keep `frames`, which start with a keyframe and last `length_ticks` of 1/90000 s together.

        sets: the parameter sets, in the order of the codec: VPS (H.265 only), SPS, PPS.
        """
        self._frames = frames
        self._starts = [frame.start_ticks for frame in frames]
        self._keys = [i for i, frame in enumerate(frames) if frame.is_key]
        self.length_ticks = length_ticks
        self.sets = sets
        self.codec = codec

    @property
    def sps(self) -> bytes:
        """Return the sequence parameter set."""
        return self.sets[-2]

    @property
    def pps(self) -> bytes:
        """Return the picture parameter set."""
        return self.sets[-1]

    @property
    def length_s(self) -> float:
        """Return the seconds of one loop."""
        return self.length_ticks / RTP_CLOCK_HZ

    def frame(self, number: int) -> ClipFrame:
        """Return the picture of frame `number` of the endless film."""
        return self._frames[number % len(self._frames)]

    def ticks(self, number: int) -> int:
        """Return when frame `number` is sent, in 1/90000 s since frame 0."""
        loops, index = divmod(number, len(self._frames))
        return loops * self.length_ticks + self._starts[index]

    def number_at(self, ticks: int) -> int:
        """Return the frame that is on its way `ticks` (1/90000 s) after frame 0."""
        loops, rest = divmod(ticks, self.length_ticks)
        return loops * len(self._frames) + bisect.bisect_right(self._starts, rest) - 1

    def key_before(self, number: int) -> int:
        """Return the last keyframe at or before frame `number`."""
        loops, index = divmod(number, len(self._frames))
        return loops * len(self._frames) + self._keys[bisect.bisect_right(self._keys, index) - 1]


def read_clip(path: Path) -> Clip:
    """Return the H.264 or H.265 film in the MP4 file at `path`, ready to be sent.

    Raises Configuration when the file holds no such picture or begins without a keyframe.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0] if container.streams.video else None
        if stream is None or stream.codec_context.name not in list(ClipCodec):
            raise Configuration(
                f"{path.name} holds no H.264 or H.265 video; give the camera simulator such an MP4 file"
            )
        codec = ClipCodec(stream.codec_context.name)
        sets = parameter_sets(stream.codec_context.extradata or b"", codec, path.name)
        frames, length_ticks = _read_frames(container, stream, sets, codec)
    if not frames or not frames[0].is_key:
        raise Configuration(
            f"{path.name} does not begin with a keyframe; re-encode it for the camera simulator"
        )
    return Clip(frames, length_ticks, sets, codec)


def _read_frames(
    container: Any, stream: Any, sets: tuple[bytes, ...], codec: ClipCodec
) -> tuple[list[ClipFrame], int]:
    tick_scale = RTP_CLOCK_HZ * (stream.time_base or 0)
    frames: list[ClipFrame] = []
    first_ticks = end_ticks = 0
    for packet in container.demux(stream):
        if not packet.size or packet.pts is None or packet.dts is None:
            continue
        ticks = round(packet.dts * tick_scale)
        if not frames:
            first_ticks = ticks
        shift_ticks = round((packet.pts - packet.dts) * tick_scale)
        frames.append(_clip_frame(bytes(packet), ticks - first_ticks, shift_ticks, sets, codec))
        end_ticks = ticks - first_ticks + round((packet.duration or 0) * tick_scale)
    return frames, end_ticks


def _clip_frame(
    sample: bytes, start_ticks: int, shift_ticks: int, sets: Sequence[bytes], codec: ClipCodec
) -> ClipFrame:
    nals = list(nals_of(sample))
    is_key = any(codec.is_key(nal) for nal in nals)
    if is_key:
        # Real cameras repeat the parameter sets before each keyframe, so that a viewer may join there.
        nals = [*sets, *nals]
    parts = [part for nal in nals for part in payloads(nal, codec)]
    return frame_of(parts, is_key=is_key, start_ticks=start_ticks, shift_ticks=shift_ticks)


def frame_of(
    parts: Sequence[bytes],
    *,
    is_key: bool,
    start_ticks: int,
    shift_ticks: int = 0,
    payload_type: int = PAYLOAD_TYPE,
) -> ClipFrame:
    """Return the picture whose RTP payloads are `parts`.

    start_ticks: when it is sent, 1/90000 s from the film's start. shift_ticks: how much later it is shown;
    RTP tells only the latter moment.
    """
    pieces: list[bytes] = []
    starts: list[int] = []
    position = 0
    for i, part in enumerate(parts):
        marker = 0x80 if i == len(parts) - 1 else 0
        size = RTP_HEADER_BYTES + len(part)
        pieces.append(_HEAD.pack(b"$", 0, size, 0x80, marker | payload_type, 0, shift_ticks & 0xFFFFFFFF, 0))
        pieces.append(part)
        starts.append(position)
        position += FRAMING_BYTES + size
    return ClipFrame(b"".join(pieces), tuple(starts), sum(map(len, parts)), is_key, start_ticks)


def packets(frame: ClipFrame, channel: int, sequence: int, timestamp: int, ssrc: int) -> bytearray:
    """Return the RTP packets of `frame`, each behind its interleaving header (RFC 2326, section 10.12).

    sequence: number of the first packet; the caller adds `len(frame.starts)` for the next frame. timestamp:
    when the picture is sent; the frame's own shift is added.
    """
    data = bytearray(frame.data)
    shift_ticks = int.from_bytes(data[8:12], "big") if data else 0
    stamp = (timestamp + shift_ticks) & 0xFFFFFFFF
    for start in frame.starts:
        _NUMBERS.pack_into(data, start + _NUMBERS_AT, sequence & 0xFFFF, stamp, ssrc)
        sequence += 1
    if channel:
        for start in frame.starts:
            data[start + 1] = channel
    return data


def sender_report(ssrc: int, now: datetime, *, timestamp: int, packet_count: int, octets: int) -> bytes:
    """Return an RTCP sender report (RFC 3550, section 6.4.1): which wall time `timestamp` is."""
    seconds, fraction = divmod(now.timestamp() + NTP_EPOCH_OFFSET_S, 1.0)
    return struct.pack(
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
