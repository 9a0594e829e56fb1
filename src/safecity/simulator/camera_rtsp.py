"""One RTSP/1.0 connection to a simulated camera (RFC 2326), from its first request to its end."""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec

from safecity.errors import Unavailable
from safecity.simulator import camera_digest
from safecity.simulator.camera_channel import Channel
from safecity.simulator.camera_fault import Fault
from safecity.simulator.camera_payload import ClipCodec
from safecity.simulator.camera_rtp import PAYLOAD_TYPE, RTP_CLOCK_HZ, Clip
from safecity.simulator.camera_sound import Sound
from safecity.simulator.camera_viewer import TcpViewer, UdpViewer

IDLE_LIMIT_S: Final = 90.0
"""A connection without any request or receiver report for so long is closed."""
HEADER_LIMIT_BYTES: Final = 16 * 1024
BODY_LIMIT_BYTES: Final = 64 * 1024
METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"

_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    454: "Session Not Found",
    461: "Unsupported Transport",
    503: "Service Unavailable",
}


class Access(msgspec.Struct, frozen=True):
    """How a path is reached: its stream, and how far its camera's protocol goes."""

    channel: Channel
    basic: bool = False
    udp: bool = True


class _Request(msgspec.Struct):
    method: str
    url: str
    headers: dict[str, str]


