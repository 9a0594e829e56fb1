"""A camera's RTSP stream over TCP or UDP: by our own reader where it can, else by FFmpeg's client."""

import errno
import socket
import struct
from collections.abc import Generator, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import av
import structlog

from safecity.clock import Clock
from safecity.model.video import StreamRole, Transport
from safecity.video.camera import CameraConfig
from safecity.video.stream.bitstream import CODECS, split_nals
from safecity.video.stream.rtsp_dialogue import RTSP_PORT
from safecity.video.stream.rtsp_direct import DirectSource, UnfitError
from safecity.video.stream.source import (
    Description,
    LostError,
    Part,
    RawPacket,
    RawSound,
    RefusedError,
    SoundInfo,
    in_ticks,
)

log = structlog.get_logger()

REORDER_WAIT_S: Final = 0.3
"""How long a UDP packet that was overtaken is waited for."""
_WALL_CLOCK: Final = struct.Struct("=q")


class RtspSource:
    """One RTSP connection. It is opened, read and closed by the thread that takes its parts."""

    def __init__(
        self, config: CameraConfig, role: StreamRole, timeout_s: float, clock: Clock, *, sound: bool = False
    ) -> None:
        """Prepare the stream `role`; without data for `timeout_s` it counts as dead. sound: take it too."""
        self._config = config
        self._address = config.address(role)
        self._url = config.setup.url if role is StreamRole.MAIN else config.setup.sub_url
        self._host = urlsplit(self._url)
        self._transport = config.setup.transport
        self._timeout_s = timeout_s
        self._sound = sound
        self._clock = clock
        self._begun_s = clock.monotonic_s()
        self._is_open = False

    def parts(self) -> Generator[Part]:
        """Connect and yield what comes. Raises RefusedError and LostError."""
        if self._transport is Transport.TCP and self._host.scheme == "rtsp" and not self._sound:
            account = (self._config.user, self._config.password)
            try:
                yield from DirectSource(self._url, *account, self._timeout_s, self._clock).parts()
                return
            except UnfitError:
                log.info("a camera's stream is unusual; FFmpeg's client reads it", camera=self._config.id)
        yield from self._by_ffmpeg()

    def _by_ffmpeg(self) -> Generator[Part]:
        try:
            with self._open() as container:
                self._is_open = True
                yield from self._read(container)
        except av.error.FFmpegError as error:
            # Its own text is never used: it holds address and account.
            raise self._explained(error) from None

    def _open(self) -> Any:
        options = {
            "rtsp_transport": self._transport.value,
            "timeout": str(int(self._timeout_s * 1e6)),
            "allowed_media_types": "video+audio" if self._sound else "video",
            # The session description and the first keyframe tell what probing would find out slowly.
            "probesize": "32",
            "analyzeduration": "0",
        }
        if self._transport is Transport.UDP:
            options["max_delay"] = str(int(REORDER_WAIT_S * 1e6))
        return av.open(self._address, options=options, timeout=(self._timeout_s * 2, self._timeout_s))

    def _read(self, container: Any) -> Iterator[Part]:
        if not container.streams.video:
            raise RefusedError("the camera sends no video")
        video = container.streams.video[0]
        codec = video.codec_context.name
        if codec not in CODECS:
            raise RefusedError(f"the camera sends {codec}; set it to H.264 or H.265")
        sets = tuple(split_nals(video.codec_context.extradata or b""))
        yield Description(codec, sets, video.codec_context.reorder_depth)
        streams = [video]
        if self._sound:
            heard = _heard(container)
            yield heard
            if heard.can_be_kept:
                streams.append(container.streams.audio[0])
        for packet in container.demux(streams):
            if packet.size:
                yield _picture(packet) if packet.stream is video else _sound(packet)

    def _explained(self, error: av.error.FFmpegError) -> RefusedError | LostError:
        """Return what an error of FFmpeg means."""
        if isinstance(error, av.error.HTTPUnauthorizedError):
            return RefusedError("wrong user or password", of_account=True)
        if isinstance(error, av.error.HTTPForbiddenError):
            return RefusedError("this account may not see the stream", of_account=True)
        if isinstance(error, av.error.HTTPNotFoundError):
            return RefusedError("the camera has no stream at this path")
        if isinstance(error, av.error.HTTPClientError):
            return RefusedError("the camera refuses the request")
        if error.errno == errno.EPROTONOSUPPORT:
            other = Transport.TCP if self._transport is Transport.UDP else Transport.UDP
            return RefusedError(f"the camera does not send by {self._transport.upper()}; try {other.upper()}")
        return LostError(self._lost(error))

    def _lost(self, error: av.error.FFmpegError) -> str:
        silent = not self._is_open and self._clock.monotonic_s() - self._begun_s >= self._timeout_s
        losses = (
            (ConnectionRefusedError, "nothing answers at the camera's address"),
            # A camera that takes the connection and says nothing is invalid data to FFmpeg.
            (Exception if silent else (), "nothing answers at the camera's address in time"),
            ((TimeoutError, av.error.ExitError), "the camera stopped sending"),
            ((av.error.EOFError, ConnectionError), "the camera closed the connection"),
            (av.error.InvalidDataError, "the camera's answer is not understood"),
        )
        for kinds, reason in losses:
            if isinstance(error, kinds):
                return reason
        if not self._is_open and not self._has_host():
            return "the camera's host name is not known"
        return "the network to the camera failed"

    def _has_host(self) -> bool:
        try:
            socket.getaddrinfo(self._host.hostname, self._host.port or RTSP_PORT)
        except OSError:
            return False
        return True


def _heard(container: Any) -> SoundInfo:
    """Return what sound the camera offers."""
    if not container.streams.audio:
        return SoundInfo("")
    audio = container.streams.audio[0].codec_context
    if audio is None:
        return SoundInfo("unknown")
    return SoundInfo(audio.name, bytes(audio.extradata or b""), audio.sample_rate or 0, audio.channels or 0)


def _picture(packet: Any) -> RawPacket:
    scale_s = float(packet.time_base or 0)
    return RawPacket(
        split_nals(bytes(packet)),
        in_ticks(packet.pts, scale_s),
        # FFmpeg's own decoding times are guesses here: RTP carries none (RFC 3550, section 5.1).
        None,
        in_ticks(packet.duration, scale_s) or 0,
        packet.is_corrupt,
        # Asking a packet for its side data costs more than all else here, and clocks drift slowly.
        _taken_s(packet) if packet.is_keyframe else None,
    )


def _taken_s(packet: Any) -> float | None:
    """Return when a packet was taken by the camera's clock, once an RTCP sender report has told it."""
    if not packet.has_sidedata("prft"):
        return None
    # FFmpeg's AVProducerReferenceTime: microseconds since 1970 UTC, then flags.
    return float(_WALL_CLOCK.unpack_from(bytes(packet.get_sidedata("prft")))[0]) / 1e6


def _sound(packet: Any) -> RawSound:
    scale_s = float(packet.time_base or 0)
    return RawSound(bytes(packet), in_ticks(packet.pts, scale_s), in_ticks(packet.duration, scale_s) or 0)
