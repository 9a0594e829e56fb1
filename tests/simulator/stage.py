"""A mirror of the live feed for tests: what the server would show, changed by what it is asked."""

import random
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from msgspec.structs import replace

from safecity.model.base import Noun, Place, Priority, Reason, ReasonCode
from safecity.model.call import CALL_TRANSITIONS, Call, CallCommand, CallState
from safecity.model.incident import Incident, IncidentState, IncidentType
from safecity.model.journal import EntityKind
from safecity.model.transition import next_state
from safecity.model.unit import ASSIGNMENT_TRANSITIONS, Assignment, AssignmentState, UnitCommand
from safecity.simulator.api import Machine, Token, http_client
from safecity.simulator.feed import Feed

TOKEN = "a-token-only-for-tests"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
REASON = Reason(code=ReasonCode.FIRST_REPORT, text="for a test")


class Machines:
    """Makes machine accounts for servers of a test, and closes their connections at the end."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self.clients: list[httpx.AsyncClient] = []

    def at(self, url: str) -> Machine:
        """Return a machine that talks to the server at `url`."""
        self.clients.append(http_client(url))
        return Machine(self.clients[-1], self._token, random.Random(1))


class Stage:
    """Holds a feed and says to it what a server would say."""

    def __init__(self, token: Token) -> None:
        """Begin with an empty snapshot."""
        self.feed = Feed("http://127.0.0.1:9", token, random.Random(1))
        self.seq = 0
        self.say({"type": "snapshot", "seq": 0, "entities": {}, "positions": []})

    def say(self, message: dict[str, Any]) -> None:
        """Let the feed take a message of the server."""
        self.feed.take(msgspec.json.encode(message))

    def show(self, kind: EntityKind, entity: Any) -> None:
        """Show an entity as it is now."""
        self._change(kind, entity.id, entity)

    def drop(self, kind: EntityKind, id_: str) -> None:
        """Say that an entity is no longer current."""
        self._change(kind, id_, None)

    def _change(self, kind: EntityKind, id_: str, value: Noun | None) -> None:
        self.seq += 1
        changes = [{"kind": kind, "id": id_, "value": value}]
        self.say({"type": "change", "seq": self.seq, "changes": changes})

    def call_command(self, call_id: str, command: str, actor: str) -> tuple[int, object]:
        """Do a command on a call as the server does, and answer as it does."""
        call = self.feed.find(Call, call_id)
        if call is None:
            return 404, {"code": "not_found", "message": "there is no such call"}
        what = CallCommand(command)
        if (call.state, what) not in CALL_TRANSITIONS:
            return 409, {"code": "conflict", "message": f"a {call.state} call cannot {command}"}
        after = replace(call, state=next_state(CALL_TRANSITIONS, "call", call.state, what), claimed_by=actor)
        if after.is_open:
            self.show(EntityKind.CALL, after)
        else:
            self.drop(EntityKind.CALL, call.id)
        return 200, {"seq": self.seq, "call": after}

    def unit_command(self, unit_id: str, command: str) -> tuple[int, object]:
        """Do a crew's command on its assignment as the server does, and answer as it does."""
        what = UnitCommand(command)
        found = [order for order in self.feed.all(Assignment) if order.unit_id == unit_id]
        if not found or (found[0].state, what) not in ASSIGNMENT_TRANSITIONS:
            return 409, {"code": "conflict", "message": f"{unit_id} cannot {command} now"}
        state = next_state(ASSIGNMENT_TRANSITIONS, "assignment", found[0].state, what)
        after = replace(found[0], state=state)
        if after.is_active:
            self.show(EntityKind.ASSIGNMENT, after)
        else:
            self.drop(EntityKind.ASSIGNMENT, after.id)
        return 200, {"seq": self.seq}


def ringing(call_id: str = "call-1", **fields: Any) -> Call:
    """Return a call that rings."""
    return Call(**{"id": call_id, "state": CallState.RINGING, "received_at": NOW, **fields})


def order(unit_id: str, place: Place, state: AssignmentState = AssignmentState.DISPATCHED) -> Assignment:
    """Return an assignment of a unit to a place."""
    return Assignment(
        id=f"order-{unit_id}",
        incident_id="incident-1",
        unit_id=unit_id,
        call_sign=unit_id.upper(),
        state=state,
        dispatched_at=NOW,
        dispatched_by="somebody",
        reason=REASON,
        place=place,
    )


def incident(place: Place, type_: IncidentType = IncidentType.MEDICAL) -> Incident:
    """Return a new incident."""
    return Incident(
        id="incident-1",
        number="2026-0001",
        type=type_,
        state=IncidentState.NEW,
        priority=Priority.HIGH,
        priority_reason=REASON,
        place=place,
        opened_at=NOW,
        event_time=NOW,
    )
