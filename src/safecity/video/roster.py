"""What a shard is told: its cameras with their accounts, and which recordings are held.

The truth is in PostgreSQL. What was last told lies in a cache file, so that a shard starts and goes on while
PostgreSQL is away; accounts stay sealed in it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

import asyncpg
import msgspec
import structlog
from msgspec.structs import replace

from safecity.access.sealed import KeyRing
from safecity.clock import Clock
from safecity.errors import SafeCityError
from safecity.model.base import Noun
from safecity.model.video import CameraSetup, Hold
from safecity.store.database import CONNECTION_LOST, Database, open_database, translated
from safecity.video.camera import CameraConfig

log = structlog.get_logger()

POLL_S: Final = 1.0
PATIENCE_S: Final = 3.0
"""How long the first answer of PostgreSQL is waited for before the cache is used."""

SIMULATOR_SCHEME: Final = "simulator"

_REVISION: Final = (
    "SELECT (SELECT coalesce(max(seq), 0) FROM camera_setup), (SELECT count(*) FROM camera_setup), "
    "(SELECT coalesce(max(seq), 0) FROM hold), "
    "(SELECT coalesce(max(seq), 0) FROM camera_account), (SELECT count(*) FROM camera_account)"
)
"""Changes with each command on a camera or hold: it gives its row a new, higher seq, or takes a row away."""

_HOLDS: Final = "SELECT id, doc, camera_id, start_at, end_at FROM hold WHERE released_at IS NULL ORDER BY id"

Revision = tuple[int, ...]
T = TypeVar("T")


class Assignment(Noun, frozen=True):
    """What a shard has to do now.

    cameras: those that are switched on, with their accounts. resting: setups of those that are not; their
    recordings stay under their retention. holds: all that stand, of any camera, so that what one that was
    removed has recorded is kept too; None when that isn't known: then nothing may be deleted. shards: all
    that have cameras, of the whole installation.
    """

    cameras: tuple[CameraConfig, ...] = ()
    holds: tuple[Hold, ...] | None = None
    resting: tuple[CameraSetup, ...] = ()
    shards: tuple[int, ...] = ()


class Told(Noun, frozen=True):
    """What the database says, with accounts as they are kept: sealed, by camera id. The cache file's form.

    holds: None when nothing has said what is held.
    """

    setups: tuple[CameraSetup, ...] = ()
    holds: tuple[Hold, ...] | None = None
    shards: tuple[int, ...] = ()
    sealed: dict[str, bytes] = msgspec.field(default_factory=dict)


class Roster:
    """Follows what one shard is told."""

    def __init__(
        self,
        database_url: str,
        cache_path: Path,
        keys: KeyRing,
        shard: int,
        clock: Clock,
        *,
        simulator_at: str = "127.0.0.1:0",
        poll_s: float = POLL_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Prepare; nothing is opened before `changes`.

        cache_path: kept by this shard alone, mode 0600. keys: open the accounts; read again when they were
        changed. simulator_at: HOST:PORT that simulator:/// addresses mean at this start.
        """
        self._url = database_url
        self._cache_path = cache_path
        self._keys = keys
        self._shard = shard
        self._clock = clock
        self._simulator_at = simulator_at
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._database: Database | None = None
        self._revision: Revision | None = None
        self._away = False

    async def changes(self) -> AsyncIterator[Assignment]:
        """Yield what to do now, and again each time that it is something else. Never ends, never gives up.

        The first comes within `patience_s`: from PostgreSQL, or else from the cache; without both it has no
        cameras, and says that it isn't known what is held.
        """
        last: Assignment | None = None
        try:
            told: Told | None = await self._first()
            while True:
                if told is not None:
                    present = self._assignment(told)
                    if present != last:
                        last = present
                        yield present
                await asyncio.sleep(self._poll_s)
                told = await self._ask()
        finally:
            await self._close()

    async def _first(self) -> Told:
        told: Told | None = None
        try:
            async with asyncio.timeout(self._patience_s):
                told = await self._ask()
        except TimeoutError:
            log.warning("the database does not answer in time")
        return told if told is not None else self._cached()

    async def _ask(self) -> Told | None:
        """Return what the database says when that may be news, else None; also while it is away."""
        try:
            told = await self._read()
        except (SafeCityError, asyncpg.PostgresError, *CONNECTION_LOST) as error:
            if not self._away:
                log.warning("cameras stay as they are while the database is away", error=type(error).__name__)
            self._away = True
            return None
        if self._away:
            log.info("the database tells of cameras again")
        self._away = False
        if told is not None:
            self._keep(told)
        return told

    async def _read(self) -> Told | None:
        if self._database is None:
            self._database = await open_database(self._url, self._clock, size=1, patience_s=0.0)
        with translated():
            async with (
                self._database.pool.acquire(timeout=self._patience_s) as pooled,
                pooled.transaction(isolation="repeatable_read", readonly=True),
            ):
                connection = cast("asyncpg.Connection", pooled)
                revision = tuple(await connection.fetchrow(_REVISION) or ())
                if revision == self._revision:
                    return None
                told = await _told(connection, self._shard)
        self._revision = revision
        return told

    def _assignment(self, told: Told) -> Assignment:
        setups = [self._resolved(setup) for setup in told.setups]
        return Assignment(
            cameras=tuple(self._config(setup, told.sealed) for setup in setups if setup.enabled),
            holds=told.holds,
            resting=tuple(setup for setup in setups if not setup.enabled),
            shards=told.shards,
        )

    def _config(self, setup: CameraSetup, sealed: dict[str, bytes]) -> CameraConfig:
        if setup.id not in sealed:
            return CameraConfig(setup=setup)
        try:
            account = self._keys.open(sealed[setup.id], setup.id)
        except SafeCityError as error:
            # The camera then says that it refuses us; the others must not wait for somebody to repair this.
            log.error("an account cannot be opened", camera=setup.id, error=str(error))
            return CameraConfig(setup=setup)
        return CameraConfig(setup=setup, user=account.user, password=account.password)

    def _resolved(self, setup: CameraSetup) -> CameraSetup:
        """Return the setup with addresses that can be connected to at this start."""

        def resolved(url: str) -> str:
            parts = urlsplit(url)
            return f"rtsp://{self._simulator_at}{parts.path}" if parts.scheme == SIMULATOR_SCHEME else url

        return replace(setup, url=resolved(setup.url), sub_url=resolved(setup.sub_url))

    def _cached(self) -> Told:
        try:
            return msgspec.json.decode(self._cache_path.read_bytes(), type=Told)
        except FileNotFoundError:
            log.warning("the database is away and no cameras are known from before")
        except (OSError, SafeCityError, msgspec.MsgspecError) as error:
            log.error("the cameras known from before cannot be read", error=type(error).__name__)
        return Told()

    def _keep(self, told: Told) -> None:
        """Write the cache; recording goes on without one."""
        try:
            _write(self._cache_path, msgspec.json.encode(told))
        except OSError as error:
            log.error("the cameras cannot be kept for a start without the database", error=error.strerror)

    async def _close(self) -> None:
        if self._database is not None:
            await self._database.close()
            self._database = None


