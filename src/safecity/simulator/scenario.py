"""What stands in a simulated city: stations, units, sensors, cameras. The same seed gives the same city."""

import itertools
import math
import random
import re
from collections.abc import Sequence
from typing import Final

from safecity.city import City, Entry, EntryKind
from safecity.config import SimulatorSection
from safecity.errors import Invalid
from safecity.model.base import Agency, Noun, Place, distance_m
from safecity.model.observation import Unit as Measure
from safecity.model.source import Camera, Source, SourceKind, Station
from safecity.model.unit import Capability, Unit


class SensorModel(Noun, frozen=True):
    """A sort of sensor: what it measures, how often, and how many of 100 sensors are of this sort."""

    property: str
    name: str
    unit: Measure
    period_s: float
    share: int


SENSOR_MODELS: Final = (
    SensorModel(property="smoke", name="Smoke detector", unit=Measure.PERCENT, period_s=5, share=27),
    SensorModel(property="gas_ch4", name="Gas detector", unit=Measure.PPM, period_s=5, share=20),
    SensorModel(property="noise", name="Sound level meter", unit=Measure.DECIBEL, period_s=2, share=10),
    SensorModel(
        property="pm2_5", name="Air station", unit=Measure.MICROGRAM_PER_CUBIC_METRE, period_s=10, share=14
    ),
    SensorModel(property="temperature", name="Thermometer", unit=Measure.CELSIUS, period_s=10, share=14),
    SensorModel(
        property="radiation", name="Dosimeter", unit=Measure.MICROSIEVERT_PER_HOUR, period_s=10, share=7
    ),
    SensorModel(property="water_level", name="Level gauge", unit=Measure.METRE, period_s=5, share=8),
)
"""The sorts of sensors; the shares add up to 100."""

_FIRE: Final = (
    (Capability.ENGINE,),
    (Capability.ENGINE, Capability.RESCUE),
    (Capability.ENGINE,),
    (Capability.ENGINE,),
    (Capability.ENGINE, Capability.RESCUE),
    (Capability.ENGINE,),
    (Capability.ENGINE,),
    (Capability.LADDER,),
    (Capability.RESCUE,),
    (Capability.LADDER,),
)
_AMBULANCE: Final = (
    (Capability.AMBULANCE,),
    (Capability.AMBULANCE,),
    (Capability.AMBULANCE, Capability.EMERGENCY_DOCTOR),
    (Capability.AMBULANCE,),
)
FLEETS: Final = (
    (Agency.FIRE, "F", 11, _FIRE),
    (Agency.AMBULANCE, "A", 21, _AMBULANCE),
    (Agency.POLICE, "P", 31, ((Capability.PATROL,),)),
)
"""Agencies: letter and first number of their call signs, capabilities of their vehicles in turn."""

_SPOKEN_NAME: Final = re.compile(r"[^\W\d_]{4}")
"""A street that people call by name, not by the number of its road."""

_WATER_NAME: Final = re.compile(
    r"^(?!.+ am )(?!.+ an ).*((?<!nord)(?<!ost)see|teich|teiche|bach|brücke|(?<!flug)hafen|kanal|ufer|fluss|"
    r"lake|river|canal|pond|bridge|quay|daryo|daryosi|koʻl|kanali|anhor|ariq|koʻpri|река|озеро|канал|пруд|мост|набережная|кўл|дарё|анҳор)$",
    re.IGNORECASE,
)
"""Endings of names of places that lie at water, in German, English, Uzbek and Russian."""

PAIR_SHARE: Final = 0.3
"""Share of smoke, gas, air and sound sensors that stand beside another one and see the same event."""
PAIR_DISTANCE_M: Final = (30.0, 90.0)
CITY_SHARE: Final = 0.6
"""Share of the addresses, nearest to the centre, that count as the built-up city."""
PARKING_M: Final = 12.0
CAMERA_SPREAD_M: Final = 600.0
METRES_PER_DEGREE: Final = 111_195.0
"""Metres of one degree of latitude: pi / 180 times the mean Earth radius."""


class Scenario(Noun, frozen=True):
    """The simulated city as data. `addresses` are where people call from, `crossings` where roads meet."""

    seed: int
    city: str
    stations: tuple[Station, ...]
    units: tuple[Unit, ...]
    sensors: tuple[Source, ...]
    cameras: tuple[Camera, ...]
    addresses: tuple[Place, ...]
    crossings: tuple[Place, ...]


def build_scenario(city: City, settings: SimulatorSection) -> Scenario:
    """Return the simulated city that stands on a real city's map.

    Raises Invalid when the map has no address and no named street at all.
    """
    addresses = _built_up(city)
    stations = _stations(city)
    crossings = _crossings(city, addresses)
    cameras = _cameras(city.center, crossings, settings.cameras)
    return Scenario(
        seed=settings.seed,
        city=city.name,
        stations=stations,
        units=_units(stations, city.center, settings.units),
        sensors=_Sensors(city, addresses, crossings, cameras, settings).placed(),
        cameras=cameras,
        addresses=addresses,
        crossings=crossings,
    )


