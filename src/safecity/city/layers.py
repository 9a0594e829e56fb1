"""The basemap's own layers: which OpenStreetMap object goes where, from which zoom, with which attributes.

The schema, layer by layer, is written for map makers in docs/guide/city.md; a test holds both together.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

Value = str | int
T = TypeVar("T")


class Feature(NamedTuple):
    """Where an object goes: layer, first zoom, attributes."""

    layer: str
    minzoom: int
    attributes: dict[str, Value]


MIN_ZOOM: Final = 8
MAX_ZOOM: Final = 15
"""One tile unit is 0.18 m at 53 degrees of latitude; a zoom more doubles file and time and shows no more."""

LAYERS: Final[Mapping[str, str]] = {
    "landuse": "polygon",
    "green": "polygon",
    "water": "polygon",
    "waterway": "line",
    "buildings": "polygon",
    "rail": "line",
    "roads": "line",
    "places": "point",
    "pois": "point",
    "housenumbers": "point",
}
"""Every layer with its geometry, in drawing order from the ground up."""

ROAD_CLASSES: Final[Mapping[str, tuple[str, int]]] = {
    "motorway": ("motorway", 8),
    "motorway_link": ("motorway", 10),
    "trunk": ("trunk", 8),
    "trunk_link": ("trunk", 10),
    "primary": ("primary", 8),
    "primary_link": ("primary", 11),
    "secondary": ("secondary", 9),
    "secondary_link": ("secondary", 12),
    "tertiary": ("tertiary", 11),
    "tertiary_link": ("tertiary", 12),
    "unclassified": ("minor", 12),
    "residential": ("minor", 12),
    "road": ("minor", 12),
    "living_street": ("minor", 13),
    "pedestrian": ("pedestrian", 13),
    "service": ("service", 14),
    "track": ("track", 13),
    "cycleway": ("path", 14),
    "footway": ("path", 14),
    "path": ("path", 14),
    "bridleway": ("path", 14),
    "steps": ("path", 14),
}
"""Values of the highway key: the class on the map and the first zoom."""

_GREEN: Final[Mapping[tuple[str, str], tuple[str, int]]] = {
    ("natural", "wood"): ("forest", 8),
    ("landuse", "forest"): ("forest", 8),
    ("leisure", "park"): ("park", 10),
    ("leisure", "garden"): ("park", 12),
    ("leisure", "nature_reserve"): ("park", 10),
    ("landuse", "recreation_ground"): ("park", 11),
    ("landuse", "village_green"): ("park", 12),
    ("landuse", "grass"): ("grass", 12),
    ("landuse", "meadow"): ("grass", 10),
    ("natural", "grassland"): ("grass", 11),
    ("natural", "heath"): ("grass", 11),
    ("natural", "scrub"): ("scrub", 11),
    ("natural", "wetland"): ("wetland", 10),
    ("landuse", "farmland"): ("farmland", 9),
    ("landuse", "orchard"): ("farmland", 11),
    ("landuse", "vineyard"): ("farmland", 11),
    ("landuse", "allotments"): ("allotments", 11),
    ("landuse", "cemetery"): ("cemetery", 11),
    ("amenity", "grave_yard"): ("cemetery", 12),
    ("leisure", "pitch"): ("sport", 13),
    ("leisure", "stadium"): ("sport", 12),
    ("leisure", "sports_centre"): ("sport", 12),
    ("leisure", "golf_course"): ("sport", 11),
    ("leisure", "playground"): ("sport", 14),
    ("natural", "beach"): ("beach", 12),
}

_LANDUSE: Final[Mapping[tuple[str, str], tuple[str, int]]] = {
    ("landuse", "residential"): ("residential", 8),
    ("landuse", "commercial"): ("commercial", 11),
    ("landuse", "retail"): ("commercial", 11),
    ("landuse", "industrial"): ("industrial", 10),
    ("landuse", "railway"): ("industrial", 12),
    ("landuse", "garages"): ("industrial", 13),
    ("landuse", "military"): ("military", 10),
    ("landuse", "quarry"): ("industrial", 11),
    ("aeroway", "aerodrome"): ("airfield", 10),
    ("amenity", "hospital"): ("hospital", 12),
    ("amenity", "school"): ("school", 13),
    ("amenity", "university"): ("school", 12),
    ("amenity", "college"): ("school", 13),
    ("amenity", "parking"): ("parking", 14),
    ("highway", "pedestrian"): ("pedestrian", 13),
}

_WATER: Final[Mapping[tuple[str, str], str]] = {
    ("natural", "water"): "lake",
    ("waterway", "riverbank"): "river",
    ("waterway", "dock"): "basin",
    ("landuse", "reservoir"): "lake",
    ("landuse", "basin"): "basin",
    ("leisure", "swimming_pool"): "basin",
}
_WATER_KINDS: Final = {"river": "river", "canal": "river", "basin": "basin", "pond": "pond", "lake": "lake"}

_WATERWAYS: Final[Mapping[str, tuple[str, int]]] = {
    "river": ("river", 9),
    "canal": ("canal", 10),
    "stream": ("stream", 12),
    "ditch": ("ditch", 14),
    "drain": ("ditch", 14),
}

_RAIL: Final[Mapping[str, tuple[str, int]]] = {
    "rail": ("rail", 9),
    "light_rail": ("rail", 10),
    "narrow_gauge": ("rail", 11),
    "subway": ("subway", 12),
    "tram": ("tram", 12),
}

_PLACES: Final[Mapping[str, int]] = {
    "city": 8,
    "town": 8,
    "borough": 11,
    "suburb": 11,
    "quarter": 12,
    "village": 10,
    "neighbourhood": 13,
    "hamlet": 12,
    "isolated_dwelling": 14,
}

_POIS: Final[Mapping[tuple[str, str], tuple[str, int]]] = {
    ("amenity", "hospital"): ("hospital", 11),
    ("amenity", "fire_station"): ("fire_station", 11),
    ("amenity", "police"): ("police_station", 11),
    ("emergency", "ambulance_station"): ("ambulance_station", 11),
    ("emergency", "fire_hydrant"): ("hydrant", 15),
    ("amenity", "school"): ("school", 14),
    ("railway", "station"): ("rail_station", 12),
}


LINE_KEYS: Final = ("highway", "railway", "waterway")
"""A way without any of these keys is never drawn as a line."""


def polygon(tags: Mapping[str, str]) -> Feature | None:
    """Return where an area goes on the map, or None when it isn't drawn."""
    if tags.get("building", "no") != "no":
        return Feature("buildings", 13, {})
    water = _first(_WATER, tags)
    if water is not None:
        kind = _WATER_KINDS.get(tags.get("water", ""), water)
        return Feature("water", 8, _named({"kind": kind}, tags))
    green = _first(_GREEN, tags)
    if green is not None:
        return Feature("green", green[1], _named({"kind": green[0]}, tags))
    landuse = _first(_LANDUSE, tags)
    if landuse is not None and (tags.get("highway") is None or tags.get("area") == "yes"):
        return Feature("landuse", landuse[1], {"kind": landuse[0]})
    return None


