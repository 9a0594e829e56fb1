"""What the web room is given by the program that wires the rooms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safecity.access.sealed import Sealer
from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus
from safecity.clock import Clock
from safecity.config import Settings
from safecity.store.database import Database


class FoundPlace(Protocol):
    """A place that a search found."""

    @property
    def text(self) -> str:
        """Words for people."""

    @property
    def kind(self) -> str:
        """What sort of place it is."""

    @property
    def lon(self) -> float:
        """Longitude in degrees, WGS 84."""

    @property
    def lat(self) -> float:
        """Latitude in degrees, WGS 84."""


class City(Protocol):
    """What the web room needs of the imported city."""

    @property
    def name(self) -> str:
        """The city's name."""

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""

    @property
    def center(self) -> tuple[float, float]:
        """Longitude and latitude in degrees of where people look first."""

    @property
    def folder(self) -> Path:
        """Folder with basemap.pmtiles and city.json."""

    def search(self, query: str, limit: int = 10) -> Sequence[FoundPlace]:
        """Return the likeliest places for words that a person typed."""


@dataclass(frozen=True, kw_only=True)
class WebDeps:
    """Engines, settings and the city. `roles` are those that health and status wait for.

    camera_keys: seals the accounts of cameras; the web room cannot open them.
    """

    db: Database
    bus: Bus
    batcher: MicroBatcher
    settings: Settings
    clock: Clock
    city: City
    simulated: bool
    static_dir: Path
    roles: Sequence[str] = ()
    camera_keys: Sealer | None = None
