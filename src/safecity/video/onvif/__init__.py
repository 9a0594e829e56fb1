"""Cameras by ONVIF: finding them, describing their streams (profiles S and T), and hearing their own events.

The messages are from device makers' firmware: they are read as hostile, small, and by local names only.
"""

from safecity.video.onvif.description import DeviceDescription, MediaProfile, describe
from safecity.video.onvif.discovery import FoundCamera, discover
from safecity.video.onvif.events import CameraEvent, CameraEventKind
from safecity.video.onvif.hearing import Hearing
from safecity.video.onvif.subscription import EventSubscription, camera_event_observation

__all__ = [
    "CameraEvent",
    "CameraEventKind",
    "DeviceDescription",
    "EventSubscription",
    "FoundCamera",
    "Hearing",
    "MediaProfile",
    "camera_event_observation",
    "describe",
    "discover",
]
