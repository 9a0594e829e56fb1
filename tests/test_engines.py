"""The engines that tests run on are real and durable."""

from safecity.bus.connection import Bus
from safecity.bus.subjects import STREAM_SUBJECTS
from safecity.clock import ManualClock
from safecity.store import journal
from safecity.store.database import Database


async def test_database_is_fresh_and_migrated(database: Database, clock: ManualClock) -> None:
    async with database.writing() as tx:
        assert tx.now == clock.now()
        assert await journal.head(tx) == 0
        assert await tx.journal(actor="a", action="test", object_kind="test", object_id="1") == 1
    async with database.reading() as tx:
        report = await journal.check(tx)
    assert report.ok
    assert report.entries == 1


async def test_each_test_has_its_own_database(database: Database) -> None:
    async with database.reading() as tx:
        assert await journal.head(tx) == 0


async def test_bus_has_every_stream(bus: Bus) -> None:
    names = {info.config.name for info in await bus.js.streams_info()}
    assert {stream.value for stream in STREAM_SUBJECTS} <= names
