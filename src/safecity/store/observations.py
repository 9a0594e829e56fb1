"""Observations into their daily partitions, once each however often the bus delivers them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast

import asyncpg
import msgspec
import structlog

from safecity.model.observation import Observation, ObservationKind
from safecity.store.database import Database, translated

log = structlog.get_logger()

COLUMNS = (
    "receive_time",
    "event_time",
    "source_id",
    "kind",
    "property",
    "value",
    "unit",
    "lon",
    "lat",
    "uncertainty_m",
    "heading_deg",
    "detail",
)
DAYS_AHEAD = 2


class Delivery(msgspec.Struct, frozen=True):
    """One bus message: its sequence in the stream and what it holds."""

    seq: int
    observations: list[Observation]


async def ensure_partitions(database: Database, today: date) -> None:
    """Make the partitions from yesterday to the day after tomorrow."""
    for offset in range(-1, DAYS_AHEAD + 1):
        await ensure_partition(database, today + timedelta(days=offset))


async def ensure_partition(database: Database, day: date) -> None:
    """Make the partition of one day of receipt."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    async with database.pool.acquire() as connection:
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS observation_{day:%Y%m%d} PARTITION OF observation "
            f"FOR VALUES FROM ('{start.isoformat()}') TO ('{(start + timedelta(days=1)).isoformat()}')"
        )


async def drop_old_partitions(database: Database, today: date, keep_days: int) -> list[str]:
    """Drop whole days older than `keep_days`; return the names of the dropped partitions."""
    oldest = f"observation_{today - timedelta(days=keep_days):%Y%m%d}"
    async with database.pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits "
            "WHERE inhparent = 'observation'::regclass"
        )
        names = sorted(row["name"] for row in rows if row["name"] < oldest)
        for name in names:
            await connection.execute(f"DROP TABLE {name}")
    return names


async def write(database: Database, consumer: str, epoch: int, deliveries: Sequence[Delivery]) -> int:
    """Store what was not stored before, with receipts in the same transaction; return how many rows.

    `epoch` is the stream's creation in microseconds since 1970. Raises Unavailable, StorageFull, or
    Invalid-like database errors when a value breaks a CHECK constraint (the caller then splits the batch).
    """
    with translated():
        async with database.pool.acquire(timeout=10) as pooled, pooled.transaction():
            connection = cast("asyncpg.Connection", pooled)
            fresh = await _receipts(connection, consumer, epoch, [delivery.seq for delivery in deliveries])
            new = [o for delivery in deliveries if delivery.seq in fresh for o in delivery.observations]
            if new:
                await _copy(connection, new)
                await _newest_fixes(connection, new)
            return len(new)


async def prune_receipts(database: Database, consumer: str, epoch: int, floor: int) -> None:
    """Forget receipts at or below `floor`, the sequence below which the bus redelivers nothing."""
    async with database.pool.acquire() as connection:
        await connection.execute(
            "DELETE FROM bus_receipt WHERE consumer = $1 AND (epoch <> $2 OR seq <= $3)",
            consumer,
            epoch,
            floor,
        )


async def count_by_kind(database: Database, since: datetime) -> dict[str, int]:
    """Return how many different observations of each kind were received since a moment."""
    async with database.pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT kind, count(DISTINCT (source_id, property, event_time)) AS n FROM observation "
            "WHERE receive_time >= $1 GROUP BY kind ORDER BY kind",
            since,
        )
    return {row["kind"]: row["n"] for row in rows}


async def _receipts(
    connection: asyncpg.Connection, consumer: str, epoch: int, sequences: list[int]
) -> set[int]:
    rows = await connection.fetch(
        "INSERT INTO bus_receipt (consumer, epoch, seq) SELECT $1, $2, unnest($3::bigint[]) "
        "ON CONFLICT DO NOTHING RETURNING seq",
        consumer,
        epoch,
        sequences,
    )
    return {row["seq"] for row in rows}


async def _copy(connection: asyncpg.Connection, observations: list[Observation]) -> None:
    encode = msgspec.json.encode
    await connection.copy_records_to_table(
        "observation",
        columns=COLUMNS,
        records=[
            (
                o.receive_time,
                o.event_time,
                o.source_id,
                o.kind,
                o.property,
                o.value,
                o.unit,
                o.lon,
                o.lat,
                o.uncertainty_m,
                o.heading_deg,
                None if o.detail is None else encode(o.detail).decode(),
            )
            for o in observations
        ],
    )


async def _newest_fixes(connection: asyncpg.Connection, observations: list[Observation]) -> None:
    newest: dict[str, Observation] = {}
    for observation in observations:
        if observation.kind is ObservationKind.POSITION and observation.lon is not None:
            known = newest.get(observation.source_id)
            if known is None or known.event_time <= observation.event_time:
                newest[observation.source_id] = observation
    if not newest:
        return
    fixes = [newest[unit_id] for unit_id in sorted(newest)]
    await connection.execute(
        "INSERT INTO unit_fix (unit_id, lon, lat, speed_mps, heading_deg, fix_time) "
        "SELECT * FROM unnest("
        "$1::text[], $2::float8[], $3::float8[], $4::real[], $5::real[], $6::timestamptz[]) "
        "ON CONFLICT (unit_id) DO UPDATE SET lon = excluded.lon, lat = excluded.lat, "
        "speed_mps = excluded.speed_mps, heading_deg = excluded.heading_deg, fix_time = excluded.fix_time "
        "WHERE unit_fix.fix_time <= excluded.fix_time",
        [fix.source_id for fix in fixes],
        [fix.lon for fix in fixes],
        [fix.lat for fix in fixes],
        [fix.value or 0.0 for fix in fixes],
        [fix.heading_deg or 0.0 for fix in fixes],
        [fix.event_time for fix in fixes],
    )
