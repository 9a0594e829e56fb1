"""The way to PostgreSQL: the pool, the migrations, the transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import asyncpg
import structlog

from safecity.clock import Clock
from safecity.errors import Configuration, Conflict, StorageFull, Unavailable
from safecity.store.transaction import Transaction

log = structlog.get_logger()

MIGRATIONS = Path(__file__).parent / "migrations"
TRIES = 5
"""How often a transaction that lost a race (deadlock, serialization) is run before it is refused."""

MIGRATION_LOCK = 0x5AFEC171
"""Advisory lock under which one process at a time migrates."""

CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionError,
    OSError,
    TimeoutError,
)
"""What is raised when the server is away; it comes back by itself."""


class Database:
    """A pool of connections to one database."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        """Wrap an open pool."""
        self.pool = pool
        self.clock = clock

    async def close(self) -> None:
        """Close all connections, at once when they do not end by themselves within 3 s."""
        try:
            await asyncio.wait_for(self.pool.close(), timeout=3)
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Give a transaction that sees one moment of the database and writes nothing."""
        with translated():
            async with (
                self.pool.acquire(timeout=10) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield Transaction(connection, self.clock)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """Give a transaction whose changes are all there, with their journal entries, or not at all.

        Raises Raced when another transaction came first: run the whole block again.
        """
        with translated():
            async with self.pool.acquire(timeout=10) as connection, connection.transaction():
                yield Transaction(connection, self.clock)


class Raced(Conflict):
    """Another transaction came first; the same command succeeds when it is run again."""

    code = "raced"


class translated:  # noqa: N801 - reads as a statement
    """Turn the driver's errors into ours."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Raise our kind for the driver's, or let everything else pass."""
        if isinstance(
            error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError | asyncpg.UniqueViolationError
        ):
            raise Raced("somebody else changed the same thing at this moment; try again") from error
        if isinstance(error, asyncpg.DiskFullError):
            raise StorageFull("the database's disk is full; free space, nothing was changed") from error
        if isinstance(error, CONNECTION_LOST):
            raise Unavailable("the database does not answer now; it restarts by itself, try again") from error


async def open_database(url: str, clock: Clock, *, size: int = 8, patience_s: float = 30.0) -> Database:
    """Return a database with an open pool of at most `size` connections.

    Raises Unavailable when the server does not answer within `patience_s`, Configuration when it refuses us.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            pool = await asyncpg.create_pool(url, min_size=1, max_size=size, command_timeout=30)
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidCatalogNameError) as error:
            raise Configuration(f"PostgreSQL refuses the login: {error}") from error
        except CONNECTION_LOST as error:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    "PostgreSQL does not answer; is it running, and is the address right?"
                ) from error
            await asyncio.sleep(0.1)
        else:
            return Database(pool, clock)


async def migrate(database: Database) -> None:
    """Bring the schema up to date; safe to call from many processes at once.

    Raises Configuration when a migration fails.
    """
    # Every role imports this file, and only the set-up migrates.
    from pogo_core.util import migrate as pogo

    async with database.pool.acquire() as pooled:
        connection = cast("asyncpg.Connection", pooled)
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        try:
            await pogo.apply(connection, MIGRATIONS, schema_name="public", logger=log)
        except Exception as error:
            raise Configuration(f"the database schema could not be brought up to date: {error}") from error
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)
