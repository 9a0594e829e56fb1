"""The database holds what the indexes say, once, whatever dies in between (architecture: 4 and 5)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from engines import PostgresServer, until
from safecity.clock import ManualClock
from safecity.store.database import Database, open_database
from safecity.video.recording import index
from safecity.video.recording.index import DeletionReason, FileEntry, GapEntry, OutageEntry
from safecity.video.recording.pruning import prune
from safecity.video.recording.shipper import BATCH, IndexReader, Shipper

from .entries import CAMERA, START, IndexWriter

pytestmark = pytest.mark.engines


@asynccontextmanager
async def shipping(shipper: Shipper) -> AsyncIterator[None]:
    """Let the shipper work until the end of the block."""
    shipper.add_cameras([CAMERA])
    task = asyncio.create_task(shipper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class SameDatabase:
    """A database that the shipper may use and close, while the test keeps its own."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.url = url
        self.asked = 0

    async def connect(self) -> Database:
        self.asked += 1
        return await open_database(self.url, self.database.clock, size=1, patience_s=0)

    async def rows(self, sql: str) -> list:
        async with self.database.pool.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(sql)]

    async def files(self) -> list:
        return await self.rows(
            "SELECT path, number, start_time, end_time, size_bytes, deletion_reason FROM recording "
            "ORDER BY number"
        )

    async def gaps(self) -> list:
        return await self.rows("SELECT start_time, end_time, reason FROM recording_gap ORDER BY start_time")


@pytest.fixture
async def store(postgres: PostgresServer, clock: ManualClock) -> AsyncIterator[SameDatabase]:
    name, opened = await postgres.fresh(clock)
    yield SameDatabase(opened, postgres.url(name))
    await opened.close()
    await postgres.drop(name)


def rows_of(entries: list[FileEntry], deleted: dict[str, str]) -> list:
    return [(e.path, e.start, e.end, e.size_bytes, deleted.get(e.path)) for e in entries]


async def caught_up(shipper: Shipper, entries: int) -> None:
    await until(lambda: shipper.copied >= entries and not shipper.waiting)


async def test_the_database_holds_what_the_index_says(tmp_path: Path, store: SameDatabase) -> None:
    writer = IndexWriter(tmp_path / CAMERA)
    shipper = Shipper(store.connect, tmp_path)
    async with shipping(shipper):
        first = writer.record(3)
        outage = OutageEntry(camera_id=CAMERA, start=first[-1].end, reason="the camera stopped sending")
        shipper.notify(writer.append(outage))
        await caught_up(shipper, 4)
        assert await store.gaps() == [(outage.start, None, outage.reason)]
        writer.pause(5)
        gap = GapEntry(
            camera_id=CAMERA,
            start=outage.start,
            end=outage.start + timedelta(minutes=5),
            reason=outage.reason,
        )
        writer.append(gap)
        later = writer.record(1)
        writer.delete(first[0], START + timedelta(days=5), DeletionReason.SPACE)
        shipper.notify(writer.written[-1])
        await caught_up(shipper, 7)
    files = await store.files()
    assert [row[0:1] + row[2:] for row in files] == rows_of([*first, *later], {first[0].path: "space"})
    assert [row[1] for row in files] == [1, 2, 3, 6]
    assert await store.gaps() == [(gap.start, gap.end, gap.reason)]


async def test_a_shipper_that_dies_anywhere_leaves_nothing_out_and_repeats_nothing(
    tmp_path: Path, store: SameDatabase
) -> None:
    writer = IndexWriter(tmp_path / CAMERA)
    entries = writer.record(3 * BATCH + 7, exists=False)
    for delay_s in (0.0, 0.01, 0.03, 0.06, 0.1):
        shipper = Shipper(store.connect, tmp_path)
        async with shipping(shipper):
            await asyncio.sleep(delay_s)  # how far it comes is up to the machine
    shipper = Shipper(store.connect, tmp_path)
    async with shipping(shipper):
        await until(lambda: store.asked == 6 and not shipper.waiting)
    assert [row[0] for row in await store.files()] == [entry.path for entry in entries]
    again = Shipper(store.connect, tmp_path)
    async with shipping(again):
        await until(lambda: store.asked == 7 and not again.waiting)
    assert again.copied == 0


