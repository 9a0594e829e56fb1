"""Recordings with sound, passed on to those who may see them unmasked: nobody else is given their sound.

A player goes on only where it has both pictures and sound. So the sound of a chunk begins and ends with its
pictures: what was written later than the pictures beside it is taken from there, and where nothing was heard
there is silence.
"""

from functools import lru_cache
from typing import Any

from safecity.video.recording.fmp4 import fragment
from safecity.video.recording.sound import AAC_SAMPLES, codec_name
from safecity.video.stream.bitstream import TICKS_PER_S
from safecity.video.stream.source import SoundInfo, SoundPacket
from safecity.video.viewing.fragments import packets_in, sounds_in
from safecity.video.viewing.reels import Reel


def heard(reel: Reel, info: SoundInfo, first: int, end: int, *, keys_only: bool) -> bytes:
    """Return fragments `first` to `end` - 1 of a film with sound as one that begins at 0.

    keys_only: each keyframe is shown until the next one; the sound stays whole, so that the player's tracks
    are the same at every speed.
    """
    start, end_ticks = reel.parts[first].start_ticks, reel.parts[end - 1].end_ticks
    packets = [p for p in packets_in(reel.read(first, end)) if p.is_key or not keys_only]
    # Sound comes later than the pictures beside it, by less than a fragment lasts.
    data = reel.read(first, min(end + 1, len(reel.parts)))
    sound = [piece for piece in sounds_in(data) if start <= piece.ticks < end_ticks]
    return fragment(1, packets[0].ticks - start, packets, end_ticks, filled(sound, info, start, end_ticks))


def filled(sound: list[SoundPacket], info: SoundInfo, start: int, end: int) -> list[SoundPacket]:
    """Return `sound` lasting from `start` to `end` (1/90000 s), silent where it begins late."""
    unit = AAC_SAMPLES * TICKS_PER_S // info.rate_hz
    if not sound or sound[0].ticks - start > unit:
        sound = [SoundPacket(_silence(info.rate_hz, info.channels), start, unit, 0.0), *sound]
    last = sound[-1]
    return [*sound[:-1], last._replace(duration_ticks=max(last.duration_ticks, end - last.ticks))]


def mime_with(mime: str, info: SoundInfo) -> str:
    """Return the MIME type of a film whose pictures are of type `mime`, with sound."""
    return f'{mime.removesuffix(chr(34))}, {codec_name(info)}"'


@lru_cache(maxsize=8)
def _silence(rate_hz: int, channels: int) -> bytes:
    """Return an access unit of AAC in which nothing is heard."""
    import av
    import numpy as np

    layout = "mono" if channels == 1 else "stereo"
    context: Any = av.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = rate_hz, layout, "fltp"
    context.open()
    quiet = np.zeros((1 if channels == 1 else 2, AAC_SAMPLES), np.float32)
    units: list[bytes] = []
    while not units:
        frame = av.AudioFrame.from_ndarray(quiet, format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        units = [bytes(packet) for packet in context.encode(frame)]
    return units[0]
