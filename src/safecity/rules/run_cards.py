"""Run cards: what an incident asks for, as data that is checked when it is read."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from safecity.errors import Configuration
from safecity.model.base import Priority
from safecity.model.incident import IncidentType
from safecity.model.unit import Capability

BUILT_IN: Final = Path(__file__).with_name("run_cards.toml")
"""The cards that the program brings; a city writes its own in the same form."""

MAX_UNITS_OF_A_KIND: Final = 20

Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_UNITS_OF_A_KIND)]
Needs = dict[Capability, Count]


class RunCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The card of one incident type: a default and what replaces it at a priority."""

    default: Needs
    critical: Needs | None = None
    high: Needs | None = None
    medium: Needs | None = None
    low: Needs | None = None
    info: Needs | None = None

    def slots(self, priority: Priority) -> tuple[Capability, ...]:
        """Return one capability for each unit that is asked for, in the card's order."""
        own: Needs | None = getattr(self, priority.name.lower())
        needs = self.default if own is None else own
        return tuple(capability for capability, count in needs.items() for _ in range(count))


class RunCards:
    """The cards of every incident type."""

    def __init__(self, cards: Mapping[IncidentType, RunCard]) -> None:
        """Take one card for each incident type; raises Configuration when one is missing."""
        missing = sorted(set(IncidentType) - set(cards))
        if missing:
            raise Configuration(
                f"the run cards lack a table for {', '.join(missing)}; add it, if need be with {{ }}"
            )
        self._cards = dict(cards)

    def slots(self, type_: IncidentType, priority: Priority) -> tuple[Capability, ...]:
        """Return the capabilities that such an incident asks for, one for each unit."""
        return self._cards[type_].slots(priority)


def load_run_cards(path: Path = BUILT_IN) -> RunCards:
    """Return the run cards of a TOML file.

    Raises Configuration with file, place and reason when it cannot be read, names an unknown incident type,
    priority or capability, has a count outside 1 to 20, or lacks an incident type.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        cards = msgspec.convert(raw, dict[IncidentType, RunCard])
    except OSError as error:
        raise Configuration(f"the run cards {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Configuration(f"the run cards {path} are not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise Configuration(f"the run cards {path.name} are wrong: {error}") from error
    return RunCards(cards)