async def test_what_the_index_pruned_the_database_forgets(tmp_path: Path, store: SameDatabase) -> None:
    writer = IndexWriter(tmp_path / CAMERA)
    shipper = Shipper(store.connect, tmp_path)
    files = writer.record(6)
    async with shipping(shipper):
        await caught_up(shipper, 6)
        for file in files[:4]:
            writer.delete(file, START + timedelta(hours=1))
        pruned = prune(CAMERA, writer.folder, START + timedelta(days=1), START, least=1)
        assert pruned is not None
        assert pruned.entries == 4
        writer.record(1)
        shipper.notify(pruned)
        await caught_up(shipper, 11)
    assert [row[1] for row in await store.files()] == [5, 6, 11]
    # The same for a database that was away for all that time.
    fresh = IndexReader(writer.folder)
    batch = fresh.after(index_position(0))
    assert batch.pruned == pruned
    assert [number for number, _ in batch.entries] == [5, 6, 7, 8, 9, 10, 11]


def index_position(number: int):
    from safecity.store.recordings import Position

    return Position(number=number, line_hash=b"")


async def test_another_index_in_its_place_is_noticed(tmp_path: Path, store: SameDatabase) -> None:
    writer = IndexWriter(tmp_path / CAMERA)
    old = writer.record(5)
    shipper = Shipper(store.connect, tmp_path)
    async with shipping(shipper):
        await caught_up(shipper, 5)
    (writer.folder / index.INDEX_NAME).unlink()
    again = IndexWriter(writer.folder)
    again.pause(60)
    new = again.record(7)
    shipper = Shipper(store.connect, tmp_path)
    async with shipping(shipper):
        await caught_up(shipper, 7)
    present = [row[0] for row in await store.files() if row[5] is None]
    assert present == [entry.path for entry in new]
    gone = {row[0] for row in await store.files() if row[5] == "missing"}
    assert gone == {entry.path for entry in old}


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Yield a PostgreSQL that a test may stop."""
    with PostgresServer() as server:
        yield server


async def test_it_waits_while_postgresql_is_away_and_catches_up(
    tmp_path: Path, clock: ManualClock, own_server: PostgresServer
) -> None:
    writer = IndexWriter(tmp_path / CAMERA)
    name, opened = await own_server.fresh(clock)
    await opened.close()
    own_server.stop()
    url = own_server.url(name)
    shipper = Shipper(lambda: open_database(url, clock, size=1, patience_s=0), tmp_path)
    async with shipping(shipper):
        writer.record(2)
        await until(lambda: shipper.failures > 0)
        await asyncio.to_thread(own_server.start)
        await caught_up(shipper, 2)
        await asyncio.to_thread(own_server.stop)
        failed = shipper.failures
        shipper.notify(writer.record(1)[0])
        await until(lambda: shipper.failures > failed)
        await asyncio.to_thread(own_server.start)
        await caught_up(shipper, 3)
    database = await open_database(url, clock, size=1)
    assert len(await SameDatabase(database, "").files()) == 3
    await database.close()


async def test_it_says_what_is_being_recorded_now(tmp_path: Path, store: SameDatabase) -> None:
    IndexWriter(tmp_path / CAMERA).record(1)
    shipper = Shipper(store.connect, tmp_path, lambda: {CAMERA: START, "cam-2": None})
    async with shipping(shipper):
        await caught_up(shipper, 1)
    found = await store.rows(
        "SELECT camera_id, number, recording_since FROM recording_position ORDER BY camera_id"
    )
    assert found == [(CAMERA, 1, START), ("cam-2", 0, None)]
