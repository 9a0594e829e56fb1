"""Commands: what they do, who may be surprised, that they happen once, that the journal tells all of it."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from operations.builders import MARKET, NOON, alarm, city
from safecity.clock import ManualClock
from safecity.errors import Conflict, Invalid, NotFound
from safecity.model.base import Place, Priority, ReasonCode
from safecity.model.call import Call, CallState
from safecity.model.incident import Disposition, Incident, IncidentState, IncidentType
from safecity.model.observation import Observation, ObservationKind, unpack
from safecity.model.source import Camera, CameraState
from safecity.model.unit import Assignment, AssignmentState, Unit, UnitCommand, UnitState
from safecity.operations import alarms, calls, incidents, registry, units
from safecity.operations.calls import CallCard, RingingCall, TypedCall
from safecity.operations.command import Order, forget_old_receipts
from safecity.operations.incidents import IncidentAnswer
from safecity.operations.views import IncidentDetail, incident_detail
from safecity.store import journal
from safecity.store.database import Database

pytestmark = pytest.mark.engines
ME = Order(actor="Duty officer")


@pytest.fixture
async def town(database: Database) -> Database:
    """A database in which a small city is registered."""
    assert await registry.register(database, Order(actor="system:setup"), city()) == 5
    return database


async def _open(database: Database, name: str = "fire") -> str:
    found = alarm(name)
    assert await alarms.receive(database, [found]) == 1
    return found.incident_id


async def _incident(database: Database, id_: str) -> Incident:
    async with database.reading() as tx:
        return await tx.get(Incident, id_)


async def _check(database: Database) -> journal.Report:
    async with database.reading() as tx:
        return await journal.check(tx)


async def test_from_alarm_to_closed_all_of_it_in_the_journal(town: Database, clock: ManualClock) -> None:
    id_ = await _open(town)
    await incidents.acknowledge(town, ME, id_)
    clock.advance(5)
    answer = msgspec.json.decode(
        await incidents.dispatch(town, ME, id_, ["f-11", "a-21"], None), type=IncidentAnswer
    )
    assert answer.incident.state is IncidentState.DISPATCHED
    assert [a.call_sign for a in answer.assignments] == ["A-21", "F-11"]
    assert all(a.reason.code is ReasonCode.OVERRIDDEN for a in answer.assignments)
    for what in (UnitCommand.DEPART, UnitCommand.ARRIVE, UnitCommand.CLEAR):
        clock.advance(60)
        await units.command(town, ME, "f-11", what)
    assert (await _incident(town, id_)).state is IncidentState.ON_SCENE
    await incidents.cancel_unit(town, ME, id_, "a-21")
    cleared = await _incident(town, id_)
    assert cleared.state is IncidentState.CLEARED
    assert cleared.on_scene_at == _moment(clock, -60)
    await incidents.close(town, ME, id_, Disposition.REAL, "burnt food")
    closed = await _incident(town, id_)
    assert (closed.state, closed.disposition, closed.notes) == (
        IncidentState.CLOSED,
        Disposition.REAL,
        ("burnt food",),
    )
    async with town.reading() as tx:
        told = [e.action for e in await journal.history(tx, f"incident/{id_}")]
        assert (await tx.get(Unit, "f-11")).state is UnitState.AVAILABLE
        states = {a.call_sign: a.state for a in await tx.select(Assignment, "true")}
    assert told == [
        "incident.open",
        "incident.acknowledge",
        "incident.dispatch",
        "unit.depart",
        "unit.arrive",
        "unit.clear",
        "incident.clear",
        "incident.close",
    ]
    assert states == {"F-11": AssignmentState.CLEARED, "A-21": AssignmentState.CANCELLED}
    assert (await _check(town)).ok


def _moment(clock: ManualClock, seconds_s: float) -> object:
    """Return the clock's moment so many seconds away."""
    return clock.now() + timedelta(seconds=seconds_s)


async def test_a_repeated_command_changes_nothing_and_answers_the_same(town: Database) -> None:
    id_ = await _open(town)
    order = Order(actor="Duty officer", key="key-1")
    first = await incidents.acknowledge(town, order, id_)
    before = await _check(town)
    assert await incidents.acknowledge(town, order, id_) == first
    assert await _check(town) == before
    with pytest.raises(Conflict, match="another command"):
        await incidents.note(town, order, id_, "hello")
    with pytest.raises(Conflict, match="cannot be given 'acknowledge'"):
        await incidents.acknowledge(town, Order(actor="Duty officer", key="key-2"), id_)
    with pytest.raises(Conflict):
        await incidents.acknowledge(town, Order(actor="Somebody else", key="key-1"), id_)


async def test_the_same_command_twice_at_the_same_moment_happens_once(town: Database) -> None:
    id_ = await _open(town)
    order = Order(actor="Duty officer", key="double-click")
    answers = await asyncio.gather(*(incidents.note(town, order, id_, "once") for _ in range(5)))
    assert len(set(answers)) == 1
    assert (await _incident(town, id_)).notes == ("once",)


