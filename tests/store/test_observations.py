"""Observations are stored once however often they are delivered, by day of receipt."""

from datetime import timedelta

import asyncpg
import pytest

from safecity.clock import ManualClock
from safecity.model.observation import Observation, ObservationKind
from safecity.store import observations
from safecity.store.database import Database
from safecity.store.observations import Delivery
from safecity.store.snapshot import fixes

pytestmark = pytest.mark.engines
EPOCH = 1


def reading(clock: ManualClock, source_id: str, value: float, **more: object) -> Observation:
    """Return a reading of now."""
    return Observation(
        source_id=source_id,
        kind=ObservationKind.READING,
        event_time=clock.now(),
        receive_time=clock.now(),
        property="gas_ch4",
        value=value,
        **more,  # type: ignore[arg-type]
    )


async def _values(database: Database) -> list[float]:
    async with database.reading() as tx:
        rows = await tx.connection.fetch("SELECT value FROM observation ORDER BY value")
    return [row["value"] for row in rows]


async def test_a_redelivered_message_is_written_once(database: Database, clock: ManualClock) -> None:
    first = Delivery(seq=1, observations=[reading(clock, "a", 1.0), reading(clock, "b", 2.0)])
    second = Delivery(seq=2, observations=[reading(clock, "a", 3.0)])
    assert await observations.write(database, "w", EPOCH, [first]) == 2
    assert await observations.write(database, "w", EPOCH, [first, second]) == 1
    assert await observations.write(database, "w", EPOCH, [second, first]) == 0
    assert await _values(database) == [1.0, 2.0, 3.0]


async def test_a_new_stream_counts_anew(database: Database, clock: ManualClock) -> None:
    delivery = Delivery(seq=1, observations=[reading(clock, "a", 1.0)])
    await observations.write(database, "w", EPOCH, [delivery])
    assert await observations.write(database, "w", EPOCH + 1, [delivery]) == 1


async def test_nothing_is_receipted_when_the_content_cannot_be_stored(
    database: Database, clock: ManualClock
) -> None:
    broken = Delivery(seq=7, observations=[reading(clock, "a", 1.0, lon=500.0, lat=0.0)])
    with pytest.raises(asyncpg.CheckViolationError):
        await observations.write(database, "w", EPOCH, [broken])
    mended = Delivery(seq=7, observations=[reading(clock, "a", 1.0)])
    assert await observations.write(database, "w", EPOCH, [mended]) == 1


async def test_pruned_receipts_are_those_below_the_floor(database: Database, clock: ManualClock) -> None:
    deliveries = [Delivery(seq=n, observations=[reading(clock, "a", n)]) for n in (1, 2, 3)]
    await observations.write(database, "w", EPOCH, deliveries)
    await observations.prune_receipts(database, "w", EPOCH, 2)
    assert await observations.write(database, "w", EPOCH, [deliveries[2]]) == 0


async def test_the_newest_fix_wins_whatever_the_order(database: Database, clock: ManualClock) -> None:
    def fix(seconds_s: float, lat: float) -> Observation:
        return Observation(
            source_id="f-11",
            kind=ObservationKind.POSITION,
            event_time=clock.now() + timedelta(seconds=seconds_s),
            receive_time=clock.now(),
            property="position",
            lon=13.2,
            lat=lat,
        )

    await observations.write(
        database, "w", EPOCH, [Delivery(seq=1, observations=[fix(5, 53.5), fix(3, 53.3)])]
    )
    await observations.write(database, "w", EPOCH, [Delivery(seq=2, observations=[fix(4, 53.4)])])
    async with database.reading() as tx:
        [found] = await fixes(tx)
    assert found.lat == 53.5


async def test_whole_days_are_dropped(database: Database, clock: ManualClock) -> None:
    today = clock.now().date()
    await observations.ensure_partitions(database, today - timedelta(days=40))
    await observations.write(database, "w", EPOCH, [Delivery(seq=1, observations=[reading(clock, "a", 1.0)])])
    dropped = await observations.drop_old_partitions(database, today, keep_days=30)
    assert len(dropped) == 4
    assert await _values(database) == [1.0]
    assert await observations.drop_old_partitions(database, today, keep_days=30) == []
