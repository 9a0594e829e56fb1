"""Pictures out of packets: decoding with one thread, and JPEG."""

import contextlib
from fractions import Fraction
from typing import Any, Final, cast

import av

from safecity.video.stream.bitstream import CODECS, TICKS_PER_S, StreamInfo, VideoPacket

JPEG_QUALITY: Final = 4
"""Quantiser scale of FFmpeg's JPEG encoder, 2 (best) to 31; 4 shows no blocks."""


QUICK: Final = {"skip_loop_filter": "all", "skip_frame": "noref", "flags2": "fast"}
"""Options of FFmpeg's decoders (ffmpeg-codecs, "Codec Options")."""


class PictureDecoder:
    """Decodes one stream. Used by one thread; remembers reference pictures until `reset`.

    damaged: packets that could not be decoded.
    """

    def __init__(self, info: StreamInfo, *, quick: bool = False) -> None:
        """Prepare to decode `info`.

        quick: save a third of the work where fine detail doesn't matter: no smoothing of block edges, and
        pictures that no other needs are left out.
        """
        self.info = info
        self.damaged = 0
        self._context: Any = av.CodecContext.create(info.codec, "r")
        if quick:
            self._context.options = QUICK
        self._context.extradata = info.record
        if info.codec not in CODECS:
            # A film's codec may not say its size in the packets.
            sized: Any = cast("Any", self._context)
            sized.width, sized.height = info.width, info.height
        # Threads would hold pictures back and memory too; the shard has many streams to spread over cores.
        self._context.thread_count = 1

    def decode(self, packet: VideoPacket) -> list[Any]:
        """Return the pictures that `packet` completes, without damaged ones; `pts` is in 1/90000 s."""
        coded = av.Packet(packet.sample)
        coded.time_base = Fraction(1, TICKS_PER_S)
        coded.dts = packet.ticks
        coded.pts = packet.ticks + packet.shift_ticks
        try:
            return list(self._context.decode(coded))
        except av.error.FFmpegError:
            self.damaged += 1
            return []

    def decode_alone(self, packet: VideoPacket) -> Any | None:
        """Return the picture of a keyframe by itself, or None when it is damaged. Forgets all others."""
        frames = self.decode(packet)
        with contextlib.suppress(av.error.FFmpegError):
            frames += self._context.decode(None)
        self.reset()
        return frames[0] if frames else None

    def finish(self) -> list[Any]:
        """Return the pictures that are still held back, and forget all."""
        rest: list[Any] = []
        with contextlib.suppress(av.error.FFmpegError):
            rest = list(self._context.decode(None))
        self.reset()
        return rest

    def reset(self) -> None:
        """Forget all pictures; the next packet must be a keyframe."""
        self._context.flush_buffers()


def jpeg(frame: Any) -> bytes:
    """Return a decoded picture as JPEG."""
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = "yuvj420p"
    encoder.time_base = Fraction(1, TICKS_PER_S)
    encoder.qmin = encoder.qmax = JPEG_QUALITY
    picture = frame.reformat(format="yuvj420p")
    picture.pts = 0
    picture.time_base = encoder.time_base
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))
