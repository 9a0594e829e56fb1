"""One transaction: entities read and put, ended by its journal entry and outbox."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import asyncpg
import msgspec

from safecity.clock import Clock
from safecity.errors import NotFound
from safecity.model.base import Noun
from safecity.model.call import Call
from safecity.model.incident import Alarm, Incident
from safecity.model.journal import FEED, Change, EntityKind, Entry, Feed, chain_hash, encode_entry
from safecity.model.source import Camera, Source, Station
from safecity.model.unit import Assignment, Unit
from safecity.model.video import CameraSetup, Hold

Entity = Incident | Alarm | Call | Unit | Assignment | Camera | Source | Station | CameraSetup | Hold
E = TypeVar("E", bound=Noun)

KIND_OF: Final[dict[type[Noun], EntityKind]] = {
    Incident: EntityKind.INCIDENT,
    Alarm: EntityKind.ALARM,
    Call: EntityKind.CALL,
    Unit: EntityKind.UNIT,
    Assignment: EntityKind.ASSIGNMENT,
    Camera: EntityKind.CAMERA,
    Source: EntityKind.SOURCE,
    Station: EntityKind.STATION,
    CameraSetup: EntityKind.CAMERA_SETUP,
    Hold: EntityKind.HOLD,
}
TYPE_OF: Final = {kind: type_ for type_, kind in KIND_OF.items()}

CURRENT: Final[dict[EntityKind, str]] = {
    EntityKind.INCIDENT: "state <> 'closed'",
    EntityKind.ALARM: "false",
    EntityKind.CALL: "state NOT IN ('submitted', 'closed')",
    EntityKind.UNIT: "true",
    EntityKind.ASSIGNMENT: "state NOT IN ('cleared', 'cancelled')",
    EntityKind.CAMERA: "true",
    EntityKind.SOURCE: "kind = 'sensor'",
    EntityKind.STATION: "true",
    EntityKind.CAMERA_SETUP: "true",
    EntityKind.HOLD: "released_at IS NULL",
}
"""What a console shows without asking; `is_current` says the same of a value."""


def is_current(value: Noun) -> bool:
    """Return whether a console shows this entity without asking; the same rule as `CURRENT`."""
    match value:
        case Incident() | Call():
            return value.is_open
        case Assignment():
            return value.is_active
        case Alarm():
            return False
        case Source():
            return value.kind.value == "sensor"
        case Hold():
            return value.is_standing
        case _:
            return True


_NULL = msgspec.Raw(b"null")
_json = msgspec.json.Encoder()


class Transaction:
    """What code may do inside `Database.reading` or `Database.writing`."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy, clock: Clock) -> None:
        """Work on a connection that is inside a transaction."""
        self.connection = connection
        self.clock = clock
        self._put: dict[tuple[EntityKind, str], Noun | None] = {}
        self._absent: set[tuple[EntityKind, str]] = set()

    @property
    def now(self) -> datetime:
        """The present moment by the injected clock."""
        return self.clock.now()

    async def find(self, type_: type[E], id_: str, *, lock: bool = False) -> E | None:
        """Return the entity with this id or None; `lock` keeps others from changing it until the end."""
        if (KIND_OF[type_], id_) in self._put:
            return self._put[KIND_OF[type_], id_]  # type: ignore[return-value]
        suffix = " FOR UPDATE" if lock else ""
        doc = await self.connection.fetchval(
            f"SELECT doc FROM {KIND_OF[type_]} WHERE id = $1{suffix}",  # noqa: S608 - the table comes from an enum
            id_,
        )
        if doc is None:
            self._absent.add((KIND_OF[type_], id_))
            return None
        return msgspec.json.decode(doc, type=type_)

    async def get(self, type_: type[E], id_: str, *, lock: bool = False) -> E:
        """Return the entity with this id; raises NotFound when there is none."""
        found = await self.find(type_, id_, lock=lock)
        if found is None:
            kind = KIND_OF[type_].replace("_", " ")
            raise NotFound(f"there is no {kind} with the id '{id_}'")
        return found

    async def select(self, type_: type[E], where: str, *arguments: Any) -> list[E]:
        """Return the entities of a type that a condition on its columns holds for, in the order of ids."""
        rows = await self.connection.fetch(
            f"SELECT doc FROM {KIND_OF[type_]} WHERE {where} ORDER BY id",  # noqa: S608 - conditions are ours
            *arguments,
        )
        decode = msgspec.json.Decoder(type_).decode
        return [decode(row["doc"]) for row in rows]

    async def current(self, type_: type[E]) -> list[E]:
        """Return the entities of a type that a console shows without asking."""
        return await self.select(type_, CURRENT[KIND_OF[type_]])

    def put(self, entity: Entity) -> None:
        """Note that this is what the entity is now; written by the next `journal`."""
        self._put[(KIND_OF[type(entity)], entity.id)] = entity

    def remove(self, type_: type[Entity], id_: str) -> None:
        """Note that there is no such entity any more; its past stays in the journal. Written by `journal`."""
        self._put[(KIND_OF[type_], id_)] = None

    async def journal(
        self,
        *,
        actor: str,
        action: str,
        object_kind: str,
        object_id: str,
        text: str = "",
        purpose: str = "",
        command_key: str = "",
        touched: Sequence[str] = (),
    ) -> int:
        """Write everything that was put or removed, its journal entry and its outbox row; return its seq.

        The head of the chain stays locked until the transaction ends, so call this last. `touched` names
        further objects ("incident/ID") in whose history the entry belongs.
        """
        changes = tuple(
            Change(kind=kind, id=id_, value=_NULL if value is None else msgspec.Raw(_json.encode(value)))
            for (kind, id_), value in self._put.items()
        )
        head = await self.connection.fetchrow("SELECT seq, hash FROM journal_head FOR UPDATE")
        if head is None:
            raise NotFound("the journal has no head; the database was damaged, restore it from its backup")
        entry = Entry(
            seq=head["seq"] + 1,
            at=self.now,
            actor=actor,
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            text=text,
            purpose=purpose,
            command_key=command_key,
            changes=changes,
        )
        await self._write_entry(entry, head["hash"], touched)
        await self._write_entities(entry.seq, changes)
        await self._write_feed(entry.seq)
        self._absent -= self._put.keys()
        self._put.clear()
        return entry.seq

    async def publish(self, seq: int, subject: str, payload: bytes) -> None:
        """Put a bus message into the outbox as part of entry `seq`."""
        await self.connection.execute(
            "INSERT INTO outbox (seq, subject, payload) VALUES ($1, $2, $3)", seq, subject, payload
        )

    async def _write_entry(self, entry: Entry, previous: bytes, touched: Sequence[str]) -> None:
        payload = encode_entry(entry)
        names = {f"{entry.object_kind}/{entry.object_id}", *touched}
        names |= {f"{change.kind}/{change.id}" for change in entry.changes}
        hash_ = chain_hash(previous, payload)
        await self.connection.execute(
            "INSERT INTO journal (seq, payload, previous_hash, hash, touched) VALUES ($1, $2, $3, $4, $5)",
            entry.seq,
            payload.decode(),
            previous,
            hash_,
            sorted(names),
        )
        await self.connection.execute("UPDATE journal_head SET seq = $1, hash = $2", entry.seq, hash_)

    async def _write_entities(self, seq: int, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.is_gone:
                await self.connection.execute(
                    f"DELETE FROM {change.kind} WHERE id = $1",  # noqa: S608 - the table comes from an enum
                    change.id,
                )
                continue
            # What was not there when we looked must still not be there: else another transaction made it
            # meanwhile, and the unique key refuses ours, which is then run again.
            known = (change.kind, change.id) not in self._absent
            update = "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, doc = excluded.doc" if known else ""
            await self.connection.execute(
                f"INSERT INTO {change.kind} (id, seq, doc) VALUES ($1, $2, $3) {update}",  # noqa: S608 - enums
                change.id,
                seq,
                bytes(change.value).decode(),
            )

    async def _write_feed(self, seq: int) -> None:
        if not self._put:
            return
        feed = Feed(
            seq=seq,
            changes=tuple(
                Change(
                    kind=kind,
                    id=id_,
                    value=_NULL
                    if value is None or not is_current(value)
                    else msgspec.Raw(_json.encode(value)),
                )
                for (kind, id_), value in self._put.items()
            ),
        )
        await self.publish(seq, FEED, _json.encode(feed))
        await self.connection.execute("NOTIFY outbox")
