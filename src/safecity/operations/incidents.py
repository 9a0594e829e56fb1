"""Commands on incidents."""

from msgspec.structs import replace

from safecity.errors import Conflict, Invalid
from safecity.model.base import Noun, Priority, Reason, ReasonCode, new_id
from safecity.model.incident import (
    INCIDENT_TRANSITIONS,
    Disposition,
    Incident,
    IncidentCommand,
    IncidentState,
)
from safecity.model.transition import next_state
from safecity.model.unit import (
    ASSIGNMENT_TRANSITIONS,
    UNIT_TRANSITIONS,
    Assignment,
    AssignmentState,
    Recommendation,
    Unit,
    UnitCommand,
)
from safecity.operations.command import Order, checked_text, execute
from safecity.store.database import Database
from safecity.store.transaction import Transaction

MAX_UNITS_AT_ONCE = 30


class IncidentAnswer(Noun, frozen=True):
    """What a command on an incident answers."""

    seq: int
    incident: Incident
    assignments: tuple[Assignment, ...] = ()


def moved(incident: Incident, command: IncidentCommand) -> IncidentState:
    """Return the state that `command` leads to; raises Conflict when it is not allowed now."""
    return next_state(INCIDENT_TRANSITIONS, "incident", incident.state, command)


async def acknowledge(database: Database, order: Order, incident_id: str) -> bytes:
    """Take an incident over: it is yours, and its escalation stops."""

    async def body(tx: Transaction) -> IncidentAnswer:
        incident = await tx.get(Incident, incident_id, lock=True)
        after = replace(
            incident,
            state=moved(incident, IncidentCommand.ACKNOWLEDGE),
            acknowledged_at=tx.now,
            acknowledged_by=order.actor,
        )
        return await _ended(tx, order, after, IncidentCommand.ACKNOWLEDGE, f"acknowledged by {order.actor}")

    return await execute(database, order, "incident.acknowledge", incident_id, body)


async def dispatch(
    database: Database,
    order: Order,
    incident_id: str,
    unit_ids: list[str],
    recommendation: Recommendation | None,
    override_reason: str = "",
) -> bytes:
    """Send units to an incident. What was recommended and what was chosen instead are both recorded."""
    wanted = sorted(set(unit_ids))
    if not wanted:
        raise Invalid("name at least one unit in 'unit_ids'")
    if len(wanted) > MAX_UNITS_AT_ONCE:
        raise Invalid(f"at most {MAX_UNITS_AT_ONCE} units can be sent with one command")
    override_reason = checked_text("override_reason", override_reason)

    async def body(tx: Transaction) -> IncidentAnswer:
        incident = await tx.get(Incident, incident_id, lock=True)
        state = moved(incident, IncidentCommand.DISPATCH)
        assignments = tuple(
            [
                await _assign(tx, order, incident, unit_id, recommendation, override_reason)
                for unit_id in wanted
            ]
        )
        after = replace(
            incident,
            state=state,
            dispatched_at=incident.dispatched_at or tx.now,
            acknowledged_at=incident.acknowledged_at or tx.now,
            acknowledged_by=incident.acknowledged_by or order.actor,
        )
        sent = ", ".join(assignment.call_sign for assignment in assignments)
        return await _ended(tx, order, after, IncidentCommand.DISPATCH, f"sent {sent}", assignments)

    return await execute(database, order, "incident.dispatch", [incident_id, wanted, override_reason], body)


async def cancel_unit(database: Database, order: Order, incident_id: str, unit_id: str) -> bytes:
    """Call back a unit that has not arrived yet."""

    async def body(tx: Transaction) -> IncidentAnswer:
        incident = await tx.get(Incident, incident_id, lock=True)
        unit = await tx.get(Unit, unit_id, lock=True)
        if unit.incident_id != incident_id:
            raise Conflict(f"{unit.call_sign} is not assigned to incident {incident.number}")
        assignment = await release(tx, unit, UnitCommand.CANCEL)
        after = await after_release(tx, incident)
        return await _ended(
            tx, order, after, IncidentCommand.CLEAR, f"{unit.call_sign} called back", (assignment,)
        )

    return await execute(database, order, "incident.cancel_unit", [incident_id, unit_id], body)


async def close(
    database: Database, order: Order, incident_id: str, disposition: Disposition, note: str = ""
) -> bytes:
    """Close an incident, saying what it turned out to be."""
    note = checked_text("note", note)

    async def body(tx: Transaction) -> IncidentAnswer:
        incident = await tx.get(Incident, incident_id, lock=True)
        after = replace(
            incident,
            state=moved(incident, IncidentCommand.CLOSE),
            closed_at=tx.now,
            disposition=disposition,
            notes=incident.notes + ((note,) if note else ()),
        )
        text = f"closed as {disposition}" + (f": {note}" if note else "")
        return await _ended(tx, order, after, IncidentCommand.CLOSE, text)

    return await execute(database, order, "incident.close", [incident_id, disposition, note], body)


async def reopen(database: Database, order: Order, incident_id: str) -> bytes:
    """Open a closed incident again."""

    async def body(tx: Transaction) -> IncidentAnswer:
        incident = await tx.get(Incident, incident_id, lock=True)
        after = replace(
            incident, state=moved(incident, IncidentCommand.REOPEN), closed_at=None, disposition=None
        )
        return await _ended(tx, order, after, IncidentCommand.REOPEN, f"opened again by {order.actor}")

    return await execute(database, order, "incident.reopen", incident_id, body)


