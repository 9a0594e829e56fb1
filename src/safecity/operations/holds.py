"""Commands on holds: recordings that must not be deleted, and that may be again."""

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from safecity.errors import Conflict, Invalid, NotFound
from safecity.model.base import Noun, derived_id, new_id, utc_text
from safecity.model.incident import Incident
from safecity.model.video import CameraSetup, Hold
from safecity.operations.command import Order, checked_text, execute
from safecity.store.database import Database
from safecity.store.transaction import Transaction

MAX_HOLD: Final = timedelta(days=31)
"""A hold names what is needed; a longer one would be retention by the back door."""


class HoldAnswer(Noun, frozen=True):
    """What a command on a hold answers."""

    seq: int
    hold: Hold


class NewHold(Noun, frozen=True, forbid_unknown_fields=True):
    """Which recordings of a camera are to be kept, and why."""

    start: datetime
    end: datetime
    reason: str
    incident_id: str = ""


async def hold(database: Database, order: Order, camera_id: str, wanted: NewHold) -> bytes:
    """Keep recordings of a camera, also of one that was removed, until the hold is released.

    Raises Invalid when the times or the reason cannot be, NotFound for an unknown camera or incident.
    """
    reason = checked_text("reason", wanted.reason, required=True)
    if wanted.start.tzinfo is None or wanted.end.tzinfo is None:
        raise Invalid("'start' and 'end' need a time zone, for example 2026-01-31T12:00:00Z")
    if not timedelta(0) < wanted.end - wanted.start <= MAX_HOLD:
        raise Invalid(f"'end' must come after 'start', by at most {MAX_HOLD.days} days")

    async def body(tx: Transaction) -> HoldAnswer:
        name = await _name_of(tx, camera_id)
        if wanted.incident_id and await tx.find(Incident, wanted.incident_id) is None:
            raise NotFound(f"there is no incident with the id '{wanted.incident_id}' to hold recordings for")
        made = Hold(
            id=derived_id("hold", order.actor, order.key) if order.key else new_id(tx.clock),
            camera_id=camera_id,
            start=wanted.start.astimezone(UTC),
            end=wanted.end.astimezone(UTC),
            reason=reason,
            by=order.actor,
            at=tx.now,
            incident_id=wanted.incident_id,
        )
        tx.put(made)
        text = f"recordings of {name} {_span(made)} are held: {reason}"
        return HoldAnswer(seq=await _journal_hold(tx, order, made, "recording.hold", text), hold=made)

    return await execute(database, order, "recording.hold", [camera_id, wanted], body)


async def release_hold(database: Database, order: Order, hold_id: str) -> bytes:
    """Let retention count again for what was held; raises Conflict when it was released before."""

    async def body(tx: Transaction) -> HoldAnswer:
        before = await tx.get(Hold, hold_id, lock=True)
        if not before.is_standing:
            raise Conflict(f"{before.released_by} released this hold already")
        after = replace(before, released_at=tx.now, released_by=order.actor)
        tx.put(after)
        text = f"recordings of {await _name_of(tx, after.camera_id)} {_span(after)} are held no longer"
        return HoldAnswer(seq=await _journal_hold(tx, order, after, "recording.release", text), hold=after)

    return await execute(database, order, "recording.release", hold_id, body)


async def _name_of(tx: Transaction, camera_id: str) -> str:
    """Return the name of a camera; of one that was removed, its id. Raises NotFound when it never was."""
    setup = await tx.find(CameraSetup, camera_id)
    if setup is not None:
        return setup.name
    known = await tx.connection.fetchval(
        "SELECT EXISTS (SELECT FROM journal WHERE touched @> ARRAY[$1])", f"camera/{camera_id}"
    )
    if not known:
        raise NotFound(f"there is no camera with the id '{camera_id}'")
    return camera_id


def _span(hold: Hold) -> str:
    return f"from {utc_text(hold.start)} to {utc_text(hold.end)}"


async def _journal_hold(tx: Transaction, order: Order, made: Hold, action: str, text: str) -> int:
    return await tx.journal(
        actor=order.actor,
        action=action,
        object_kind="hold",
        object_id=made.id,
        text=text,
        purpose=order.purpose,
        command_key=order.key,
        touched=(
            f"camera/{made.camera_id}",
            *((f"incident/{made.incident_id}",) if made.incident_id else ()),
        ),
    )
