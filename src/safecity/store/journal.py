"""Reading the journal: verification of the chain, state as a fold over it, an object's history."""

from collections.abc import AsyncIterator

import asyncpg
import msgspec

from safecity.model.base import Noun
from safecity.model.journal import GENESIS, Change, EntityKind, Entry, chain_hash, decode_entry
from safecity.store.transaction import TYPE_OF, Transaction

PAGE = 2000


class Finding(Noun, frozen=True):
    """One thing that `check` found wrong, in words."""

    seq: int
    text: str


class Report(Noun, frozen=True):
    """What a check of the journal found."""

    entries: int
    head_hash: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


async def history(tx: Transaction, object_name: str, limit: int = 500) -> list[Entry]:
    """Return the entries that concern an object ("incident/ID"), oldest first, the newest `limit` of them."""
    rows = await tx.connection.fetch(
        "SELECT payload FROM (SELECT seq, payload FROM journal WHERE touched @> ARRAY[$1] "
        "ORDER BY seq DESC LIMIT $2) newest ORDER BY seq",
        object_name,
        limit,
    )
    return [decode_entry(row["payload"].encode()) for row in rows]


async def page(tx: Transaction, after: int, limit: int) -> list[Entry]:
    """Return the entries after a seq, oldest first, at most `limit`."""
    rows = await tx.connection.fetch(
        "SELECT payload FROM journal WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit
    )
    return [decode_entry(row["payload"].encode()) for row in rows]


async def head(tx: Transaction) -> int:
    """Return the seq of the last entry, 0 when there is none."""
    return int(await tx.connection.fetchval("SELECT seq FROM journal_head"))


async def check(tx: Transaction) -> Report:
    """Verify the chain from its beginning, and that the tables hold what the journal says.

    At most 100 findings are kept.
    """
    findings: list[Finding] = []
    state: dict[tuple[EntityKind, str], tuple[int, bytes]] = {}
    previous, expected_seq = GENESIS, 1
    async for row in _rows(tx):
        payload = row["payload"].encode()
        findings += _check_link(row, payload, previous, expected_seq)
        previous, expected_seq = bytes(row["hash"]), row["seq"] + 1
        for change in _changes(payload):
            if change.is_gone:
                state.pop((change.kind, change.id), None)
            else:
                state[(change.kind, change.id)] = (row["seq"], bytes(change.value))
    findings += await _check_head(tx, expected_seq - 1, previous)
    findings += await _check_tables(tx, state)
    return Report(entries=expected_seq - 1, head_hash=previous.hex(), findings=tuple(findings[:100]))


def _changes(payload: bytes) -> tuple[Change, ...]:
    try:
        return decode_entry(payload).changes
    except (msgspec.DecodeError, msgspec.ValidationError):
        return ()


async def _rows(tx: Transaction) -> AsyncIterator[asyncpg.Record]:
    async for row in tx.connection.cursor(
        "SELECT seq, payload, previous_hash, hash FROM journal ORDER BY seq", prefetch=PAGE
    ):
        yield row


def _check_link(row: asyncpg.Record, payload: bytes, previous: bytes, expected_seq: int) -> list[Finding]:
    seq = row["seq"]
    found = []
    if seq != expected_seq:
        found.append(Finding(seq=seq, text=f"entries {expected_seq} to {seq - 1} are missing"))
    elif bytes(row["previous_hash"]) != previous:
        found.append(Finding(seq=seq, text=f"entry {seq} does not follow the entry before it"))
    if chain_hash(bytes(row["previous_hash"]), payload) != bytes(row["hash"]):
        found.append(Finding(seq=seq, text=f"entry {seq} was changed after it was written"))
    try:
        named = decode_entry(payload).seq
    except (msgspec.DecodeError, msgspec.ValidationError):
        found.append(Finding(seq=seq, text=f"entry {seq} cannot be read"))
    else:
        if named != seq:
            found.append(Finding(seq=seq, text=f"entry {seq} says that it is entry {named}"))
    return found


async def _check_head(tx: Transaction, last_seq: int, last_hash: bytes) -> list[Finding]:
    row = await tx.connection.fetchrow("SELECT seq, hash FROM journal_head")
    if row is None or row["seq"] != last_seq or bytes(row["hash"]) != last_hash:
        return [Finding(seq=last_seq, text="the end of the journal is missing: its head names another entry")]
    return []


async def _check_tables(
    tx: Transaction, state: dict[tuple[EntityKind, str], tuple[int, bytes]]
) -> list[Finding]:
    found = []
    for kind, type_ in TYPE_OF.items():
        decoder = msgspec.json.Decoder(type_)
        stored = {}
        for row in await tx.connection.fetch(f"SELECT id, seq, doc FROM {kind}"):  # noqa: S608 - an enum
            stored[row["id"]] = (row["seq"], decoder.decode(row["doc"]))
        told = {id_: (seq, decoder.decode(value)) for (k, id_), (seq, value) in state.items() if k is kind}
        for id_ in sorted(stored.keys() | told.keys()):
            if stored.get(id_) != told.get(id_):
                seq = told.get(id_, stored.get(id_, (0, None)))[0]
                found.append(Finding(seq=seq, text=f"{kind} {id_} is not what the journal says"))
    return found
