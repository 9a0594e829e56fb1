"""Finding cameras on the network: WS-Discovery by UDP (April 2005; ONVIF Core Specification, section 7.3)."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final, cast
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import msgspec
import psutil

from safecity.errors import Invalid, Unavailable
from safecity.video.onvif.soap import readable
from safecity.video.onvif.xml import Element, parse

MULTICAST: Final = ("239.255.255.250", 3702)
MAX_FOUND: Final = 1000
REPEAT_S: Final = 0.3
"""A datagram may be lost: the question is asked twice."""
_DISCOVERY: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"

Address = tuple[str, int]


class FoundCamera(msgspec.Struct, frozen=True, kw_only=True):
    """A camera that answered: its name as it says, the host it answered from, its device service."""

    name: str
    address: str
    onvif_url: str


async def discover(timeout_s: float, targets: Sequence[Address] = (MULTICAST,)) -> list[FoundCamera]:
    """Return the cameras that answer within `timeout_s`, by address.

    targets: where the question is sent, usually the multicast group of WS-Discovery; then it leaves by all
    networks of this machine, since cameras often have one of their own.
    Raises Unavailable when this machine has no network to ask.
    """
    message_id = f"urn:uuid:{uuid4()}"
    found: dict[str, FoundCamera] = {}
    listeners = [
        listener
        for host in (_own_addresses() if targets == (MULTICAST,) else [""])
        if (listener := await _open(host, message_id, found)) is not None
    ]
    try:
        probe = _probe(message_id)
        for wait_s in (min(REPEAT_S, timeout_s / 2), max(timeout_s - REPEAT_S, timeout_s / 2)):
            for listener in listeners:
                listener.ask(probe, targets)
            await asyncio.sleep(wait_s)
    finally:
        for listener in listeners:
            listener.close()
    if all(listener.has_failed for listener in listeners) and not found:
        raise Unavailable("no camera can be looked for: this machine has no network that takes the question")
    return sorted(found.values(), key=lambda camera: camera.address)


def _own_addresses() -> list[str]:
    """Return this machine's IPv4 addresses, one for each network, without the loopback."""
    return sorted(
        {
            address.address
            for addresses in psutil.net_if_addrs().values()
            for address in addresses
            if address.family == socket.AF_INET and not address.address.startswith("127.")
        }
    )


async def _open(host: str, message_id: str, found: dict[str, FoundCamera]) -> "_Listener | None":
    """Return what asks and listens on the network of `host`, any when empty; None when it cannot be used."""
    listener = _Listener(message_id, found)
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        asking.setblocking(False)
        asking.bind((host, 0))
        if host:
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: listener, sock=asking)
    except OSError:
        asking.close()
        return None
    return listener


class _Listener(asyncio.DatagramProtocol):
    """Asks on one network, and collects the answers to one question."""

    def __init__(self, message_id: str, found: dict[str, FoundCamera]) -> None:
        self.has_failed = False
        self._found = found
        self._message_id = message_id
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def ask(self, probe: bytes, targets: Sequence[Address]) -> None:
        """Send the question."""
        for target in targets:
            try:
                if self._transport is not None:
                    self._transport.sendto(probe, target)
            except OSError:
                self.has_failed = True

    def close(self) -> None:
        """Listen no longer."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if len(self._found) >= MAX_FOUND:
            return
        try:
            root = parse(data)
        except Invalid:
            return
        if root.said("Header", "RelatesTo") != self._message_id:
            return
        for match in root.all("ProbeMatch"):
            camera = read_match(match, str(addr[0]))
            if camera is not None and len(self._found) < MAX_FOUND:
                self._found.setdefault(camera.onvif_url, camera)

    def error_received(self, exc: Exception) -> None:
        self.has_failed = True


def read_match(match: Element, sender: str) -> FoundCamera | None:
    """Return the camera of a ProbeMatch from the host `sender`, None when it names no address there.

    An address on another host is not taken: nobody may send accounts to where he doesn't answer from.
    """
    for url in match.said("XAddrs").split():
        try:
            parts = urlsplit(url)
            is_here = parts.hostname == sender and parts.scheme in {"http", "https"} and (parts.port or 1) > 0
        except ValueError:
            continue
        if is_here and "@" not in parts.netloc and len(url) <= 500:
            return FoundCamera(
                name=_name(match.said("Scopes").split()) or sender, address=sender, onvif_url=url
            )
    return None


def _name(scopes: Sequence[str]) -> str:
    """Return the name and hardware that a device says in its scopes (Core Specification, section 7.3.2.2)."""
    said: dict[str, str] = {}
    for scope in scopes:
        parts = urlsplit(scope)
        kind, _, value = parts.path.strip("/").partition("/")
        if parts.scheme == "onvif" and value:
            said.setdefault(kind.lower(), readable(unquote(value), 60))
    name, hardware = said.get("name", ""), said.get("hardware", "")
    return f"{name} ({hardware})" if name and hardware and hardware not in name else name or hardware


def _probe(message_id: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="{_ADDRESSING}" '
        f'xmlns:d="{_DISCOVERY}" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header>'
        f"<a:Action>{_DISCOVERY}/Probe</a:Action><a:MessageID>{message_id}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>"
        "<s:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></s:Body></s:Envelope>"
    ).encode()
