"""What a person works on, and the alarms that belong to it."""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from safecity.model.base import Agency, Noun, Place, Priority, Reason
from safecity.model.observation import ObservationKind


class IncidentType(StrEnum):
    """What sort of incident it is; response plans and run cards hang on it."""

    FIRE_BUILDING = "fire_building"
    FIRE_OTHER = "fire_other"
    GAS = "gas"
    MEDICAL = "medical"
    TRAFFIC_COLLISION = "traffic_collision"
    CRIME = "crime"
    INTRUSION = "intrusion"
    FLOOD = "flood"
    AIR_QUALITY = "air_quality"
    NOISE = "noise"
    HEAT = "heat"
    DEVICE_FAULT = "device_fault"
    TRAFFIC = "traffic"
    CROWD = "crowd"
    OTHER = "other"


class IncidentState(StrEnum):
    """Where the work on an incident stands."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    DISPATCHED = "dispatched"
    ON_SCENE = "on_scene"
    CLEARED = "cleared"
    CLOSED = "closed"


class IncidentCommand(StrEnum):
    """What can be done to an incident."""

    ACKNOWLEDGE = "acknowledge"
    DISPATCH = "dispatch"
    ARRIVE = "arrive"
    CLEAR = "clear"
    CLOSE = "close"
    REOPEN = "reopen"
    LINK = "link"
    PRIORITISE = "prioritise"
    NOTE = "note"


_I, _D = IncidentState, IncidentCommand
_WORKED_ON = (_I.NEW, _I.ACKNOWLEDGED, _I.DISPATCHED, _I.ON_SCENE, _I.CLEARED)

INCIDENT_TRANSITIONS: Final = MappingProxyType(
    {
        (_I.NEW, _D.ACKNOWLEDGE): _I.ACKNOWLEDGED,
        (_I.NEW, _D.DISPATCH): _I.DISPATCHED,
        (_I.ACKNOWLEDGED, _D.DISPATCH): _I.DISPATCHED,
        (_I.ACKNOWLEDGED, _D.CLOSE): _I.CLOSED,
        (_I.DISPATCHED, _D.DISPATCH): _I.DISPATCHED,
        (_I.DISPATCHED, _D.ARRIVE): _I.ON_SCENE,
        (_I.DISPATCHED, _D.CLEAR): _I.CLEARED,
        (_I.ON_SCENE, _D.DISPATCH): _I.ON_SCENE,
        (_I.ON_SCENE, _D.ARRIVE): _I.ON_SCENE,
        (_I.ON_SCENE, _D.CLEAR): _I.CLEARED,
        (_I.CLEARED, _D.DISPATCH): _I.DISPATCHED,
        (_I.CLEARED, _D.CLOSE): _I.CLOSED,
        (_I.CLOSED, _D.REOPEN): _I.ACKNOWLEDGED,
        **{(state, command): state for state in _WORKED_ON for command in (_D.LINK, _D.PRIORITISE, _D.NOTE)},
    }
)
"""Every allowed (state, command); all others are refused."""


class Disposition(StrEnum):
    """What an incident turned out to be; asked on close, the ground of each source's precision."""

    REAL = "real"
    FALSE = "false"
    TEST = "test"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"


class Alarm(Noun, frozen=True):
    """One rule's word on one source. Immutable once raised; `incident_id` is fusion's proposal."""

    id: str
    rule_id: str
    source_id: str
    source_name: str
    observation_id: str
    observation_kind: ObservationKind
    type: IncidentType
    priority: Priority
    priority_reason: Reason
    reason: Reason
    place: Place
    event_time: datetime
    receive_time: datetime
    raised_at: datetime
    action_text: str
    response_time_s: float
    agencies: tuple[Agency, ...]
    incident_id: str
    link_reason: Reason
    simulated: bool = False


class Link(Noun, frozen=True):
    """That an alarm or a call belongs to an incident, and why."""

    alarm_id: str
    source_id: str
    source_name: str
    observation_kind: ObservationKind
    at: datetime
    reason: Reason


class Incident(Noun, frozen=True):
    """Something that a person must handle. `number` is what people say ("2026-0412")."""

    id: str
    number: str
    type: IncidentType
    state: IncidentState
    priority: Priority
    priority_reason: Reason
    place: Place
    opened_at: datetime
    event_time: datetime
    action_text: str = ""
    response_time_s: float = 0.0
    agencies: tuple[Agency, ...] = ()
    links: tuple[Link, ...] = ()
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    dispatched_at: datetime | None = None
    on_scene_at: datetime | None = None
    cleared_at: datetime | None = None
    closed_at: datetime | None = None
    disposition: Disposition | None = None
    notes: tuple[str, ...] = msgspec.field(default=())
    simulated: bool = False

    @property
    def is_open(self) -> bool:
        """Whether work remains."""
        return self.state is not IncidentState.CLOSED
