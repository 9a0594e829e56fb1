"""People's calls reach the queue once, however often the telephony system must try."""

import asyncio

import msgspec

from engines import until
from safecity.clock import SystemClock
from safecity.operations.calls import RingingCall
from safecity.simulator.callers import Switchboard
from safecity.simulator.pace import Pace
from safecity.simulator.scenario import Scenario
from safecity.simulator.story import Happening, Story
from simulator.listener import Answer, Listener, Request
from simulator.stage import TOKEN, Machines


def fire(scenario: Scenario) -> Happening:
    return next(iter(Story(scenario, 60.0)))


async def test_a_call_is_tried_with_the_same_key_until_it_is_acknowledged(
    scenario: Scenario, machines: Machines, pace: Pace
) -> None:
    trouble: list[Answer] = [None, (503, {"code": "unavailable"}), (429, {"code": "too_many"}), (401, {})]

    def answer(request: Request) -> Answer:
        return trouble.pop(0) if trouble else (202, {"call_id": request.json["call_id"]})

    async with Listener(answer) as server:
        board = Switchboard(machines.at(server.url), SystemClock(), pace, "run")
        call = asyncio.create_task(board.call(fire(scenario), 0))
        await until(lambda: board.acknowledged == 1)
        call.cancel()
        posts = server.posted("/api/calls")
    assert len(posts) == 5
    assert len({post.body for post in posts}) == 1
    assert {post.headers["idempotency-key"] for post in posts} == {"sim-run-0-0"}
    assert {post.headers["authorization"] for post in posts} == {f"Bearer {TOKEN}"}


async def test_a_call_says_what_the_telephony_interface_expects(
    scenario: Scenario, machines: Machines, pace: Pace
) -> None:
    async with Listener(lambda _: (202, {})) as server:
        board = Switchboard(machines.at(server.url), SystemClock(), pace, "run")
        call = asyncio.create_task(board.call(fire(scenario), 0))
        await until(lambda: board.acknowledged == 1)
        call.cancel()
        body = msgspec.json.decode(server.posted("/api/calls")[0].body, type=RingingCall)
    plan = fire(scenario).calls[0]
    assert (body.caller_words, body.caller_place, body.simulated) == (plan.words, plan.caller_place, True)
    assert body.received_at.tzinfo is not None


async def test_nobody_answers_and_the_caller_hangs_up(
    scenario: Scenario, machines: Machines, pace: Pace
) -> None:
    async with Listener(lambda _: (200, {})) as server:
        board = Switchboard(machines.at(server.url), SystemClock(), pace, "run")
        await board.call(fire(scenario), 0)
        assert len(server.posted("/api/calls/sim-run-0-0/abandon")) == 1
    assert board.abandoned == 1
    assert board.lines == {}


async def test_a_caller_who_is_talked_to_does_not_hang_up(
    scenario: Scenario, machines: Machines, pace: Pace
) -> None:
    async with Listener(lambda _: (202, {})) as server:
        board = Switchboard(machines.at(server.url), SystemClock(), pace, "run")
        call = asyncio.create_task(board.call(fire(scenario), 0))
        await until(lambda: board.acknowledged == 1)
        assert board.answered("sim-run-0-0") == fire(scenario).calls[0]
        await call
        assert len(server.requests) == 1


async def test_a_refused_call_is_not_counted(scenario: Scenario, machines: Machines, pace: Pace) -> None:
    async with Listener(lambda _: (403, {"code": "forbidden", "message": "no"})) as server:
        board = Switchboard(machines.at(server.url), SystemClock(), pace, "run")
        await board.call(fire(scenario), 0)
        assert len(server.posted("/api/calls")) == 1
    assert (board.acknowledged, board.lines) == (0, {})
