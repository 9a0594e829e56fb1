"""The sound of a simulated camera: a quiet tone as AAC in RTP (RFC 3640, mode AAC-hbr)."""

from functools import cache
from typing import Any, Final

import av
import msgspec
import numpy as np

from safecity.simulator.camera_rtp import RTP_CLOCK_HZ, ClipFrame, frame_of

SOUND_PAYLOAD_TYPE: Final = 97
"""Second dynamic payload type (RFC 3551, section 6)."""
SAMPLE_RATE_HZ: Final = 16_000
"""What cameras use for AAC; also the RTP clock of the sound (RFC 3640, section 4.1)."""
UNIT_SAMPLES: Final = 1024
"""Samples of one AAC access unit."""
TONE_HZ: Final = 440.0
_SECONDS: Final = 2


class Sound(msgspec.Struct, frozen=True):
    """A loop of AAC units, ready to be sent. config: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""

    config: bytes
    frames: tuple[ClipFrame, ...]

    def frame(self, number: int) -> ClipFrame:
        """Return access unit `number` of the endless sound."""
        return self.frames[number % len(self.frames)]

    def number_at(self, ticks: int) -> int:
        """Return the access unit that begins at or before `ticks` (1/90000 s) after the first."""
        return ticks * SAMPLE_RATE_HZ // (RTP_CLOCK_HZ * UNIT_SAMPLES)

    def description(self) -> str:
        """Return the sound's part of the session description (RFC 3640, section 4.1)."""
        kind = SOUND_PAYLOAD_TYPE
        return (
            f"m=audio 0 RTP/AVP {kind}\r\na=rtpmap:{kind} mpeg4-generic/{SAMPLE_RATE_HZ}/1\r\n"
            f"a=fmtp:{kind} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
            f"indexdeltalength=3;config={self.config.hex()}\r\na=control:track2\r\n"
        )


def in_samples(ticks: int) -> int:
    """Return 1/90000 s in the clock of the sound."""
    return ticks * SAMPLE_RATE_HZ // RTP_CLOCK_HZ


@cache
def tone() -> Sound:
    """Return a tone of 440 Hz."""
    context: Any = av.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = SAMPLE_RATE_HZ, "mono", "fltp"
    context.bit_rate = 32_000
    context.open()
    units: list[bytes] = []
    for number in range(_SECONDS * SAMPLE_RATE_HZ // UNIT_SAMPLES):
        moments = (np.arange(UNIT_SAMPLES) + number * UNIT_SAMPLES) / SAMPLE_RATE_HZ
        wave = (0.1 * np.sin(2 * np.pi * TONE_HZ * moments)).astype(np.float32)[None, :]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, number * UNIT_SAMPLES
        units += [bytes(packet) for packet in context.encode(frame)]
    return Sound(bytes(context.extradata), tuple(map(_frame, units)))


def _frame(unit: bytes) -> ClipFrame:
    """Return an access unit behind its AU header: 16 bits of headers, 13 of size, 3 of index."""
    headers = (16).to_bytes(2, "big") + (len(unit) << 3).to_bytes(2, "big")
    return frame_of([headers + unit], is_key=True, start_ticks=0, payload_type=SOUND_PAYLOAD_TYPE)
