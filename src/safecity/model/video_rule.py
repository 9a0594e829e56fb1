"""What a camera's picture is watched for: event rules, drawn on the picture. Events, never identities.

Points of the picture are (x, y) from 0,0 at the top left to 1,1 at the bottom right. Lengths in the picture
are shares of its height, both across and down, so that they mean the same at every resolution. Headings in
the picture are degrees clockwise from up: 0 up, 90 to the right, 180 down, 270 to the left.
"""

from enum import StrEnum
from typing import Final

from safecity.errors import Invalid
from safecity.model.base import Noun
from safecity.model.picture_geometry import Point, check_line, check_polygon

__all__ = ["Point", "check_polygon"]


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


class Direction(StrEnum):
    """Which way a line is crossed, for somebody who looks from its start to its end.

    Forward is from the left hand to the right hand, as the picture shows them.
    """

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


class _Area(Noun, frozen=True):
    """A rule on an area of the picture. polygon: corners in order around the area."""

    name: str
    polygon: tuple[Point, ...]

    def __post_init__(self) -> None:
        """Refuse what is not an area of the picture, and a name that nobody can read."""
        _check_name(self.name)
        check_polygon(f"zone '{self.name}'", self.polygon)

    def _not_negative(self, *fields: str) -> None:
        _check_not_negative(f"zone '{self.name}'", self, fields)


class ZoneIntrusion(_Area, frozen=True, tag_field="kind", tag="zone_intrusion"):
    """An area of the picture that something must not enter.

    min_dwell_s: how long the foot point must be inside before it counts.
    min_travel: how far the object must have moved since it was first seen, in picture heights; a poster or a
    parked car never has.
    cool_down_s: after an event, further entries within this time are counted and raise nothing.
    """

    classes: tuple[ObjectClass, ...] = (ObjectClass.PERSON,)
    min_dwell_s: float = 0.8
    min_travel: float = 0.03
    cool_down_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what is not an area of the picture."""
        _Area.__post_init__(self)
        _check_classes(self.name, self.classes)
        self._not_negative("min_dwell_s", "min_travel", "cool_down_s")


class LineCrossing(Noun, frozen=True, tag_field="kind", tag="line_crossing"):
    """A line that something crosses, and which way.

    start, end: the drawn line. direction: which crossings are events; the others are counted all the same.
    min_angle_deg: between the way of the object and the line; who walks along the line does not cross it.
    min_travel: how far the object must have moved since it was first seen, in picture heights.
    cool_down_s: after an event, further crossings within this time are counted and raise nothing.
    """

    name: str
    start: Point
    end: Point
    direction: Direction = Direction.BOTH
    classes: tuple[ObjectClass, ...] = tuple(ObjectClass)
    min_angle_deg: float = 20.0
    min_travel: float = 0.05
    cool_down_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what is no line of the picture and an angle that nothing or everything has."""
        _check_name(self.name)
        what = f"line '{self.name}'"
        check_line(what, self.start, self.end)
        _check_classes(self.name, self.classes)
        _check_not_negative(what, self, ("min_travel", "cool_down_s"))
        if not 0.0 <= self.min_angle_deg <= 80.0:
            raise Invalid(f"{what} needs a min_angle_deg between 0 and 80")


