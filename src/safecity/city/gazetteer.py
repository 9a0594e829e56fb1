"""Names and places of the city: what they are, where, and how they are read out of OpenStreetMap."""

from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from safecity.city.geo import METRES_PER_DEGREE, LocalMetres


class EntryKind(StrEnum):
    """What sort of place an entry names."""

    ADDRESS = "address"
    STREET = "street"
    CROSSING = "crossing"
    LOCALITY = "locality"
    HOSPITAL = "hospital"
    FIRE_STATION = "fire_station"
    POLICE_STATION = "police_station"
    AMBULANCE_STATION = "ambulance_station"
    SCHOOL = "school"
    HYDRANT = "hydrant"
    PLACE = "place"


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One named place in WGS 84 degrees.

    name: as people say it ("Ziegelbergstraße 50"); locality: the nearest named place, to tell equals apart;
    origin: type letter and number of the OpenStreetMap object (n, w, r), empty for computed ones;
    aliases: other names it goes by, one text with ; between them.
    """

    kind: EntryKind
    name: str
    locality: str
    lon: float
    lat: float
    origin: str = ""
    aliases: str = ""

    @property
    def text(self) -> str:
        """The name with its locality, as one line."""
        return f"{self.name}, {self.locality}" if self.locality and self.locality != self.name else self.name


EMERGENCY_KINDS: Final = (
    EntryKind.HOSPITAL,
    EntryKind.FIRE_STATION,
    EntryKind.POLICE_STATION,
    EntryKind.AMBULANCE_STATION,
)

_AMENITIES: Final[Mapping[str, EntryKind]] = {
    "hospital": EntryKind.HOSPITAL,
    "fire_station": EntryKind.FIRE_STATION,
    "police": EntryKind.POLICE_STATION,
    "school": EntryKind.SCHOOL,
}
_EMERGENCY: Final[Mapping[str, EntryKind]] = {
    "ambulance_station": EntryKind.AMBULANCE_STATION,
    "fire_hydrant": EntryKind.HYDRANT,
}
_NAMED_KEYS: Final = (
    *("amenity", "shop", "tourism", "leisure", "office", "public_transport", "railway", "historic"),
    *("natural", "water"),
)
_ALIAS_KEYS: Final = ("name:en", "name:ru", "name:uz", "int_name", "alt_name", "short_name", "old_name")
_SAME_PLACE_M: Final = 60.0
_SAME_LOCALITY_M: Final = 1000.0
_STREET_GAP_M: Final = 1500.0

LOCALITY_RANK: Final[Mapping[str, int]] = {
    "city": 0,
    "town": 1,
    "borough": 2,
    "suburb": 3,
    "quarter": 4,
    "village": 5,
    "neighbourhood": 6,
    "hamlet": 7,
    "isolated_dwelling": 8,
}
"""Values of OpenStreetMap's place key that name a settlement or a part of one; the largest first."""


def kind_of(tags: Mapping[str, str]) -> EntryKind | None:
    """Return what kind of place these tags describe, or None when it is none that people look for."""
    if tags.get("place") in LOCALITY_RANK:
        return EntryKind.LOCALITY
    kind = _AMENITIES.get(tags.get("amenity", "")) or _EMERGENCY.get(tags.get("emergency", ""))
    if kind is None and "name" in tags and any(key in tags for key in _NAMED_KEYS):
        return EntryKind.PLACE
    return kind


def address_of(tags: Mapping[str, str]) -> str:
    """Return "Street 12" for an addressed object, or an empty text."""
    number = tags.get("addr:housenumber")
    street = tags.get("addr:street") or tags.get("addr:place")
    return f"{street} {number}" if number and street else ""


class GazetteerCollector:
    """Takes tagged objects as the file brings them and makes the entries at the end."""

    def __init__(self) -> None:
        """Start with nothing collected."""
        self._found: list[Entry] = []
        self._ranks: list[tuple[int, int, Entry]] = []
        self._streets: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def take(self, origin: str, lon: float, lat: float, tags: Mapping[str, str]) -> None:
        """Take a point object or the centre of an area, when it has a name or an address."""
        address = address_of(tags)
        kind = kind_of(tags)
        name = tags.get("name", "")
        if kind is EntryKind.LOCALITY and name:
            entry = Entry(kind, name, "", lon, lat, origin, _aliases(tags))
            self._ranks.append((LOCALITY_RANK[tags["place"]], -_population(tags), entry))
        elif kind is not None and kind is not EntryKind.LOCALITY:
            known_as = name or (f"{_UNNAMED.get(kind, 'Place')} {address}" if address else "")
            self._found.append(Entry(kind, known_as, "", lon, lat, origin, _aliases(tags)))
        if address:
            self._found.append(Entry(EntryKind.ADDRESS, address, "", lon, lat, origin))

    def street(self, name: str, lon: float, lat: float) -> None:
        """Take the middle of one piece of a named street."""
        self._streets[name].append((lon, lat))

    def entries(self) -> list[Entry]:
        """Return all entries without duplicates: first the localities, most important first."""
        localities = [entry for _, _, entry in sorted(self._ranks, key=lambda ranked: ranked[:2])]
        localities = _distinct(localities)
        others = _distinct([*self._found, *self._street_entries()])
        return [*localities, *_located(_named(others, self._street_pieces()), localities)]

    def _street_pieces(self) -> list[Entry]:
        return [
            Entry(EntryKind.STREET, name, "", lon, lat)
            for name, points in self._streets.items()
            for lon, lat in points
        ]

    def _street_entries(self) -> list[Entry]:
        return [
            Entry(EntryKind.STREET, name, "", lon, lat)
            for name, points in self._streets.items()
            for lon, lat in _clusters(points)
        ]


