"""What a console begins with: everything current, at one moment, with that moment's journal seq."""

from collections.abc import Sequence

import asyncpg

from safecity.model.base import Noun
from safecity.model.journal import EntityKind
from safecity.model.unit import Fix
from safecity.store.transaction import TYPE_OF, Transaction


class Snapshot(Noun, frozen=True):
    """All current entities by kind, as of journal entry `seq`."""

    seq: int
    entities: dict[EntityKind, Sequence[Noun]]
    positions: Sequence[Fix]


async def take(tx: Transaction) -> Snapshot:
    """Return the snapshot that this (repeatable read) transaction sees."""
    seq = await tx.connection.fetchval("SELECT seq FROM journal_head")
    entities: dict[EntityKind, Sequence[Noun]] = {
        kind: await tx.current(type_) for kind, type_ in TYPE_OF.items()
    }
    return Snapshot(seq=seq, entities=entities, positions=await fixes(tx))


async def fixes(tx: Transaction) -> list[Fix]:
    """Return the last position of every unit."""
    return [_fix(row) for row in await tx.connection.fetch("SELECT * FROM unit_fix ORDER BY unit_id")]


def _fix(row: asyncpg.Record) -> Fix:
    return Fix(
        unit_id=row["unit_id"],
        lon=row["lon"],
        lat=row["lat"],
        speed_mps=row["speed_mps"],
        heading_deg=row["heading_deg"],
        fix_time=row["fix_time"],
    )
