"""The console has words in three languages for everything that the model can say."""

import json
from enum import StrEnum
from pathlib import Path

import pytest

from safecity.model.base import Agency, Priority, ReasonCode
from safecity.model.call import CallState
from safecity.model.incident import Disposition, IncidentState, IncidentType
from safecity.model.journal import EntityKind
from safecity.model.observation import ObservationKind
from safecity.model.source import CameraState
from safecity.model.unit import AssignmentState, Capability, UnitState

WORDS = Path(__file__).parents[2] / "console" / "src" / "words"

GROUPS: dict[str, type[StrEnum]] = {
    "reason": ReasonCode,
    "agency": Agency,
    "type": IncidentType,
    "incident_state": IncidentState,
    "disposition": Disposition,
    "call_state": CallState,
    "unit_state": UnitState,
    "assignment_state": AssignmentState,
    "capability": Capability,
    "camera_state": CameraState,
    "kind": ObservationKind,
    "entity": EntityKind,
}


@pytest.mark.parametrize("language", ["uz", "ru", "en"])
def test_every_member_of_every_enum_has_words(language: str) -> None:
    catalogue = json.loads((WORDS / f"{language}.json").read_text(encoding="utf-8"))
    wanted = {f"{group}.{member.value}" for group, enum in GROUPS.items() for member in enum}
    wanted |= {f"priority.{level.value}" for level in Priority}
    assert wanted - catalogue.keys() == set()