async def prioritise(
    database: Database, order: Order, incident_id: str, priority: Priority, reason: str
) -> bytes:
    """Override the priority that the rules gave; the reason is asked for and kept."""
    reason = checked_text("reason", reason, required=True)

    async def body(tx: Transaction) -> IncidentAnswer:
        incident = await tx.get(Incident, incident_id, lock=True)
        after = replace(
            incident,
            state=moved(incident, IncidentCommand.PRIORITISE),
            priority=priority,
            priority_reason=Reason(
                code=ReasonCode.PRIORITY_BY_HAND,
                params={"actor": order.actor, "reason": reason},
                text=f"set by {order.actor}: {reason}",
            ),
        )
        text = f"priority {incident.priority.value} to {priority.value}: {reason}"
        return await _ended(tx, order, after, IncidentCommand.PRIORITISE, text)

    return await execute(database, order, "incident.prioritise", [incident_id, priority.value, reason], body)


async def note(database: Database, order: Order, incident_id: str, text: str) -> bytes:
    """Add a note."""
    text = checked_text("text", text, required=True)

    async def body(tx: Transaction) -> IncidentAnswer:
        incident = await tx.get(Incident, incident_id, lock=True)
        after = replace(incident, state=moved(incident, IncidentCommand.NOTE), notes=(*incident.notes, text))
        return await _ended(tx, order, after, IncidentCommand.NOTE, text)

    return await execute(database, order, "incident.note", [incident_id, text], body)


async def release(tx: Transaction, unit: Unit, command: UnitCommand) -> Assignment:
    """Free a unit from its assignment by `command` (clear or cancel) and return the ended assignment."""
    assignment = await tx.get(Assignment, unit.assignment_id, lock=True)
    ended = replace(
        assignment,
        state=next_state(ASSIGNMENT_TRANSITIONS, "assignment", assignment.state, command),
        cleared_at=tx.now,
    )
    tx.put(ended)
    tx.put(
        replace(
            unit,
            state=next_state(UNIT_TRANSITIONS, f"unit {unit.call_sign}", unit.state, command),
            state_since=tx.now,
            assignment_id="",
            incident_id="",
        )
    )
    return ended


async def after_release(tx: Transaction, incident: Incident) -> Incident:
    """Return the incident after one of its units was freed: cleared when that was the last one."""
    active = await tx.select(
        Assignment, "incident_id = $1 AND state NOT IN ('cleared', 'cancelled')", incident.id
    )
    still_bound = [a for a in active if (await tx.get(Assignment, a.id)).is_active]
    if still_bound:
        return incident
    return replace(incident, state=moved(incident, IncidentCommand.CLEAR), cleared_at=tx.now)


async def _assign(
    tx: Transaction,
    order: Order,
    incident: Incident,
    unit_id: str,
    recommendation: Recommendation | None,
    override_reason: str,
) -> Assignment:
    unit = await tx.get(Unit, unit_id, lock=True)
    state = next_state(UNIT_TRANSITIONS, f"unit {unit.call_sign}", unit.state, UnitCommand.ASSIGN)
    assignment = Assignment(
        id=new_id(tx.clock),
        incident_id=incident.id,
        unit_id=unit.id,
        call_sign=unit.call_sign,
        state=AssignmentState.DISPATCHED,
        dispatched_at=tx.now,
        dispatched_by=order.actor,
        reason=_reason(unit, recommendation, override_reason),
        place=incident.place,
        expected_travel_s=_expected_travel_s(unit.id, recommendation),
    )
    tx.put(assignment)
    tx.put(
        replace(unit, state=state, state_since=tx.now, assignment_id=assignment.id, incident_id=incident.id)
    )
    return assignment


def _reason(unit: Unit, recommendation: Recommendation | None, override_reason: str) -> Reason:
    if recommendation is None:
        return Reason(
            code=ReasonCode.OVERRIDDEN,
            params={"reason": override_reason, "recommended": ""},
            text=f"chosen by hand, no recommendation was available. {override_reason}".strip(),
        )
    for pick in recommendation.picks:
        if pick.unit_id == unit.id:
            return pick.reason
    recommended = ", ".join(pick.call_sign for pick in recommendation.picks) or "none"
    return Reason(
        code=ReasonCode.OVERRIDDEN,
        params={"reason": override_reason, "recommended": recommended},
        text=f"chosen by hand instead of {recommended}. {override_reason}".strip(),
    )


def _expected_travel_s(unit_id: str, recommendation: Recommendation | None) -> float | None:
    if recommendation is None:
        return None
    times = [pick.travel_time_s for pick in recommendation.picks if pick.unit_id == unit_id]
    return times[0] if times else None


async def _ended(
    tx: Transaction,
    order: Order,
    incident: Incident,
    command: IncidentCommand,
    text: str,
    assignments: tuple[Assignment, ...] = (),
) -> IncidentAnswer:
    tx.put(incident)
    seq = await tx.journal(
        actor=order.actor,
        action=f"incident.{command}",
        object_kind="incident",
        object_id=incident.id,
        text=text,
        purpose=order.purpose,
        command_key=order.key,
    )
    return IncidentAnswer(seq=seq, incident=incident, assignments=assignments)
