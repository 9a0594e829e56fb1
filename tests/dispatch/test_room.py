"""What units under way leave open of a run card."""

import pytest
from msgspec.structs import replace

from operations.builders import unit
from safecity.dispatch.room import still_needed
from safecity.model.base import Agency
from safecity.model.unit import Capability, Unit

ENGINE, LADDER, RESCUE = Capability.ENGINE, Capability.LADDER, Capability.RESCUE
CARD = (ENGINE, ENGINE, LADDER, Capability.AMBULANCE)


def _with(name: str, *capabilities: Capability) -> Unit:
    return replace(unit(name), capabilities=capabilities)


@pytest.mark.parametrize(
    ("underway", "left"),
    [
        ([], CARD),
        ([unit("F-11")], (ENGINE, LADDER, Capability.AMBULANCE)),
        ([unit("F-11"), unit("F-12"), unit("F-13")], (LADDER, Capability.AMBULANCE)),
        ([unit("P-31", Agency.POLICE, Capability.PATROL)], CARD),
        ([_with("F-14", RESCUE, LADDER)], (ENGINE, ENGINE, Capability.AMBULANCE)),
    ],
)
def test_what_units_bring_is_not_asked_for_again(underway: list[Unit], left: tuple[Capability, ...]) -> None:
    assert still_needed(CARD, underway) == left


def test_one_unit_fills_one_slot_and_a_plain_one_goes_first() -> None:
    versatile, plain = _with("F-10", ENGINE, LADDER), unit("F-20")
    assert still_needed((ENGINE, LADDER), [versatile, plain]) == ()
    assert still_needed((ENGINE, LADDER), [versatile]) == (LADDER,)
