"""Where observations come from: the registered sources and cameras, in compact form."""

from collections.abc import Iterable, Iterator

import msgspec

from safecity.model.base import Place
from safecity.model.observation import Observation
from safecity.model.source import Camera, Source


class Origin(msgspec.Struct, frozen=True, gc=False):
    """What an alarm says of its source. period_s: its own rhythm, 0 when it has none."""

    id: str
    name: str
    place: Place
    period_s: float = 0.0
    simulated: bool = False


class Origins:
    """The registered sources, by id."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[str, Origin] = {}

    def __len__(self) -> int:
        """Return how many are registered."""
        return len(self._known)

    def __iter__(self) -> Iterator[Origin]:
        """Go through all of them."""
        return iter(self._known.values())

    def get(self, source_id: str) -> Origin | None:
        """Return a registered source, None when it is unknown."""
        return self._known.get(source_id)

    def learn(self, entities: Iterable[Source | Camera]) -> None:
        """Take in new or changed sources and cameras."""
        for entity in entities:
            self._known[entity.id] = Origin(
                id=entity.id,
                name=entity.name,
                place=entity.place,
                period_s=entity.period_s if isinstance(entity, Source) else 0.0,
                simulated=entity.simulated,
            )

    def of(self, observation: Observation, name: str = "") -> Origin | None:
        """Return where an event comes from.

        Its own place goes before the registered one; an unregistered source needs a place of its own. None
        when there is no place at all.
        """
        known = self._known.get(observation.source_id)
        place = own_place(observation)
        if known is not None:
            return known if place is None else msgspec.structs.replace(known, place=_named(place, known))
        if place is None:
            return None
        simulated = (observation.detail or {}).get("simulated") is True
        return Origin(observation.source_id, name or observation.source_id, place, 0.0, simulated)


def own_place(observation: Observation) -> Place | None:
    """Return the place that an observation states itself; None when it states none or an impossible one."""
    if observation.lon is None or observation.lat is None:
        return None
    text = (observation.detail or {}).get("text")
    try:
        return Place(
            lon=observation.lon,
            lat=observation.lat,
            uncertainty_m=observation.uncertainty_m or 0.0,
            text=text if isinstance(text, str) else "",
        )
    except ValueError:
        return None


def _named(place: Place, known: Origin) -> Place:
    return place if place.text else msgspec.structs.replace(place, text=known.place.text)
