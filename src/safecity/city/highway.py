"""What OpenStreetMap's highway tags mean for an emergency vehicle: class, direction, speed, access."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class RoadClass(IntEnum):
    """Classes of drivable road, from the most to the least important. Stored as one byte an arc."""

    MOTORWAY = 0
    TRUNK = 1
    PRIMARY = 2
    SECONDARY = 3
    TERTIARY = 4
    UNCLASSIFIED = 5
    RESIDENTIAL = 6
    LIVING_STREET = 7
    SERVICE = 8


_C = RoadClass

CLASS_AND_SPEED_KMH: Final[Mapping[str, tuple[RoadClass, float]]] = MappingProxyType(
    {
        "motorway": (_C.MOTORWAY, 90.0),
        "motorway_link": (_C.MOTORWAY, 45.0),
        "trunk": (_C.TRUNK, 85.0),
        "trunk_link": (_C.TRUNK, 40.0),
        "primary": (_C.PRIMARY, 65.0),
        "primary_link": (_C.PRIMARY, 30.0),
        "secondary": (_C.SECONDARY, 55.0),
        "secondary_link": (_C.SECONDARY, 25.0),
        "tertiary": (_C.TERTIARY, 40.0),
        "tertiary_link": (_C.TERTIARY, 20.0),
        "unclassified": (_C.UNCLASSIFIED, 25.0),
        "road": (_C.UNCLASSIFIED, 25.0),
        "residential": (_C.RESIDENTIAL, 25.0),
        "living_street": (_C.LIVING_STREET, 10.0),
        "service": (_C.SERVICE, 15.0),
    }
)
"""Speeds really driven where no limit is mapped, in km/h: the car profile of OSRM (profiles/car.lua)."""

LIMIT_SHARE: Final = 0.8
"""Share of a mapped limit that is really driven on average: `speed_reduction` of OSRM's car profile."""

SIGNAL_DELAY_S: Final = 2.0
"""Mean delay at a traffic signal in normal driving: `traffic_light_penalty` of OSRM's car profile."""

URGENT_TIME_SHARE: Final = 0.8
"""Travel time with lights and sirens as a share of normal driving.

Published savings lie between 1.7 and 3.6 minutes a journey (Murray and Kue, Prehospital and Disaster Medicine
32(2), 2017); a fifth is at their cautious end for a ten-minute journey. With `LIMIT_SHARE` it means: the
limit itself is driven. A city replaces it by its own recorded journeys.
"""

PRIVATE_SPEED_SHARE: Final = 0.5
"""A private or customers' road counts as half as fast, so that it serves as access and not as a short cut."""

_SLOW_SERVICE_KMH: Final = 10.0
_SLOW_SERVICE: Final = frozenset({"parking_aisle", "driveway", "drive-through", "alley"})
_MIN_KMH: Final = 5.0
_MAX_KMH: Final = 130.0
_KMH_PER_MPH: Final = 1.609344

_ZONE_KMH: Final[Mapping[str, float]] = MappingProxyType(
    {"urban": 50.0, "rural": 90.0, "motorway": 120.0, "trunk": 100.0, "living_street": 20.0, "walk": 7.0}
)
"""Limits behind values like "RU:urban": the commonest national value (OpenStreetMap wiki, Speed limits)."""

_ACCESS_KEYS: Final = ("motorcar", "motor_vehicle", "vehicle", "access")
_CLOSED: Final = frozenset({"no", "agricultural", "forestry", "agricultural;forestry"})
_PRIVATE: Final = frozenset({"private", "customers", "delivery", "permit"})
_OPEN: Final = frozenset({"yes", "designated", "permissive"})
_ONE_WAY: Final = frozenset({"yes", "true", "1"})
_BLOCKING_BARRIERS: Final = frozenset(
    {
        "bollard",
        "block",
        "jersey_barrier",
        "debris",
        "log",
        "cycle_barrier",
        "motorcycle_barrier",
        "turnstile",
    }
)


class Drivable(NamedTuple):
    """A drivable way: speeds in km/h along and against its drawing direction; 0 means not allowed."""

    road_class: RoadClass
    forward_kmh: float
    backward_kmh: float


def drivable(tags: Mapping[str, str]) -> Drivable | None:
    """Return how an emergency vehicle uses the way with these tags, or None when it does not.

    Footways, tracks and closed roads are out; `emergency=yes` and bus lanes are in.
    """
    known = CLASS_AND_SPEED_KMH.get(tags.get("highway", ""))
    if known is None or tags.get("area") == "yes":
        return None
    road_class, default_kmh = known
    access = _access(tags)
    if access in _CLOSED and not _special_access(tags):
        return None
    if tags.get("service") in _SLOW_SERVICE:
        default_kmh = _SLOW_SERVICE_KMH
    share = PRIVATE_SPEED_SHARE if access in _PRIVATE else 1.0
    forward = share * _speed_kmh(tags, "forward", default_kmh)
    backward = share * _speed_kmh(tags, "backward", default_kmh)
    direction = _direction(tags)
    return Drivable(road_class, forward if direction >= 0 else 0.0, backward if direction <= 0 else 0.0)


def blocks_vehicles(tags: Mapping[str, str]) -> bool:
    """Return whether a node with these tags cannot be passed by a fire engine."""
    if tags.get("barrier") not in _BLOCKING_BARRIERS:
        return False
    return _access(tags) not in _OPEN and tags.get("emergency") not in _OPEN


def limit_kmh(text: str | None) -> float | None:
    """Return the speed that a `maxspeed` value means in km/h, or None when it says nothing usable."""
    if not text:
        return None
    value = text.split(";")[0].strip().lower()
    if value == "none":
        return _ZONE_KMH["motorway"]
    zone = _ZONE_KMH.get(value.rpartition(":")[2])
    if zone is not None:
        return zone
    number, _, unit = value.partition(" ")
    if number.endswith("mph"):
        number, unit = number.removesuffix("mph"), "mph"
    if not number.isdecimal() or int(number) == 0:
        return None
    return int(number) * (_KMH_PER_MPH if unit == "mph" else 1.0)


def _access(tags: Mapping[str, str]) -> str:
    return next((tags[key] for key in _ACCESS_KEYS if key in tags), "")


def _special_access(tags: Mapping[str, str]) -> bool:
    return any(tags.get(key) in _OPEN for key in ("emergency", "bus", "psv"))


def _speed_kmh(tags: Mapping[str, str], side: str, default_kmh: float) -> float:
    limit = limit_kmh(tags.get(f"maxspeed:{side}")) or limit_kmh(tags.get("maxspeed"))
    if limit is None:
        return default_kmh
    return min(max(LIMIT_SHARE * limit, _MIN_KMH), _MAX_KMH)


def _direction(tags: Mapping[str, str]) -> int:
    """Return 1 for along the way only, -1 for against it only, 0 for both."""
    oneway = tags.get("oneway", "")
    if oneway in {"-1", "reverse"}:
        return -1
    if oneway in _ONE_WAY:
        return 1
    if oneway == "no":
        return 0
    implied = tags.get("junction") in {"roundabout", "circular"} or tags.get("highway") == "motorway"
    return 1 if implied else 0
