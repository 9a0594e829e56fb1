"""Everything that observes: sensors, cameras, panels."""

from datetime import datetime
from enum import StrEnum

from safecity.model.base import Agency, Noun, Place
from safecity.model.observation import Unit


class SourceKind(StrEnum):
    """What sort of thing observes."""

    SENSOR = "sensor"
    CAMERA = "camera"
    CALLER = "caller"
    UNIT = "unit"
    PERSON = "person"


class Source(Noun, frozen=True):
    """A registered source. `period_s` is its own rhythm; silence is judged against it."""

    id: str
    kind: SourceKind
    name: str
    place: Place
    property: str = ""
    unit: Unit = Unit.NONE
    period_s: float = 0.0
    simulated: bool = False


class CameraState(StrEnum):
    """How a camera's stream is."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    LOST = "lost"
    REFUSED = "refused"


class Camera(Noun, frozen=True):
    """A camera as people see it; its address and credentials never leave the video rooms."""

    id: str
    name: str
    place: Place
    heading_deg: float = 0.0
    field_of_view_deg: float = 60.0
    state: CameraState = CameraState.CONNECTING
    state_since: datetime | None = None
    state_reason: str = ""
    recording: bool = False
    simulated: bool = False


class Station(Noun, frozen=True):
    """Where units live."""

    id: str
    name: str
    agency: Agency
    place: Place