async def _told(connection: asyncpg.Connection, shard: int) -> Told:
    setups = await connection.fetch("SELECT id, doc FROM camera_setup WHERE shard = $1 ORDER BY id", shard)
    holds = await connection.fetch(_HOLDS)
    accounts = await connection.fetch(
        "SELECT a.camera_id, a.sealed FROM camera_account a JOIN camera_setup s ON s.id = a.camera_id "
        "WHERE s.shard = $1 ORDER BY a.camera_id",
        shard,
    )
    shards = await connection.fetch("SELECT DISTINCT shard FROM camera_setup ORDER BY shard")
    return Told(
        setups=_readable(setups, msgspec.json.Decoder(CameraSetup).decode),
        holds=tuple(_hold(row) for row in holds),
        shards=tuple(row["shard"] for row in shards),
        sealed={row["camera_id"]: bytes(row["sealed"]) for row in accounts},
    )


def _hold(row: asyncpg.Record) -> Hold:
    """Return a hold, of another version of the program too: what must stay is in columns of its own."""
    try:
        return msgspec.json.decode(row["doc"], type=Hold)
    except (SafeCityError, msgspec.MsgspecError) as error:
        log.error("a hold cannot be read; what it holds is kept all the same", id=row["id"], error=str(error))
        start, end = row["start_at"], row["end_at"]
        return Hold(
            id=row["id"], camera_id=row["camera_id"], start=start, end=end, reason="", by="", at=start
        )


def _readable(rows: list[asyncpg.Record], decode: Callable[[str], T]) -> tuple[T, ...]:
    """Return what can be read: one row of another version of the program must not stop all cameras."""
    found = []
    for row in rows:
        try:
            found.append(decode(row["doc"]))
        except (SafeCityError, msgspec.MsgspecError) as error:
            log.error("a row cannot be read and is left out", id=row["id"], error=str(error))
    return tuple(found)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
