"""A camera's ONVIF service on the loopback: discovery, description, streams, events, and its faults."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Final, cast
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from safecity.clock import Clock
from safecity.errors import Invalid
from safecity.simulator.camera_digest import challenge, is_authorised
from safecity.simulator.onvif_words import (
    BILLION_LAUGHS,
    SimulatedStream,
    capabilities,
    date_and_time,
    envelope,
    fault,
    notifications,
    probe_match,
    profiles_s,
    profiles_t,
    services,
)
from safecity.video.onvif.xml import Element, parse

MAX_REQUEST_BYTES: Final = 100_000
TOKEN_AGE: Final = timedelta(seconds=30)
"""How much the time of a token may differ from the device's, as real devices have it."""


class Demand(StrEnum):
    """How the device wants to know who calls."""

    TOKEN = "token"  # noqa: S105 - the name of a way, no secret
    HTTP_DIGEST = "http_digest"


class OnvifFault(StrEnum):
    """What goes wrong with every answer, or with some."""

    ENTITIES = "entities"
    HUGE = "huge"
    GARBAGE = "garbage"
    SILENT = "silent"
    NO_RENEWAL = "no_renewal"
    OLD = "old"


class OnvifDevice:
    """One device. Answers on a free port of the loopback until it is stopped."""

    def __init__(
        self,
        clock: Clock,
        user: str,
        password: str,
        streams: tuple[SimulatedStream, ...],
        *,
        demand: Demand = Demand.TOKEN,
        is_profile_t: bool = True,
        ahead: timedelta = timedelta(),
    ) -> None:
        """Prepare a device with this account. ahead: how wrong its clock is."""
        self._clock = clock
        self._user = user
        self._password = password
        self._streams = streams
        self._demand = demand
        self._is_profile_t = is_profile_t
        self._ahead = ahead
        self._server: asyncio.Server | None = None
        self._beacon: asyncio.DatagramTransport | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._nonces: set[str] = set()
        self._waiting: dict[str, list[str]] = {}
        self._states: dict[tuple[str, str, str], str] = {}
        self._news = asyncio.Event()
        self._stopped = asyncio.Event()
        self._next = 0
        self.fault: OnvifFault | None = None
        self.port = 0
        self.calls: list[str] = []
        self.received = bytearray()

    @property
    def url(self) -> str:
        """Return the address of the device service."""
        return f"http://127.0.0.1:{self.port}/onvif/device_service"

    @property
    def subscriptions(self) -> int:
        """Return how many subscriptions are open."""
        return len(self._waiting)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def start_beacon(self) -> tuple[str, int]:
        """Answer questions of discovery too; return where they are taken."""
        loop = asyncio.get_running_loop()
        self._beacon, _ = await loop.create_datagram_endpoint(
            lambda: _Beacon(self), local_addr=("127.0.0.1", 0)
        )
        address = self._beacon.get_extra_info("sockname")
        return str(address[0]), int(address[1])

    async def stop(self) -> None:
        """Close everything."""
        self._stopped.set()
        self._news.set()
        if self._beacon is not None:
            self._beacon.close()
        if self._server is not None:
            self._server.close()
        for writer in list(self._connections):
            writer.close()
        if self._server is not None:
            await self._server.wait_closed()

    def say(self, topic: str, item: str, value: str, source: str = "cam") -> None:
        """Let a state of the device change."""
        moment = (self._clock.now() + self._ahead).isoformat()
        self._states[topic, item, source] = value
        for waiting in self._waiting.values():
            waiting.append(notifications(topic, item, value, source, moment, "Changed"))
        self._news.set()

    def forget_subscriptions(self) -> None:
        """Lose all subscriptions, as a device that restarts."""
        self._waiting.clear()
        self._news.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether more may come."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = int(headers.get("content-length", "0"))
        if length > MAX_REQUEST_BYTES:
            return False
        data = await reader.readexactly(length)
        self.received += head.encode() + data
        if self.fault is OnvifFault.SILENT:
            await self._stopped.wait()
            return False
        status, extra, answer = await self._respond(lines[0], headers, data)
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/soap+xml\r\n{extra}"
            f"Content-Length: {len(answer)}\r\n\r\n".encode()
            + answer
        )
        await writer.drain()
        return True

    async def _respond(self, line: str, headers: dict[str, str], data: bytes) -> tuple[str, str, bytes]:
        try:
            root = parse(data)
            call = root.children[-1].children[0]
        except (Invalid, IndexError):
            return "400 Bad Request", "", envelope(fault("ter:WellFormed", "no SOAP message"))
        self.calls.append(call.name)
        is_open = call.name == "GetSystemDateAndTime"
        if not is_open and self._demand is Demand.HTTP_DIGEST and not self._has_digest(line, headers):
            nonce = secrets.token_hex(8)
            self._nonces.add(nonce)
            return "401 Unauthorized", f"WWW-Authenticate: {challenge(nonce)}\r\n", b""
        if not is_open and self._demand is Demand.TOKEN and not self._has_token(root):
            return "400 Bad Request", "", envelope(fault("ter:NotAuthorized", "Sender not Authorized"))
        path = urlsplit(line.split(" ")[1]).path
        content = await self._content(call, path, root)
        damaged = self._damaged()
        if damaged is not None:
            return "200 OK", "", damaged
        status = "500 Internal Server Error" if content.startswith("<s:Fault") else "200 OK"
        return status, "", envelope(content)

    def _damaged(self) -> bytes | None:
        """Return what a device with the present fault sends in place of an answer."""
        if self.fault is OnvifFault.GARBAGE:
            return b"\xff\x00<not xml" + secrets.token_bytes(50)
        if self.fault is OnvifFault.ENTITIES:
            return BILLION_LAUGHS
        if self.fault is OnvifFault.HUGE:
            return envelope("<a>" + "x" * 3_000_000 + "</a>")
        return None

    def _has_digest(self, line: str, headers: dict[str, str]) -> bool:
        given = headers.get("authorization", "")
        method = line.partition(" ")[0]
        return any(is_authorised(given, method, nonce, self._user, self._password) for nonce in self._nonces)

    def _has_token(self, root: Element) -> bool:
        token = root.find("Header", "Security", "UsernameToken")
        if token is None or token.said("Username") != self._user:
            return False
        created = token.said("Created")
        now = self._clock.now() + self._ahead
        nonce = base64.b64decode(token.said("Nonce"))
        wanted = hashlib.sha1(nonce + created.encode() + self._password.encode(), usedforsecurity=False)
        given = base64.b64decode(token.said("Password"))
        oldest, newest = (now + difference for difference in (-TOKEN_AGE, TOKEN_AGE))
        is_fresh = f"{oldest:%Y-%m-%dT%H:%M:%S}" <= created[:19] <= f"{newest:%Y-%m-%dT%H:%M:%S}"
        return is_fresh and hmac.compare_digest(wanted.digest(), given)

    async def _content(self, call: Element, path: str, root: Element) -> str:
        answers: dict[str, Callable[[], str]] = {
            "GetSystemDateAndTime": lambda: date_and_time(self._clock.now() + self._ahead),
            "GetDeviceInformation": lambda: (
                "<GetDeviceInformationResponse><Manufacturer>Safe City</Manufacturer>"
                "<Model>Simulated 1</Model><FirmwareVersion>1.0</FirmwareVersion>"
                "</GetDeviceInformationResponse>"
            ),
            "GetServices": self._services,
            "GetCapabilities": lambda: capabilities(self.port),
            "GetProfiles": lambda: (
                profiles_t(self._streams) if path.endswith("media2") else profiles_s(self._streams)
            ),
            "GetStreamUri": lambda: self._stream_uri(call.said("ProfileToken"), path),
            "CreatePullPointSubscription": self._subscribe,
            "Renew": lambda: self._renew(path),
            "Unsubscribe": lambda: self._unsubscribe(path),
        }
        if call.name == "PullMessages":
            return await self._pull(path, root, call.said("Timeout").strip("PTS"))
        if call.name in answers:
            return answers[call.name]()
        return fault("ter:ActionNotSupported", f"no call {call.name}")

    def _services(self) -> str:
        if self.fault is OnvifFault.OLD:
            return fault("ter:ActionNotSupported", "no call GetServices")
        # The address that the device believes to have is wrong, as behind a router.
        return services(f"http://192.168.77.7:{self.port}", is_profile_t=self._is_profile_t)

    def _stream_uri(self, token: str, path: str) -> str:
        url = next((stream.url for stream in self._streams if stream.token == token), "")
        if not url:
            return fault("ter:NoProfile", "no such profile")
        uri = f"<Uri>{escape(url)}</Uri>"
        inside = uri if path.endswith("media2") else f"<MediaUri>{uri}</MediaUri>"
        return f"<GetStreamUriResponse>{inside}</GetStreamUriResponse>"

    def _subscribe(self) -> str:
        self._next += 1
        key = f"/onvif/pull/{self._next}"
        moment = (self._clock.now() + self._ahead).isoformat()
        self._waiting[key] = [
            notifications(topic, item, value, source, moment, "Initialized")
            for (topic, item, source), value in self._states.items()
        ]
        return (
            "<CreatePullPointSubscriptionResponse><SubscriptionReference>"
            f"<Address>http://192.168.77.7:{self.port}{key}</Address>"
            f"<ReferenceParameters><x:Id xmlns:x={quoteattr('urn:simulated')}>{self._next}</x:Id>"
            "</ReferenceParameters></SubscriptionReference></CreatePullPointSubscriptionResponse>"
        )

    async def _pull(self, path: str, root: Element, patience: str) -> str:
        if path not in self._waiting or root.said("Header", "Id") != path.rpartition("/")[2]:
            return fault("wsrf-rw:ResourceUnknownFault", "no such subscription")
        if not self._waiting[path]:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), float(patience))
        told = self._waiting.get(path)
        if told is None:
            return fault("wsrf-rw:ResourceUnknownFault", "no such subscription")
        messages, told[:] = "".join(told), []
        return f"<PullMessagesResponse>{messages}</PullMessagesResponse>"

    def _renew(self, path: str) -> str:
        if path not in self._waiting or self.fault is OnvifFault.NO_RENEWAL:
            return fault("wsrf-rw:ResourceUnknownFault", "no such subscription")
        return "<RenewResponse/>"

    def _unsubscribe(self, path: str) -> str:
        self._waiting.pop(path, None)
        return "<UnsubscribeResponse/>"


class _Beacon(asyncio.DatagramProtocol):
    """Answers questions of discovery for a device."""

    def __init__(self, device: OnvifDevice) -> None:
        self._device = device
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        try:
            question = parse(data)
        except Invalid:
            return
        message_id = question.said("Header", "MessageID")
        if self._transport is not None and question.first("Probe") is not None:
            self._transport.sendto(probe_match(message_id, self._device.url), addr)