async def test_old_keys_are_forgotten_and_recent_ones_are_not(town: Database, clock: ManualClock) -> None:
    id_ = await _open(town)
    await incidents.note(town, Order(actor="A", key="old"), id_, "one")
    clock.advance(6 * 86_400)
    await incidents.note(town, Order(actor="A", key="recent"), id_, "two")
    clock.advance(2 * 86_400)
    await forget_old_receipts(town)
    await incidents.note(town, Order(actor="A", key="recent"), id_, "two")
    await incidents.note(town, Order(actor="A", key="old"), id_, "one")
    assert (await _incident(town, id_)).notes == ("one", "two", "one")


async def test_one_unit_cannot_be_sent_twice(town: Database) -> None:
    first, second = await _open(town, "one"), await _open(town, "two")
    results = await asyncio.gather(
        incidents.dispatch(town, ME, first, ["f-11"], None),
        incidents.dispatch(town, Order(actor="Another"), second, ["f-11"], None),
        return_exceptions=True,
    )
    refused = [r for r in results if isinstance(r, Conflict)]
    assert len(refused) == 1
    assert "F-11 is dispatched" in str(refused[0])
    assert (await _check(town)).ok


async def test_a_refused_command_leaves_no_trace(town: Database) -> None:
    id_ = await _open(town)
    before = await _check(town)
    with pytest.raises(NotFound, match="no unit"):
        await incidents.dispatch(town, ME, id_, ["f-11", "f-99"], None)
    with pytest.raises(Invalid, match="at least one unit"):
        await incidents.dispatch(town, ME, id_, [], None)
    with pytest.raises(Conflict, match="close"):
        await incidents.close(town, ME, id_, Disposition.REAL)
    with pytest.raises(NotFound, match="no incident"):
        await incidents.acknowledge(town, ME, "nothing")
    with pytest.raises(Invalid, match="reason"):
        await incidents.prioritise(town, ME, id_, Priority.LOW, "  ")
    with pytest.raises(Conflict, match="cannot be given 'arrive'"):
        await units.command(town, ME, "f-11", UnitCommand.ARRIVE)
    with pytest.raises(Invalid, match="on the incident"):
        await units.command(town, ME, "f-11", UnitCommand.ASSIGN)
    assert await _check(town) == before


async def test_alarms_of_one_incident_join_and_the_most_urgent_decides(town: Database) -> None:
    first = alarm("a", "same", priority=Priority.MEDIUM)
    second = alarm("b", "same", priority=Priority.CRITICAL, source_id="smoke-002")
    third = alarm("c", "same", priority=Priority.LOW, source_id="smoke-003")
    assert await alarms.receive(town, [first, second, first, third]) == 3
    assert await alarms.receive(town, [second, third]) == 0
    incident = await _incident(town, first.incident_id)
    assert incident.priority is Priority.CRITICAL
    assert [link.alarm_id for link in incident.links] == [first.id, second.id, third.id]
    assert incident.number == "2026-0001"
    detail = msgspec.json.decode(await incident_detail(town, incident.id), type=IncidentDetail)
    assert {a.id for a in detail.alarms} == {first.id, second.id, third.id}
    assert detail.cameras[0].camera_id == "camera-1"
    assert "linked" in detail.timeline[-1].text


async def test_an_alarm_for_a_closed_incident_opens_a_new_one(town: Database) -> None:
    id_ = await _open(town)
    await incidents.acknowledge(town, ME, id_)
    await incidents.close(town, ME, id_, Disposition.FALSE)
    late = alarm("late", "fire")
    assert late.incident_id == id_
    assert await alarms.receive(town, [late]) == 1
    async with town.reading() as tx:
        opened = await tx.current(Incident)
    assert [link.alarm_id for incident in opened for link in incident.links] == [late.id]
    assert (await _incident(town, id_)).state is IncidentState.CLOSED
    assert (await _check(town)).ok


