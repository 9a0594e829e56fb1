"""What a camera's picture is watched for: event rules, drawn on the picture. Events, never identities."""

from enum import StrEnum
from typing import Final

from safecity.errors import Invalid
from safecity.model.base import Noun

Point = tuple[float, float]


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
VEHICLES: Final = (ObjectClass.CAR, ObjectClass.MOTORCYCLE, ObjectClass.BUS, ObjectClass.TRUCK)


class VideoEventKind(StrEnum):
    """What can happen in a picture, by the property that its observation has on the bus."""

    ZONE_INTRUSION = "zone_intrusion"
    LINE_CROSSING = "line_crossing"
    WRONG_WAY = "wrong_way"
    STOPPED_VEHICLE = "stopped_vehicle"
    CONGESTION = "congestion"
    CROWD = "crowd"
    OBJECT_LEFT = "object_left"
    CAMERA_COVERED = "camera_covered"
    CAMERA_MOVED = "camera_moved"
    CAMERA_DEFOCUSED = "camera_defocused"
    CAMERA_FROZEN = "camera_frozen"
    SMOKE = "smoke"
    FLAME = "flame"


class ZoneIntrusion(Noun, frozen=True, tag_field="kind", tag="zone_intrusion"):
    """An area of the picture that something must not enter.

    polygon: corners in order around the area.
    min_dwell_s: how long the foot point must be inside before it counts.
    min_travel: how far the object must have moved since it was first seen, in picture heights; a poster or a
    parked car never has.
    cool_down_s: after an event, further entries within this time are counted and raise nothing.
    """

    name: str
    polygon: tuple[Point, ...]
    classes: tuple[ObjectClass, ...] = (ObjectClass.PERSON,)
    min_dwell_s: float = 0.8
    min_travel: float = 0.03
    cool_down_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what is not an area of the picture."""
        check_polygon(f"zone '{self.name}'", self.polygon)
        if min(self.min_dwell_s, self.min_travel, self.cool_down_s) < 0:
            raise Invalid(f"zone '{self.name}' has a negative min_dwell_s, min_travel or cool_down_s")


VideoRule = ZoneIntrusion
"""All rules; a tagged union, so that a file says kind = "zone_intrusion"."""


def check_polygon(what: str, polygon: tuple[Point, ...]) -> None:
    """Refuse what is not an area of the picture. Raises Invalid."""
    if len(polygon) < 3:
        raise Invalid(f"{what} needs three corners or more")
    if any(not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0) for x, y in polygon):
        raise Invalid(f"{what} must lie in the picture: corners from 0,0 to 1,1")
