"""The outbox to the bus, in the order of the journal."""

import asyncio
import contextlib

import asyncpg
import structlog

from safecity.bus.connection import Bus
from safecity.store.database import CONNECTION_LOST, Database

log = structlog.get_logger()

RELAY_LOCK = 0x5AFEC172
"""Advisory lock that one relay at a time holds: two would mix up the order."""

BATCH = 500
IDLE_S = 1.0


class Relay:
    """Publishes outbox rows and deletes them once JetStream has them on disk."""

    def __init__(self, database: Database, bus: Bus) -> None:
        """Relay from `database` to `bus`."""
        self._database = database
        self._bus = bus
        self._wake = asyncio.Event()
        self.published_total = 0

    async def run(self) -> None:
        """Relay for ever; an engine that is away is waited for."""
        while True:
            try:
                await self._hold_and_relay()
            except (*CONNECTION_LOST, asyncpg.PostgresError) as error:
                log.warning("relay waits for the database", error=repr(error))
                await asyncio.sleep(0.5)

    async def _hold_and_relay(self) -> None:
        async with self._database.pool.acquire() as connection:
            await connection.add_listener("outbox", self._on_notify)
            try:
                while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", RELAY_LOCK):  # noqa: ASYNC110
                    await asyncio.sleep(IDLE_S)
                while True:
                    self._wake.clear()
                    if await self._relay_batch(connection) == 0:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(self._wake.wait(), IDLE_S)
            finally:
                if not connection.is_closed():
                    await connection.remove_listener("outbox", self._on_notify)
                    await connection.execute("SELECT pg_advisory_unlock_all()")

    def _on_notify(self, *_: object) -> None:
        self._wake.set()

    async def _relay_batch(self, connection: asyncpg.pool.PoolConnectionProxy) -> int:
        rows = await connection.fetch(
            "SELECT id, seq, subject, payload FROM outbox ORDER BY id LIMIT $1", BATCH
        )
        done = []
        for row in rows:
            try:
                await self._bus.js.publish(
                    row["subject"],
                    bytes(row["payload"]),
                    headers={"Nats-Msg-Id": f"outbox-{row['seq']}-{row['id']}"},
                    timeout=10,
                )
            except Exception as error:
                # Later rows must not overtake this one: keep it and try again from here.
                log.warning("relay waits for the bus", error=repr(error))
                await asyncio.sleep(0.5)
                break
            done.append(row["id"])
        if done:
            await connection.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", done)
            self.published_total += len(done)
        return len(done)
