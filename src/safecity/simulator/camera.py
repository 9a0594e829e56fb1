"""Simulated cameras: one small RTSP/1.0 server over TCP that plays a film in an endless loop.

Each camera is a path with its own account and its own place in the film. Media goes interleaved in the RTSP
connection (RFC 2326, section 10.12), which is the only transport offered. A camera shows every viewer the
same picture at the same moment, as a real one does.
"""

import asyncio
import base64
import contextlib
import secrets
from enum import StrEnum
from typing import Final

import msgspec
import structlog

from safecity.clock import Clock
from safecity.errors import Invalid, NotFound
from safecity.simulator import camera_digest
from safecity.simulator.camera_rtp import PAYLOAD_TYPE, RTP_CLOCK_HZ, Clip, packets, sender_report

log = structlog.get_logger()

QUEUE_LIMIT_BYTES: Final = 512 * 1024
"""A viewer with more than this unsent gets no pictures until the next keyframe."""
SLOW_LIMIT_S: Final = 10.0
"""A viewer that stays behind for so long is disconnected."""
REPORT_PERIOD_S: Final = 5.0
"""Between two RTCP sender reports (the minimum of RFC 3550, section 6.2)."""
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
}


class Fault(StrEnum):
    """What can be wrong with a simulated camera."""

    FREEZE = "freeze"
    """Connections stay and are answered, but no picture comes."""
    DROP = "drop"
    """The camera is off: connections end, new ones are closed at once."""


