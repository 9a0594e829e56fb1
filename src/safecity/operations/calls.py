"""Commands on emergency calls, from the ring to the card."""

from datetime import datetime

from msgspec.structs import replace

from safecity.errors import Conflict, Invalid
from safecity.model.base import Noun, Place, derived_id
from safecity.model.call import CALL_TRANSITIONS, Call, CallCommand, CallState
from safecity.model.incident import IncidentType
from safecity.model.observation import Observation, ObservationKind, pack
from safecity.model.transition import next_state
from safecity.operations.command import Order, checked_text, execute
from safecity.store.database import Database
from safecity.store.transaction import Transaction

CALL_SUBJECT = "event.call"
SOURCE_PREFIX = "call:"


class RingingCall(Noun, frozen=True, forbid_unknown_fields=True):
    """What the telephony system says of a call that rings."""

    call_id: str
    received_at: datetime
    line: str = "112"
    caller_number: str = ""
    language: str = ""
    caller_place: Place | None = None
    caller_words: str = ""
    simulated: bool = False


class CallCard(Noun, frozen=True, forbid_unknown_fields=True):
    """What the call-taker found out."""

    type: IncidentType
    place: Place
    notes: str = ""


class TypedCall(Noun, frozen=True, forbid_unknown_fields=True):
    """A call that a call-taker types in by hand."""

    type: IncidentType
    place: Place
    notes: str = ""
    caller_number: str = ""
    caller_words: str = ""


class CallAnswer(Noun, frozen=True):
    """What a command on a call answers."""

    seq: int
    call: Call


async def receive(database: Database, order: Order, ringing: RingingCall) -> bytes:
    """Put a ringing call into the queue; the same call_id again changes nothing.

    Raises Invalid when the id is unusable or the time has no zone.
    """
    call_id = checked_text("call_id", ringing.call_id, required=True)
    if len(call_id) > 64 or not call_id.isprintable() or "/" in call_id:
        raise Invalid("'call_id' may have at most 64 printable characters and no '/'")
    if ringing.received_at.tzinfo is None:
        raise Invalid("'received_at' needs a time zone, for example 2026-01-31T12:00:00Z")

    async def body(tx: Transaction) -> CallAnswer:
        known = await tx.find(Call, call_id, lock=True)
        if known is not None:
            seq = await tx.connection.fetchval("SELECT seq FROM call WHERE id = $1", call_id)
            return CallAnswer(seq=seq, call=known)
        call = Call(
            id=call_id,
            state=CallState.RINGING,
            received_at=ringing.received_at,
            line=checked_text("line", ringing.line),
            caller_number=checked_text("caller_number", ringing.caller_number),
            language=checked_text("language", ringing.language),
            caller_place=ringing.caller_place,
            caller_words=checked_text("caller_words", ringing.caller_words),
            simulated=ringing.simulated,
        )
        return await _ended(tx, order, call, "call.receive", f"call on {call.line} rings")

    return await execute(database, order, "call.receive", ringing, body)


async def claim(database: Database, order: Order, call_id: str) -> bytes:
    """Say that you will take this call."""
    return await _simple(database, order, call_id, CallCommand.CLAIM)


async def release(database: Database, order: Order, call_id: str) -> bytes:
    """Give a claimed call back to the queue."""
    return await _simple(database, order, call_id, CallCommand.RELEASE)


async def take(database: Database, order: Order, call_id: str) -> bytes:
    """Answer a call; who takes it is its call-taker."""
    return await _simple(database, order, call_id, CallCommand.TAKE)


async def abandon(database: Database, order: Order, call_id: str) -> bytes:
    """Note that the caller hung up before anybody answered."""
    return await _simple(database, order, call_id, CallCommand.ABANDON)


async def call_back(database: Database, order: Order, call_id: str) -> bytes:
    """Call back somebody who hung up."""
    return await _simple(database, order, call_id, CallCommand.CALL_BACK)


async def close(database: Database, order: Order, call_id: str, reason: str) -> bytes:
    """End a call that leads to no incident; the reason is kept."""
    reason = checked_text("reason", reason, required=True)

    async def body(tx: Transaction) -> CallAnswer:
        call = await tx.get(Call, call_id, lock=True)
        after = replace(call, state=_moved(call, CallCommand.CLOSE), ended_at=tx.now, close_reason=reason)
        return await _ended(tx, order, after, "call.close", f"call closed: {reason}")

    return await execute(database, order, "call.close", [call_id, reason], body)


