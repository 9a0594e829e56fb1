"""What every way in checks before an observation may go on the bus."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from safecity.errors import Invalid
from safecity.model.observation import Observation, ObservationKind

MAX_AHEAD: Final = timedelta(minutes=5)
MAX_BEHIND: Final = timedelta(hours=24)
MAX_NAME: Final = 64
MARGIN_DEG: Final = 0.5
"""How far outside the city's bounding box a position may be: neighbours help each other."""

MAX_SPEED_MPS: Final = 100.0
"""360 km/h: faster than any vehicle of a city's services on a road."""


class Gate:
    """Refuses observations that cannot be true here and now."""

    def __init__(self, bbox: Sequence[float]) -> None:
        """Take the city's bounding box: west, south, east, north in degrees."""
        west, south, east, north = bbox
        self._west, self._south = west - MARGIN_DEG, south - MARGIN_DEG
        self._east, self._north = east + MARGIN_DEG, north + MARGIN_DEG

    def check(self, observation: Observation, now: datetime) -> None:
        """Raise Invalid with one sentence when the observation must not be believed."""
        _check_names(observation)
        _check_time(observation.event_time, now)
        if observation.value is not None and not math.isfinite(observation.value):
            raise Invalid("'value' must be a finite number; leave it out when there is none")
        self._check_place(observation)
        if observation.kind is ObservationKind.POSITION:
            _check_position(observation)

    def _check_place(self, observation: Observation) -> None:
        lon, lat = observation.lon, observation.lat
        if lon is None and lat is None:
            return
        if lon is None or lat is None:
            raise Invalid("'lon' and 'lat' come together or not at all")
        if not (self._west <= lon <= self._east and self._south <= lat <= self._north):
            raise Invalid(f"lon {lon}, lat {lat} is not in or near this city; degrees WGS 84 are expected")


def _check_names(observation: Observation) -> None:
    for name, value in (("source_id", observation.source_id), ("property", observation.property)):
        if not value or len(value) > MAX_NAME or not value.isprintable():
            raise Invalid(f"'{name}' must have 1 to {MAX_NAME} printable characters")


def _check_time(event_time: datetime, now: datetime) -> None:
    if event_time.tzinfo is None:
        raise Invalid("'event_time' needs a time zone, for example 2026-01-31T12:00:00Z")
    if event_time > now + MAX_AHEAD:
        raise Invalid("'event_time' is more than 5 minutes in the future; set the device's clock")
    if event_time < now - MAX_BEHIND:
        raise Invalid("'event_time' is more than 24 hours ago; send older data by the archive import")


def _check_position(observation: Observation) -> None:
    if observation.lon is None:
        raise Invalid("a position needs 'lon' and 'lat'")
    if observation.lon == 0.0 and observation.lat == 0.0:
        raise Invalid("lon 0, lat 0 is what a receiver without a fix says; it was not taken for a position")
    if observation.value is not None and not 0.0 <= observation.value <= MAX_SPEED_MPS:
        raise Invalid(f"a speed must be 0 to {MAX_SPEED_MPS:.0f} m/s")
    if observation.heading_deg is not None and not 0.0 <= observation.heading_deg < 360.0:
        raise Invalid("'heading_deg' must be 0 or more and below 360")