class SimulatedCamera(msgspec.Struct, frozen=True, kw_only=True):
    """One camera: where it is found, who may look, and where in the film it starts."""

    path: str
    user: str
    password: str
    offset_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse an open camera."""
        if not (self.user and self.password):
            raise Invalid(f"the simulated camera {self.path} needs a user and a password")

    def __repr__(self) -> str:
        """Leave the account out."""
        return f"SimulatedCamera(path={self.path!r}, offset_s={self.offset_s!r})"


class CameraServer:
    """All simulated cameras behind one port."""

    def __init__(self, cameras: list[SimulatedCamera], clip: Clip, clock: Clock) -> None:
        """Prepare `cameras`, all playing `clip`. Nothing listens before `start`."""
        self._channels = {camera.path: _Channel(camera, clip, clock) for camera in cameras}
        self._server: asyncio.Server | None = None
        self._tickers: list[asyncio.Task[None]] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on `host`; return the port, a free one when `port` is 0."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=HEADER_LIMIT_BYTES)
        self._tickers = [asyncio.create_task(channel.play()) for channel in self._channels.values()]
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every connection and the port."""
        if self._server is not None:
            self._server.close()
        tasks = [*self._tickers, *self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def set_fault(self, path: str, fault: Fault | None) -> None:
        """Break the camera at `path`, or mend it with None. Raises NotFound for an unknown path."""
        if path not in self._channels:
            raise NotFound(f"no simulated camera is at {path}")
        self._channels[path].set_fault(fault)

    def viewers(self, path: str) -> int:
        """Return how many connections are being sent pictures of the camera at `path`."""
        return len(self._channels[path].viewers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        connection = _Connection(self._channels, reader, writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            await connection.serve()
        connection.close()


class _Viewer:
    """One connection in the state PLAY."""

    def __init__(self, writer: asyncio.StreamWriter, channel: int) -> None:
        self.writer = writer
        self.channel = channel
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self.first_timestamp = secrets.randbits(31)
        self.packet_count = 0
        self.octets = 0
        self.skipping = False
        self.behind_since_s: float | None = None

    def backlog_bytes(self) -> int:
        return self.writer.transport.get_write_buffer_size()


class _Channel:
    """One camera: its film position, its viewers, its fault."""

    def __init__(self, camera: SimulatedCamera, clip: Clip, clock: Clock) -> None:
        self.camera = camera
        self.clip = clip
        self.viewers: set[_Viewer] = set()
        self.fault: Fault | None = None
        self.connections: set[asyncio.StreamWriter] = set()
        self._clock = clock
        self._start_s = clock.monotonic_s() - camera.offset_s % clip.length_s
        self._number = self._due_number()

    def set_fault(self, fault: Fault | None) -> None:
        self.fault = fault
        if fault is Fault.DROP:
            for writer in list(self.connections):
                writer.transport.abort()

    async def play(self) -> None:
        """Send each frame to all viewers at its time, for ever."""
        next_report_s = 0.0
        while True:
            due = self._due_number()
            while self._number < due:
                self._number += 1
                self._send_all(self._number)
            now_s = self._clock.monotonic_s()
            if now_s >= next_report_s:
                next_report_s = now_s + REPORT_PERIOD_S
                self._report_all()
            wait_s = self._start_s + self.clip.ticks(self._number + 1) / RTP_CLOCK_HZ - now_s
            await asyncio.sleep(max(wait_s, 0.0))

    def join(self, viewer: _Viewer) -> None:
        """Add a viewer, beginning with the picture on show and what is needed to decode it."""
        if self.fault is None:
            for number in range(self.clip.key_before(self._number), self._number + 1):
                self._send(viewer, number)
        self.viewers.add(viewer)

    def _due_number(self) -> int:
        return self.clip.number_at(int((self._clock.monotonic_s() - self._start_s) * RTP_CLOCK_HZ))

    def _send_all(self, number: int) -> None:
        if self.fault is not None:
            return
        for viewer in list(self.viewers):
            self._send(viewer, number)

    def _send(self, viewer: _Viewer, number: int) -> None:
        if not self._has_room(viewer):
            return
        frame = self.clip.frame(number)
        if viewer.skipping and not frame.is_key:
            return
        viewer.skipping = False
        timestamp = viewer.first_timestamp + self.clip.ticks(number)
        data = packets(frame, viewer.channel, viewer.sequence, timestamp, viewer.ssrc)
        viewer.writer.write(data)
        viewer.sequence += len(frame.payloads)
        viewer.packet_count += len(frame.payloads)
        viewer.octets += sum(map(len, frame.payloads))

    def _has_room(self, viewer: _Viewer) -> bool:
        if viewer.backlog_bytes() <= QUEUE_LIMIT_BYTES:
            viewer.behind_since_s = None
            return True
        viewer.skipping = True
        now_s = self._clock.monotonic_s()
        if viewer.behind_since_s is None:
            viewer.behind_since_s = now_s
        elif now_s - viewer.behind_since_s > SLOW_LIMIT_S:
            log.info("a viewer of a simulated camera was too slow", camera=self.camera.path)
            self.viewers.discard(viewer)
            viewer.writer.transport.abort()
        return False

    def _report_all(self) -> None:
        if self.fault is not None:
            return
        now = self._clock.now()
        ticks = int((self._clock.monotonic_s() - self._start_s) * RTP_CLOCK_HZ)
        for viewer in self.viewers:
            report = sender_report(
                viewer.channel + 1,
                viewer.ssrc,
                now,
                timestamp=viewer.first_timestamp + ticks,
                packet_count=viewer.packet_count,
                octets=viewer.octets,
            )
            viewer.writer.write(report)


class _Request(msgspec.Struct):
    method: str
    url: str
    headers: dict[str, str]


class _Connection:
    """One RTSP connection, from its first request to its end."""

    def __init__(
        self, channels: dict[str, _Channel], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._channels = channels
        self._reader = reader
        self._writer = writer
        self._nonce = secrets.token_hex(16)
        self._session = secrets.token_hex(8)
        self._channel: _Channel | None = None
        self._viewer: _Viewer | None = None

    async def serve(self) -> None:
        while True:
            async with asyncio.timeout(IDLE_LIMIT_S):
                request = await self._read_request()
            if request is None or not self._answer(request):
                return
            await self._writer.drain()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.connections.discard(self._writer)
            if self._viewer is not None:
                self._channel.viewers.discard(self._viewer)
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
        channel = self._channels.get(_path(request.url))
        if channel is None:
            self._reply(404, sequence)
            return True
        if channel.fault is Fault.DROP:
            return False
        self._channel = channel
        channel.connections.add(self._writer)
        camera = channel.camera
        authorization = request.headers.get("authorization", "")
        if not camera_digest.is_authorised(
            authorization, request.method, self._nonce, camera.user, camera.password
        ):
            self._reply(401, sequence, WWW_Authenticate=camera_digest.challenge(self._nonce))
            return True
        return self._perform(request, channel, sequence)

    def _perform(self, request: _Request, channel: _Channel, sequence: str) -> bool:
        match request.method:
            case "DESCRIBE":
                self._describe(request, channel, sequence)
            case "SETUP":
                self._set_up(request, sequence)
            case "PLAY":
                self._play(request, channel, sequence)
            case "GET_PARAMETER":
                self._reply(200, sequence, Session=self._session)
            case "TEARDOWN":
                self._reply(200, sequence, Session=self._session)
                return False
            case _:
                self._reply(405, sequence, Allow=METHODS)
        return True

    def _describe(self, request: _Request, channel: _Channel, sequence: str) -> None:
        sets = ",".join(base64.b64encode(nal).decode() for nal in (channel.clip.sps, channel.clip.pps))
        sdp = (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Simulated camera\r\nt=0 0\r\na=range:npt=now-\r\n"
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\nc=IN IP4 0.0.0.0\r\n"
            f"a=rtpmap:{PAYLOAD_TYPE} H264/{RTP_CLOCK_HZ}\r\n"
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={channel.clip.sps[1:4].hex()};"
            f"sprop-parameter-sets={sets}\r\na=control:track1\r\n"
        )
        base = request.url.rstrip("/") + "/"
        self._reply(200, sequence, body=sdp, Content_Base=base, Content_Type="application/sdp")

    def _set_up(self, request: _Request, sequence: str) -> None:
        for offer in request.headers.get("transport", "").split(","):
            if not offer.startswith("RTP/AVP/TCP"):
                continue
            _, _, tail = offer.partition("interleaved=")
            number = tail.split("-", maxsplit=1)[0].split(";", maxsplit=1)[0] or "0"
            channel = min(int(number), 254) & 0xFE if number.isdecimal() else 0
            self._viewer = _Viewer(self._writer, channel)
            transport = (
                f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1};ssrc={self._viewer.ssrc:08X}"
            )
            self._reply(200, sequence, Transport=transport, Session=f"{self._session};timeout=60")
            return
        self._reply(461, sequence)

    def _play(self, request: _Request, channel: _Channel, sequence: str) -> None:
        session = request.headers.get("session", "").split(";", maxsplit=1)[0]
        if self._viewer is None or session != self._session:
            self._reply(454, sequence)
            return
        self._reply(200, sequence, Session=self._session, Range="npt=now-")
        channel.join(self._viewer)

    def _reply(self, status: int, sequence: str, body: str = "", **headers: str) -> None:
        lines = [f"RTSP/1.0 {status} {_REASONS[status]}", f"CSeq: {sequence}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


def _path(url: str) -> str:
    """Return the camera's path in an RTSP `url`, without the track of SETUP."""
    rest = url.split("://", maxsplit=1)[-1]
    path = "/" + rest.partition("/")[2].split("?", maxsplit=1)[0]
    return path.rstrip("/").removesuffix("/track1")