def rng_for(seed: int, name: str) -> random.Random:
    """Return the random numbers of one part of the city: independent of the others, the same for a seed."""
    return random.Random(f"{seed}:{name}")


def offset(place: Place, distance: float, bearing_deg: float) -> tuple[float, float]:
    """Return (lon, lat) of the point `distance` metres from `place` in a direction; flat within a city."""
    north_m = distance * math.cos(math.radians(bearing_deg))
    east_m = distance * math.sin(math.radians(bearing_deg))
    lat = place.lat + north_m / METRES_PER_DEGREE
    lon = place.lon + east_m / (METRES_PER_DEGREE * math.cos(math.radians(place.lat)))
    return lon, lat


def apart_m(a: Place, b: Place) -> float:
    """Return the distance between two places in metres."""
    return distance_m(a.lon, a.lat, b.lon, b.lat)


def nearest(places: Sequence[Place], to: Place) -> Place:
    """Return the nearest of `places`."""
    return min(places, key=lambda place: apart_m(place, to))


def _place(entry: Entry) -> Place:
    return Place(lon=entry.lon, lat=entry.lat, text=entry.text)


def _built_up(city: City) -> tuple[Place, ...]:
    found = city.of_kind(EntryKind.ADDRESS) or city.of_kind(EntryKind.STREET)
    if not found:
        raise Invalid(f"the map of {city.name} names no address and no street; import a larger extract")
    center = Place(lon=city.center[0], lat=city.center[1])
    places = (_place(entry) for entry in found)
    ranked = sorted(places, key=lambda place: (apart_m(place, center), place.text))
    return tuple(ranked[: max(1, int(len(ranked) * CITY_SHARE))])


def _crossings(city: City, addresses: Sequence[Place]) -> tuple[Place, ...]:
    """Return the junctions of two named streets inside the built-up city, most central first."""
    graph = city.graph
    center = Place(lon=city.center[0], lat=city.center[1])
    reach_m = apart_m(addresses[-1], center)
    names: dict[int, set[str]] = {}
    for arc in range(graph.arc_count):
        street = graph.street(arc)
        if _SPOKEN_NAME.search(street):
            names.setdefault(int(graph.arc_tail[arc]), set()).add(street)
    found = [
        Place(lon=lon, lat=lat, text=" / ".join(sorted(streets)[:2]))
        for node, streets in sorted(names.items())
        if len(streets) > 1
        for lon, lat in [(float(graph.node_lon[node]), float(graph.node_lat[node]))]
    ]
    ranked = sorted(found, key=lambda place: (apart_m(place, center), place.text))
    return tuple(place for place in ranked if apart_m(place, center) <= reach_m) or tuple(addresses)


def _stations(city: City) -> tuple[Station, ...]:
    """Return the real stations; an agency that the map does not know gets a depot in the centre."""
    depot = Place(lon=city.center[0], lat=city.center[1], text=city.name)
    made_up = tuple(
        Station(id=f"{agency.value}-depot", name=f"Depot ({agency.value})", agency=agency, place=depot)
        for agency, *_ in FLEETS
        if not city.stations_of(agency)
    )
    return (*city.stations, *made_up)


def _units(stations: Sequence[Station], center: tuple[float, float], count: int) -> tuple[Unit, ...]:
    middle = Place(lon=center[0], lat=center[1])
    units: list[Unit] = []
    for turn, (agency, letter, first, equipment) in enumerate(FLEETS):
        own = sorted(
            (station for station in stations if station.agency is agency),
            key=lambda station: (apart_m(station.place, middle), station.id),
        )
        size = len(range(turn, count, len(FLEETS)))
        units += [
            _unit(agency, f"{letter}-{first + i}", capabilities, _home(own, i), parked=i)
            for i, capabilities in zip(range(size), itertools.cycle(equipment), strict=False)
        ]
    return tuple(units)


