"""Simulated call-takers answer what nobody else answers, and leave alone what somebody has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engines import until
from safecity.clock import SystemClock
from safecity.model.call import Call, CallState
from safecity.model.journal import EntityKind
from safecity.simulator.api import Token
from safecity.simulator.call_takers import ACTOR, CallTakers
from safecity.simulator.callers import Switchboard
from safecity.simulator.pace import Pace
from safecity.simulator.scenario import Scenario
from safecity.simulator.story import Story
from simulator.listener import Answer, Listener, Request
from simulator.stage import Machines, Stage, ringing


class Room:
    """Two call-takers at work before a server that does what it is told."""

    def __init__(self, stage: Stage, board: Switchboard, takers: CallTakers, server: Listener) -> None:
        self.stage, self.board, self.takers, self.server = stage, board, takers, server

    @property
    def said(self) -> list[str]:
        return [request.path.rsplit("/", 1)[1] for request in self.server.requests]


@asynccontextmanager
async def at_work(
    token: Token, machines: Machines, pace: Pace, slow_to_show: str = ""
) -> AsyncIterator[Room]:
    stage = Stage(token)

    def answer(request: Request) -> Answer:
        _, _, _, call_id, command = request.path.split("/")
        if command == "submit" and call_id == slow_to_show:
            return 200, {}
        return stage.call_command(call_id, command, ACTOR)

    async with Listener(answer) as server:
        machine = machines.at(server.url)
        board = Switchboard(machine, SystemClock(), pace, "run")
        takers = CallTakers(2, machine, stage.feed, board, pace, seed=1)
        work = asyncio.create_task(takers.run())
        yield Room(stage, board, takers, server)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_a_ringing_call_becomes_a_card(
    scenario: Scenario, token: Token, machines: Machines, pace: Pace
) -> None:
    plan = next(iter(Story(scenario, 60.0))).calls[0]
    async with at_work(token, machines, pace) as room:
        room.board.lines["call-1"] = plan
        room.stage.show(EntityKind.CALL, ringing())
        await until(lambda: room.takers.submitted == 1)
        assert room.said == ["claim", "take", "submit"]
        card = room.server.requests[-1].json
    assert card["type"] == plan.type
    assert card["notes"] == plan.notes
    assert card["place"] == {
        "lon": plan.place.lon,
        "lat": plan.place.lat,
        "uncertainty_m": plan.place.uncertainty_m,
        "text": plan.place.text,
    }


async def test_a_call_that_a_person_claimed_is_left_alone(
    scenario: Scenario, token: Token, machines: Machines, pace: Pace
) -> None:
    async with at_work(token, machines, pace) as room:
        theirs = ringing("theirs", state=CallState.CLAIMED, claimed_by="A person")
        room.stage.show(EntityKind.CALL, theirs)
        room.board.lines["ours"] = next(iter(Story(scenario, 60.0))).calls[0]
        room.stage.show(EntityKind.CALL, ringing("ours"))
        await until(lambda: room.takers.submitted == 1)
        assert all("/ours/" in request.path for request in room.server.requests)
        assert room.stage.feed.find(Call, "theirs") == theirs


async def test_a_finished_call_that_the_feed_still_shows_is_not_taken_again(
    scenario: Scenario, token: Token, machines: Machines, pace: Pace
) -> None:
    plan = next(iter(Story(scenario, 60.0))).calls[0]
    async with at_work(token, machines, pace, slow_to_show="call-1") as room:
        room.board.lines |= {"call-1": plan, "call-2": plan}
        room.stage.show(EntityKind.CALL, ringing())
        await until(lambda: room.takers.submitted == 1)
        room.stage.show(EntityKind.CALL, ringing("call-2"))
        await until(lambda: room.takers.submitted == 2)
        assert room.stage.feed.find(Call, "call-1") is not None
        assert len([r for r in room.server.requests if "/call-1/" in r.path]) == 3


async def test_who_hung_up_is_called_back(token: Token, machines: Machines, pace: Pace) -> None:
    async with at_work(token, machines, pace) as room:
        room.stage.show(EntityKind.CALL, ringing(state=CallState.ABANDONED))
        await until(lambda: room.takers.closed == 1)
        assert room.said == ["call_back", "close"]


async def test_calls_of_an_earlier_run_are_closed(token: Token, machines: Machines, pace: Pace) -> None:
    async with at_work(token, machines, pace) as room:
        room.stage.show(EntityKind.CALL, ringing("rings"))
        room.stage.show(EntityKind.CALL, ringing("claimed", state=CallState.CLAIMED, claimed_by=ACTOR))
        room.stage.show(EntityKind.CALL, ringing("taken", state=CallState.TAKEN, claimed_by=ACTOR))
        await until(lambda: room.takers.closed == 3)
        assert room.stage.feed.all(Call) == []
