"""The dispatch room: one city's roads and run cards, ready to answer."""

from collections.abc import Mapping, Sequence

import numpy as np

from safecity.city.graph import RoadGraph
from safecity.clock import Clock
from safecity.config import DispatchSection
from safecity.dispatch.recommend import recommend
from safecity.dispatch.travel import travel_to
from safecity.model.incident import Incident
from safecity.model.unit import Capability, Fix, Recommendation, Unit
from safecity.rules.run_cards import RunCards


class DispatchRoom:
    """Answers which units to send."""

    def __init__(
        self, graph: RoadGraph, run_cards: RunCards, settings: DispatchSection, clock: Clock
    ) -> None:
        """Keep the road graph of the city, its run cards and the settings."""
        self._graph = graph
        self._run_cards = run_cards
        self._settings = settings
        self._clock = clock

    def warm(self) -> None:
        """Compile the search and touch the graph, so that the first real question is answered at once."""
        lon, lat = self._graph.node_lon[:1], self._graph.node_lat[:1]
        travel_to(self._graph, (float(lon[0]), float(lat[0])), np.array(lon), np.array(lat))

    def recommend(
        self,
        incident: Incident,
        units: Sequence[Unit],
        fixes: Mapping[str, Fix],
        underway: Sequence[Unit] = (),
    ) -> Recommendation:
        """Return the recommendation for `incident` by its run card.

        units: all units, whatever their state. fixes: last known position by unit id. underway: units that
        work on this incident already; what they bring is not asked for again.
        """
        slots = still_needed(self._run_cards.slots(incident.type, incident.priority), underway)
        return recommend(self._graph, incident, units, fixes, slots, self._settings, self._clock)


def still_needed(slots: Sequence[Capability], underway: Sequence[Unit]) -> tuple[Capability, ...]:
    """Return the slots that the units under way leave open.

    Each unit fills one slot: the first of its capabilities that is still asked for.
    """
    open_slots = list(slots)
    for unit in sorted(underway, key=lambda unit: (len(unit.capabilities), unit.id)):
        for capability in unit.capabilities:
            if capability in open_slots:
                open_slots.remove(capability)
                break
    return tuple(open_slots)
