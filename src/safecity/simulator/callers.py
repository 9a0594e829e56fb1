"""People who call 112, and the telephony system that announces their calls."""

import asyncio
from typing import Final

import structlog

from safecity.clock import Clock
from safecity.errors import Conflict, NotFound, SafeCityError
from safecity.model.base import Noun, Place, utc_text
from safecity.simulator.api import Machine
from safecity.simulator.pace import Pace
from safecity.simulator.story import CallPlan, Happening

log = structlog.get_logger()

LINE: Final = "112"
MAX_RINGING: Final = 300
"""Callers that wait for the telephony system at once; more get the busy tone."""


class Ringing(Noun, frozen=True):
    """The body of POST /api/calls."""

    call_id: str
    received_at: str
    line: str
    caller_number: str
    language: str
    caller_place: Place | None
    caller_words: str
    simulated: bool = True


class Switchboard:
    """Turns planned calls into real ones. `lines` is what can be heard on the open lines."""

    def __init__(self, telephony: Machine, clock: Clock, pace: Pace, run: str) -> None:
        """Announce calls as `telephony`; `run` makes their ids unique among all runs."""
        self._telephony = telephony
        self._clock = clock
        self._pace = pace
        self._run = run
        self._waiting = 0
        self.lines: dict[str, CallPlan] = {}
        self.acknowledged = 0
        self.abandoned = 0
        self.busy = 0

    async def call(self, happening: Happening, turn: int) -> None:
        """Make the `turn`-th call about a happening: wait, ring, and hang up when nobody answers."""
        plan = happening.calls[turn]
        await self._pace.until(happening.at_s + plan.delay_s)
        if self._waiting >= MAX_RINGING:
            self.busy += 1
            return
        call_id = f"sim-{self._run}-{happening.number}-{turn}"
        self.lines[call_id] = plan
        self._waiting += 1
        try:
            await self._ring(call_id, plan)
        finally:
            self._waiting -= 1
        await self._pace.sleep(plan.patience_s)
        if call_id in self.lines:
            await self._hang_up(call_id)

    def answered(self, call_id: str) -> CallPlan | None:
        """Return what the caller says to whoever took the call; None when nobody is on the line."""
        return self.lines.pop(call_id, None)

    async def _ring(self, call_id: str, plan: CallPlan) -> None:
        ringing = Ringing(
            call_id=call_id,
            received_at=utc_text(self._clock.now()),
            line=LINE,
            caller_number=plan.caller_number,
            language=plan.language,
            caller_place=plan.caller_place,
            caller_words=plan.words,
        )
        try:
            await self._telephony.post("/api/calls", ringing, call_id)
        except SafeCityError as error:
            self.lines.pop(call_id, None)
            log.warning("call refused", call=call_id, error=str(error))
        else:
            self.acknowledged += 1

    async def _hang_up(self, call_id: str) -> None:
        try:
            await self._telephony.post(f"/api/calls/{call_id}/abandon", {}, f"{call_id}-abandon")
        except (Conflict, NotFound):
            log.debug("the caller is being talked to", call=call_id)
        except SafeCityError as error:
            log.warning("hanging up refused", call=call_id, error=str(error))
        else:
            self.abandoned += 1
            self.lines.pop(call_id, None)

    def make_calls(self, happening: Happening, group: asyncio.TaskGroup) -> None:
        """Let everybody who noticed a happening call, each in their own time."""
        for turn in range(len(happening.calls)):
            group.create_task(self.call(happening, turn))
