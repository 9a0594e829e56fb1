"""What a setup may hold beyond its types: addresses that are safe to send and keep, names, angles."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_plus, urlsplit

import msgspec
from msgspec.structs import replace

from safecity.access.sealed import Account
from safecity.errors import Invalid
from safecity.model.video import Calibration, CameraSetup
from safecity.operations.command import checked_text

RTSP_PORTS: Final = {"rtsp": 554, "rtsps": 322}
"""Default ports (RFC 2326 section 3.2, RFC 7826 section 4.2)."""
HTTP_PORTS: Final = {"http": 80, "https": 443}
MAX_ADDRESS: Final = 500
MAX_NAME: Final = 200
IN_FILES: Final = "a file"
"""Where a camera is that plays films; what they are called is nobody's business."""
MAX_SHAPES: Final = 100
"""Rules, and masks, of one camera."""

_HARMLESS: Final = re.compile(
    r"audio|audiocodec|bitrate|camera|cam|ch|chan|channel|channelid|codec|color|compression|fps|"
    r"framerate|h26x|id|index|inst|instance|line|media|mode|multicast|overlays|p|profile|profileid|"
    r"proto|protocol|quality|resolution|rotation|sessiontimeout|size|stream|streamid|streamtype|"
    r"subtype|substream|track|trackid|transport|transportmode|type|unicast|vcd|video|videobitrate|"
    r"videocodec|videokeyframeinterval|videomaxbitrate|videoprofile",
    re.IGNORECASE,
)
"""What may be asked for after '?' of an address: which channel, which stream, how it is coded.

Names of accounts are as many as makers of cameras, so that a list of what is allowed is the only safe one.
"""

_ACCOUNT_IN_PATH: Final = re.compile(
    r"(?<![a-z])(usr|user(name)?|login(use|pas)?|pass(word|wd)?|pwd|psw|auth)=", re.IGNORECASE
)
"""How cameras that take their account in the path spell it."""


def checked_setup(setup: CameraSetup) -> CameraSetup:
    """Return the setup as it is kept. Raises Invalid where it cannot be, naming the field."""
    try:
        # Limits of numbers count only where something is read; what is kept must be readable again.
        msgspec.json.decode(msgspec.json.encode(setup), type=CameraSetup)
    except msgspec.ValidationError as error:
        raise Invalid(f"the setup of camera {setup.id} cannot be kept: {error}") from error
    if not setup.name.isprintable() or len(setup.name) > MAX_NAME:
        raise Invalid(f"'name' has at most {MAX_NAME} printable characters")
    checked_text("name", setup.name, required=True)
    for field in ("url", "sub_url", "onvif_url"):
        check_address(field, getattr(setup, field))
    if setup.onvif_url:
        checked_device_address(setup.onvif_url)
    if not 0 <= setup.heading_deg < 360 or not 0 < setup.field_of_view_deg <= 360:
        raise Invalid("'heading_deg' goes from 0 to below 360, 'field_of_view_deg' from above 0 to 360")
    for word, named in (("rules", setup.rules), ("masks", setup.masks)):
        if len(named) > MAX_SHAPES or any(len(n.name) > MAX_NAME or not n.name.isprintable() for n in named):
            raise Invalid(f"'{word}' holds at most {MAX_SHAPES}, with printable names up to {MAX_NAME} long")
    if setup.calibration is not None:
        _check_calibration(setup.calibration)
    return replace(setup, name=setup.name.strip())


def _check_calibration(calibration: Calibration) -> None:
    """Refuse points that no ground can be made of; raises Invalid with the reason."""
    # Most processes that keep setups never need the numbers behind it.
    from safecity.video.calibration import Ground

    Ground(calibration)


def check_address(field: str, address: str) -> None:
    """Refuse an address that cannot be sent to a camera as it is, or that holds an account.

    Raises Invalid with a sentence that does not repeat the address.
    """
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable() or " " in address:
        raise Invalid(f"'{field}' has at most {MAX_ADDRESS} printable ASCII characters and no space")
    if holds_account(address):
        raise Invalid(
            f"'{field}' holds an account, or something that could be one; give it as user and password. "
            "After '?' an address may say which stream is meant (channel=, subtype=, profile= and the like)"
        )


def holds_account(address: str) -> bool:
    """Return whether an address holds an account, or something in its query or fragment that could be one.

    An account that is plain words of the path (/live/NAME/PASSWORD/1) cannot be told from any other path.
    """
    plain = _decoded(address)
    path, _, query = plain.partition("?")
    names = (part.partition("=")[0] for part in re.split(r"[?&;]", query) if part)
    return (
        "#" in plain
        or ("@" in path and not path.startswith("file:"))
        or _ACCOUNT_IN_PATH.search(path) is not None
        or not all(map(_HARMLESS.fullmatch, names))
    )


def tells_password(address: str, password: str) -> bool:
    """Return whether an address tells this password, wherever in it."""
    return bool(password) and password in _decoded(address)


def check_not_told(setup: CameraSetup, account: Account) -> None:
    """Refuse a setup with an address that tells the account's password; raises Invalid."""
    if any(tells_password(told, account.password) for told in (setup.url, setup.sub_url, setup.onvif_url)):
        raise Invalid("an address of this camera tells its password; take it out, the account is kept sealed")


def _decoded(address: str) -> str:
    """Return an address with all percent-encoding taken off, encodings of encodings too."""
    # Each round that changes something makes it shorter or ends it.
    while (plain := unquote_plus(address)) != address:
        address = plain
    return address


def checked_device_address(address: str) -> str:
    """Return HOST:PORT of an ONVIF device service that may be asked; raises Invalid for anything else."""
    check_address("onvif_url", address)
    return _host_and_port("onvif_url", address, HTTP_PORTS, "http://HOST[:PORT]/onvif/device_service")


def checked_stream_address(address: str) -> str:
    """Return HOST:PORT of an RTSP address that may be tried, IN_FILES for a file.

    Raises Invalid for anything else. Whether the file is one that may be played is for who opens it to say.
    """
    check_address("url", address)
    if address.startswith("file:///"):
        return IN_FILES
    return _host_and_port("url", address, RTSP_PORTS, "rtsp://HOST[:PORT]/PATH")


def _host_and_port(field: str, address: str, ports: Mapping[str, int], form: str) -> str:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or ports.get(parts.scheme, 0)
    except ValueError as error:
        raise Invalid(f"'{field}' has a port that is no number from 1 to 65535") from error
    if parts.scheme not in ports or not host or "@" in address.partition("?")[0]:
        raise Invalid(f"'{field}' must look like {form}, without an account")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