def _population(tags: Mapping[str, str]) -> int:
    digits = tags.get("population", "").replace(" ", "")
    return int(digits) if digits.isdecimal() else 0


def _aliases(tags: Mapping[str, str]) -> str:
    names = dict.fromkeys(tags[key] for key in _ALIAS_KEYS if key in tags)
    names.pop(tags.get("name", ""), None)
    return ";".join(names)


def _clusters(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return one point of the street for each group of pieces that lie near each other.

    Equal names in neighbouring villages are different streets. The point is the piece nearest the mean.
    """
    groups: list[list[tuple[float, float]]] = []
    gap_deg = _STREET_GAP_M / METRES_PER_DEGREE
    for point in points:
        near = [g for g in groups if any(abs(p[0] - point[0]) + abs(p[1] - point[1]) < gap_deg for p in g)]
        groups = [g for g in groups if all(g is not n for n in near)]
        groups.append([point, *(p for g in near for p in g)])
    return [_middle(group) for group in groups]


def _middle(group: list[tuple[float, float]]) -> tuple[float, float]:
    lon = sum(p[0] for p in group) / len(group)
    lat = sum(p[1] for p in group) / len(group)
    return min(group, key=lambda p: (p[0] - lon) ** 2 + (p[1] - lat) ** 2)


def _distinct(entries: list[Entry]) -> list[Entry]:
    """Drop an entry near an earlier one of its kind and name: a node inside its own building or village."""
    kept: list[Entry] = []
    by_name: dict[tuple[EntryKind, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        twins = by_name[entry.kind, entry.name]
        near_m = _SAME_LOCALITY_M if entry.kind is EntryKind.LOCALITY else _SAME_PLACE_M
        if entry.kind is EntryKind.HYDRANT or all(_apart_m(entry, twin) > near_m for twin in twins):
            twins.append(entry)
            kept.append(entry)
    return kept


def _apart_m(a: Entry, b: Entry) -> float:
    plane = LocalMetres(a.lat)
    ends = plane.project(np.array([a.lon, b.lon]), np.array([a.lat, b.lat]))
    return float(np.linalg.norm(ends[0] - ends[1]))


_UNNAMED: Final[Mapping[EntryKind, str]] = {
    EntryKind.HOSPITAL: "Hospital",
    EntryKind.FIRE_STATION: "Fire station",
    EntryKind.POLICE_STATION: "Police station",
    EntryKind.AMBULANCE_STATION: "Ambulance station",
    EntryKind.SCHOOL: "School",
    EntryKind.HYDRANT: "Hydrant",
}


def _named(entries: list[Entry], streets: list[Entry]) -> list[Entry]:
    """Give nameless stations and the like a name: their kind and the nearest street."""
    nameless = [i for i, entry in enumerate(entries) if not entry.name]
    near = _nearest([entries[i] for i in nameless], streets)
    for i, street in zip(nameless, near, strict=True):
        name = _UNNAMED.get(entries[i].kind, "Place")
        entries[i] = msgspec.structs.replace(entries[i], name=f"{name} {street.name}" if street else name)
    return entries


def _located(entries: list[Entry], localities: list[Entry]) -> list[Entry]:
    near = _nearest(entries, localities)
    return [
        msgspec.structs.replace(entry, locality=place.name if place else "")
        for entry, place in zip(entries, near, strict=True)
    ]


def _nearest(wanted: list[Entry], among: list[Entry]) -> list[Entry | None]:
    # Only the import needs it, and every process that opens a city would carry its 25 MB.
    from scipy.spatial import cKDTree

    if not wanted or not among:
        return [None] * len(wanted)
    plane = LocalMetres(among[0].lat)
    tree = cKDTree(plane.project(np.array([e.lon for e in among]), np.array([e.lat for e in among])))
    _, found = tree.query(plane.project(np.array([e.lon for e in wanted]), np.array([e.lat for e in wanted])))
    return [among[int(i)] for i in np.atleast_1d(found)]
