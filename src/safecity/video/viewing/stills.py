"""Stills: a camera's newest picture as JPEG, from what the recording process has in memory."""

from datetime import datetime, timedelta
from typing import Any

from safecity.errors import Unavailable
from safecity.video.masking.hidden import small_of
from safecity.video.picture import PictureDecoder, jpeg
from safecity.video.stream.bitstream import TICKS_PER_S, described_by
from safecity.video.viewing.cover import Cover
from safecity.video.viewing.fragments import packets_in
from safecity.video.viewing.masked import LOOK_EVERY_S
from safecity.video.viewing.steps import LOOK_BACK_S, Picture
from safecity.video.viewing.veil import Veil


def newest(init: bytes, fragments: tuple[bytes, ...], taken_at: datetime, veil: Veil | None) -> Picture:
    """Return the last picture of a group that a recording process has sent; without a `veil` as it is.

    taken_at: when the last picture was taken. Raises Unavailable when none can be decoded.
    """
    packets = [packet for data in fragments for packet in packets_in(data)]
    decoder = PictureDecoder(described_by(init))
    if veil is None and packets:
        # Whole pictures are large: the keyframe alone, which is at most a group of pictures old.
        frame = decoder.decode_alone(packets[0])
        if frame is not None:
            age = timedelta(seconds=(packets[-1].ticks - packets[0].ticks) / TICKS_PER_S)
            return Picture(jpeg=jpeg(frame), at=taken_at - age)
    frames = [frame for packet in packets for frame in decoder.decode(packet)] if veil is not None else []
    frames += decoder.finish() if veil is not None else []
    if veil is None or not frames:
        raise Unavailable("the camera's last picture is damaged; try again in some seconds")
    return Picture(jpeg=jpeg(_hidden(frames, veil)), at=taken_at, coarse=veil.coarse)


def _hidden(frames: list[Any], veil: Veil) -> Any:
    """Return the last of `frames`, hidden; people are followed through the pictures before it."""
    cover = Cover()
    last = frames[-1]
    searched = float("-inf")
    for frame in frames[:-1]:
        if not veil.searches or frame.pts < last.pts - LOOK_BACK_S * TICKS_PER_S:
            continue
        if frame.pts - searched >= LOOK_EVERY_S * TICKS_PER_S:
            searched = frame.pts
            found = veil.find(small_of(frame))
            if found is not None:
                cover.update(found, frame.pts / TICKS_PER_S)
    return veil.hide(small_of(last), cover, last.pts / TICKS_PER_S)
