"""The scripted operator handles an incident from the first look to the last."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from engines import until
from safecity.model.base import Agency, Place
from safecity.model.incident import (
    INCIDENT_TRANSITIONS,
    Incident,
    IncidentCommand,
    IncidentState,
    IncidentType,
)
from safecity.model.journal import EntityKind
from safecity.model.unit import Capability, Pick, Recommendation, Shortfall
from safecity.simulator.api import Token
from safecity.simulator.operator import ScriptedOperator
from safecity.simulator.pace import Pace
from simulator.listener import Answer, Listener, Request
from simulator.stage import REASON, Machines, Stage, incident

PLACE = Place(lon=13.26, lat=53.557)
PICK = Pick(
    unit_id="a-21",
    call_sign="A-21",
    agency=Agency.AMBULANCE,
    capability=Capability.AMBULANCE,
    travel_time_s=120.0,
    distance_m=900.0,
    reason=REASON,
)
SHORTFALL = Shortfall(capability=Capability.AMBULANCE, reason=REASON)


class Desk:
    """An operator at work before a server that does what it is told."""

    def __init__(self, stage: Stage, operator: ScriptedOperator, server: Listener) -> None:
        self.stage, self.operator, self.server = stage, operator, server
        self.advice: tuple[tuple[Pick, ...], tuple[Shortfall, ...]] = ((PICK,), ())

    @property
    def said(self) -> list[str]:
        return [request.path.rsplit("/", 1)[1] for request in self.server.requests]

    def moved(self, command: IncidentCommand) -> None:
        """Do a command on the incident as the server does."""
        found = self.stage.feed.find(Incident, "incident-1")
        assert found is not None
        state = INCIDENT_TRANSITIONS[found.state, command]
        if state is IncidentState.CLOSED:
            self.stage.drop(EntityKind.INCIDENT, found.id)
        else:
            self.stage.show(EntityKind.INCIDENT, replace(found, state=state))


@asynccontextmanager
async def desk(token: Token, machines: Machines, pace: Pace) -> AsyncIterator[Desk]:
    stage = Stage(token)
    here: Any = None

    def answer(request: Request) -> Answer:
        command = request.path.rsplit("/", 1)[1]
        if command == "recommendation":
            picks, shortfalls = here.advice
            now = datetime(2026, 11, 22, tzinfo=UTC)
            return 200, Recommendation(
                incident_id="incident-1", picks=picks, shortfalls=shortfalls, computed_at=now, compute_ms=0.1
            )
        here.moved(IncidentCommand(command))
        return 200, {"seq": stage.seq}

    async with Listener(answer) as server:
        operator = ScriptedOperator(machines.at(server.url), stage.feed, pace, seed=1, run="run")
        here = Desk(stage, operator, server)
        work = asyncio.create_task(operator.run())
        yield here
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_from_the_first_look_to_the_last(token: Token, machines: Machines, pace: Pace) -> None:
    async with desk(token, machines, pace) as here:
        here.stage.show(EntityKind.INCIDENT, incident(PLACE))
        await until(lambda: here.operator.dispatched == 1)
        here.moved(IncidentCommand.ARRIVE)
        here.moved(IncidentCommand.CLEAR)
        await until(lambda: here.operator.closed == 1)
        assert here.said == ["acknowledge", "recommendation", "dispatch", "close"]
        assert here.server.requests[2].json["unit_ids"] == ["a-21"]
        assert here.server.requests[3].json["disposition"] in ("real", "false")
        keys = [request.headers.get("idempotency-key") for request in here.server.requests]
        assert len({key for key in keys if key}) == 3


async def test_a_fault_of_a_device_needs_no_unit(token: Token, machines: Machines, pace: Pace) -> None:
    async with desk(token, machines, pace) as here:
        here.stage.show(EntityKind.INCIDENT, incident(PLACE, IncidentType.DEVICE_FAULT))
        await until(lambda: here.operator.closed == 1)
        assert here.said == ["acknowledge", "close"]


@pytest.mark.parametrize(("shortfalls", "asks"), [((), 1), ((SHORTFALL,), 3)])
async def test_without_a_unit_it_is_closed_in_the_end(
    token: Token, machines: Machines, pace: Pace, shortfalls: tuple[Shortfall, ...], asks: int
) -> None:
    async with desk(token, machines, pace) as here:
        here.advice = ((), shortfalls)
        here.stage.show(EntityKind.INCIDENT, incident(PLACE))
        await until(lambda: here.operator.closed == 1)
        assert here.said == ["acknowledge", *["recommendation"] * asks, "close"]
        assert here.server.requests[-1].json["disposition"] == "unknown"
