"""What the fusion tests build from: sources, readings and calls of a made-up city, an engine."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from safecity.clock import ManualClock
from safecity.config import FusionSection
from safecity.fusion.engine import Fusion
from safecity.model.base import Agency, Place, Priority, Reason, ReasonCode
from safecity.model.incident import Alarm, Incident, IncidentState, IncidentType, Link
from safecity.model.observation import Observation, ObservationKind, Unit
from safecity.model.source import Source, SourceKind
from safecity.rules.alarm_rules import load_alarm_rules

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
RULES = load_alarm_rules()
LON, LAT = 13.26, 53.56
METRE_LAT = 1 / 111_195.0


def after(seconds_s: float) -> datetime:
    """Return the moment so many seconds after the start."""
    return START + timedelta(seconds=seconds_s)


def north(metres: float, uncertainty_m: float = 0.0) -> Place:
    """Return the place so many metres north of the city's middle."""
    return Place(lon=LON, lat=LAT + metres * METRE_LAT, uncertainty_m=uncertainty_m)


def sensor(
    id_: str = "gas-1",
    property_: str = "gas_ch4",
    unit: Unit = Unit.PPM,
    period_s: float = 10.0,
    place: Place | None = None,
) -> Source:
    """Return a registered sensor."""
    return Source(
        id=id_,
        kind=SourceKind.SENSOR,
        name=f"Sensor {id_}",
        place=place or north(0),
        property=property_,
        unit=unit,
        period_s=period_s,
    )


def reading(
    value: float | None,
    at_s: float,
    source_id: str = "gas-1",
    property_: str = "gas_ch4",
    unit: Unit = Unit.PPM,
    received_s: float | None = None,
) -> Observation:
    """Return a reading at so many seconds after the start, received 20 ms later unless said otherwise."""
    return Observation(
        source_id=source_id,
        kind=ObservationKind.READING,
        event_time=after(at_s),
        receive_time=after(at_s + 0.02 if received_s is None else received_s),
        property=property_,
        value=value,
        unit=unit,
    )


def call(
    number: int,
    type_: IncidentType = IncidentType.FIRE_BUILDING,
    at_s: float = 0.0,
    place: Place | None = None,
) -> Observation:
    """Return what operations says of a submitted call."""
    where = place or north(0)
    return Observation(
        source_id=f"call:{number}",
        kind=ObservationKind.CALL,
        event_time=after(at_s),
        receive_time=after(at_s + 30),
        property=type_.value,
        lon=where.lon,
        lat=where.lat,
        uncertainty_m=where.uncertainty_m,
        detail={"text": "Main Street 1", "notes": "", "simulated": True},
    )


def incident_of(*alarms: Alarm) -> Incident:
    """Return the incident that operations opens for alarms which share one."""
    first = alarms[0]
    assert {alarm.incident_id for alarm in alarms} == {first.incident_id}
    return Incident(
        id=first.incident_id,
        number="2026-0001",
        type=first.type,
        state=IncidentState.NEW,
        priority=first.priority,
        priority_reason=first.priority_reason,
        place=first.place,
        opened_at=first.raised_at,
        event_time=first.event_time,
        links=tuple(
            Link(
                alarm_id=alarm.id,
                source_id=alarm.source_id,
                source_name=alarm.source_name,
                observation_kind=alarm.observation_kind,
                at=alarm.raised_at,
                reason=alarm.link_reason,
            )
            for alarm in alarms
        ),
    )


def an_alarm(
    id_: str = "A",
    source_id: str = "gas-1",
    priority: Priority = Priority.HIGH,
    type_: IncidentType = IncidentType.GAS,
    at_s: float = 0.0,
) -> Alarm:
    """Return some alarm, for parts that look at alarms alone."""
    why = Reason(code=ReasonCode.MANUAL, text="because")
    return Alarm(
        id=id_,
        rule_id="methane_10_lel",
        source_id=source_id,
        source_name=source_id,
        observation_id=f"O{id_}",
        observation_kind=ObservationKind.READING,
        type=type_,
        priority=priority,
        priority_reason=why,
        reason=why,
        place=north(0),
        event_time=after(at_s),
        receive_time=after(at_s),
        raised_at=after(at_s),
        action_text="do",
        response_time_s=60,
        agencies=(Agency.FIRE,),
        incident_id=f"I{id_}",
        link_reason=why,
    )


def engine(sources: Iterable[Source] = (sensor(),), clock: ManualClock | None = None) -> Fusion:
    """Return an engine with the built-in rules that knows these sources and nothing else."""
    fusion = Fusion(RULES, FusionSection(), clock or ManualClock(START))
    fusion.load([], sources, [])
    return fusion


def fuse(fusion: Fusion, observations: Iterable[Observation]) -> list[Alarm]:
    """Return the alarms of many observations, in order."""
    return [alarm for observation in observations for alarm in fusion.observe(observation)]
