"""What a camera is and which streams it has: profile S by the Media service, profile T by Media2."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from xml.sax.saxutils import escape

import msgspec

from safecity.clock import Clock
from safecity.errors import Invalid, Unavailable
from safecity.video.onvif.soap import DEVICE, EVENTS, MEDIA, MEDIA2, SCHEMA, Fault, Soap, readable
from safecity.video.onvif.xml import Element

MAX_PROFILES: Final = 16
"""Of one device; each costs a call. Recorders with hundreds of channels are added channel by channel."""
_CODECS: Final = {"H264": "h264", "H265": "hevc", "HEVC": "hevc", "JPEG": "mjpeg"}


class MediaProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of a camera. codec: h264, hevc, mjpeg, or as the device calls it. fps: 0 when not said."""

    token: str
    name: str
    stream_url: str
    codec: str
    width_px: int
    height_px: int
    fps: float


class DeviceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A camera as it describes itself.

    profiles: its streams, the largest first. has_events: it can be asked for its own events.
    is_profile_t: its streams were told by Media2, which profile T has and profile S doesn't.
    """

    manufacturer: str
    model: str
    firmware: str
    profiles: tuple[MediaProfile, ...]
    has_events: bool
    is_profile_t: bool

    def main(self) -> MediaProfile | None:
        """Return the stream to record: the largest that can be recorded."""
        return next((profile for profile in self.profiles if profile.codec in {"h264", "hevc"}), None)

    def sub(self) -> MediaProfile | None:
        """Return the stream to watch: the smallest of 320 pixels width or more, smaller than the main one."""
        main = self.main()
        small = [
            profile
            for profile in self.profiles
            if main and profile.codec in {"h264", "hevc"} and 320 <= profile.width_px < main.width_px
        ]
        return small[-1] if small else None


async def describe(onvif_url: str, user: str, password: str, clock: Clock) -> DeviceDescription:
    """Return what the camera says of itself; `onvif_url` is its device service.

    Raises Invalid for a wrong account, address or answer, Unavailable when it doesn't answer.
    """
    async with Soap(onvif_url, user, password, clock) as soap:
        await synchronise(soap)
        about = await soap.call(onvif_url, f'<GetDeviceInformation xmlns="{DEVICE}"/>')
        services = await find_services(soap)
        if MEDIA2 in services:
            profiles = await _profiles_t(soap, services[MEDIA2])
        elif MEDIA in services:
            profiles = await _profiles_s(soap, services[MEDIA])
        else:
            raise Unavailable("the camera offers no streams by ONVIF; add it by its RTSP address")
    return DeviceDescription(
        manufacturer=readable(about.said("Manufacturer"), 60),
        model=readable(about.said("Model"), 60),
        firmware=readable(about.said("FirmwareVersion"), 60),
        profiles=tuple(sorted(profiles, key=lambda p: (-p.width_px * p.height_px, p.name))),
        has_events=EVENTS in services,
        is_profile_t=MEDIA2 in services,
    )


async def synchronise(soap: Soap) -> None:
    """Learn the device's time, which needs no account; a device that doesn't say it is taken to be right."""
    try:
        answer = await soap.call(soap.url, f'<GetSystemDateAndTime xmlns="{DEVICE}"/>', is_open=True)
        moment = answer.first("UTCDateTime")
        if moment is not None:
            soap.set_device_time(_moment(moment))
    except (Fault, Invalid, ValueError, OverflowError):
        return


async def find_services(soap: Soap) -> dict[str, str]:
    """Return the addresses of the device's services by namespace."""
    try:
        call = f'<GetServices xmlns="{DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>'
        answer = await soap.call(soap.url, call)
        told = {service.said("Namespace"): service.said("XAddr") for service in answer.all("Service")}
    except Fault:
        # Before ONVIF 2.1 there were capabilities only.
        call = f'<GetCapabilities xmlns="{DEVICE}"><Category>All</Category></GetCapabilities>'
        answer = await soap.call(soap.url, call)
        told = {
            namespace: found.said("XAddr")
            for namespace, name in ((MEDIA, "Media"), (EVENTS, "Events"))
            if (found := answer.find("Capabilities", name)) is not None
        }
    return {namespace: soap.here(url) for namespace, url in told.items() if url}


async def _profiles_s(soap: Soap, url: str) -> list[MediaProfile]:
    answer = await soap.call(url, f'<GetProfiles xmlns="{MEDIA}"/>')
    found = []
    for profile in list(answer.all("Profiles"))[:MAX_PROFILES]:
        token = profile.attributes.get("token", "")
        call = (
            f'<GetStreamUri xmlns="{MEDIA}"><StreamSetup><Stream xmlns="{SCHEMA}">RTP-Unicast</Stream>'
            f'<Transport xmlns="{SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
            f"<ProfileToken>{escape(token)}</ProfileToken></GetStreamUri>"
        )
        encoder = profile.find("VideoEncoderConfiguration")
        if encoder is not None:
            uri = (await soap.call(url, call)).said("MediaUri", "Uri")
            found.append(_profile(soap, profile, encoder, uri))
    return found


async def _profiles_t(soap: Soap, url: str) -> list[MediaProfile]:
    answer = await soap.call(url, f'<GetProfiles xmlns="{MEDIA2}"><Type>VideoEncoder</Type></GetProfiles>')
    found = []
    for profile in list(answer.all("Profiles"))[:MAX_PROFILES]:
        token = profile.attributes.get("token", "")
        call = (
            f'<GetStreamUri xmlns="{MEDIA2}"><Protocol>RtspUnicast</Protocol>'
            f"<ProfileToken>{escape(token)}</ProfileToken></GetStreamUri>"
        )
        encoder = profile.find("Configurations", "VideoEncoder")
        if encoder is not None:
            uri = (await soap.call(url, call)).said("Uri")
            found.append(_profile(soap, profile, encoder, uri))
    return found


def _profile(soap: Soap, profile: Element, encoder: Element, uri: str) -> MediaProfile:
    codec = encoder.said("Encoding")
    return MediaProfile(
        token=profile.attributes.get("token", "")[:100],
        name=readable(profile.said("Name"), 60),
        stream_url=_stream_url(soap, uri),
        codec=_CODECS.get(codec.upper(), readable(codec, 20)),
        width_px=_whole(encoder.said("Resolution", "Width")),
        height_px=_whole(encoder.said("Resolution", "Height")),
        fps=_number(encoder.said("RateControl", "FrameRateLimit")),
    )


def _stream_url(soap: Soap, uri: str) -> str:
    """Return a stream's address on the device's own host, without an account that the device put there."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise Invalid("the camera names a stream whose address cannot be read") from error
    if parts.scheme not in {"rtsp", "rtsps"} or len(uri) > 1000:
        raise Invalid("the camera names a stream that has no rtsp address")
    host = urlsplit(soap.url).hostname or ""
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{host}:{port}" if port else host, parts.path, parts.query, ""))


def _moment(utc: Element) -> datetime:
    date = [int(utc.said("Date", part)) for part in ("Year", "Month", "Day")]
    time = [int(utc.said("Time", part)) for part in ("Hour", "Minute", "Second")]
    # A leap second is written 60.
    return datetime(date[0], date[1], date[2], time[0], time[1], min(time[2], 59), tzinfo=UTC)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return round(value, 2) if 0 < value <= 1000 else 0.0