def _home(stations: Sequence[Station], i: int) -> Station:
    """Return the station of vehicle `i`: each has one, further ones stand in the half nearest the centre."""
    if i < len(stations):
        return stations[i]
    return stations[(i - len(stations)) % min(len(stations), max(3, len(stations) // 2))]


def _unit(
    agency: Agency, call_sign: str, capabilities: tuple[Capability, ...], station: Station, parked: int
) -> Unit:
    # Vehicles of one station stand side by side, so that each can be seen on the map.
    lon, lat = offset(station.place, PARKING_M, parked * 73 % 360)
    return Unit(
        id=call_sign.lower(),
        call_sign=call_sign,
        agency=agency,
        capabilities=capabilities,
        station_id=station.id,
        home=Place(lon=lon, lat=lat, text=station.place.text),
        simulated=True,
    )


def _cameras(center: tuple[float, float], crossings: Sequence[Place], count: int) -> tuple[Camera, ...]:
    """Place cameras at the most central crossings that are 600 m apart, looking at the centre."""
    middle = Place(lon=center[0], lat=center[1])
    chosen: list[Place] = []
    for place in crossings:
        if len(chosen) < count and all(apart_m(place, other) >= CAMERA_SPREAD_M for other in chosen):
            chosen.append(place)
    chosen += list(crossings[: count - len(chosen)])
    return tuple(
        Camera(
            id=f"camera-{number}",
            name=place.text,
            place=place,
            heading_deg=round(bearing_deg(place.lon, place.lat, middle.lon, middle.lat), 1),
            simulated=True,
        )
        for number, place in enumerate(chosen, start=1)
    )


def bearing_deg(a_lon: float, a_lat: float, b_lon: float, b_lat: float) -> float:
    """Return the direction from a to b, clockwise from north; flat within a city."""
    east = (b_lon - a_lon) * math.cos(math.radians((a_lat + b_lat) / 2))
    return math.degrees(math.atan2(east, b_lat - a_lat)) % 360


class _Sensors:
    """Spreads the sensors over the city."""

    def __init__(
        self,
        city: City,
        addresses: Sequence[Place],
        crossings: Sequence[Place],
        cameras: Sequence[Camera],
        settings: SimulatorSection,
    ) -> None:
        self._rng = rng_for(settings.seed, "sensors")
        self._count = settings.sensors
        self._addresses = addresses
        self._crossings = crossings
        self._in_view = [nearest(addresses, camera.place) for camera in cameras]
        reach = addresses[-1]
        center = Place(lon=city.center[0], lat=city.center[1])
        named = (_place(e) for e in city.entries if e.kind in _AT_WATER and _WATER_NAME.search(e.name))
        near = {place.text: place for place in named if apart_m(place, center) <= 2 * apart_m(reach, center)}
        self._water = list(near.values())
        self._done: list[Source] = []

    def placed(self) -> tuple[Source, ...]:
        """Return all sensors, by sort."""
        for model, count in zip(SENSOR_MODELS, self._counts(), strict=True):
            for number in range(1, count + 1):
                place = self._site(model)
                self._done.append(
                    Source(
                        id=f"{model.property.replace('_', '-')}-{number:03d}",
                        kind=SourceKind.SENSOR,
                        name=f"{model.name} {place.text}",
                        place=place,
                        property=model.property,
                        unit=model.unit,
                        period_s=model.period_s,
                        simulated=True,
                    )
                )
        return tuple(self._done)

    def _counts(self) -> list[int]:
        counts = [self._count * model.share // 100 for model in SENSOR_MODELS]
        water = len(SENSOR_MODELS) - 1
        counts[water] = min(counts[water], len(self._water))
        counts[0] += self._count - sum(counts)
        return counts

    def _site(self, model: SensorModel) -> Place:
        if model.property == "water_level":
            return self._water.pop(self._rng.randrange(len(self._water)))
        if model.property == SENSOR_MODELS[0].property and self._in_view:
            return self._in_view.pop()
        twin = self._twin(model)
        if twin is not None:
            return twin
        sites = self._crossings if model.property == "noise" else self._addresses
        return self._spread(sites, [s.place for s in self._done if s.property == model.property])

    def _twin(self, model: SensorModel) -> Place | None:
        """Return a site beside an older sensor that sees the same events, for some."""
        fellows = _SEE_THE_SAME.get(model.property, ())
        older = [sensor.place for sensor in self._done if sensor.property in fellows]
        if not older or self._rng.random() >= PAIR_SHARE:
            return None
        beside = self._rng.choice(older)
        if any(0 < apart_m(beside, place) < 2 * PAIR_DISTANCE_M[1] for place in older):
            return None
        lon, lat = offset(beside, self._rng.uniform(*PAIR_DISTANCE_M), self._rng.uniform(0, 360))
        return Place(lon=lon, lat=lat, text=beside.text)

    def _spread(self, sites: Sequence[Place], taken: Sequence[Place], tries: int = 6) -> Place:
        """Return of a few random sites the one farthest from all that are taken."""
        candidates = [self._rng.choice(sites) for _ in range(tries)]
        return max(candidates, key=lambda site: min((apart_m(site, other) for other in taken), default=0.0))


_AT_WATER: Final = (EntryKind.PLACE, EntryKind.STREET)
_SEE_THE_SAME: Final = {
    "smoke": ("smoke",),
    "gas_ch4": ("gas_ch4",),
    "noise": ("noise",),
    "pm2_5": ("smoke", "pm2_5"),
}
"""Beside which sensors a new one may be put, so that two see one event."""
