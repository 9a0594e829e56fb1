"""Every (state, command) pair of every transition table is either listed here by the table or refused."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from safecity.errors import Conflict
from safecity.model.call import CALL_TRANSITIONS, CallCommand, CallState
from safecity.model.incident import INCIDENT_TRANSITIONS, IncidentCommand, IncidentState
from safecity.model.transition import next_state
from safecity.model.unit import (
    ASSIGNMENT_TRANSITIONS,
    UNIT_TRANSITIONS,
    AssignmentState,
    UnitCommand,
    UnitState,
)

TABLES: list[tuple[Mapping[Any, Any], type[StrEnum], type[StrEnum], StrEnum, set[StrEnum]]] = [
    (
        INCIDENT_TRANSITIONS,
        IncidentState,
        IncidentCommand,
        IncidentState.NEW,
        set(),
    ),
    (CALL_TRANSITIONS, CallState, CallCommand, CallState.RINGING, {CallState.SUBMITTED, CallState.CLOSED}),
    (UNIT_TRANSITIONS, UnitState, UnitCommand, UnitState.AVAILABLE, set()),
    (
        ASSIGNMENT_TRANSITIONS,
        AssignmentState,
        UnitCommand,
        AssignmentState.DISPATCHED,
        {AssignmentState.CLEARED, AssignmentState.CANCELLED},
    ),
]


@pytest.mark.parametrize(("table", "states", "commands", "start", "final"), TABLES)
def test_every_pair_leads_to_a_state_or_is_refused(
    table: Mapping[Any, Any],
    states: type[StrEnum],
    commands: type[StrEnum],
    start: StrEnum,
    final: set[StrEnum],
) -> None:
    for state, command in product(states, commands):
        if (state, command) in table:
            assert next_state(table, "thing", state, command) in states
        else:
            with pytest.raises(Conflict, match=f"this thing is {state}"):
                next_state(table, "thing", state, command)


@pytest.mark.parametrize(("table", "states", "commands", "start", "final"), TABLES)
def test_every_state_can_be_reached_and_only_final_ones_cannot_be_left(
    table: Mapping[Any, Any],
    states: type[StrEnum],
    commands: type[StrEnum],
    start: StrEnum,
    final: set[StrEnum],
) -> None:
    reached = {start}
    while True:
        more = {after for (before, _), after in table.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(states)
    left = {before for (before, _), after in table.items() if before is not after}
    assert set(states) - left == final


def test_what_a_dispatcher_relies_on() -> None:
    table = INCIDENT_TRANSITIONS
    state, command = IncidentState, IncidentCommand
    assert next_state(table, "incident", state.NEW, command.ACKNOWLEDGE) is state.ACKNOWLEDGED
    assert next_state(table, "incident", state.CLEARED, command.DISPATCH) is state.DISPATCHED
    for unfinished in (state.NEW, state.DISPATCHED, state.ON_SCENE):
        with pytest.raises(Conflict, match="close"):
            next_state(table, "incident", unfinished, command.CLOSE)
    with pytest.raises(Conflict, match="possible now: reopen"):
        next_state(table, "incident", state.CLOSED, command.NOTE)
