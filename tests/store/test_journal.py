"""The journal finds every kind of tampering, and refuses to be changed (always true, 2)."""

import asyncpg
import pytest

from operations.builders import alarm, city
from safecity.operations import alarms, registry
from safecity.operations.command import Order
from safecity.store import journal
from safecity.store.database import Database

pytestmark = pytest.mark.engines


@pytest.fixture
async def written(database: Database) -> Database:
    """A database with four entries."""
    await registry.register(database, Order(actor="system:setup"), city())
    await alarms.receive(database, [alarm("one"), alarm("two"), alarm("three")])
    return database


async def _check(database: Database) -> journal.Report:
    async with database.reading() as tx:
        return await journal.check(tx)


async def _tamper(database: Database, *statements: str) -> None:
    """Change rows as somebody with the superuser's rights could."""
    async with database.pool.acquire() as connection:
        await connection.execute("SET session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("SET session_replication_role = origin")


async def test_an_untouched_journal_is_whole(written: Database) -> None:
    report = await _check(written)
    assert report.ok
    assert report.entries == 4


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE journal SET payload = replace(payload, 'smoke', 'smoky') WHERE seq = 2", "was changed"),
        ("DELETE FROM journal WHERE seq = 2", "entries 2 to 2 are missing"),
        ("DELETE FROM journal WHERE seq = 4", "end of the journal is missing"),
        ("UPDATE journal SET previous_hash = hash WHERE seq = 3", "does not follow"),
        ("UPDATE journal SET payload = 'nothing' WHERE seq = 3", "entry 3"),
        ("UPDATE incident SET doc = jsonb_set(doc, '{priority}', '5')", "is not what the journal says"),
        ("DELETE FROM unit WHERE id = 'f-11'", "unit f-11 is not what the journal says"),
    ],
)
async def test_tampering_is_found(written: Database, statement: str, says: str) -> None:
    try:
        await _tamper(written, statement)
    except asyncpg.InvalidTextRepresentationError:
        # The columns are read from the payload: what is no JSON cannot even be written.
        return
    report = await _check(written)
    assert not report.ok
    assert any(says in finding.text for finding in report.findings), report.findings


@pytest.mark.parametrize(
    "statement",
    ["UPDATE journal SET payload = payload", "DELETE FROM journal", "TRUNCATE journal CASCADE"],
)
async def test_the_journal_is_append_only(written: Database, statement: str) -> None:
    async with written.pool.acquire() as connection:
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await connection.execute(statement)


async def test_every_column_says_what_it_holds(database: Database) -> None:
    async with database.pool.acquire() as connection:
        silent = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name NOT LIKE '\\_pogo%' "
            "AND table_name NOT LIKE 'observation\\_%' AND col_description("
            "format('%I.%I', table_schema, table_name)::regclass, ordinal_position) IS NULL"
        )
    names = {f"{row['table_name']}.{row['column_name']}" for row in silent}
    assert {n for n in names if not n.startswith("_pogo") and not n.startswith("pogo")} == set()
