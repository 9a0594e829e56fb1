"""A shard learns its cameras from PostgreSQL, and starts and goes on without it (always true, 5)."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from engines import PostgresServer
from safecity.access.sealed import Account, KeyRing
from safecity.clock import Clock, ManualClock
from safecity.model.base import Place
from safecity.model.video import CAMERAS_PER_SHARD, CameraSetup
from safecity.operations import cameras, holds
from safecity.operations.command import Order
from safecity.operations.holds import NewHold
from safecity.store.database import Database, open_database
from safecity.video.roster import Assignment, Roster

pytestmark = pytest.mark.engines

ANNA = Order(actor="Anna")
VIEWER = Account(user="viewer", password="grey-cranes-7")


def _setup(id_: str = "cam-1", **more: object) -> CameraSetup:
    given = {"name": f"Gate {id_}", "place": Place(lon=13.2, lat=53.5), "url": "rtsp://10.0.0.7/main"}
    return CameraSetup(id=id_, **(given | more))  # type: ignore[arg-type]


class Listener:
    """Collects what a roster tells."""

    def __init__(self, roster: Roster) -> None:
        self.heard: list[Assignment] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._listen(roster))

    async def _listen(self, roster: Roster) -> None:
        async for assignment in roster.changes():
            self.heard.append(assignment)
            self._news.set()

    async def until(self, holds: Callable[[Assignment], bool]) -> Assignment:
        async with asyncio.timeout(20):
            while not self.heard or not holds(self.heard[-1]):
                self._news.clear()
                await self._news.wait()
        return self.heard[-1]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Post:
    """Where a shard listens: its keys, its cache, its database."""

    def __init__(self, url: str, keys: KeyRing, cache: Path, clock: Clock) -> None:
        self.url, self.keys, self.cache, self.clock = url, keys, cache, clock
        self.listeners: list[Listener] = []

    def listen(self, shard: int = 0, port: int = 8554) -> Listener:
        roster = Roster(
            *(self.url, self.cache, self.keys, shard, self.clock),
            simulator_at=f"127.0.0.1:{port}",
            poll_s=0.02,
            patience_s=10.0,
        )
        self.listeners.append(Listener(roster))
        return self.listeners[-1]


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    """The installation's camera keys."""
    ring = KeyRing(tmp_path / "secrets" / "camera-key")
    ring.ensure()
    return ring


@pytest.fixture
async def post(
    database: Database, postgres: PostgresServer, keys: KeyRing, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Post]:
    """A post beside a fresh database."""
    name = await database.pool.fetchval("SELECT current_database()")
    opened = Post(postgres.url(name), keys, tmp_path / "secrets" / "roster-0.json", clock)
    yield opened
    for listener in opened.listeners:
        await listener.stop()


async def test_commands_are_told_and_only_real_changes(database: Database, post: Post) -> None:
    listener = post.listen()
    assert (await listener.until(lambda a: True)).cameras == ()
    await cameras.add(database, ANNA, _setup(), VIEWER, post.keys)
    told = await listener.until(lambda a: len(a.cameras) == 1)
    assert (told.cameras[0].user, told.cameras[0].password) == ("viewer", "grey-cranes-7")
    await cameras.change_setup(database, ANNA, "cam-1", _setup())
    await cameras.set_account(database, ANNA, "cam-1", VIEWER, post.keys)
    await cameras.change_setup(database, ANNA, "cam-1", _setup(name="Gate"))
    await listener.until(lambda a: a.cameras[0].setup.name == "Gate")
    assert len(listener.heard) == 3, "what changes nothing for the shard is not told"
    await cameras.set_account(database, ANNA, "cam-1", Account(), post.keys)
    await listener.until(lambda a: a.cameras[0].user == "")
    await cameras.change_setup(database, ANNA, "cam-1", _setup(enabled=False))
    told = await listener.until(lambda a: not a.cameras)
    assert [setup.id for setup in told.resting] == ["cam-1"]
    await cameras.remove(database, ANNA, "cam-1")
    assert (await listener.until(lambda a: not a.resting)).cameras == ()


async def test_holds_are_told_also_of_a_removed_camera(
    database: Database, post: Post, clock: ManualClock
) -> None:
    listener = post.listen()
    await cameras.add(database, ANNA, _setup(), Account(), post.keys)
    wanted = NewHold(start=clock.now() - timedelta(hours=1), end=clock.now(), reason="break-in")
    await cameras.remove(database, ANNA, "cam-1")
    await holds.hold(database, Order(actor="Anna", key="h"), "cam-1", wanted)
    told = await listener.until(lambda a: len(a.holds) == 1)
    assert told.holds[0].camera_id == "cam-1"
    await holds.release_hold(database, ANNA, told.holds[0].id)
    await listener.until(lambda a: not a.holds)


async def test_each_shard_gets_its_own(database: Database, post: Post) -> None:
    for number in range(CAMERAS_PER_SHARD + 1):
        await cameras.add(database, ANNA, _setup(f"cam-{number}"), Account(), post.keys)
    first = await post.listen(0).until(lambda a: bool(a.cameras))
    second = await post.listen(1).until(lambda a: bool(a.cameras))
    assert (len(first.cameras), len(second.cameras)) == (CAMERAS_PER_SHARD, 1)


