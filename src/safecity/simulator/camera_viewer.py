"""One viewer of a simulated camera: how its packets leave, over TCP or UDP, on a fast or a slow link."""

import asyncio
import random
import secrets
import socket
from collections import deque
from datetime import datetime
from typing import Final

from safecity.errors import Unavailable
from safecity.simulator.camera_rtp import FRAMING_BYTES, ClipFrame, packets, sender_report

QUEUE_LIMIT_BYTES: Final = 512 * 1024
"""A viewer with more than this unsent gets no pictures until the next keyframe."""
_PORT_TRIES: Final = 100


class Viewer:
    """One connection in the state PLAY."""

    channel = 0

    def __init__(self) -> None:
        """Begin with a random sequence number, time stamp and source (RFC 3550, section 5.1)."""
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self.first_timestamp = secrets.randbits(32)
        self.packet_count = 0
        self.octets = 0
        self.skipping = False
        self.behind_since_s: float | None = None
        self.bytes_per_s: float | None = None
        self._waiting: deque[tuple[bytearray, tuple[int, ...]]] = deque()
        self._waiting_bytes = 0
        self._paid_until_s = 0.0

    @property
    def backlog_bytes(self) -> int:
        """Return what has been given to this viewer and has not left."""
        return self._waiting_bytes

    @property
    def has_room(self) -> bool:
        """Return whether another picture may be given."""
        return self.backlog_bytes <= QUEUE_LIMIT_BYTES

    def picture(self, frame: ClipFrame, stamp: int) -> bytearray:
        """Return the packets of `frame`, dated `stamp` by the camera's clock, numbered for this viewer."""
        data = packets(frame, self.channel, self.sequence, self.first_timestamp + stamp, self.ssrc)
        self.sequence = (self.sequence + len(frame.starts)) & 0xFFFF
        self.packet_count += len(frame.starts)
        self.octets += frame.octets
        return data

    def send(self, data: bytearray, starts: tuple[int, ...], now_s: float) -> None:
        """Send packets that begin at `starts`, at once or as the slow link takes them."""
        if self.bytes_per_s is None and not self._waiting:
            self._transmit(data, starts)
            return
        if not self._waiting:
            self._paid_until_s = max(self._paid_until_s, now_s)
        self._waiting.append((data, starts))
        self._waiting_bytes += len(data)

    def pump(self, now_s: float) -> None:
        """Let the slow link take what it can by now."""
        while self._waiting and (self.bytes_per_s is None or self._paid_until_s <= now_s):
            data, starts = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            if self.bytes_per_s is not None:
                self._paid_until_s += len(data) / self.bytes_per_s
            self._transmit(data, starts)

    def report(self, now: datetime, stamp: int) -> None:
        """Tell which wall time the camera's `stamp` is."""
        self._report(
            sender_report(
                self.ssrc,
                now,
                timestamp=self.first_timestamp + stamp,
                packet_count=self.packet_count,
                octets=self.octets,
            )
        )

    def close(self) -> None:
        """Give back what this viewer holds."""

    def _transmit(self, data: bytearray, starts: tuple[int, ...]) -> None:
        raise NotImplementedError

    def _report(self, report: bytes) -> None:
        raise NotImplementedError


class TcpViewer(Viewer):
    """Packets in the RTSP connection itself (RFC 2326, section 10.12)."""

    def __init__(self, writer: asyncio.StreamWriter, channel: int) -> None:
        """Send on the even `channel`; reports go on the next one."""
        super().__init__()
        self.channel = channel
        self._writer = writer

    @property
    def backlog_bytes(self) -> int:
        """Return what has been given to this viewer and has not left."""
        return self._waiting_bytes + self._writer.transport.get_write_buffer_size()

    @property
    def transport(self) -> str:
        """Return the Transport header of the answer to SETUP."""
        return f"RTP/AVP/TCP;unicast;interleaved={self.channel}-{self.channel + 1};ssrc={self.ssrc:08X}"

    def _transmit(self, data: bytearray, starts: tuple[int, ...]) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    def _report(self, report: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(bytes((0x24, self.channel + 1)) + len(report).to_bytes(2, "big") + report)


class UdpViewer(Viewer):
    """Packets to a pair of the viewer's UDP ports, one datagram each."""

    def __init__(self, host: str, rtp_port: int, local_host: str) -> None:
        """Send to `rtp_port` of `host`; reports go to the port after it. Raises Unavailable without ports."""
        super().__init__()
        # A picture that was already under way would be lost in one burst; the next keyframe comes soon.
        self.skipping = True
        self.lost_share = 0.0
        self._client_port = rtp_port
        self._rng = random.Random(self.ssrc)
        self._rtp, self._rtcp = _port_pair(local_host)
        self._rtp.connect((host, rtp_port))
        self._rtcp.connect((host, rtp_port + 1))

    @property
    def transport(self) -> str:
        """Return the Transport header of the answer to SETUP."""
        port = self._rtp.getsockname()[1]
        client = f"client_port={self._client_port}-{self._client_port + 1}"
        return f"RTP/AVP;unicast;{client};server_port={port}-{port + 1};ssrc={self.ssrc:08X}"

    def close(self) -> None:
        """Close both ports."""
        self._rtp.close()
        self._rtcp.close()

    def _transmit(self, data: bytearray, starts: tuple[int, ...]) -> None:
        view = memoryview(data)
        for i, start in enumerate(starts):
            end = starts[i + 1] if i + 1 < len(starts) else len(data)
            if self.lost_share and self._rng.random() < self.lost_share:
                continue
            _send(self._rtp, view[start + FRAMING_BYTES : end])

    def _report(self, report: bytes) -> None:
        _send(self._rtcp, memoryview(report))


def _send(port: socket.socket, data: memoryview) -> None:
    try:
        port.send(data)
    except OSError:
        # Nobody listens or the queue is full: that is what happens to datagrams.
        return


def _port_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Return two neighbouring UDP ports, the first even (RFC 3550, section 11)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_PORT_TRIES):
        first = socket.socket(family, socket.SOCK_DGRAM)
        second = socket.socket(family, socket.SOCK_DGRAM)
        try:
            first.bind((host, 0))
            number = first.getsockname()[1]
            if number % 2 == 0:
                second.bind((host, number + 1))
                first.setblocking(False)
                second.setblocking(False)
                return first, second
        except OSError:
            pass
        first.close()
        second.close()
    raise Unavailable("no pair of UDP ports is free")
