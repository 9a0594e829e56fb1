"""Units of the agencies and their assignments to incidents."""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from safecity.model.base import Agency, Noun, Place, Reason


class Capability(StrEnum):
    """What a unit can do; run cards ask for these."""

    ENGINE = "engine"
    LADDER = "ladder"
    RESCUE = "rescue"
    AMBULANCE = "ambulance"
    EMERGENCY_DOCTOR = "emergency_doctor"
    PATROL = "patrol"


class UnitState(StrEnum):
    """What a unit is doing."""

    AVAILABLE = "available"
    DISPATCHED = "dispatched"
    EN_ROUTE = "en_route"
    ON_SCENE = "on_scene"
    OUT_OF_SERVICE = "out_of_service"
    OFF_DUTY = "off_duty"


class UnitCommand(StrEnum):
    """What a unit can be told or can say."""

    ASSIGN = "assign"
    DEPART = "depart"
    ARRIVE = "arrive"
    CLEAR = "clear"
    CANCEL = "cancel"
    STAND_DOWN = "stand_down"
    STAND_UP = "stand_up"
    SIGN_OFF = "sign_off"
    SIGN_ON = "sign_on"


_S, _C = UnitState, UnitCommand

UNIT_TRANSITIONS: Final = MappingProxyType(
    {
        (_S.AVAILABLE, _C.ASSIGN): _S.DISPATCHED,
        (_S.AVAILABLE, _C.STAND_DOWN): _S.OUT_OF_SERVICE,
        (_S.AVAILABLE, _C.SIGN_OFF): _S.OFF_DUTY,
        (_S.DISPATCHED, _C.DEPART): _S.EN_ROUTE,
        (_S.DISPATCHED, _C.ARRIVE): _S.ON_SCENE,
        (_S.DISPATCHED, _C.CANCEL): _S.AVAILABLE,
        (_S.EN_ROUTE, _C.ARRIVE): _S.ON_SCENE,
        (_S.EN_ROUTE, _C.CANCEL): _S.AVAILABLE,
        (_S.ON_SCENE, _C.CLEAR): _S.AVAILABLE,
        (_S.OUT_OF_SERVICE, _C.STAND_UP): _S.AVAILABLE,
        (_S.OUT_OF_SERVICE, _C.SIGN_OFF): _S.OFF_DUTY,
        (_S.OFF_DUTY, _C.SIGN_ON): _S.AVAILABLE,
    }
)
"""Every allowed (state, command); all others are refused."""


class AssignmentState(StrEnum):
    """Where one unit's work on one incident stands."""

    DISPATCHED = "dispatched"
    EN_ROUTE = "en_route"
    ON_SCENE = "on_scene"
    CLEARED = "cleared"
    CANCELLED = "cancelled"


_A = AssignmentState

ASSIGNMENT_TRANSITIONS: Final = MappingProxyType(
    {
        (_A.DISPATCHED, _C.DEPART): _A.EN_ROUTE,
        (_A.DISPATCHED, _C.ARRIVE): _A.ON_SCENE,
        (_A.DISPATCHED, _C.CANCEL): _A.CANCELLED,
        (_A.EN_ROUTE, _C.ARRIVE): _A.ON_SCENE,
        (_A.EN_ROUTE, _C.CANCEL): _A.CANCELLED,
        (_A.ON_SCENE, _C.CLEAR): _A.CLEARED,
    }
)
"""Every allowed (state, command) of an assignment; all others are refused."""


class Unit(Noun, frozen=True):
    """A vehicle with its crew. Its position is telemetry and lives apart."""

    id: str
    call_sign: str
    agency: Agency
    capabilities: tuple[Capability, ...]
    station_id: str
    home: Place
    state: UnitState = UnitState.AVAILABLE
    state_since: datetime | None = None
    assignment_id: str = ""
    incident_id: str = ""
    simulated: bool = False


class Fix(Noun, frozen=True):
    """Where a unit was last seen. speed_mps in metres per second; heading_deg clockwise from north."""

    unit_id: str
    lon: float
    lat: float
    speed_mps: float
    heading_deg: float
    fix_time: datetime


class Assignment(Noun, frozen=True):
    """One unit's work on one incident; a new dispatch is a new assignment, an old one is never reused."""

    id: str
    incident_id: str
    unit_id: str
    call_sign: str
    state: AssignmentState
    dispatched_at: datetime
    dispatched_by: str
    reason: Reason
    place: Place
    expected_travel_s: float | None = None
    en_route_at: datetime | None = None
    on_scene_at: datetime | None = None
    cleared_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether the unit is still bound by it."""
        return self.state not in (AssignmentState.CLEARED, AssignmentState.CANCELLED)


class Pick(Noun, frozen=True):
    """One recommended unit."""

    unit_id: str
    call_sign: str
    agency: Agency
    capability: Capability
    travel_time_s: float
    distance_m: float
    reason: Reason


class Shortfall(Noun, frozen=True):
    """A capability that the run card asks for and no unit can bring now."""

    capability: Capability
    reason: Reason


class Recommendation(Noun, frozen=True):
    """What the dispatch room advises for an incident; the decision is the dispatcher's."""

    incident_id: str
    picks: tuple[Pick, ...]
    shortfalls: tuple[Shortfall, ...]
    computed_at: datetime
    compute_ms: float
