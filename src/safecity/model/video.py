"""How a camera is reached, watched, masked and kept: the city's decisions about each camera, as data.

Points of the picture are (x, y) from 0,0 at the top left to 1,1 at the bottom right.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from safecity.errors import Invalid
from safecity.model.base import Noun, Place
from safecity.model.source import Camera
from safecity.model.video_rule import Point, VideoRule, check_polygon

ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A camera's id is also a name of files and subjects."""
CAMERAS_PER_SHARD: Final = 16
"""Cameras of one process at most: a crash in a native library costs one shard."""


class Transport(StrEnum):
    """How pictures travel from an RTSP camera."""

    TCP = "tcp"
    UDP = "udp"


class StreamRole(StrEnum):
    """Which of a camera's streams: the large one that is recorded, or the small one that is watched."""

    MAIN = "main"
    SUB = "sub"


class Mask(Noun, frozen=True):
    """A part of the picture that nobody sees without the right to unmask: a window, a neighbour's garden."""

    name: str
    polygon: tuple[Point, ...]

    def __post_init__(self) -> None:
        """Refuse what is not an area of the picture."""
        check_polygon(f"mask '{self.name}'", self.polygon)


class Calibration(Noun, frozen=True):
    """Where four points of the picture are on the ground; from it follow positions, speeds and px/m.

    picture: four points, no three on a line. ground: the same four as (longitude, latitude) in degrees.
    """

    picture: tuple[Point, Point, Point, Point]
    ground: tuple[Point, Point, Point, Point]


class RetentionPolicy(Noun, frozen=True):
    """How long this camera's recordings stay; None means as the configuration says.

    max_gb: of 10^9 bytes; the oldest that is not held goes first.
    """

    max_age_days: Annotated[float, msgspec.Meta(gt=0)] | None = None
    max_gb: Annotated[float, msgspec.Meta(gt=0)] | None = None


class CameraSetup(Noun, frozen=True):
    """Everything that the city has decided about a camera, except its account.

    url: main stream: rtsp://, rtsps://, file:///FILE-OR-FOLDER, or simulator:///PATH for the simulated city.
    sub_url: a smaller stream of the same picture, to watch and show; empty when there is none.
    onvif_url: the ONVIF device service, for the camera's own events; empty when not wanted.
    audio: record sound too; counts only where the configuration allows sound at all.
    blur_persons: people are made unrecognisable for everybody without the right to unmask.
    enabled: a camera that is not is neither connected nor recorded, and keeps its recordings.
    shard: which video process of the installation serves it.
    """

    id: str
    name: str
    place: Place
    url: str
    sub_url: str = ""
    transport: Transport = Transport.TCP
    onvif_url: str = ""
    heading_deg: float = 0.0
    field_of_view_deg: float = 60.0
    rules: tuple[VideoRule, ...] = ()
    masks: tuple[Mask, ...] = ()
    blur_persons: bool = True
    calibration: Calibration | None = None
    retention: RetentionPolicy = RetentionPolicy()
    audio: bool = False
    enabled: bool = True
    simulated: bool = False
    shard: Annotated[int, msgspec.Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        """Refuse an id that is no safe name of a file or subject, addresses with an account, double names."""
        if not ID.fullmatch(self.id):
            raise Invalid("a camera's id has 1 to 64 letters, digits, hyphens or underscores")
        _check_url(self.id, self.url, simulated=self.simulated)
        if self.sub_url:
            _check_url(self.id, self.sub_url, simulated=self.simulated)
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise Invalid(f"two rules of camera {self.id} have the same name; give each its own")

    def public(self) -> Camera:
        """Return the camera as people may see it."""
        return Camera(
            id=self.id,
            name=self.name,
            place=self.place,
            heading_deg=self.heading_deg,
            field_of_view_deg=self.field_of_view_deg,
            simulated=self.simulated,
        )


class Hold(Noun, frozen=True):
    """Recordings that must not be deleted: of one camera, from `start` to `end`, until it is released.

    incident_id: what they are kept for, empty when it is not an incident.
    """

    id: str
    camera_id: str
    start: datetime
    end: datetime
    reason: str
    by: str
    at: datetime
    incident_id: str = ""
    released_at: datetime | None = None
    released_by: str = ""

    @property
    def is_standing(self) -> bool:
        """Whether it was not released yet."""
        return self.released_at is None


def _check_url(camera_id: str, url: str, *, simulated: bool) -> None:
    parts = urlsplit(url)
    # A password with a slash ends the host part early: look for its @ in all that follows too.
    if "@" in url.partition("?")[0] and parts.scheme != "file":
        raise Invalid(f"the address of camera {camera_id} must not hold an account; use user and password")
    if parts.scheme in {"rtsp", "rtsps"} and parts.hostname:
        return
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return
    if parts.scheme == "simulator" and simulated and parts.path.startswith("/"):
        return
    raise Invalid(f"the address of camera {camera_id} must look like rtsp://HOST[:PORT]/PATH or file:///FILE")
