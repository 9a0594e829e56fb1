"""What every way in checks before an observation may go on the bus: one set of limits for all of them."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from safecity.errors import Invalid
from safecity.model.base import Place
from safecity.model.observation import Observation, ObservationKind

MAX_AHEAD: Final = timedelta(minutes=5)
"""How far a source's clock may run ahead."""

MAX_BEHIND: Final = timedelta(hours=24)
"""How late an observation may come: as long as an edge site may be cut off and still deliver."""

MAX_NAME: Final = 64
MARGIN_DEG: Final = 0.5
"""How far outside the city's bounding box a position may be: neighbours help each other."""

MAX_SPEED_MPS: Final = 100.0
"""360 km/h: faster than any vehicle or helicopter (about 90 m/s) of a city's services."""

MAX_UNCERTAINTY_M: Final = 100_000.0
"""100 km: a place that is less certain says nothing about a city."""

MAX_PLACE_TEXT: Final = 500
"""Characters of an address or description of a place."""


class Matter(StrEnum):
    """What is wrong with an observation, for counting."""

    NAME = "name"
    TIME = "time"
    FIGURE = "figure"
    PLACE = "place"


class Untrue(Invalid):
    """An observation or place that cannot be true here and now."""

    def __init__(self, matter: Matter, sentence: str) -> None:
        """Say in one sentence what is wrong."""
        super().__init__(sentence)
        self.matter = matter


class Gate:
    """Refuses observations that cannot be true here and now."""

    def __init__(self, bbox: Sequence[float]) -> None:
        """Take the city's bounding box: west, south, east, north in degrees."""
        west, south, east, north = bbox
        self._west, self._south = west - MARGIN_DEG, south - MARGIN_DEG
        self._east, self._north = east + MARGIN_DEG, north + MARGIN_DEG

    def check(self, observation: Observation, now: datetime) -> None:
        """Raise Untrue with one sentence when the observation must not be believed."""
        _check_names(observation)
        _check_time(observation.event_time, now)
        if observation.value is not None and not math.isfinite(observation.value):
            raise Untrue(Matter.FIGURE, "'value' must be a finite number; leave it out when there is none")
        self._check_where(observation)
        if observation.kind is ObservationKind.POSITION:
            _check_position(observation)

    def check_place(self, lon: float, lat: float) -> None:
        """Raise Untrue when a point (WGS 84 degrees) is not in or near the city."""
        if lon == 0.0 and lat == 0.0:
            raise Untrue(
                Matter.PLACE,
                "lon 0, lat 0 is what a receiver without a fix says; it was not taken for a position",
            )
        if not (self._west <= lon <= self._east and self._south <= lat <= self._north):
            raise Untrue(
                Matter.PLACE, f"lon {lon}, lat {lat} is not in or near this city; degrees WGS 84 are expected"
            )

    def check_stated_place(self, place: Place) -> None:
        """Raise Untrue when a place that somebody stated is far away, too vague, or has too many words."""
        self.check_place(place.lon, place.lat)
        _check_uncertainty(place.uncertainty_m)
        if len(place.text) > MAX_PLACE_TEXT:
            raise Untrue(Matter.PLACE, f"'text' of a place may have at most {MAX_PLACE_TEXT} characters")

    def _check_where(self, observation: Observation) -> None:
        lon, lat = observation.lon, observation.lat
        if observation.uncertainty_m is not None:
            _check_uncertainty(observation.uncertainty_m)
        if observation.heading_deg is not None and not 0.0 <= observation.heading_deg < 360.0:
            raise Untrue(Matter.FIGURE, "'heading_deg' must be 0 or more and below 360")
        if lon is None and lat is None:
            return
        if lon is None or lat is None:
            raise Untrue(Matter.PLACE, "'lon' and 'lat' come together or not at all")
        self.check_place(lon, lat)


def _check_names(observation: Observation) -> None:
    for name, value in (("source_id", observation.source_id), ("property", observation.property)):
        if not value or len(value) > MAX_NAME or not value.isprintable():
            raise Untrue(Matter.NAME, f"'{name}' must have 1 to {MAX_NAME} printable characters")


def _check_time(event_time: datetime, now: datetime) -> None:
    if event_time.tzinfo is None:
        raise Untrue(Matter.TIME, "'event_time' needs a time zone, for example 2026-01-31T12:00:00Z")
    if event_time > now + MAX_AHEAD:
        raise Untrue(Matter.TIME, "'event_time' is more than 5 minutes in the future; set the device's clock")
    if event_time < now - MAX_BEHIND:
        raise Untrue(
            Matter.TIME, "'event_time' is more than 24 hours ago; send older data by the archive import"
        )


def _check_uncertainty(uncertainty_m: float) -> None:
    if not 0.0 <= uncertainty_m <= MAX_UNCERTAINTY_M:
        raise Untrue(Matter.PLACE, f"'uncertainty_m' must be 0 to {MAX_UNCERTAINTY_M:.0f} metres")


def _check_position(observation: Observation) -> None:
    if observation.lon is None:
        raise Untrue(Matter.PLACE, "a position needs 'lon' and 'lat'")
    if observation.value is not None and not 0.0 <= observation.value <= MAX_SPEED_MPS:
        raise Untrue(Matter.FIGURE, f"a speed must be 0 to {MAX_SPEED_MPS:.0f} m/s")
