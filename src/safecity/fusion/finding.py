"""What a rule says of an observation, with its reason in words; not yet an alarm."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from safecity.fusion.origin import Origin
from safecity.fusion.silence import Silent
from safecity.model.base import Noun, Place, Reason, ReasonCode, derived_id, distance_m
from safecity.model.observation import Observation, ObservationKind, Unit
from safecity.model.video_rule import VideoEventKind
from safecity.rules.alarm_rules import (
    CameraRule,
    FlappingRule,
    Rule,
    SilenceRule,
    ThresholdRule,
    VideoRule,
)

SHOWN_UNIT: Final = {
    Unit.NONE: "",
    Unit.CELSIUS: " °C",
    Unit.PERCENT: " %",
    Unit.PPM: " ppm",
    Unit.METRE: " m",
    Unit.DECIBEL: " dB",
    Unit.MICROSIEVERT_PER_HOUR: " µSv/h",
    Unit.MICROGRAM_PER_CUBIC_METRE: " µg/m³",
    Unit.METRE_PER_SECOND: " m/s",
}

CAMERA_STATE: Final = "camera_state"
"""Property of what a camera says of its own stream."""

_VIDEO_CODES: Final = {
    VideoEventKind.ZONE_INTRUSION.value: ReasonCode.ZONE_INTRUSION,
    VideoEventKind.LINE_CROSSING.value: ReasonCode.LINE_CROSSING,
    VideoEventKind.WRONG_WAY.value: ReasonCode.WRONG_WAY,
    VideoEventKind.STOPPED_VEHICLE.value: ReasonCode.STOPPED_VEHICLE,
    VideoEventKind.CONGESTION.value: ReasonCode.CONGESTION,
    VideoEventKind.CROWD.value: ReasonCode.CROWD,
    VideoEventKind.OBJECT_LEFT.value: ReasonCode.OBJECT_LEFT,
    VideoEventKind.CAMERA_COVERED.value: ReasonCode.CAMERA_COVERED,
    VideoEventKind.CAMERA_MOVED.value: ReasonCode.CAMERA_MOVED,
    VideoEventKind.CAMERA_DEFOCUSED.value: ReasonCode.CAMERA_DEFOCUSED,
    VideoEventKind.CAMERA_FROZEN.value: ReasonCode.CAMERA_FROZEN,
    VideoEventKind.SMOKE.value: ReasonCode.VIDEO_SMOKE,
    VideoEventKind.FLAME.value: ReasonCode.VIDEO_FLAME,
}
"""Why a video event counts, by its property."""

EpisodeKey = tuple[str, str, str]
"""Which rule state a finding belongs to: source id, property, rule id."""


def key_of(rule: Rule, source_id: str) -> EpisodeKey:
    """Return the rule state that a rule keeps for a source."""
    match rule:
        case ThresholdRule() | VideoRule():
            return source_id, rule.property_, rule.id
        case CameraRule():
            return source_id, CAMERA_STATE, rule.id
        case _:
            return source_id, "", rule.id


class Finding(Noun, frozen=True):
    """A rule's word on an observation. `keys` are the rule states that it speaks for."""

    rule: Rule
    observation_id: str
    kind: ObservationKind
    origin: Origin
    event_time: datetime
    receive_time: datetime
    reason: Reason
    keys: tuple[EpisodeKey, ...] = ()

    @property
    def alarm_id(self) -> str:
        """The id that this rule's alarm on this observation always has."""
        return derived_id("alarm", self.rule.id, self.observation_id)


def of_observation(rule: Rule, observation: Observation, origin: Origin) -> Finding:
    """Return the finding of a threshold, video, camera or call rule."""
    return Finding(
        rule=rule,
        observation_id=observation.id,
        kind=observation.kind,
        origin=origin,
        event_time=observation.event_time,
        receive_time=observation.receive_time,
        reason=_reason(rule, observation),
        keys=(key_of(rule, observation.source_id),),
    )


def of_silence(rule: SilenceRule, silent: Sequence[Silent]) -> Finding:
    """Return the finding that one source, or many at once with one likely cause, fell silent."""
    first = silent[0]
    due = datetime.fromtimestamp(max(s.due_s for s in silent), UTC)
    names = sorted(s.origin.id for s in silent)
    last = datetime.fromtimestamp(first.last_s, UTC)
    return Finding(
        rule=rule,
        observation_id=derived_id("silence", *names, last.isoformat(), due.isoformat()),
        kind=ObservationKind.DEVICE,
        origin=first.origin if len(silent) == 1 else _many(silent),
        event_time=due,
        receive_time=due,
        reason=_silence_reason(silent),
        keys=tuple(key_of(rule, name) for name in names),
    )


