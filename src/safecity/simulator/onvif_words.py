"""What the simulated ONVIF device says, as XML in the form that devices use."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import msgspec

from safecity.video.onvif.soap import DEVICE, EVENTS, MEDIA, MEDIA2

BILLION_LAUGHS: Final = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;">'
    b'<!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;">]><lolz>&lol3;</lolz>'
)


class SimulatedStream(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of the device, in ONVIF's words for the codec."""

    token: str
    url: str
    codec: str = "H264"
    width_px: int = 1920
    height_px: int = 1080
    fps: int = 25


def envelope(content: str) -> bytes:
    """Return an answer with `content` in its body."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
        f"<s:Body>{content}</s:Body></s:Envelope>"
    ).encode()


def fault(code: str, reason: str) -> str:
    """Return a SOAP 1.2 fault with a subcode."""
    return (
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode>"
        f"<s:Value>{escape(code)}</s:Value></s:Subcode></s:Code>"
        f"<s:Reason><s:Text>{escape(reason)}</s:Text></s:Reason></s:Fault>"
    )


def date_and_time(moment: datetime) -> str:
    """Return the device's time."""
    return (
        "<GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime>"
        f"<Time><Hour>{moment.hour}</Hour><Minute>{moment.minute}</Minute><Second>{moment.second}</Second></Time>"
        f"<Date><Year>{moment.year}</Year><Month>{moment.month}</Month><Day>{moment.day}</Day></Date>"
        "</UTCDateTime></SystemDateAndTime></GetSystemDateAndTimeResponse>"
    )


def services(base: str, *, is_profile_t: bool) -> str:
    """Return the list of services; a device of profile T has Media2 too."""
    known = {DEVICE: "device_service", MEDIA: "media", EVENTS: "events"}
    if is_profile_t:
        known[MEDIA2] = "media2"
    listed = "".join(
        f"<Service><Namespace>{namespace}</Namespace><XAddr>{base}/onvif/{name}</XAddr></Service>"
        for namespace, name in known.items()
    )
    return f"<GetServicesResponse>{listed}</GetServicesResponse>"


def capabilities(port: int) -> str:
    """Return the services as they were told before GetServices."""
    base = f"http://127.0.0.1:{port}/onvif"
    return (
        "<GetCapabilitiesResponse><Capabilities>"
        f"<Events><XAddr>{base}/events</XAddr></Events><Media><XAddr>{base}/media</XAddr></Media>"
        "</Capabilities></GetCapabilitiesResponse>"
    )


def profiles_s(streams: Sequence[SimulatedStream]) -> str:
    """Return the streams as the Media service of profile S tells them."""
    listed = "".join(
        f"<Profiles token={quoteattr(stream.token)}><Name>{escape(stream.token)}</Name>"
        f"<VideoEncoderConfiguration>{_encoder(stream)}</VideoEncoderConfiguration></Profiles>"
        for stream in streams
    )
    return f"<GetProfilesResponse>{listed}</GetProfilesResponse>"


def profiles_t(streams: Sequence[SimulatedStream]) -> str:
    """Return the streams as the Media2 service of profile T tells them."""
    listed = "".join(
        f"<Profiles token={quoteattr(stream.token)}><Name>{escape(stream.token)}</Name>"
        f"<Configurations><VideoEncoder>{_encoder(stream)}</VideoEncoder></Configurations></Profiles>"
        for stream in streams
    )
    return f"<GetProfilesResponse>{listed}</GetProfilesResponse>"


def _encoder(stream: SimulatedStream) -> str:
    return (
        f"<Encoding>{stream.codec}</Encoding><Resolution><Width>{stream.width_px}</Width>"
        f"<Height>{stream.height_px}</Height></Resolution>"
        f"<RateControl><FrameRateLimit>{stream.fps}</FrameRateLimit></RateControl>"
    )


def notifications(topic: str, item: str, value: str, source: str, moment: str, operation: str) -> str:
    """Return one message of a pull point."""
    return (
        '<NotificationMessage><Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
        f"tns1:{escape(topic)}</Topic><Message><Message UtcTime={quoteattr(moment)} "
        f"PropertyOperation={quoteattr(operation)}><Source>"
        f'<SimpleItem Name="Source" Value={quoteattr(source)}/></Source><Data>'
        f"<SimpleItem Name={quoteattr(item)} Value={quoteattr(value)}/></Data></Message></Message>"
        "</NotificationMessage>"
    )


def probe_match(message_id: str, url: str) -> bytes:
    """Return the answer to a question of discovery."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>'
        f"<a:RelatesTo>{escape(message_id)}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch>"
        "<d:Scopes>onvif://www.onvif.org/name/Simulated%20camera onvif://www.onvif.org/hardware/S1</d:Scopes>"
        f"<d:XAddrs>http://192.168.77.7/onvif/device_service {escape(url)}</d:XAddrs>"
        "</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    ).encode()