async def test_a_call_from_ring_to_incident(town: Database, clock: ManualClock) -> None:
    ringing = RingingCall(
        call_id="call-1", received_at=clock.now(), caller_number="+49 395 1", caller_place=MARKET
    )
    telephony = Order(actor="telephony", key="k")
    await calls.receive(town, telephony, ringing)
    again = await calls.receive(town, Order(actor="telephony", key="k2"), ringing)
    assert msgspec.json.decode(again)["call"]["state"] == "ringing"
    await calls.claim(town, ME, "call-1")
    with pytest.raises(Conflict, match="Duty officer claimed"):
        await calls.take(town, Order(actor="Another"), "call-1")
    await calls.take(town, ME, "call-1")
    card = CallCard(type=IncidentType.FIRE_BUILDING, place=Place(lon=13.27, lat=53.56, text="Ring 2"))
    await calls.submit(town, ME, "call-1", card)
    async with town.reading() as tx:
        call = await tx.get(Call, "call-1")
        outbox = await tx.connection.fetch("SELECT subject, payload FROM outbox WHERE subject = 'event.call'")
    assert call.caller_place == MARKET, "what the network said is never overwritten"
    assert call.place == card.place
    [observation] = unpack(bytes(outbox[0]["payload"]))
    assert (observation.source_id, observation.property) == ("call:call-1", "fire_building")
    reported = alarm("call", kind=ObservationKind.CALL, source_id="call:call-1")
    await alarms.receive(town, [reported])
    async with town.reading() as tx:
        assert (await tx.get(Call, "call-1")).incident_id == reported.incident_id
        told = await journal.history(tx, "call/call-1")
    assert [e.action for e in told][-1] == "incident.open"
    assert (await _check(town)).ok


async def test_one_call_told_by_many_at_once_rings_once(town: Database, clock: ManualClock) -> None:
    ringing = RingingCall(call_id="many", received_at=clock.now())
    await asyncio.gather(*(calls.receive(town, Order(actor=f"line {n}"), ringing) for n in range(6)))
    async with town.reading() as tx:
        told = await journal.history(tx, "call/many")
    assert [entry.action for entry in told] == ["call.receive"]
    assert (await _check(town)).ok


async def test_alarms_of_one_incident_at_once_all_join(town: Database) -> None:
    found = [alarm(f"at-once-{n}", "at-once", source_id=f"smoke-{n}") for n in range(6)]
    await asyncio.gather(*(alarms.receive(town, [one]) for one in found))
    incident = await _incident(town, found[0].incident_id)
    assert {link.alarm_id for link in incident.links} == {one.id for one in found}
    assert (await _check(town)).ok


async def test_a_call_without_a_place_is_refused_with_what_to_do(town: Database, clock: ManualClock) -> None:
    with pytest.raises(msgspec.ValidationError, match="place"):
        msgspec.json.decode(b'{"type": "medical"}', type=CallCard)
    with pytest.raises(msgspec.ValidationError, match="lon"):
        msgspec.json.decode(b'{"type": "medical", "place": {"lon": 400, "lat": 1}}', type=CallCard)
    naive = RingingCall(call_id="x", received_at=clock.now().replace(tzinfo=None))
    with pytest.raises(Invalid, match="time zone"):
        await calls.receive(town, ME, naive)
    with pytest.raises(Invalid, match="call_id"):
        await calls.receive(town, ME, RingingCall(call_id="a/b", received_at=clock.now()))


async def test_a_typed_call_needs_a_key_and_happens_once(town: Database) -> None:
    card = TypedCall(type=IncidentType.MEDICAL, place=MARKET, notes="fell")
    with pytest.raises(Invalid, match="Idempotency-Key"):
        await calls.typed(town, ME, card)
    order = Order(actor="Call-taker", key="typed-1")
    assert await calls.typed(town, order, card) == await calls.typed(town, order, card)
    async with town.reading() as tx:
        assert len(await tx.select(Call, "state = 'submitted'")) == 1


async def test_an_abandoned_call_can_be_called_back(town: Database, clock: ManualClock) -> None:
    await calls.receive(town, ME, RingingCall(call_id="c", received_at=clock.now()))
    await calls.abandon(town, Order(actor="telephony"), "c")
    await calls.call_back(town, ME, "c")
    await calls.close(town, ME, "c", "pocket call")
    async with town.reading() as tx:
        call = await tx.get(Call, "c")
    assert (call.state, call.close_reason, call.claimed_by) == (
        CallState.CLOSED,
        "pocket call",
        "Duty officer",
    )


async def test_camera_reports_move_its_state_and_only_news_is_journaled(town: Database) -> None:
    def report(seconds_s: int, **detail: str | bool) -> Observation:
        return Observation(
            source_id="camera-1",
            kind=ObservationKind.DEVICE,
            event_time=NOON + timedelta(seconds=seconds_s),
            receive_time=NOON,
            property="camera_state",
            detail=dict(detail),
        )

    live = report(10, state="live", recording=True)
    assert await registry.camera_state(town, live)
    assert not await registry.camera_state(town, live)
    assert not await registry.camera_state(town, report(5, state="lost")), "an older report says nothing"
    assert await registry.camera_state(town, report(20, state="lost", reason="no data for 3 s"))
    with pytest.raises(Invalid, match="camera-1"):
        await registry.camera_state(town, report(30, state="sleepy"))
    async with town.reading() as tx:
        camera = await tx.get(Camera, "camera-1")
    assert (camera.state, camera.recording, camera.state_reason) == (
        CameraState.LOST,
        False,
        "no data for 3 s",
    )


async def test_registering_again_adds_nothing(town: Database) -> None:
    assert await registry.register(town, Order(actor="system:setup"), city()) == 0
