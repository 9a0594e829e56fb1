"""The scripted operator of runs without a screen: the console's commands, over the same interface."""

import asyncio
from itertools import count
from typing import Final

import msgspec
import structlog

from safecity.errors import SafeCityError
from safecity.model.incident import Disposition, Incident, IncidentState, IncidentType
from safecity.model.unit import Recommendation
from safecity.simulator.api import Machine
from safecity.simulator.feed import Feed
from safecity.simulator.pace import Pace
from safecity.simulator.scenario import rng_for

log = structlog.get_logger()

LOOK_S: Final = 0.2
THINK_S: Final = (3.0, 10.0)
"""How long, simulated, the operator looks before each command."""
WAIT_FOR_UNIT_S: Final = 30.0
ASKS: Final = 3
"""How often the operator asks for a unit before the incident is closed without one."""
FALSE_SHARE: Final = 0.1
"""Share of the incidents that turn out to have been nothing."""


class ScriptedOperator:
    """Handles every incident as the guide for operators says, without judgement of its own."""

    def __init__(self, machine: Machine, feed: Feed, pace: Pace, seed: int, run: str) -> None:
        """Act as `machine` on what `feed` shows; `run` makes the command keys unique among all runs."""
        self._machine = machine
        self._feed = feed
        self._pace = pace
        self._rng = rng_for(seed, "operator")
        self._run = run
        self._keys = count()
        self._in_hand: set[str] = set()
        self._asked: dict[str, int] = {}
        self.acknowledged = 0
        self.dispatched = 0
        self.closed = 0

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for incident in self._feed.all(Incident):
                    if incident.is_open and incident.id not in self._in_hand:
                        self._in_hand.add(incident.id)
                        group.create_task(self._handle(incident.id))
                await asyncio.sleep(LOOK_S)

    async def _handle(self, incident_id: str) -> None:
        """Stay with one incident until it is closed."""
        try:
            while (incident := self._feed.find(Incident, incident_id)) is not None and incident.is_open:
                await self._step(incident)
        finally:
            self._in_hand.discard(incident_id)
            self._asked.pop(incident_id, None)

    async def _step(self, incident: Incident) -> None:
        if incident.state in (IncidentState.DISPATCHED, IncidentState.ON_SCENE):
            await asyncio.sleep(LOOK_S)
            return
        await self._pace.sleep(self._rng.uniform(*THINK_S))
        try:
            if incident.state is IncidentState.NEW:
                await self._say(incident, "acknowledge", {})
                self.acknowledged += 1
            elif incident.state is IncidentState.ACKNOWLEDGED:
                await self._send_somebody(incident)
            elif incident.state is IncidentState.CLEARED:
                await self._close(incident, self._finding())
        except SafeCityError as error:
            # It changed while the operator looked; what the feed says next counts.
            log.info("command refused", incident=incident.number, error=str(error))
            await asyncio.sleep(LOOK_S)

    async def _send_somebody(self, incident: Incident) -> None:
        if incident.type is IncidentType.DEVICE_FAULT:
            await self._close(incident, Disposition.REAL, "passed to the maintenance service")
            return
        answer = await self._machine.get(f"/api/incidents/{incident.id}/recommendation")
        advice = msgspec.json.decode(answer, type=Recommendation)
        if advice.picks:
            unit_ids = [pick.unit_id for pick in advice.picks]
            await self._say(incident, "dispatch", {"unit_ids": unit_ids, "override_reason": ""})
            self.dispatched += 1
            return
        asked = self._asked[incident.id] = self._asked.get(incident.id, 0) + 1
        if advice.shortfalls and asked < ASKS:
            await self._pace.sleep(WAIT_FOR_UNIT_S)
        else:
            await self._close(incident, Disposition.UNKNOWN, "no unit was sent")

    def _finding(self) -> Disposition:
        return Disposition.FALSE if self._rng.random() < FALSE_SHARE else Disposition.REAL

    async def _close(self, incident: Incident, disposition: Disposition, note: str = "") -> None:
        await self._say(incident, "close", {"disposition": disposition, "note": note})
        self.closed += 1

    async def _say(self, incident: Incident, command: str, body: object) -> None:
        """Give a command and wait until the feed shows what it did, so that it isn't given twice."""
        key = f"{self._run}-{next(self._keys)}"
        await self._machine.post(f"/api/incidents/{incident.id}/{command}", body, key)
        for _ in range(50):
            shown = self._feed.find(Incident, incident.id)
            if shown is None or shown.state is not incident.state:
                return
            await asyncio.sleep(LOOK_S / 4)