async def test_simulated_addresses_mean_the_port_of_this_start(database: Database, post: Post) -> None:
    setup = _setup(url="simulator:///cam/1", sub_url="simulator:///cam/1/sub", simulated=True)
    await cameras.register(database, ANNA, [(setup, VIEWER)], post.keys)
    told = await post.listen(port=9001).until(lambda a: bool(a.cameras))
    config = told.cameras[0]
    assert (config.setup.url, config.setup.sub_url) == (
        "rtsp://127.0.0.1:9001/cam/1",
        "rtsp://127.0.0.1:9001/cam/1/sub",
    )
    assert "simulator" in post.cache.read_text()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that this test may kill."""
    with PostgresServer() as server:
        yield server


async def test_without_postgresql_it_starts_from_the_cache_and_catches_up(
    own_postgres: PostgresServer, keys: KeyRing, clock: ManualClock, tmp_path: Path
) -> None:
    name, database = await own_postgres.fresh(clock)
    post = Post(own_postgres.url(name), keys, tmp_path / "roster-0.json", clock)
    await cameras.add(database, ANNA, _setup(), VIEWER, keys)
    first = post.listen()
    before = await first.until(lambda a: bool(a.cameras))
    await database.close()
    own_postgres.kill()
    second = post.listen()
    assert await second.until(lambda a: True) == before, "the cache tells the same, account and all"
    assert len(first.heard) == 1, "who was told goes on with it"
    own_postgres.start()
    again = await open_database(own_postgres.url(name), clock)
    await cameras.add(again, ANNA, _setup("cam-2"), Account(), keys)
    for listener in (first, second):
        await listener.until(lambda a: len(a.cameras) == 2)
        await listener.stop()
    await again.close()


async def test_the_cache_is_private_and_holds_no_account(database: Database, post: Post) -> None:
    await cameras.add(database, ANNA, _setup(), VIEWER, post.keys)
    await post.listen().until(lambda a: bool(a.cameras))
    assert stat.S_IMODE(post.cache.stat().st_mode) == 0o600
    content = post.cache.read_bytes()
    assert b"cam-1" in content
    assert b"grey-cranes" not in content
    assert b"viewer" not in content


@pytest.mark.parametrize("content", [b"", b"{", b'{"setups": [{"id": "../x"}]}', b"[]"])
async def test_a_broken_cache_is_no_cache(post: Post, content: bytes) -> None:
    post.cache.parent.mkdir(exist_ok=True)
    post.cache.write_bytes(content)
    post.url = "postgresql://nobody@127.0.0.1:1/none"
    told = await post.listen().until(lambda a: True)
    assert told == Assignment()
    assert told.holds is None, "what is held is not known"


async def test_a_hold_that_cannot_be_read_still_holds(
    database: Database, post: Post, clock: ManualClock
) -> None:
    await cameras.add(database, ANNA, _setup(), Account(), post.keys)
    wanted = NewHold(start=clock.now() - timedelta(hours=1), end=clock.now(), reason="break-in")
    await holds.hold(database, Order(actor="Anna", key="h"), "cam-1", wanted)
    await database.pool.execute("UPDATE hold SET doc = doc - 'reason' - 'by' - 'at'")
    told = await post.listen().until(lambda a: bool(a.cameras))
    (held,) = told.holds or ()
    assert (held.camera_id, held.start, held.end) == ("cam-1", wanted.start, wanted.end)
    post.url = "postgresql://nobody@127.0.0.1:1/none"
    again = await post.listen().until(lambda a: True)
    assert again.holds == (held,), "the cache holds it too"


async def test_rotating_the_key_changes_nothing_for_the_shard(database: Database, post: Post) -> None:
    await cameras.add(database, ANNA, _setup(), VIEWER, post.keys)
    reader = Post(post.url, KeyRing(post.keys.path), post.cache, post.clock)
    listener = reader.listen()
    post.listeners.append(listener)
    await listener.until(lambda a: bool(a.cameras))
    sealed = await database.pool.fetchval("SELECT sealed FROM camera_account")
    assert await cameras.rotate_key(database, ANNA, post.keys) == (1, ())
    assert await database.pool.fetchval("SELECT sealed FROM camera_account") != sealed
    await cameras.change_setup(database, ANNA, "cam-1", replace(_setup(), name="Gate"))
    told = await listener.until(lambda a: a.cameras[0].setup.name == "Gate")
    assert told.cameras[0].password == "grey-cranes-7"
    assert len(listener.heard) == 2


async def test_an_account_that_no_key_opens_stops_no_other_camera(
    database: Database, post: Post, tmp_path: Path
) -> None:
    other = KeyRing(tmp_path / "other")
    other.ensure()
    await cameras.add(database, ANNA, _setup("cam-1"), VIEWER, other)
    await cameras.add(database, ANNA, _setup("cam-2"), VIEWER, post.keys)
    told = await post.listen().until(lambda a: bool(a.cameras))
    assert [config.user for config in told.cameras] == ["", "viewer"]
    assert await cameras.rotate_key(database, ANNA, post.keys) == (1, ("cam-1",))


async def test_a_row_that_cannot_be_read_is_left_out(database: Database, post: Post) -> None:
    await cameras.add(database, ANNA, _setup("cam-1"), Account(), post.keys)
    await cameras.add(database, ANNA, _setup("cam-2"), Account(), post.keys)
    await database.pool.execute("UPDATE camera_setup SET doc = '{\"id\": \"cam-1\"}' WHERE id = 'cam-1'")
    told = await post.listen().until(lambda a: bool(a.cameras))
    assert [config.id for config in told.cameras] == ["cam-2"]