class Connection:
    """Reads requests and answers them; pictures are written by the channel."""

    def __init__(
        self, accesses: Mapping[str, Access], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve the streams in `accesses`, by path."""
        self._accesses = accesses
        self._reader = reader
        self._writer = writer
        self._nonce = secrets.token_hex(16)
        self._session = secrets.token_hex(8)
        self._channel: Channel | None = None
        self._viewer: TcpViewer | UdpViewer | None = None
        self._listener: TcpViewer | UdpViewer | None = None

    async def serve(self) -> None:
        """Answer until the end. Raises OSError, IncompleteReadError, TimeoutError when it breaks off."""
        while True:
            async with asyncio.timeout(IDLE_LIMIT_S):
                request = await self._read_request()
            if request is None or not self._answer(request):
                return
            await self._writer.drain()

    def close(self) -> None:
        """Leave the channel and close."""
        if self._channel is not None:
            self._channel.connections.discard(self._writer)
        for viewer in (self._viewer, self._listener):
            if viewer is not None:
                if self._channel is not None:
                    self._channel.leave(viewer)
                viewer.close()
        with contextlib.suppress(OSError):
            self._writer.close()

    async def _read_request(self) -> _Request | None:
        while (first := await self._reader.readexactly(1)) == b"$":
            # Receiver reports of the client come interleaved; nothing here depends on them.
            head = await self._reader.readexactly(3)
            await self._reader.readexactly(int.from_bytes(head[1:], "big"))
        try:
            text = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
        except asyncio.LimitOverrunError:
            return None
        lines = text.strip().split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("RTSP/1."):
            self._reply(400, "0")
            return None
        pairs = (line.partition(":") for line in lines[1:])
        request = _Request(
            words[0], words[1], {name.strip().lower(): value.strip() for name, _, value in pairs}
        )
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT_BYTES:
            self._reply(400, request.headers.get("cseq", "0"))
            return None
        await self._reader.readexactly(int(length))
        return request

    def _answer(self, request: _Request) -> bool:
        """Reply to `request`; return whether the connection goes on."""
        sequence = request.headers.get("cseq", "0")
        if request.method == "OPTIONS":
            self._reply(200, sequence, Public=METHODS)
            return True
        access = self._accesses.get(_path(request.url))
        if access is None:
            self._reply(404, sequence)
            return True
        channel = access.channel
        if channel.fault is Fault.DROP:
            return False
        self._channel = channel
        channel.connections.add(self._writer)
        if not self._is_authorised(request, access):
            demand = camera_digest.challenge(self._nonce, basic=access.basic)
            self._reply(401, sequence, WWW_Authenticate=demand)
            return True
        return self._perform(request, access, sequence)

    def _is_authorised(self, request: _Request, access: Access) -> bool:
        header = request.headers.get("authorization", "")
        user, password = access.channel.account
        if access.basic:
            return camera_digest.is_basic(header, user, password)
        return camera_digest.is_authorised(header, request.method, self._nonce, user, password)

    def _perform(self, request: _Request, access: Access, sequence: str) -> bool:
        match request.method:
            case "DESCRIBE":
                base = request.url.rstrip("/") + "/"
                body = _description(access.channel.clip, access.channel.sound)
                self._reply(200, sequence, body=body, Content_Base=base, Content_Type="application/sdp")
            case "SETUP":
                self._set_up(request, access, sequence)
            case "PLAY":
                self._play(request, access.channel, sequence)
            case "GET_PARAMETER":
                self._reply(200, sequence, Session=self._session)
            case "TEARDOWN":
                self._reply(200, sequence, Session=self._session)
                return False
            case _:
                self._reply(405, sequence, Allow=METHODS)
        return True

    def _set_up(self, request: _Request, access: Access, sequence: str) -> None:
        try:
            viewer = self._viewer_for(request.headers.get("transport", ""), access)
        except Unavailable:
            self._reply(503, sequence)
            return
        if viewer is None:
            self._reply(461, sequence)
            return
        if request.url.endswith("/track2"):
            self._listener = viewer
        else:
            if self._viewer is not None:
                access.channel.leave(self._viewer)
            self._viewer = viewer
        self._reply(200, sequence, Transport=viewer.transport, Session=f"{self._session};timeout=60")

    def _viewer_for(self, header: str, access: Access) -> TcpViewer | UdpViewer | None:
        """Return a viewer for the first offered transport that this camera has."""
        for offer in header.split(","):
            name, *options = offer.strip().split(";")
            number = _first_number(options, "interleaved" if name == "RTP/AVP/TCP" else "client_port")
            if name == "RTP/AVP/TCP":
                return TcpViewer(self._writer, min(number or 0, 254) & 0xFE)
            if name in {"RTP/AVP", "RTP/AVP/UDP"} and access.udp and number and number < 65535:
                peer = self._writer.get_extra_info("peername")[0]
                local = self._writer.get_extra_info("sockname")[0]
                return UdpViewer(peer, number, local)
        return None

    def _play(self, request: _Request, channel: Channel, sequence: str) -> None:
        session = request.headers.get("session", "").split(";", maxsplit=1)[0]
        if self._viewer is None or session != self._session:
            self._reply(454, sequence)
            return
        self._reply(200, sequence, Session=self._session, Range="npt=now-")
        if self._listener is not None:
            channel.listen(self._listener)
        channel.join(self._viewer, self._writer)

    def _reply(self, status: int, sequence: str, body: str = "", **headers: str) -> None:
        lines = [f"RTSP/1.0 {status} {_REASONS[status]}", f"CSeq: {sequence}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


def _description(clip: Clip, sound: Sound | None) -> str:
    """Return the session description (RFC 8866) of a stream of `clip`."""
    sets = [base64.b64encode(nal).decode() for nal in clip.sets]
    if clip.codec is ClipCodec.H264:
        # RFC 6184, section 8.1
        profile = clip.sps[1:4].hex()
        parameters = f"packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={','.join(sets)}"
    else:
        # RFC 7798, section 7.1
        parameters = ";".join(
            f"{name}={value}"
            for name, value in zip(("sprop-vps", "sprop-sps", "sprop-pps"), sets, strict=True)
        )
    return (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Simulated camera\r\nt=0 0\r\na=range:npt=now-\r\n"
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\nc=IN IP4 0.0.0.0\r\n"
        f"a=rtpmap:{PAYLOAD_TYPE} {clip.codec.rtp_name}/{RTP_CLOCK_HZ}\r\n"
        f"a=fmtp:{PAYLOAD_TYPE} {parameters}\r\na=control:track1\r\n" + (sound.description() if sound else "")
    )


def _first_number(options: list[str], name: str) -> int | None:
    """Return the first number of the transport option `name`, for example 4 in `client_port=4-5`."""
    for option in options:
        key, _, value = option.partition("=")
        first = value.split("-", maxsplit=1)[0]
        if key.strip().lower() == name and first.isdecimal():
            return int(first)
    return None


def _path(url: str) -> str:
    """Return the stream's path in an RTSP `url`, without the track of SETUP."""
    rest = url.split("://", maxsplit=1)[-1]
    path = "/" + rest.partition("/")[2].split("?", maxsplit=1)[0]
    return path.rstrip("/").removesuffix("/track1").removesuffix("/track2")
