"""Small true objects for tests of the operations room."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from safecity.access.sealed import Account, PrivateKey
from safecity.model.base import Agency, Place, Priority, Reason, ReasonCode, derived_id
from safecity.model.incident import Alarm, IncidentType
from safecity.model.observation import ObservationKind
from safecity.model.source import Camera, Station
from safecity.model.unit import Capability, Unit
from safecity.model.video import CameraSetup

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MARKET = Place(lon=13.26, lat=53.557, text="Marktplatz 1")
CAMERA_KEY = PrivateKey(bytes(range(32)))
VIEWER = Account(user="viewer", password="grey-cranes-7")


def unit(name: str, agency: Agency = Agency.FIRE, capability: Capability = Capability.ENGINE) -> Unit:
    """Return a free unit of that call sign."""
    return Unit(
        id=name.lower(),
        call_sign=name,
        agency=agency,
        capabilities=(capability,),
        station_id="station-1",
        home=MARKET,
    )


def city() -> Sequence[Station | Unit | Camera]:
    """Return a station, three units and a camera."""
    return [
        Station(id="station-1", name="Main station", agency=Agency.FIRE, place=MARKET),
        unit("F-11"),
        unit("F-12"),
        unit("A-21", Agency.AMBULANCE, Capability.AMBULANCE),
        Camera(id="camera-1", name="Market", place=MARKET),
    ]


def setup(id_: str = "gate", **more: Any) -> CameraSetup:
    """Return the setup of a camera."""
    return CameraSetup(**({"id": id_, "name": "Gate", "place": MARKET, "url": "rtsp://10.0.0.7/main"} | more))


def alarm(
    name: str,
    incident: str | None = None,
    *,
    priority: Priority = Priority.HIGH,
    kind: ObservationKind = ObservationKind.READING,
    source_id: str = "smoke-001",
) -> Alarm:
    """Return an alarm; alarms with the same `incident` belong to the same one."""
    reason = Reason(code=ReasonCode.THRESHOLD_ABOVE, text="smoke 12 %/m is above 5 %/m")
    return Alarm(
        id=derived_id("alarm", name),
        rule_id="smoke-high",
        source_id=source_id,
        source_name="Smoke detector 1",
        observation_id=derived_id("observation", name),
        observation_kind=kind,
        type=IncidentType.FIRE_BUILDING,
        priority=priority,
        priority_reason=Reason(code=ReasonCode.PRIORITY_RULE, text="smoke inside a building"),
        reason=reason,
        place=MARKET,
        event_time=NOON,
        receive_time=NOON,
        raised_at=NOON,
        action_text="Send an engine",
        response_time_s=60.0,
        agencies=(Agency.FIRE,),
        incident_id=derived_id("incident", incident or name),
        link_reason=Reason(code=ReasonCode.FIRST_REPORT, text="first report"),
    )
