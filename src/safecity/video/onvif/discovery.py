"""Finding cameras on the network: WS-Discovery by UDP (April 2005; ONVIF Core Specification, section 7.3)."""

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import msgspec

from safecity.errors import Invalid, Unavailable
from safecity.video.onvif.soap import readable
from safecity.video.onvif.xml import Element, parse

MULTICAST: Final = ("239.255.255.250", 3702)
MAX_FOUND: Final = 1000
MAX_DATAGRAM_BYTES: Final = 65_507
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

    targets: where the question is sent, usually to the multicast group of WS-Discovery.
    Raises Unavailable when this machine has no network to ask.
    """
    message_id = f"urn:uuid:{uuid4()}"
    loop = asyncio.get_running_loop()
    try:
        transport, listener = await loop.create_datagram_endpoint(
            lambda: _Listener(message_id),
            local_addr=("0.0.0.0", 0),  # noqa: S104 - answers come from anywhere
        )
    except OSError as error:
        raise Unavailable("no camera can be looked for: this machine has no network") from error
    try:
        probe = _probe(message_id)
        for wait_s in (min(REPEAT_S, timeout_s / 2), max(timeout_s - REPEAT_S, timeout_s / 2)):
            for target in targets:
                transport.sendto(probe, target)
            await asyncio.sleep(wait_s)
    finally:
        transport.close()
    if listener.error and not listener.found:
        raise Unavailable("no camera can be looked for: this machine has no network that takes the question")
    return sorted(listener.found.values(), key=lambda camera: camera.address)


class _Listener(asyncio.DatagramProtocol):
    """Collects the answers to one question."""

    def __init__(self, message_id: str) -> None:
        self.found: dict[str, FoundCamera] = {}
        self.error = False
        self._message_id = message_id

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if len(data) > MAX_DATAGRAM_BYTES or len(self.found) >= MAX_FOUND:
            return
        try:
            root = parse(data)
        except Invalid:
            return
        if root.said("Header", "RelatesTo") != self._message_id:
            return
        for match in root.all("ProbeMatch"):
            camera = read_match(match, str(addr[0]))
            if camera is not None:
                self.found.setdefault(camera.onvif_url, camera)

    def error_received(self, exc: Exception) -> None:
        self.error = True


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
