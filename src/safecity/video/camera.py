"""A camera as the video rooms need it: address, account, place, and the zones drawn on its picture."""

import re
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlsplit

from safecity.errors import Invalid
from safecity.model.base import Noun, Place
from safecity.model.source import Camera

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ObjectClass(StrEnum):
    """What is looked for. Kinds of things, never who they are."""

    PERSON = "person"
    BICYCLE = "bicycle"
    CAR = "car"
    MOTORCYCLE = "motorcycle"
    BUS = "bus"
    TRUCK = "truck"


CLASSES: Final = tuple(ObjectClass)
"""The order of class numbers in arrays of detections and tracks."""


class Zone(Noun, frozen=True):
    """An area of the picture that something must not enter.

    polygon: corners (x, y) from 0,0 at the top left to 1,1 at the bottom right, in order around the area.
    min_dwell_s: how long the foot point must be inside before it counts.
    min_travel: how far the object must have moved since it was first seen, in picture heights; a poster or a
    parked car never has.
    cool_down_s: after an event, further entries within this time are counted and raise nothing.
    """

    name: str
    polygon: tuple[tuple[float, float], ...]
    classes: tuple[ObjectClass, ...] = (ObjectClass.PERSON,)
    min_dwell_s: float = 0.8
    min_travel: float = 0.03
    cool_down_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what is not an area of the picture."""
        if len(self.polygon) < 3:
            raise Invalid(f"zone '{self.name}' needs three corners or more")
        if any(not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0) for x, y in self.polygon):
            raise Invalid(f"zone '{self.name}' must lie in the picture: corners from 0,0 to 1,1")
        if min(self.min_dwell_s, self.min_travel, self.cool_down_s) < 0:
            raise Invalid(f"zone '{self.name}' has a negative min_dwell_s, min_travel or cool_down_s")


class CameraConfig(Noun, frozen=True):
    """How one camera is reached and watched. `password` never leaves the video rooms and is in no repr."""

    id: str
    name: str
    url: str
    place: Place
    user: str = ""
    password: str = ""
    zones: tuple[Zone, ...] = ()
    heading_deg: float = 0.0
    field_of_view_deg: float = 60.0
    simulated: bool = False

    def __post_init__(self) -> None:
        """Refuse an id that is no safe name of a file or subject, and an address with an account in it."""
        if not _ID.fullmatch(self.id):
            raise Invalid("a camera's id has 1 to 64 letters, digits, hyphens or underscores")
        parts = urlsplit(self.url)
        if parts.scheme not in {"rtsp", "rtsps"} or not parts.hostname:
            raise Invalid(f"the address of camera {self.id} must look like rtsp://HOST[:PORT]/PATH")
        # A password with a slash ends the host part early: look for its @ in all that follows too.
        if "@" in self.url.partition("?")[0]:
            raise Invalid(f"the address of camera {self.id} must not hold an account; use user and password")

    def __repr__(self) -> str:
        """Name the camera without its address and account."""
        return f"CameraConfig(id={self.id!r}, name={self.name!r})"

    def address(self) -> str:
        """Return the address with the account in it, only for the hands of FFmpeg."""
        if not self.user:
            return self.url
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{rest}"

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
