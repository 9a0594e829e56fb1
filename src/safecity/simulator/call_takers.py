"""Simulated call-takers: they answer what nobody else answers, ask, and finish the card."""

import asyncio
import random
from typing import Final

import structlog

from safecity.errors import SafeCityError
from safecity.model.call import Call, CallState
from safecity.simulator.api import Machine
from safecity.simulator.callers import Switchboard
from safecity.simulator.feed import Feed
from safecity.simulator.pace import Pace
from safecity.simulator.scenario import rng_for

log = structlog.get_logger()

ACTOR: Final = "simulated-call-takers"
LOOK_S: Final = 0.2
"""How often, in real seconds, an idle call-taker looks at the queue."""
REACTION_S: Final = (5.0, 8.0)
"""How long a call rings before a simulated call-taker claims it: a person at the console may be quicker."""
TAKE_S: Final = (0.5, 2.0)
CALL_BACK_S: Final = (20.0, 40.0)
LOST_LINE: Final = "the line was lost"
REACHED_AGAIN: Final = "called back: dialled by mistake, no help needed"


class CallTakers:
    """The simulated call-takers of one room, all signed in as one machine."""

    def __init__(
        self, count: int, machine: Machine, feed: Feed, switchboard: Switchboard, pace: Pace, seed: int
    ) -> None:
        """Let `count` call-takers work on what `feed` shows."""
        self._count = count
        self._machine = machine
        self._feed = feed
        self._switchboard = switchboard
        self._pace = pace
        self._seed = seed
        self._noticed: dict[str, tuple[CallState, float]] = {}
        self._in_hand: set[str] = set()
        self._finished: set[str] = set()
        self.submitted = 0
        self.closed = 0

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._work(rng_for(self._seed, f"call-taker-{number}")))

    async def _work(self, rng: random.Random) -> None:
        while True:
            call = self._next(rng)
            if call is None:
                await asyncio.sleep(LOOK_S)
                continue
            self._in_hand.add(call.id)
            try:
                await self._handle(call, rng)
            except SafeCityError as error:
                # Somebody else took it, or the caller hung up.
                log.info("call left", call=call.id, error=str(error))
                self._noticed.pop(call.id, None)
            finally:
                self._in_hand.discard(call.id)

    def _next(self, rng: random.Random) -> Call | None:
        """Return the oldest call whose time has come, or None."""
        now_s = self._pace.elapsed_s()
        calls = {call.id: call for call in self._feed.all(Call) if call.is_open}
        self._noticed = {id_: seen for id_, seen in self._noticed.items() if id_ in calls}
        # A finished call stands in the feed for a moment longer.
        self._finished &= calls.keys()
        for id_ in self._in_hand | self._finished:
            calls.pop(id_, None)
        for call in sorted(calls.values(), key=lambda call: call.received_at):
            state, _ = self._noticed.get(call.id, (None, 0.0))
            if state is not call.state:
                wait_s = CALL_BACK_S if call.state is CallState.ABANDONED else REACTION_S
                self._noticed[call.id] = (call.state, now_s + rng.uniform(*wait_s))
            elif now_s >= self._noticed[call.id][1] and _is_ours(call):
                return call
        return None

    async def _handle(self, call: Call, rng: random.Random) -> None:
        if call.state is CallState.ABANDONED:
            await self._say(call, "call_back")
            await self._pace.sleep(rng.uniform(15, 30))
            await self._close(call, REACHED_AGAIN)
            return
        if call.state is CallState.RINGING:
            await self._say(call, "claim")
            await self._pace.sleep(rng.uniform(*TAKE_S))
        if call.state is not CallState.TAKEN:
            await self._say(call, "take")
        plan = self._switchboard.answered(call.id)
        if plan is None:
            await self._close(call, LOST_LINE)
            return
        await self._pace.sleep(plan.interview_s)
        card = {"type": plan.type, "place": plan.place, "notes": plan.notes}
        await self._machine.post(f"/api/calls/{call.id}/submit", card, f"{call.id}-submit")
        self._finished.add(call.id)
        self.submitted += 1

    async def _say(self, call: Call, command: str) -> None:
        await self._machine.post(f"/api/calls/{call.id}/{command}", {}, f"{call.id}-{command}")

    async def _close(self, call: Call, reason: str) -> None:
        await self._machine.post(f"/api/calls/{call.id}/close", {"reason": reason}, f"{call.id}-close")
        self._finished.add(call.id)
        self.closed += 1


def _is_ours(call: Call) -> bool:
    """Whether a simulated call-taker may touch it: nobody has it, or we had it before a new start."""
    return call.state in (CallState.RINGING, CallState.ABANDONED) or call.claimed_by == ACTOR
