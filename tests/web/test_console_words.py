"""The console has words in three languages for everything that the model can say."""

import ast
import json
import re
from enum import StrEnum
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from safecity.access.policy import LOOKS, SETUP_LOOKS
from safecity.model.base import Agency, Priority, ReasonCode
from safecity.model.call import CallState
from safecity.model.incident import Disposition, IncidentState, IncidentType
from safecity.model.journal import EntityKind
from safecity.model.observation import ObservationKind
from safecity.model.source import CameraState
from safecity.model.unit import AssignmentState, Capability, UnitCommand, UnitState
from safecity.model.video_rule import Direction, ObjectClass, VideoEventKind, VideoRule
from safecity.video.calibration import DensityLevel

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
    "video_kind": VideoEventKind,
    "property": VideoEventKind,
    "class": ObjectClass,
    "direction": Direction,
    "density": DensityLevel,
}


@pytest.mark.parametrize("language", ["uz", "ru", "en"])
def test_every_member_of_every_enum_has_words(language: str) -> None:
    catalogue = json.loads((WORDS / f"{language}.json").read_text(encoding="utf-8"))
    wanted = {f"{group}.{member.value}" for group, enum in GROUPS.items() for member in enum}
    wanted |= {f"priority.{level.value}" for level in Priority}
    assert wanted - catalogue.keys() == set()


SOURCE = Path(__file__).parents[2] / "src" / "safecity"
WRITERS = ("access", "operations", "web")
"""The rooms that write the journal."""
JOURNALED = re.compile(r"(access|alarm|call|camera|incident|recording|registry|video)\.[a-z_]+")


def _journaled() -> set[str]:
    """Every action that the sources name, but for the list of what can be asked, most of which only reads."""
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for room in WRITERS
        for path in (SOURCE / room).rglob("*.py")
        if path.name != "policy.py"
    ]
    named = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    actions = {name for name in named if isinstance(name, str) and JOURNALED.fullmatch(name)}
    return actions | {*LOOKS, *SETUP_LOOKS} | {f"unit.{command}" for command in UnitCommand}


@pytest.mark.parametrize("language", ["uz", "ru", "en"])
def test_everything_that_is_journaled_has_words(language: str) -> None:
    catalogue = json.loads((WORDS / f"{language}.json").read_text(encoding="utf-8"))
    actions = _journaled()
    assert {"camera.rotate_key", "camera.probe", "recording.hold", "video.unmask"} <= actions
    assert {f"journal.{action}" for action in actions} - catalogue.keys() == set()


RULE_SHAPES = {"name", "polygon", "start", "end", "kind"}
OTHER_NAMES = {"min_size"}
"""Shown under two names: of a thing its side, of smoke its share of the picture."""


@pytest.mark.parametrize("rule", get_args(VideoRule), ids=lambda rule: rule.__name__)
def test_every_setting_of_every_rule_has_words_and_its_default_in_the_editor(rule: type) -> None:
    kinds = (WORDS.parent / "editor" / "kinds.ts").read_text(encoding="utf-8")
    catalogue = json.loads((WORDS / "en.json").read_text(encoding="utf-8"))
    tag = rule.__struct_config__.tag  # type: ignore[attr-defined]
    assert {f"rule.{tag}", f"rule_lead.{tag}"} <= catalogue.keys()
    part = kinds.split(f"  {tag}: {{", 1)[1].split("\n  },", 1)[0]
    for field in msgspec.structs.fields(rule):
        if field.name in RULE_SHAPES:
            continue
        assert f"rule_field.{field.name}" in catalogue
        if isinstance(field.default, float | int) and not isinstance(field.default, bool):
            shown = f"{field.default:g}"
            names = f"(?:{field.name}|min_area)" if field.name in OTHER_NAMES else field.name
            drawn = re.search(rf'number\("{names}", ([0-9.]+)', part)
            shared = "END_SHARE" in part and field.name == "end_share"
            assert shared or (drawn and drawn[1] == shown), f"{tag}.{field.name} is {shown} by default"
