"""What a camera notices by itself: topics of the ONVIF event service (Core Specification, section 9)."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from safecity.video.onvif.soap import readable
from safecity.video.onvif.xml import Element

MAX_SKEW: Final = timedelta(seconds=60)
"""A time that differs more from ours is not believed."""


class CameraEventKind(StrEnum):
    """What a camera can notice by itself."""

    MOTION = "motion"
    TAMPER = "tamper"
    DIGITAL_INPUT = "digital_input"


_TOPICS: Final[dict[str, tuple[CameraEventKind, tuple[str, ...]]]] = {
    "VideoSource/MotionAlarm": (CameraEventKind.MOTION, ("State",)),
    "RuleEngine/CellMotionDetector/Motion": (CameraEventKind.MOTION, ("IsMotion",)),
    "RuleEngine/MotionRegionDetector/Motion": (CameraEventKind.MOTION, ("State",)),
    "RuleEngine/TamperDetector/Tamper": (CameraEventKind.TAMPER, ("IsTamper",)),
    "VideoSource/GlobalSceneChange/ImagingService": (CameraEventKind.TAMPER, ("State",)),
    "VideoSource/GlobalSceneChange/AnalyticsService": (CameraEventKind.TAMPER, ("State",)),
    "VideoSource/ImageTooBlurry/ImagingService": (CameraEventKind.TAMPER, ("State",)),
    "VideoSource/ImageTooBlurry/AnalyticsService": (CameraEventKind.TAMPER, ("State",)),
    "VideoSource/ImageTooDark/ImagingService": (CameraEventKind.TAMPER, ("State",)),
    "VideoSource/ImageTooDark/AnalyticsService": (CameraEventKind.TAMPER, ("State",)),
    "VideoSource/ImageTooBright/ImagingService": (CameraEventKind.TAMPER, ("State",)),
    "VideoSource/ImageTooBright/AnalyticsService": (CameraEventKind.TAMPER, ("State",)),
    "Device/Trigger/DigitalInput": (CameraEventKind.DIGITAL_INPUT, ("LogicalState", "State")),
}
"""Topics that are told, and the data items that hold the state (ONVIF Imaging, Analytics, Device IO)."""


class CameraEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something began or ended, as the camera itself says.

    topic: without prefixes. source: of which part of the camera, "Name=value" joined. initial: it was so when
    the camera was asked first. at: by the camera's clock, put right by what we know of it.
    """

    kind: CameraEventKind
    topic: str
    source: str
    active: bool
    initial: bool
    at: datetime


def read_notification(message: Element, now: datetime, ahead: timedelta) -> CameraEvent | None:
    """Return the event in a NotificationMessage, None when it is about something else.

    ahead: how far the camera's clock is ahead of ours, as known from asking it.
    """
    topic = "/".join(part.rpartition(":")[2] for part in message.said("Topic").split("/"))
    known = _TOPICS.get(topic)
    content = message.find("Message", "Message")
    if known is None or content is None:
        return None
    kind, names = known
    data = _items(content.find("Data"))
    states = [_state(data[name]) for name in names if name in data]
    state = next((state for state in states if state is not None), None)
    if state is None:
        return None
    source = ",".join(f"{name}={value}" for name, value in sorted(_items(content.find("Source")).items()))
    return CameraEvent(
        kind=kind,
        topic=topic,
        source=readable(source, 200),
        active=state,
        initial=content.attributes.get("PropertyOperation") == "Initialized",
        at=_moment(content.attributes.get("UtcTime", ""), now, ahead),
    )


def _items(holder: Element | None) -> dict[str, str]:
    if holder is None:
        return {}
    return {
        item.attributes.get("Name", ""): item.attributes.get("Value", "")
        for item in holder.children
        if item.name == "SimpleItem"
    }


def _state(text: str) -> bool | None:
    return {"true": True, "1": True, "active": True, "false": False, "0": False, "inactive": False}.get(
        text.strip().lower()
    )


def _moment(text: str, now: datetime, ahead: timedelta) -> datetime:
    try:
        told = datetime.fromisoformat(text)
        told = (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC) - ahead
    except (ValueError, OverflowError):
        return now
    return told if abs(told - now) <= MAX_SKEW else now
