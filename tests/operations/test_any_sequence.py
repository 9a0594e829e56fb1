"""Any sequence of commands leaves a state that is defined and that the journal tells (always true, 2)."""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from engines import PostgresServer
from operations.builders import CAMERA_KEY, MARKET, NOON, VIEWER, alarm, city, setup
from safecity.access.sealed import Account
from safecity.clock import ManualClock
from safecity.errors import Conflict, Invalid, NotFound
from safecity.model.base import Priority
from safecity.model.incident import Disposition, Incident, IncidentState, IncidentType
from safecity.model.source import Camera
from safecity.model.unit import Assignment, Unit, UnitCommand, UnitState
from safecity.model.video import CameraSetup, Hold
from safecity.operations import alarms, calls, cameras, holds, incidents, registry, units
from safecity.operations.calls import CallCard, RingingCall
from safecity.operations.command import Order
from safecity.operations.holds import NewHold
from safecity.store import journal
from safecity.store.database import Database

pytestmark = pytest.mark.engines

REFUSALS = (Conflict, Invalid, NotFound)
NAMES = st.sampled_from(["one", "two", "three"])
UNITS = st.sampled_from(["f-11", "f-12", "a-21", "unknown"])
ACTORS = st.sampled_from(["Anna", "Boris"])
BOUND = {UnitState.DISPATCHED, UnitState.EN_ROUTE, UnitState.ON_SCENE}


class Desk(RuleBasedStateMachine):
    """A dispatch desk at which anything is tried."""

    postgres: PostgresServer
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(NOON)
        self.name, self.database = self._do(self.postgres.fresh(self.clock, 2))
        self._do(registry.register(self.database, Order(actor="system:setup"), city()))
        self.sentences: set[str] = set()

    def teardown(self) -> None:
        assert all(len(sentence) > 15 for sentence in self.sentences)
        report = self._do(_report(self.database))
        assert report.ok, report.findings
        self._do(self.database.close())
        self._do(self.postgres.drop(self.name))

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def _try(self, work: Coroutine[Any, Any, bytes]) -> None:
        self.clock.advance(1)
        try:
            self._do(work)
        except REFUSALS as error:
            self.sentences.add(str(error))

    def _incident(self, name: str) -> str:
        return alarm(name).incident_id

    @rule(name=NAMES, source=st.integers(1, 3), priority=st.sampled_from(Priority))
    def raise_alarm(self, name: str, source: int, priority: Priority) -> None:
        raised = alarm(f"{name}-{source}", name, priority=priority, source_id=f"smoke-{source}")
        self._do(alarms.receive(self.database, [raised]))

    @rule(name=NAMES, actor=ACTORS)
    def acknowledge(self, name: str, actor: str) -> None:
        self._try(incidents.acknowledge(self.database, Order(actor=actor), self._incident(name)))

    @rule(name=NAMES, actor=ACTORS, wanted=st.lists(UNITS, max_size=3))
    def dispatch(self, name: str, actor: str, wanted: list[str]) -> None:
        order = Order(actor=actor)
        self._try(incidents.dispatch(self.database, order, self._incident(name), wanted, None))

    @rule(unit=UNITS, what=st.sampled_from(UnitCommand))
    def unit_says(self, unit: str, what: UnitCommand) -> None:
        self._try(units.command(self.database, Order(actor="crew"), unit, what))

    @rule(name=NAMES, unit=UNITS)
    def call_unit_back(self, name: str, unit: str) -> None:
        self._try(incidents.cancel_unit(self.database, Order(actor="Anna"), self._incident(name), unit))

    @rule(name=NAMES, disposition=st.sampled_from(Disposition))
    def close(self, name: str, disposition: Disposition) -> None:
        self._try(incidents.close(self.database, Order(actor="Anna"), self._incident(name), disposition))

    @rule(name=NAMES)
    def reopen(self, name: str) -> None:
        self._try(incidents.reopen(self.database, Order(actor="Anna"), self._incident(name)))

    @rule(name=NAMES)
    def ring(self, name: str) -> None:
        ringing = RingingCall(call_id=name, received_at=self.clock.now())
        self._try(calls.receive(self.database, Order(actor="telephony"), ringing))

    @rule(
        name=NAMES,
        actor=ACTORS,
        what=st.sampled_from([calls.claim, calls.release, calls.take, calls.abandon, calls.call_back]),
    )
    def handle_call(self, name: str, actor: str, what: Any) -> None:
        self._try(what(self.database, Order(actor=actor), name))

    @rule(name=NAMES)
    def submit(self, name: str) -> None:
        card = CallCard(type=IncidentType.MEDICAL, place=MARKET)
        self._try(calls.submit(self.database, Order(actor="Anna"), name, card))

    @rule(name=NAMES, account=st.sampled_from([VIEWER, Account()]))
    def add_camera(self, name: str, account: Account) -> None:
        self._try(cameras.add(self.database, Order(actor="Anna"), setup(name), account, CAMERA_KEY.public))

    @rule(name=NAMES, title=st.sampled_from(["Gate", "Yard"]), enabled=st.booleans())
    def change_camera(self, name: str, title: str, enabled: bool) -> None:
        after = setup(name, name=title, enabled=enabled)
        self._try(cameras.change_setup(self.database, Order(actor="Anna"), name, after))

    @rule(name=NAMES, account=st.sampled_from([VIEWER, Account()]))
    def set_account(self, name: str, account: Account) -> None:
        order = Order(actor="Anna")
        self._try(cameras.set_account(self.database, order, name, account, CAMERA_KEY.public))

    @rule(name=NAMES)
    def remove_camera(self, name: str) -> None:
        self._try(cameras.remove(self.database, Order(actor="Anna"), name))

    @rule(name=NAMES)
    def hold_recordings(self, name: str) -> None:
        wanted = NewHold(start=NOON, end=NOON + timedelta(hours=1), reason="break-in")
        self._try(holds.hold(self.database, Order(actor="Anna", key=f"hold-{name}"), name, wanted))

    @rule()
    def release_holds(self) -> None:
        for hold_id in self._do(_hold_ids(self.database)):
            self._try(holds.release_hold(self.database, Order(actor="Boris"), hold_id))

    @invariant()
    def cameras_and_setups_agree(self) -> None:
        self._do(_cameras_agree(self.database))

    @invariant()
    def units_and_assignments_agree(self) -> None:
        self._do(_units_agree(self.database))


