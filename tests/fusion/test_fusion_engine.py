"""The whole chain without input and output: what becomes an alarm, in which incident, and what survives."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fusion_parts import RULES, START, after, call, engine, fuse, incident_of, north, reading, sensor
from safecity.clock import ManualClock
from safecity.config import FusionSection
from safecity.errors import Invalid
from safecity.fusion.engine import Fusion
from safecity.model.base import Priority, ReasonCode
from safecity.model.incident import Alarm, Incident, IncidentType
from safecity.model.journal import Change, EntityKind, Feed
from safecity.model.observation import Observation, ObservationKind, Unit
from safecity.model.source import Camera, Source
from safecity.model.video_rule import VideoEventKind

NULL = msgspec.Raw(b"null")


def feed_of(kind: EntityKind, id_: str, value: object | None) -> Feed:
    """Return a feed message with one change; None: no longer current."""
    raw = NULL if value is None else msgspec.Raw(msgspec.json.encode(value))
    return Feed(seq=1, changes=(Change(kind=kind, id=id_, value=raw),))


def camera(id_: str = "cam-1") -> Camera:
    return Camera(id=id_, name="Camera Market", place=north(0))


def seen(at_s: float, property_: str = "zone_intrusion", score: float | None = 0.8) -> Observation:
    return Observation(
        source_id="cam-1",
        kind=ObservationKind.VIDEO,
        event_time=after(at_s),
        receive_time=after(at_s),
        property=property_,
        value=score,
        detail={"why": "a person in zone Yard for 3 s", "zone": "Yard", "class": "person", "track": 7},
    )


def state(name: str, at_s: float) -> Observation:
    return Observation(
        source_id="cam-1",
        kind=ObservationKind.DEVICE,
        event_time=after(at_s),
        receive_time=after(at_s),
        property="camera_state",
        detail={"state": name, "reason": "no answer", "recording": False},
    )


def with_cameras(clock: ManualClock | None = None) -> Fusion:
    fusion = Fusion(RULES, FusionSection(), clock or ManualClock(START))
    fusion.load([], [camera()], [])
    return fusion


def test_a_reading_above_its_threshold_is_an_alarm_that_says_all_it_must() -> None:
    (alarm,) = fuse(engine(), [reading(3.0, 0), reading(6200.0, 10), reading(6300.0, 20)])
    rule = RULES.by_id["methane_10_lel"]
    assert alarm.rule_id == rule.id
    assert alarm.source_name == "Sensor gas-1"
    assert alarm.reason.code is ReasonCode.THRESHOLD_ABOVE
    assert alarm.reason.text == ("Methane at 10 % of its lower explosive limit: 6,200 ppm, above 5,000 ppm")
    assert alarm.reason.params["value"] == 6200
    assert alarm.priority_reason.text == rule.priority_reason
    assert (alarm.action_text, alarm.response_time_s) == (rule.action, rule.response_time_s)
    assert alarm.place == north(0)
    assert alarm.event_time == after(10)
    assert alarm.raised_at == START
    assert alarm.link_reason.code is ReasonCode.FIRST_REPORT


def test_a_rising_value_escalates_inside_one_incident() -> None:
    first, second = fuse(engine(), [reading(6000.0, 0), reading(12_000.0, 10)])
    assert second.priority is Priority.CRITICAL
    assert second.incident_id == first.incident_id
    assert second.link_reason.code is ReasonCode.LINKED_SAME_SOURCE


def test_a_sensor_and_two_callers_about_one_fire_are_one_incident() -> None:
    fusion = engine([sensor("smoke-1", "smoke", Unit.PERCENT, place=north(0))])
    smoke = [reading(20.0, at_s, "smoke-1", "smoke", Unit.PERCENT) for at_s in (0, 5, 10)]
    alarms = fuse(
        fusion, [*smoke, call(1, at_s=40, place=north(60, 30)), call(2, at_s=70, place=north(-40, 30))]
    )
    assert len(alarms) == 3
    assert len({alarm.incident_id for alarm in alarms}) == 1
    assert [alarm.link_reason.code for alarm in alarms] == [
        ReasonCode.FIRST_REPORT,
        ReasonCode.LINKED_NEAR,
        ReasonCode.LINKED_NEAR,
    ]
    assert alarms[1].source_name == "112 call"
    assert alarms[1].simulated


def test_different_things_are_different_incidents() -> None:
    alarms = fuse(
        engine(),
        [
            reading(6000.0, 0),
            call(1, IncidentType.MEDICAL, 5, north(300)),
            call(2, IncidentType.CRIME, 10, north(10)),
            call(3, IncidentType.GAS, 20, north(900)),
        ],
    )
    assert len({alarm.incident_id for alarm in alarms}) == 4


def test_readings_of_strangers_are_counted_and_never_alarmed() -> None:
    fusion = engine()
    assert fuse(fusion, [reading(9000.0, 0, "stranger")]) == []
    assert fusion.counters["unknown_total"] == 1


@pytest.mark.parametrize(
    "unfit", [reading(None, 0), reading(float("nan"), 0), reading(9000.0, 0, unit=Unit.PERCENT)]
)
def test_what_cannot_be_judged_is_counted(unfit: Observation) -> None:
    fusion = engine()
    assert fuse(fusion, [unfit, unfit]) == []
    assert fusion.counters["unfit_total"] == 2
    assert len(fuse(fusion, [reading(9000.0, 1)])) == 1


def test_properties_without_a_rule_and_positions_pass_in_silence() -> None:
    fusion = engine()
    position = replace(reading(3.0, 0), kind=ObservationKind.POSITION)
    assert fuse(fusion, [reading(50.0, 0, property_="humidity", unit=Unit.PERCENT), position]) == []
    assert fusion.counters["unfit_total"] == 0


def test_a_call_without_a_place_is_refused_in_words() -> None:
    fusion = engine()
    with pytest.raises(Invalid, match=r"'call:1'.*no place"):
        fusion.observe(replace(call(1), lon=None, lat=None))


def test_a_call_of_a_type_nobody_knows_is_still_an_alarm() -> None:
    (alarm,) = fuse(engine(), [replace(call(1), property="meteorite")])
    assert alarm.type is IncidentType.OTHER


def test_an_entry_by_hand_says_so() -> None:
    (alarm,) = fuse(engine(), [replace(call(1), kind=ObservationKind.MANUAL, source_id="desk-1")])
    assert alarm.reason.code is ReasonCode.MANUAL


def test_one_intrusion_is_one_alarm_and_a_later_one_is_another() -> None:
    fusion = with_cameras()
    alarms = fuse(fusion, [seen(at_s) for at_s in (0, 20, 70, 120, 200)])
    assert [alarm.event_time for alarm in alarms] == [after(0), after(200)]
    assert alarms[0].reason.text == "Person in a guarded zone: a person in zone Yard for 3 s"
    assert alarms[0].reason.params["zone"] == "Yard"
    assert alarms[1].incident_id == alarms[0].incident_id


def test_a_faint_intrusion_is_none_and_one_without_a_score_is_certain() -> None:
    assert fuse(with_cameras(), [seen(0, score=0.1), seen(1, "dancing")]) == []
    assert len(fuse(with_cameras(), [seen(0, score=None)])) == 1


def test_a_lost_camera_is_one_alarm_until_it_lives_again() -> None:
    fusion = with_cameras()
    names = ["connecting", "live", "stalled", "lost", "refused", "lost", "live", "lost", "lost", "lost"]
    alarms = fuse(fusion, [state(name, 10 * n) for n, name in enumerate(names)])
    assert [alarm.event_time for alarm in alarms] == [after(50), after(90)]
    assert alarms[0].reason.text == "Camera without picture: lost, no answer"


def test_an_unregistered_camera_with_a_place_is_believed_and_without_one_refused() -> None:
    fusion = engine()
    placed = replace(seen(0), lon=13.0, lat=53.0)
    (alarm,) = fuse(fusion, [placed])
    assert alarm.source_name == "cam-1"
    with pytest.raises(Invalid):
        fusion.observe(replace(state("lost", 0), source_id="cam-9"))
    assert fuse(fusion, [replace(state("live", 0), source_id="cam-9")]) == []


def test_silence_is_an_alarm_judged_by_what_was_heard_not_by_our_own_delay() -> None:
    fusion = engine([sensor("gas-1"), sensor("gas-2", place=north(2000))])
    fuse(fusion, [reading(3.0, 1), reading(3.0, 1, "gas-2")])
    assert fusion.silence_due(after(60))
    assert fusion.tick(after(20)) == []
    fuse(fusion, [reading(3.0, 55, "gas-2")])
    assert fusion.tick(after(52)) == []
    (alarm,) = fusion.tick(after(51 + RULES.silence.gather_s + 1))
    assert alarm.source_id == "gas-1"
    assert alarm.type is IncidentType.DEVICE_FAULT
    assert alarm.reason.text == "No message for 50 s, expected every 10 s"
    assert alarm.reason.params["silent_s"] == 50
    assert fusion.tick(after(90)) == []


def test_many_silent_at_once_are_one_alarm() -> None:
    many = [sensor(f"gas-{n:02}", place=north(100 * n)) for n in range(12)]
    fusion = engine(many)
    (alarm,) = fusion.tick(after(80))
    assert alarm.source_name == "12 sources"
    assert "12 sources fell silent together" in alarm.reason.text
    assert alarm.place.uncertainty_m == pytest.approx(550, abs=5)
    assert fusion.tick(after(200)) == []


@given(
    values=st.lists(
        st.tuples(st.sampled_from([3.0, 4500.0, 6000.0, 12_000.0]), st.sampled_from(["gas-1", "gas-2"])),
        max_size=60,
    ),
    data=st.data(),
)
def test_any_redelivery_gives_no_new_alarm(values: list[tuple[float, str]], data: st.DataObject) -> None:
    fusion = engine([sensor("gas-1"), sensor("gas-2", place=north(3000))])
    observations = [reading(value, 4 * n, source_id) for n, (value, source_id) in enumerate(values)]
    observations += [call(1, at_s=30), seen(10), seen(90)]
    first = fuse(
        fusion, [replace(o, lon=13.0, lat=53.0) if o.source_id == "cam-1" else o for o in observations]
    )
    again = data.draw(st.lists(st.sampled_from(observations), max_size=30))
    repeated = [replace(o, lon=13.0, lat=53.0) if o.source_id == "cam-1" else o for o in again]
    assert fuse(fusion, repeated) == []
    assert len({alarm.id for alarm in first}) == len(first)


@given(values=st.lists(st.sampled_from([3.0, 4500.0, 6000.0, 12_000.0]), min_size=1, max_size=30))
def test_the_same_observations_give_the_same_alarms(values: list[float]) -> None:
    observations = [reading(value, 7 * n) for n, value in enumerate(values)]
    assert fuse(engine(), observations) == fuse(engine(), observations)


@given(values=st.lists(st.sampled_from([4500.0, 6000.0, 12_000.0]), max_size=8))
def test_open_episodes_are_the_same_after_a_restart(values: list[float]) -> None:
    before = engine()
    observations = [reading(6000.0, 0), *(reading(value, 10 * n + 10) for n, value in enumerate(values))]
    alarms = fuse(before, observations)
    incident = incident_of(*alarms)
    restarted = Fusion(RULES, FusionSection(), ManualClock(START))
    restarted.load([incident], [sensor()], alarms)
    for rule_id, episode in restarted.episodes("gas-1", "gas_ch4").items():
        known = before.episodes("gas-1", "gas_ch4")[rule_id]
        if episode.phase is known.phase:
            assert episode.since_s == known.since_s
    assert restarted.episodes("gas-1", "gas_ch4")["methane_10_lel"].phase == 2
    assert fuse(restarted, observations) == []
    still = [reading(6000.0, 200), reading(6000.0, 210)]
    assert fuse(restarted, still) == fuse(before, still) == []


def test_a_restart_before_operations_took_the_alarm_gives_the_same_alarm() -> None:
    observation = reading(6000.0, 0)
    (alarm,) = fuse(engine(), [observation])
    assert fuse(engine(), [observation]) == [alarm]
    restarted = Fusion(RULES, FusionSection(), ManualClock(START))
    restarted.load([], [sensor()], [], pending=[alarm])
    assert fuse(restarted, [observation, reading(7000.0, 10)]) == []
    (joined,) = fuse(restarted, [call(1, IncidentType.GAS, 40, north(30))])
    assert joined.incident_id == alarm.incident_id


def test_only_what_is_in_an_open_incident_is_still_raised_after_a_restart() -> None:
    (alarm,) = fuse(engine(), [reading(6000.0, 0)])
    restarted = Fusion(RULES, FusionSection(), ManualClock(START))
    restarted.load([], [sensor()], [alarm])
    assert len(fuse(restarted, [reading(6000.0, 10)])) == 1


def test_a_silent_source_is_not_raised_a_second_time_after_a_restart() -> None:
    (alarm,) = engine().tick(after(70))
    restarted = Fusion(RULES, FusionSection(), ManualClock(after(100)))
    restarted.load([incident_of(alarm)], [sensor()], [alarm])
    assert restarted.tick(after(1000)) == []


def test_the_feed_teaches_sources_incidents_and_closing() -> None:
    clock = ManualClock(START)
    fusion = engine([], clock)
    assert fuse(fusion, [reading(6000.0, 0)]) == []
    fusion.feed(feed_of(EntityKind.SOURCE, "gas-1", sensor()))
    (first,) = fuse(fusion, [reading(6000.0, 10)])
    fusion.feed(feed_of(EntityKind.INCIDENT, first.incident_id, incident_of(first)))
    fusion.feed(feed_of(EntityKind.INCIDENT, first.incident_id, None))
    fusion.feed(feed_of(EntityKind.UNIT, "unit-1", None))
    assert fuse(fusion, [reading(6000.0, 20)]) == []
    (again,) = fuse(fusion, [reading(6000.0, RULES.by_id[first.rule_id].again_after_s + 10)])
    assert again.incident_id != first.incident_id


def test_an_alarm_that_operations_put_elsewhere_is_followed() -> None:
    fusion = engine()
    (alarm,) = fuse(fusion, [reading(6000.0, 0)])
    moved = replace(incident_of(alarm), id="elsewhere")
    fusion.feed(feed_of(EntityKind.INCIDENT, "elsewhere", moved))
    fusion.feed(feed_of(EntityKind.INCIDENT, alarm.incident_id, None))
    (joined,) = fuse(fusion, [call(1, IncidentType.GAS, 20, north(20))])
    assert joined.incident_id == "elsewhere"


def test_a_silence_that_outlives_its_incident_comes_back() -> None:
    clock = ManualClock(START)
    fusion = engine([sensor()], clock)
    (alarm,) = fusion.tick(after(70))
    fusion.resync([incident_of(alarm)])
    fusion.resync([])
    wait_s = RULES.silence.again_after_s
    assert fusion.tick(after(wait_s - 1)) == []
    (again,) = fusion.tick(after(wait_s + RULES.silence.gather_s))
    assert again.id != alarm.id


def test_alarm_and_incident_pass_through_json() -> None:
    (alarm,) = fuse(engine(), [reading(6000.0, 0)])
    assert msgspec.json.decode(msgspec.json.encode(alarm), type=Alarm) == alarm
    incident = incident_of(alarm)
    assert msgspec.json.decode(msgspec.json.encode(incident), type=Incident) == incident
    assert msgspec.json.decode(msgspec.json.encode(sensor()), type=Source) == sensor()


@pytest.mark.parametrize("kind", list(VideoEventKind))
def test_every_video_event_becomes_an_alarm_with_its_own_reason(kind: VideoEventKind) -> None:
    fusion = with_cameras()
    event = replace(seen(0, kind.value), detail={"why": "figures", "rule": "Yard", "count": 3.0})
    (alarm,) = fuse(fusion, [event])
    assert alarm.reason.code.value in {kind.value, f"video_{kind.value}"}
    assert alarm.reason.text.endswith(": figures")
    assert (alarm.reason.params["zone"], alarm.reason.params["count"]) == ("Yard", 3.0)
    again = replace(seen(20, kind.value), detail={"why": "figures", "rule": "Yard"})
    assert fuse(fusion, [again]) == [], "one event of a camera does not flood"
