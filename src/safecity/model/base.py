"""What every noun shares: the struct base, identifiers, places and reasons."""

import hashlib
import math
from datetime import datetime
from enum import IntEnum, StrEnum

import msgspec
from ulid import ULID

from safecity.clock import Clock

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius R1 = (2a + b) / 3 of the WGS 84 ellipsoid (Moritz, Geodetic Reference System 1980)."""


class Noun(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every entity and message: frozen, keyword-only, whole on the wire."""


class Priority(IntEnum):
    """How soon a person must look; 1 is the most urgent. Set by explained rules, always overridable."""

    CRITICAL = 1
    HIGH = 2
    MEDIUM = 3
    LOW = 4
    INFO = 5


class Agency(StrEnum):
    """Who owns a unit or an incident."""

    FIRE = "fire"
    AMBULANCE = "ambulance"
    POLICE = "police"
    CITY = "city"


class Place(Noun, frozen=True):
    """Where something is: WGS 84 degrees, with the stated uncertainty and words for people.

    `uncertainty_m` is the radius that holds the true place with 95 % (ETSI TS 103 625 states AML that way).
    """

    lon: float
    lat: float
    uncertainty_m: float = 0.0
    text: str = ""

    def __post_init__(self) -> None:
        """Refuse what is not on Earth."""
        if not (-180.0 <= self.lon <= 180.0 and -90.0 <= self.lat <= 90.0):
            raise ValueError(f"lon {self.lon} and lat {self.lat} must be degrees: lon -180..180, lat -90..90")
        if not (self.uncertainty_m >= 0.0 and math.isfinite(self.uncertainty_m)):
            raise ValueError("uncertainty_m must be 0 or more metres")


class ReasonCode(StrEnum):
    """Why the system says something. The console has words for each in uz, ru and en."""

    THRESHOLD_ABOVE = "threshold_above"
    THRESHOLD_BELOW = "threshold_below"
    SILENT = "silent"
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
    VIDEO_SMOKE = "video_smoke"
    VIDEO_FLAME = "video_flame"
    CAMERA_LOST = "camera_lost"
    CALL_REPORTED = "call_reported"
    MANUAL = "manual"
    LINKED_NEAR = "linked_near"
    LINKED_SAME_SOURCE = "linked_same_source"
    LINKED_BY_HAND = "linked_by_hand"
    PRIORITY_RULE = "priority_rule"
    PRIORITY_BY_HAND = "priority_by_hand"
    FIRST_REPORT = "first_report"
    CLOSEST_BY_ROAD = "closest_by_road"
    ONLY_CAPABLE = "only_capable"
    NO_UNIT_AVAILABLE = "no_unit_available"
    NO_ROUTE = "no_route"
    STALE_POSITION = "stale_position"
    OVERRIDDEN = "overridden"


class Reason(Noun, frozen=True):
    """Why, once for machines (`code`, `params`) and once in an English sentence (`text`)."""

    code: ReasonCode
    params: dict[str, float | str] = msgspec.field(default_factory=dict)
    text: str = ""


def new_id(clock: Clock) -> str:
    """Return a new ULID of 26 characters that sorts by time (github.com/ulid/spec)."""
    return str(ULID.from_datetime(clock.now()))


def derived_id(*parts: str) -> str:
    """Return the same 26-character ULID-shaped id for the same parts, so that a repeat is recognised.

    The first 128 bits of BLAKE2b over the parts, joined by a byte that no part contains.
    """
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()
    return str(ULID.from_bytes(bytes([digest[0] & 0x7F]) + digest[1:]))


def distance_m(a_lon: float, a_lat: float, b_lon: float, b_lat: float) -> float:
    """Return the great-circle distance in metres between two WGS 84 points in degrees.

    Haversine formula (Sinnott, Sky & Telescope 68, 1984), on the mean Earth radius: error below 0.6 %.
    """
    phi_a, phi_b = math.radians(a_lat), math.radians(b_lat)
    half_dphi = (phi_b - phi_a) / 2
    half_dlambda = math.radians(b_lon - a_lon) / 2
    h = math.sin(half_dphi) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(half_dlambda) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(h)))


def utc_text(moment: datetime) -> str:
    """Return `moment` as RFC 3339 text in UTC with milliseconds, the one form used in journal and logs."""
    if moment.tzinfo is None:
        raise ValueError("times are aware; give the moment a time zone")
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
