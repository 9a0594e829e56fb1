"""One imported city, opened from its folder."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from safecity.city.gazetteer import Entry, EntryKind
from safecity.city.graph import RoadGraph
from safecity.city.search import PlaceIndex
from safecity.errors import Invalid, NotFound
from safecity.model.base import Agency, Noun, Place
from safecity.model.source import Station

FORMAT_VERSION: Final = 1
INFO_FILE: Final = "city.json"
PLACES_FILE: Final = "places.msgpack"
ROADS_FOLDER: Final = "roads"
BASEMAP_FILE: Final = "basemap.pmtiles"

_STATION_AGENCY: Final[Mapping[EntryKind, Agency]] = MappingProxyType(
    {
        EntryKind.FIRE_STATION: Agency.FIRE,
        EntryKind.POLICE_STATION: Agency.POLICE,
        EntryKind.AMBULANCE_STATION: Agency.AMBULANCE,
        EntryKind.HOSPITAL: Agency.AMBULANCE,
    }
)
"""Whose units live where. Ambulances also stand at the hospitals, since few cities map their stations."""


class CityInfo(Noun, frozen=True):
    """What city.json says. bbox is [west, south, east, north], center [lon, lat], in degrees.

    counts: how many of each thing were read; source_sha256: of the OpenStreetMap file, as hexadecimal text.
    """

    format_version: int
    name: str
    bbox: tuple[float, float, float, float]
    center: tuple[float, float]
    source_file: str
    source_sha256: str
    imported_at: datetime
    attribution: str
    counts: dict[str, int]


class City:
    """The fixed city: who lives where, what is where, which road leads there."""

    def __init__(self, folder: Path, info: CityInfo) -> None:
        """Use `City.open`; this only keeps what it read."""
        self.folder = folder
        self.info = info

    @classmethod
    def open(cls, folder: Path) -> "City":
        """Open the city folder that `import_city` wrote; graph and places are read when first asked for.

        Raises NotFound when there is none and Invalid when it is damaged or of another version.
        """
        path = folder / INFO_FILE
        if not path.is_file():
            raise NotFound(f"there is no imported city in {folder}; run 'safecity city import FILE.osm.pbf'")
        try:
            info = msgspec.json.decode(path.read_bytes(), type=CityInfo)
        except (OSError, msgspec.DecodeError) as error:
            raise Invalid(f"{path} cannot be read ({error}); import the city again") from error
        if info.format_version != FORMAT_VERSION:
            raise Invalid(
                f"the city in {folder} has format {info.format_version} and this program reads "
                f"{FORMAT_VERSION}; import the city again"
            )
        return cls(folder, info)

    @property
    def name(self) -> str:
        """The city's name."""
        return self.info.name

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""
        return self.info.bbox

    @property
    def center(self) -> tuple[float, float]:
        """Longitude and latitude in degrees of where people look first."""
        return self.info.center

    @property
    def basemap_path(self) -> Path:
        """The PMTiles archive of the basemap."""
        return self.folder / BASEMAP_FILE

    @cached_property
    def graph(self) -> RoadGraph:
        """The road graph, memory-mapped. Raises Invalid when its files are damaged."""
        return RoadGraph.open(self.folder / ROADS_FOLDER)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Every named place. Raises Invalid when the file is damaged."""
        path = self.folder / PLACES_FILE
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=tuple[Entry, ...])
        except (OSError, msgspec.DecodeError) as error:
            raise Invalid(f"{path} cannot be read ({error}); import the city again") from error

    @cached_property
    def stations(self) -> tuple[Station, ...]:
        """The stations of all agencies; ids stay the same over imports of newer data."""
        return tuple(
            Station(
                id=f"{agency.value}-{entry.origin}",
                name=entry.name,
                agency=agency,
                place=Place(lon=entry.lon, lat=entry.lat, text=entry.text),
            )
            for entry in self.entries
            if (agency := _STATION_AGENCY.get(entry.kind)) is not None
        )

    def stations_of(self, agency: Agency) -> tuple[Station, ...]:
        """Return the stations of one agency."""
        return tuple(station for station in self.stations if station.agency is agency)

    def of_kind(self, kind: EntryKind) -> tuple[Entry, ...]:
        """Return every place of one kind: hydrants, schools, addresses ..."""
        return tuple(entry for entry in self.entries if entry.kind is kind)

    @property
    def hospitals(self) -> tuple[Entry, ...]:
        """The hospitals."""
        return self.of_kind(EntryKind.HOSPITAL)

    @cached_property
    def _index(self) -> PlaceIndex:
        return PlaceIndex(self.entries, self.graph)

    def search(self, query: str, limit: int = 10) -> tuple[Entry, ...]:
        """Return at most `limit` places for words that a person typed, the likeliest first."""
        return self._index.search(query, limit)