def of_flapping(rule: FlappingRule, cause: Finding) -> Finding:
    """Return the finding that a source raises too many alarms; `cause` is the first one held."""
    text = (
        f"{cause.origin.name} raised more than {rule.alarms} alarms in {rule.window_s / 60:.0f} min; "
        f"further ones are held until it is calm, the first: {cause.reason.text}"
    )
    params: dict[str, float | str] = {
        "rule": rule.name,
        "alarms": float(rule.alarms),
        "window_s": rule.window_s,
    }
    return Finding(
        rule=rule,
        observation_id=cause.observation_id,
        kind=ObservationKind.DEVICE,
        origin=cause.origin,
        event_time=cause.event_time,
        receive_time=cause.receive_time,
        reason=Reason(code=ReasonCode.PRIORITY_RULE, params=params, text=text),
    )


def _reason(rule: Rule, observation: Observation) -> Reason:
    match rule:
        case ThresholdRule():
            return _threshold_reason(rule, observation)
        case VideoRule():
            return _video_reason(rule, observation)
        case CameraRule():
            return _camera_reason(rule, observation)
        case _:
            return _call_reason(rule, observation)


def _threshold_reason(rule: ThresholdRule, observation: Observation) -> Reason:
    above = rule.above is not None
    value, unit = observation.value or 0.0, SHOWN_UNIT[rule.unit]
    held = f" for {rule.for_s:.0f} s" if rule.for_s else ""
    side = "above" if above else "below"
    return Reason(
        code=ReasonCode.THRESHOLD_ABOVE if above else ReasonCode.THRESHOLD_BELOW,
        params={
            "property": rule.property_,
            "value": round(value, 3),
            "unit": unit.strip(),
            "threshold": rule.limit,
            "for_s": rule.for_s,
        },
        text=f"{rule.name}: {value:,.5g}{unit}, {side} {rule.limit:,.5g}{unit}{held}",
    )


def _video_reason(rule: VideoRule, observation: Observation) -> Reason:
    detail = observation.detail or {}
    params: dict[str, float | str] = {"score": round(observation.value or 0.0, 3)}
    params |= {name: value for name, value in detail.items() if isinstance(value, str | float)}
    if isinstance(name := detail.get("rule"), str) and name:
        params["zone"] = name
    why = detail.get("why")
    text = f"{rule.name}: {why}" if isinstance(why, str) and why else rule.name
    code = _VIDEO_CODES.get(rule.property_, ReasonCode.ZONE_INTRUSION)
    return Reason(code=code, params=params, text=text)


def _camera_reason(rule: CameraRule, observation: Observation) -> Reason:
    detail = observation.detail or {}
    state, why = str(detail.get("state") or ""), str(detail.get("reason") or "")
    text = f"{rule.name}: {state}" + (f", {why}" if why else "")
    return Reason(code=ReasonCode.CAMERA_LOST, params={"state": state, "why": why}, text=text)


def _call_reason(rule: Rule, observation: Observation) -> Reason:
    by_hand = observation.kind is ObservationKind.MANUAL
    where = str((observation.detail or {}).get("text") or "")
    place = f" at {where}" if where else ""
    return Reason(
        code=ReasonCode.MANUAL if by_hand else ReasonCode.CALL_REPORTED,
        params={"type": rule.type.value},
        text=f"{'Entered by hand' if by_hand else 'A caller reports'}: {rule.name}{place}",
    )


def _silence_reason(silent: Sequence[Silent]) -> Reason:
    first = silent[0]
    silent_s, period_s = round(first.due_s - first.last_s), first.origin.period_s
    params: dict[str, float | str] = {
        "silent_s": float(silent_s),
        "period_s": period_s,
        "sources": float(len(silent)),
    }
    text = f"No message for {silent_s} s, expected every {period_s:g} s"
    if len(silent) > 1:
        names = ", ".join(s.origin.name for s in silent[:3])
        text = f"{len(silent)} sources fell silent together, among them {names}: likely one cause"
    return Reason(code=ReasonCode.SILENT, params=params, text=text)


def _many(silent: Sequence[Silent]) -> Origin:
    places = [s.origin.place for s in silent]
    lon = sum(place.lon for place in places) / len(places)
    lat = sum(place.lat for place in places) / len(places)
    reach_m = max(distance_m(lon, lat, place.lon, place.lat) for place in places)
    return Origin(
        id=silent[0].origin.id,
        name=f"{len(silent)} sources",
        place=Place(
            lon=lon, lat=lat, uncertainty_m=round(reach_m, 1), text="the middle of the silent sources"
        ),
        simulated=all(s.origin.simulated for s in silent),
    )