class WrongWay(_Area, frozen=True, tag_field="kind", tag="wrong_way"):
    """An area in which vehicles may only move one way.

    heading_deg: the allowed way in the picture, clockwise from up.
    tolerance_deg: what heads farther from it than this goes the wrong way.
    min_travel: how far it must have gone wrong inside the area, in picture heights.
    """

    heading_deg: float
    tolerance_deg: float = 110.0
    classes: tuple[ObjectClass, ...] = (*VEHICLES, ObjectClass.BICYCLE)
    min_travel: float = 0.12
    cool_down_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what is not an area, or a heading or tolerance that is none."""
        _Area.__post_init__(self)
        _check_classes(self.name, self.classes)
        self._not_negative("min_travel", "cool_down_s")
        if not 0.0 <= self.heading_deg < 360.0:
            raise Invalid(f"zone '{self.name}' needs a heading_deg from 0 (up) clockwise to under 360")
        if not 30.0 <= self.tolerance_deg <= 170.0:
            raise Invalid(f"zone '{self.name}' needs a tolerance_deg between 30 and 170")


class StoppedVehicle(_Area, frozen=True, tag_field="kind", tag="stopped_vehicle"):
    """An area in which no vehicle may stand, such as a shoulder, a tunnel or a fire lane.

    min_still_s: how long it must stand. must_arrive: only vehicles that were seen moving count; one that
    stood there when the watch began does not.
    """

    min_still_s: float = 20.0
    classes: tuple[ObjectClass, ...] = VEHICLES
    must_arrive: bool = True

    def __post_init__(self) -> None:
        """Refuse what is not an area, and a time in which any vehicle stands."""
        _Area.__post_init__(self)
        _check_classes(self.name, self.classes)
        if not self.min_still_s >= 1.0:
            raise Invalid(f"zone '{self.name}' needs a min_still_s of 1 s or more")


class Congestion(_Area, frozen=True, tag_field="kind", tag="congestion"):
    """An area where vehicles back up: many of them, and slow.

    min_vehicles: slow vehicles in the area at once. max_speed_mps: slow, where the camera is calibrated.
    max_speed: slow, where it is not: picture heights a second. min_queue_m: from the first to the last of
    them, where the camera is calibrated; 0: any length.
    min_duration_s: how long it must last. end_share: it ends when fewer than this share of min_vehicles are
    slow for as long.
    """

    min_vehicles: int = 5
    max_speed_mps: float = 2.8
    max_speed: float = 0.03
    min_queue_m: float = 0.0
    min_duration_s: float = 20.0
    end_share: float = 0.6
    classes: tuple[ObjectClass, ...] = VEHICLES

    def __post_init__(self) -> None:
        """Refuse what is not an area, and limits that cannot work together."""
        _Area.__post_init__(self)
        _check_classes(self.name, self.classes)
        self._not_negative("max_speed_mps", "max_speed", "min_queue_m", "min_duration_s")
        if self.min_vehicles < 2:
            raise Invalid(f"zone '{self.name}' needs min_vehicles of 2 or more; one vehicle is no queue")
        _check_end_share(self.name, self.end_share)


class Crowd(_Area, frozen=True, tag_field="kind", tag="crowd"):
    """An area where too many people gather, or gather too fast.

    min_persons: people in the area at once. min_per_m2: instead, people a square metre, where the camera is
    calibrated; 0: count people. rise_per_min: people more within a minute that are an event of their own,
    from half the threshold on; 0: the rise does not matter.
    min_duration_s: how long it must last. end_share: it ends below this share of the threshold.
    """

    min_persons: int = 10
    min_per_m2: float = 0.0
    rise_per_min: float = 0.0
    min_duration_s: float = 5.0
    end_share: float = 0.7

    def __post_init__(self) -> None:
        """Refuse what is not an area, and limits that cannot work together."""
        _Area.__post_init__(self)
        self._not_negative("min_per_m2", "rise_per_min", "min_duration_s")
        if self.min_persons < 2:
            raise Invalid(f"zone '{self.name}' needs min_persons of 2 or more; one person is no crowd")
        _check_end_share(self.name, self.end_share)


class ObjectLeft(_Area, frozen=True, tag_field="kind", tag="object_left"):
    """An area where nothing may be left behind.

    min_still_s: how long it must lie there without being a person or a vehicle, after somebody was there.
    min_size, max_size: of its box's longer side, in picture heights.
    """

    min_still_s: float = 30.0
    min_size: float = 0.03
    max_size: float = 0.4

    def __post_init__(self) -> None:
        """Refuse what is not an area, and sizes that nothing has."""
        _Area.__post_init__(self)
        if not self.min_still_s >= 5.0:
            raise Invalid(f"zone '{self.name}' needs a min_still_s of 5 s or more")
        if not 0.01 <= self.min_size < self.max_size <= 1.0:
            raise Invalid(f"zone '{self.name}' needs sizes with 0.01 <= min_size < max_size <= 1")


class CameraHealth(Noun, frozen=True, tag_field="kind", tag="camera_health"):
    """Whether the camera itself still sees: on for every camera, named only to change or switch it off.

    covered, moved, defocused, frozen: what is looked for. The times: how long it must last.
    """

    name: str = "camera health"
    covered: bool = True
    moved: bool = True
    defocused: bool = True
    frozen: bool = True
    covered_s: float = 8.0
    moved_s: float = 12.0
    defocused_s: float = 12.0
    frozen_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse times in which a passing lorry or a headlight would count."""
        _check_name(self.name)
        if not min(self.covered_s, self.moved_s, self.defocused_s, self.frozen_s) >= 2.0:
            raise Invalid(
                f"rule '{self.name}' needs times of 2 s or more: covered_s, moved_s, defocused_s, frozen_s"
            )


class SmokeFlame(_Area, frozen=True, tag_field="kind", tag="smoke_flame"):
    """An area where smoke or flame is looked for by how its pixels change. Experimental: wakes nobody.

    min_duration_s: how long it must last. min_size: share of the picture's area that it must cover.
    """

    smoke: bool = True
    flame: bool = True
    min_duration_s: float = 4.0
    min_size: float = 0.002

    def __post_init__(self) -> None:
        """Refuse what is not an area, and limits that every flicker passes."""
        _Area.__post_init__(self)
        if not self.min_duration_s >= 1.0:
            raise Invalid(f"zone '{self.name}' needs a min_duration_s of 1 s or more")
        if not 0.0005 <= self.min_size <= 0.5:
            raise Invalid(f"zone '{self.name}' needs a min_size between 0.0005 and 0.5 of the picture")


VideoRule = (
    ZoneIntrusion
    | LineCrossing
    | WrongWay
    | StoppedVehicle
    | Congestion
    | Crowd
    | ObjectLeft
    | CameraHealth
    | SmokeFlame
)
"""All rules; a tagged union, so that a file says kind = "zone_intrusion"."""


def _check_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= 64:
        raise Invalid("a video rule needs a name of 1 to 64 letters")


def _check_classes(name: str, classes: tuple[ObjectClass, ...]) -> None:
    if not classes:
        raise Invalid(f"rule '{name}' names no classes; say what it looks for, such as person or car")


def _check_not_negative(what: str, rule: Noun, fields: tuple[str, ...]) -> None:
    if not all(0.0 <= getattr(rule, field) < float("inf") for field in fields):
        words = ", ".join(fields[:-1]) + (" or " if fields[1:] else "") + fields[-1]
        raise Invalid(f"{what} has a negative {words}")


def _check_end_share(name: str, share: float) -> None:
    if not 0.1 <= share <= 0.95:
        raise Invalid(f"zone '{name}' needs an end_share between 0.1 and 0.95, or the event chatters")