async def _report(database: Database) -> journal.Report:
    async with database.reading() as tx:
        return await journal.check(tx)


async def _hold_ids(database: Database) -> list[str]:
    async with database.reading() as tx:
        return [hold.id for hold in await tx.select(Hold, "true")]


async def _cameras_agree(database: Database) -> None:
    async with database.reading() as tx:
        seen = {camera.id: camera for camera in await tx.current(Camera)}
        for one in await tx.current(CameraSetup):
            assert seen[one.id].name == one.name
            assert (seen[one.id].state_reason == cameras.SWITCHED_OFF) is not one.enabled
        setups = {one.id for one in await tx.current(CameraSetup)}
        assert set(seen) == setups | {"camera-1"}
        accounts = await tx.connection.fetch("SELECT camera_id FROM camera_account")
        assert {row["camera_id"] for row in accounts} <= setups


async def _units_agree(database: Database) -> None:
    async with database.reading() as tx:
        found = {a.unit_id: a for a in await tx.current(Assignment)}
        for unit in await tx.current(Unit):
            assignment = found.get(unit.id)
            assert (assignment is not None) == (unit.state in BOUND)
            assert unit.assignment_id == (assignment.id if assignment else "")
            assert unit.incident_id == (assignment.incident_id if assignment else "")
        for incident in await tx.current(Incident):
            bound = {a.unit_id for a in found.values() if a.incident_id == incident.id}
            working = incident.state in (IncidentState.DISPATCHED, IncidentState.ON_SCENE)
            assert bool(bound) == working


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


def test_any_sequence_of_commands(postgres: PostgresServer, runner: asyncio.Runner) -> None:
    Desk.postgres, Desk.runner = postgres, runner
    run_state_machine_as_test(
        Desk,
        settings=settings(
            max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
