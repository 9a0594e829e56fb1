"""Fixtures of all rooms: a clock that moves when told, a fresh database, a fresh bus."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engines import NatsServer, PostgresServer
from safecity.bus.connection import Bus
from safecity.city import City
from safecity.clock import ManualClock
from safecity.store.database import Database
from safecity.store.observations import ensure_partitions


@pytest.fixture
def clock() -> ManualClock:
    """A clock at a fixed moment that moves only when told."""
    return ManualClock(datetime(2026, 11, 22, 9, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL server of this test run."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def database(postgres: PostgresServer, clock: ManualClock) -> AsyncIterator[Database]:
    """A fresh migrated database with the partitions around the clock's day."""
    name, opened = await postgres.fresh(clock)
    await ensure_partitions(opened, clock.now().date())
    yield opened
    await opened.close()
    await postgres.drop(name)


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A fresh NATS server; tests may kill it and start it again."""
    with NatsServer() as server:
        yield server


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A connection to a fresh NATS server with all streams and consumers."""
    opened = await nats_server.ready()
    yield opened
    await opened.close()


DEMO_PBF = Path(__file__).parents[1] / "src/safecity/simulator/data/neubrandenburg.osm.pbf"


@pytest.fixture(scope="session")
def demo_pbf() -> Path:
    """The OpenStreetMap file that the program brings."""
    return DEMO_PBF


@pytest.fixture(scope="session")
def demo_city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """The city that the program brings, imported once for the whole test run."""
    from safecity.city.importer import import_city

    return import_city(DEMO_PBF, tmp_path_factory.mktemp("cities") / "demo", progress=lambda _: None)
