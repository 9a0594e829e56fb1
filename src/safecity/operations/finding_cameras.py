"""Cameras that tell of themselves by ONVIF: found in the network, asked for addresses of their streams."""

from typing import Final

from safecity.access.sealed import Account
from safecity.clock import Clock
from safecity.model.base import Noun
from safecity.operations.camera_checks import holds_account, tells_password

SEARCH_S: Final = 3.0
"""Devices answer WS-Discovery within half a second; slow ones and a repeat get the rest."""


class FoundCamera(Noun, frozen=True):
    """A camera that answered a search: its own name, where it answered from, its device service."""

    name: str
    address: str
    onvif_url: str


class OfferedStream(Noun, frozen=True):
    """One stream of a camera. url: empty when the camera puts an account into its address."""

    name: str
    url: str
    codec: str
    width: int
    height: int
    fps: float


class DescribedCamera(Noun, frozen=True):
    """A camera as it describes itself, with the streams to record (`url`) and to watch (`sub_url`)."""

    manufacturer: str
    model: str
    firmware: str
    url: str
    sub_url: str
    streams: tuple[OfferedStream, ...]


async def find() -> list[FoundCamera]:
    """Return the cameras of this machine's network that answer; raises Unavailable without a network."""
    from safecity.video.onvif import discover

    return [
        FoundCamera(name=found.name, address=found.address, onvif_url=found.onvif_url)
        for found in await discover(SEARCH_S)
    ]


async def described(onvif_url: str, account: Account, clock: Clock) -> DescribedCamera:
    """Return what the camera with this device service says of itself.

    Raises Invalid for a wrong account, address or answer, Unavailable when it does not answer.
    """
    from safecity.video.onvif import describe

    told = await describe(onvif_url, account.user, account.password, clock)
    main, sub = told.main(), told.sub()
    return DescribedCamera(
        manufacturer=told.manufacturer,
        model=told.model,
        firmware=told.firmware,
        url=_shown(main.stream_url, account) if main else "",
        sub_url=_shown(sub.stream_url, account) if sub else "",
        streams=tuple(
            OfferedStream(
                name=stream.name,
                url=_shown(stream.stream_url, account),
                codec=stream.codec,
                width=stream.width_px,
                height=stream.height_px,
                fps=stream.fps,
            )
            for stream in told.profiles
        ),
    )


def _shown(url: str, account: Account) -> str:
    """Return an address that may be shown: some devices tell their own password in it."""
    return "" if holds_account(url) or tells_password(url, account.password) else url
