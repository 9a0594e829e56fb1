"""Written transition tables: a state machine is a mapping and nothing else."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from safecity.errors import Conflict

S = TypeVar("S", bound=StrEnum)
C = TypeVar("C", bound=StrEnum)


def next_state(table: Mapping[tuple[S, C], S], noun: str, state: S, command: C) -> S:
    """Return the state that `command` leads to.

    Raises Conflict with the commands that are possible when the table has no such row.
    """
    found = table.get((state, command))
    if found is None:
        possible = sorted({str(c) for (s, c) in table if s == state})
        hint = f"possible now: {', '.join(possible)}" if possible else "nothing more can be done with it"
        raise Conflict(f"this {noun} is {state}, so it cannot be given '{command}'; {hint}")
    return found
