"""Run cards are checked when they are read."""

from pathlib import Path

import pytest

from safecity.errors import Configuration
from safecity.model.base import Priority
from safecity.model.incident import IncidentType
from safecity.model.unit import Capability
from safecity.rules.run_cards import BUILT_IN, load_run_cards


def test_the_built_in_cards_answer_for_every_type_and_priority() -> None:
    cards = load_run_cards()
    for type_ in IncidentType:
        for priority in Priority:
            assert len(cards.slots(type_, priority)) <= 10
    assert cards.slots(IncidentType.DEVICE_FAULT, Priority.HIGH) == ()


def test_a_building_fire_brings_what_it_must() -> None:
    cards = load_run_cards()
    usual = cards.slots(IncidentType.FIRE_BUILDING, Priority.HIGH)
    assert usual == (
        Capability.ENGINE,
        Capability.ENGINE,
        Capability.LADDER,
        Capability.AMBULANCE,
        Capability.PATROL,
    )
    assert len(cards.slots(IncidentType.FIRE_BUILDING, Priority.CRITICAL)) > len(usual)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.replace("engine = 2", "engnie = 2"), "engnie"),
        (lambda t: t.replace("engine = 2", "engine = 0"), ">= 1"),
        (lambda t: t.replace("engine = 2", "engine = 21"), "<= 20"),
        (lambda t: t.replace("engine = 2", 'engine = "two"'), "int"),
        (lambda t: t.replace("[noise]", "[nose]"), "nose"),
        (lambda t: t.replace("critical =", "urgent ="), "urgent"),
        (lambda t: t.replace("[heat]\ndefault", "[heat]\nhigh"), "default"),
        (lambda t: t.partition("[other]")[0], "lack a table for other"),
        (lambda t: t + "\n[", "not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "cards.toml"
    path.write_text(change(BUILT_IN.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(Configuration, match=said):
        load_run_cards(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(Configuration, match="cannot be read"):
        load_run_cards(tmp_path / "none.toml")