def line(tags: Mapping[str, str]) -> Feature | None:
    """Return where a way goes on the map, or None when it isn't drawn as a line."""
    road = ROAD_CLASSES.get(tags.get("highway", ""))
    if road is not None and tags.get("area") != "yes":
        return Feature("roads", road[1], _road_attributes(road[0], tags))
    rail = _RAIL.get(tags.get("railway", ""))
    if rail is not None:
        return Feature("rail", rail[1], {"kind": rail[0], **_structure(tags)})
    waterway = _WATERWAYS.get(tags.get("waterway", ""))
    if waterway is not None and "tunnel" not in tags:
        return Feature("waterway", waterway[1], _named({"kind": waterway[0]}, tags))
    return None


def point(tags: Mapping[str, str]) -> Feature | None:
    """Return where a node or the centre of an area goes as a label or sign, or None."""
    place = _PLACES.get(tags.get("place", ""))
    if place is not None and "name" in tags:
        return Feature("places", place, _named({"kind": tags["place"]}, tags))
    poi = _first(_POIS, tags)
    return Feature("pois", poi[1], _named({"kind": poi[0]}, tags)) if poi else None


def housenumber(tags: Mapping[str, str]) -> Feature | None:
    """Return the house number of an addressed node or building, or None."""
    number = tags.get("addr:housenumber")
    return Feature("housenumbers", MAX_ZOOM, {"number": number}) if number else None


def _first(table: Mapping[tuple[str, str], T], tags: Mapping[str, str]) -> T | None:
    return next((found for (key, value), found in table.items() if tags.get(key) == value), None)


def _named(attributes: dict[str, Value], tags: Mapping[str, str]) -> dict[str, Value]:
    names: dict[str, Value] = {
        key: tags[key] for key in ("name", "name:en", "name:ru", "name:uz") if key in tags
    }
    return {**attributes, **names}


def _structure(tags: Mapping[str, str]) -> dict[str, Value]:
    return {key: 1 for key in ("bridge", "tunnel") if tags.get(key, "no") != "no"}


def _road_attributes(road_class: str, tags: Mapping[str, str]) -> dict[str, Value]:
    attributes = _named({"class": road_class}, tags)
    attributes.update(_structure(tags))
    if tags["highway"].endswith("_link"):
        attributes["link"] = 1
    if "ref" in tags:
        attributes["ref"] = tags["ref"]
    oneway = tags.get("oneway")
    if oneway in {"-1", "reverse"}:
        attributes["oneway"] = -1
    elif oneway in {"yes", "1", "true"} or tags.get("junction") == "roundabout":
        attributes["oneway"] = 1
    return attributes
