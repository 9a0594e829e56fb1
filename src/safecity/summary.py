"""What a headless run of the demo sums up in one line of JSON."""

import asyncio
from datetime import datetime

import msgspec
import numpy as np

from safecity.app import Installation
from safecity.bus.connection import Bus, connect
from safecity.bus.logins import BusLogin
from safecity.bus.subjects import DURABLES
from safecity.clock import SystemClock
from safecity.deployment import Folder
from safecity.errors import Unavailable
from safecity.memory import Watch
from safecity.roles import Role
from safecity.simulator.room import SimulationReport
from safecity.store import journal, observations
from safecity.store.database import Database, open_database

DRAIN_S = 15.0


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds."""

    p50: float
    p95: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The summary, counted from the start on.

    lost: how many more observations and calls were acknowledged to the simulated city than are stored, in all
    and by kind. event_to_incident_ms: from receipt at the way in to the incident that holds it, in its
    transaction. first_incident_s: from the start of the program.
    """

    incidents_opened: int
    incidents_dispatched: int
    incidents_closed: int
    observations: dict[str, int]
    alarms: int
    event_to_incident_ms: Percentiles
    journal_entries: int
    journal_ok: bool
    lost: int
    lost_by_kind: dict[str, int]
    rss_mb: float
    first_incident_s: float | None


async def collect(installation: Installation, begun: datetime, memory: Watch) -> Figures:
    """Stop the simulated city, wait until all it sent has arrived, and count.

    begun: when the start began; everything since then counts.
    """
    peak_mb = memory.look()
    await installation.supervisor.stop(Role.SIMULATOR)
    bus = await connect(installation.plan.folder.bus_url(installation.run, BusLogin.SETUP), "summary")
    database = await open_database(installation.run.database_url, SystemClock(), size=2)
    try:
        await _drain(bus)
        stored = await observations.count_by_kind(database, begun)
        report = _report(installation.plan.folder)
        lost = {kind: max(0, count - stored.get(kind, 0)) for kind, count in report.acknowledged.items()}
        lost["ringing call"] = max(0, report.calls - await _calls(database, begun))
        return await _figures(database, begun, peak_mb, stored, lost)
    finally:
        await bus.close()
        await database.close()


async def _figures(
    database: Database, begun: datetime, peak_mb: float, stored: dict[str, int], lost: dict[str, int]
) -> Figures:
    async with database.reading() as tx:
        report = await journal.check(tx)
        counts = await tx.connection.fetchrow(
            "SELECT count(*) AS opened, count(doc ->> 'dispatched_at') AS dispatched, "
            "count(*) FILTER (WHERE state = 'closed') AS closed, min(opened_at) AS first "
            "FROM incident WHERE opened_at >= $1",
            begun,
        )
        delays = await tx.connection.fetch(
            "SELECT extract(epoch FROM utc(link ->> 'at') - utc(alarm.doc ->> 'receive_time')) * 1000 AS ms "
            "FROM incident, jsonb_array_elements(incident.doc -> 'links') AS link "
            "JOIN alarm ON alarm.id = link ->> 'alarm_id' WHERE utc(link ->> 'at') >= $1",
            begun,
        )
        alarms = await tx.connection.fetchval("SELECT count(*) FROM alarm WHERE raised_at >= $1", begun)
    if counts is None:
        raise Unavailable("the database did not count the incidents; run it again")
    milliseconds = np.array([float(row["ms"]) for row in delays])
    p50, p95 = np.percentile(milliseconds, [50, 95]) if len(milliseconds) else (np.nan, np.nan)
    return Figures(
        incidents_opened=counts["opened"],
        incidents_dispatched=counts["dispatched"],
        incidents_closed=counts["closed"],
        observations=stored,
        alarms=alarms,
        event_to_incident_ms=Percentiles(round(float(p50), 1), round(float(p95), 1)),
        journal_entries=report.entries,
        journal_ok=report.ok,
        lost=sum(lost.values()),
        lost_by_kind=lost,
        rss_mb=round(peak_mb, 1),
        first_incident_s=round((counts["first"] - begun).total_seconds(), 1) if counts["first"] else None,
    )


async def _drain(bus: Bus) -> None:
    """Wait until every consumer has acknowledged everything, at most DRAIN_S."""
    deadline = asyncio.get_running_loop().time() + DRAIN_S
    while asyncio.get_running_loop().time() < deadline:
        waiting = 0
        for durable in DURABLES:
            info = await bus.js.consumer_info(durable.stream.value, durable.name)
            waiting += (info.num_pending or 0) + (info.num_ack_pending or 0)
        if waiting == 0:
            return
        await asyncio.sleep(0.2)


async def _calls(database: Database, begun: datetime) -> int:
    async with database.reading() as tx:
        return int(
            await tx.connection.fetchval(
                "SELECT count(*) FROM call WHERE received_at >= $1 AND doc ->> 'line' <> 'typed'", begun
            )
        )


def _report(folder: Folder) -> SimulationReport:
    return msgspec.json.decode(folder.report_file.read_bytes(), type=SimulationReport)
