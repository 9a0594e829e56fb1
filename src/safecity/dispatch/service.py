"""The dispatch role: answers requests for a recommendation over the bus."""

import asyncio
import contextlib
import os
import threading

import msgspec
import structlog

from safecity.bus.connection import Bus
from safecity.bus.subjects import RECOMMEND
from safecity.dispatch.room import DispatchRoom
from safecity.errors import SafeCityError
from safecity.model.incident import Incident
from safecity.model.unit import Assignment, Recommendation, Unit
from safecity.store.database import Database
from safecity.store.snapshot import fixes

log = structlog.get_logger()

WARM_UP_NICENESS = 10
BOUND = "incident_id = $1 AND state NOT IN ('cleared', 'cancelled')"


class Refusal(msgspec.Struct, frozen=True):
    """Why there is no recommendation."""

    code: str
    message: str


class Request(msgspec.Struct, frozen=True):
    """What is asked: which units for this incident."""

    incident_id: str


class DispatchService:
    """Reads the incident, all units and their last positions, and lets the room decide."""

    def __init__(self, room: DispatchRoom, database: Database, bus: Bus) -> None:
        """Answer over `bus` from what `database` holds."""
        self._room = room
        self._database = database
        self._bus = bus
        self.ready = asyncio.Event()
        self.counters: dict[str, float] = dict.fromkeys(
            ("recommendations_total", "refused_total", "last_compute_ms"), 0
        )

    async def run(self) -> None:
        """Answer until cancelled."""
        await self._warm()
        await self._bus.serve(RECOMMEND, self._answer)
        self.ready.set()
        await asyncio.Event().wait()

    async def _warm(self) -> None:
        # A thread that the process need not wait for: compiling takes seconds, stopping must not.
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def warm() -> None:
            # In Linux niceness belongs to the thread: what records and answers goes first.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WARM_UP_NICENESS)
            self._room.warm()
            with contextlib.suppress(RuntimeError):  # the loop ended before the compiler
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=warm, daemon=True, name="warm-up").start()
        await done.wait()

    async def recommend(self, incident_id: str) -> Recommendation:
        """Return the recommendation for a stored incident; raises NotFound when there is none."""
        async with self._database.reading() as tx:
            incident = await tx.get(Incident, incident_id)
            sent = await tx.select(Assignment, BOUND, incident_id)
            units = await tx.current(Unit)
            last = {fix.unit_id: fix for fix in await fixes(tx)}
        underway = {assignment.unit_id for assignment in sent}
        return self._room.recommend(incident, units, last, [u for u in units if u.id in underway])

    async def _answer(self, data: bytes) -> bytes:
        try:
            found = await self.recommend(msgspec.json.decode(data, type=Request).incident_id)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            self.counters["refused_total"] += 1
            return msgspec.json.encode(Refusal("invalid", f"this is not a request for units: {error}"))
        except SafeCityError as error:
            self.counters["refused_total"] += 1
            return msgspec.json.encode(Refusal(error.code, str(error)))
        self.counters["recommendations_total"] += 1
        self.counters["last_compute_ms"] = found.compute_ms
        return msgspec.json.encode(found)