async def submit(database: Database, order: Order, call_id: str, card: CallCard) -> bytes:
    """Finish the card: the call becomes an observation, and fusion joins it to an incident."""
    notes = checked_text("notes", card.notes)

    async def body(tx: Transaction) -> CallAnswer:
        call = await tx.get(Call, call_id, lock=True)
        after = replace(
            call,
            state=_moved(call, CallCommand.SUBMIT),
            ended_at=tx.now,
            type=card.type,
            place=card.place,
            notes=notes,
        )
        return await _observed(tx, order, after, "call.submit")

    return await execute(database, order, "call.submit", [call_id, card], body)


async def typed(database: Database, order: Order, card: TypedCall) -> bytes:
    """Take in a call that came by another way than the telephony system.

    Raises Invalid without an Idempotency-Key: the key names the call.
    """
    if not order.key:
        raise Invalid("a typed call needs an Idempotency-Key, so that a repeat is not a second call")
    call_id = derived_id("typed-call", order.actor, order.key)

    async def body(tx: Transaction) -> CallAnswer:
        call = Call(
            id=call_id,
            state=CallState.SUBMITTED,
            received_at=tx.now,
            line="typed",
            caller_number=checked_text("caller_number", card.caller_number),
            caller_words=checked_text("caller_words", card.caller_words),
            claimed_by=order.actor,
            claimed_at=tx.now,
            taken_at=tx.now,
            ended_at=tx.now,
            type=card.type,
            place=card.place,
            notes=checked_text("notes", card.notes),
        )
        return await _observed(tx, order, call, "call.typed")

    return await execute(database, order, "call.typed", card, body)


async def _simple(database: Database, order: Order, call_id: str, command: CallCommand) -> bytes:
    async def body(tx: Transaction) -> CallAnswer:
        call = await tx.get(Call, call_id, lock=True)
        state = _moved(call, command)
        if command is CallCommand.TAKE and call.claimed_by not in ("", order.actor):
            raise Conflict(f"{call.claimed_by} claimed this call; it must be released before you take it")
        if command is CallCommand.RELEASE and call.claimed_by != order.actor:
            raise Conflict(f"only {call.claimed_by}, who claimed this call, can release it")
        after = _with_times(tx, order, replace(call, state=state), command)
        return await _ended(tx, order, after, f"call.{command}", f"call {command} by {order.actor}")

    return await execute(database, order, f"call.{command}", call_id, body)


def _moved(call: Call, command: CallCommand) -> CallState:
    return next_state(CALL_TRANSITIONS, "call", call.state, command)


def _with_times(tx: Transaction, order: Order, call: Call, command: CallCommand) -> Call:
    match command:
        case CallCommand.CLAIM:
            return replace(call, claimed_by=order.actor, claimed_at=tx.now)
        case CallCommand.RELEASE:
            return replace(call, claimed_by="", claimed_at=None)
        case CallCommand.TAKE | CallCommand.CALL_BACK:
            return replace(
                call,
                claimed_by=order.actor,
                claimed_at=call.claimed_at or tx.now,
                taken_at=tx.now,
                ended_at=None,
            )
        case _:
            return replace(call, ended_at=tx.now)


async def _observed(tx: Transaction, order: Order, call: Call, action: str) -> CallAnswer:
    if call.type is None or call.place is None:
        raise Invalid("a card needs a type and a place before it can be finished")
    words = f"{call.type.value.replace('_', ' ')} at {call.place.text or 'the given place'}"
    answer = await _ended(tx, order, call, action, f"card finished: {words}")
    observation = Observation(
        source_id=SOURCE_PREFIX + call.id,
        kind=ObservationKind.CALL,
        event_time=call.received_at,
        receive_time=tx.now,
        property=call.type.value,
        lon=call.place.lon,
        lat=call.place.lat,
        uncertainty_m=call.place.uncertainty_m,
        detail={"text": call.place.text, "notes": call.notes, "simulated": call.simulated},
    )
    await tx.publish(answer.seq, CALL_SUBJECT, pack([observation]))
    return answer


async def _ended(tx: Transaction, order: Order, call: Call, action: str, text: str) -> CallAnswer:
    tx.put(call)
    seq = await tx.journal(
        actor=order.actor,
        action=action,
        object_kind="call",
        object_id=call.id,
        text=text,
        purpose=order.purpose,
        command_key=order.key,
        touched=(f"incident/{call.incident_id}",) if call.incident_id else (),
    )
    return CallAnswer(seq=seq, call=call)
