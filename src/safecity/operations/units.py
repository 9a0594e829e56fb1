"""Commands on units: what a crew says by its status buttons, or a dispatcher for it."""

from msgspec.structs import replace

from safecity.errors import Invalid
from safecity.model.base import Noun
from safecity.model.incident import Incident, IncidentCommand
from safecity.model.transition import next_state
from safecity.model.unit import (
    ASSIGNMENT_TRANSITIONS,
    UNIT_TRANSITIONS,
    Assignment,
    Unit,
    UnitCommand,
)
from safecity.operations.command import Order, execute
from safecity.operations.incidents import after_release, moved, release
from safecity.store.database import Database
from safecity.store.transaction import Transaction

ON_ASSIGNMENT = frozenset({UnitCommand.DEPART, UnitCommand.ARRIVE, UnitCommand.CLEAR})
ON_DUTY = frozenset({UnitCommand.STAND_DOWN, UnitCommand.STAND_UP, UnitCommand.SIGN_OFF, UnitCommand.SIGN_ON})


class UnitAnswer(Noun, frozen=True):
    """What a command on a unit answers."""

    seq: int
    unit: Unit
    assignment: Assignment | None = None


async def command(database: Database, order: Order, unit_id: str, what: UnitCommand) -> bytes:
    """Carry out a status command of a unit.

    Raises Conflict when the unit's state does not allow it, Invalid for commands that are given on an
    incident (assign, cancel).
    """
    if what not in ON_ASSIGNMENT | ON_DUTY:
        raise Invalid(f"'{what}' is given on the incident, not on the unit")

    async def body(tx: Transaction) -> UnitAnswer:
        if what in ON_ASSIGNMENT:
            return await _on_assignment(tx, order, unit_id, what)
        unit = await tx.get(Unit, unit_id, lock=True)
        after = _moved(tx, unit, what)
        tx.put(after)
        seq = await _journal(tx, order, after, what)
        return UnitAnswer(seq=seq, unit=after)

    return await execute(database, order, f"unit.{what}", unit_id, body)


async def _on_assignment(tx: Transaction, order: Order, unit_id: str, what: UnitCommand) -> UnitAnswer:
    # The incident is locked before the unit, as in every command, so that two commands cannot deadlock.
    incident_id = (await tx.get(Unit, unit_id)).incident_id
    incident = await tx.find(Incident, incident_id, lock=True)
    unit = await tx.get(Unit, unit_id, lock=True)
    after = _moved(tx, unit, what)
    if incident is None or unit.incident_id != incident.id:
        next_state({}, f"unit {unit.call_sign}", unit.state, what)
        raise AssertionError("unreachable")
    if what is UnitCommand.CLEAR:
        assignment = await release(tx, unit, what)
        after = await tx.get(Unit, unit_id)
        tx.put(await after_release(tx, incident))
    else:
        tx.put(after)
        assignment = await _advance(tx, unit, what)
        if what is UnitCommand.ARRIVE:
            tx.put(
                replace(
                    incident,
                    state=moved(incident, IncidentCommand.ARRIVE),
                    on_scene_at=incident.on_scene_at or tx.now,
                )
            )
    seq = await _journal(tx, order, unit, what, touched=(f"incident/{incident.id}",))
    return UnitAnswer(seq=seq, unit=after, assignment=assignment)


def _moved(tx: Transaction, unit: Unit, what: UnitCommand) -> Unit:
    state = next_state(UNIT_TRANSITIONS, f"unit {unit.call_sign}", unit.state, what)
    return replace(unit, state=state, state_since=tx.now)


async def _advance(tx: Transaction, unit: Unit, what: UnitCommand) -> Assignment:
    assignment = await tx.get(Assignment, unit.assignment_id, lock=True)
    times = {"en_route_at": tx.now} if what is UnitCommand.DEPART else {"on_scene_at": tx.now}
    after = replace(
        assignment,
        state=next_state(ASSIGNMENT_TRANSITIONS, "assignment", assignment.state, what),
        **times,
    )
    tx.put(after)
    return after


WORDS = {
    UnitCommand.DEPART: "en route",
    UnitCommand.ARRIVE: "on scene",
    UnitCommand.CLEAR: "clear",
    UnitCommand.STAND_DOWN: "out of service",
    UnitCommand.STAND_UP: "back in service",
    UnitCommand.SIGN_OFF: "off duty",
    UnitCommand.SIGN_ON: "on duty",
}


async def _journal(
    tx: Transaction, order: Order, unit: Unit, what: UnitCommand, touched: tuple[str, ...] = ()
) -> int:
    return await tx.journal(
        actor=order.actor,
        action=f"unit.{what}",
        object_kind="unit",
        object_id=unit.id,
        text=f"{unit.call_sign} {WORDS[what]}",
        purpose=order.purpose,
        command_key=order.key,
        touched=touched,
    )
