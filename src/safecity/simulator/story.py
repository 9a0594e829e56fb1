"""What happens in the simulated city, and when: an endless list that the seed decides."""

import math
import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from safecity.model.base import Noun, Place
from safecity.model.incident import IncidentType
from safecity.model.source import Source
from safecity.simulator.scenario import Scenario, apart_m, nearest, offset, rng_for
from safecity.simulator.signal import Effect
from safecity.simulator.words import LANGUAGES, NOTES, WORDS


class Silence(Noun, frozen=True):
    """A sensor that stops sending for some real seconds, whatever the pace."""

    source_id: str
    duration_s: float


class CallPlan(Noun, frozen=True):
    """One call: what the network and the caller say, and what the call-taker will write on the card.

    delay_s: simulated seconds after the event; patience_s: until the caller gives up ringing.
    """

    delay_s: float
    caller_place: Place | None
    caller_number: str
    language: str
    words: str
    patience_s: float
    interview_s: float
    type: IncidentType
    place: Place
    notes: str


class Happening(Noun, frozen=True):
    """One thing that happens at simulated second `at_s`, and everybody who notices."""

    number: int
    at_s: float
    type: IncidentType
    place: Place
    effects: tuple[Effect, ...] = ()
    silences: tuple[Silence, ...] = ()
    calls: tuple[CallPlan, ...] = ()

    def later(self, by_s: float) -> "Happening":
        """Return the same, `by_s` simulated seconds later."""
        effects = tuple(replace(effect, start_s=effect.start_s + by_s) for effect in self.effects)
        return replace(self, at_s=self.at_s + by_s, effects=effects)


class Recipe(Noun, frozen=True):
    """How one type of event goes: how often, which sensors see it, how many people call.

    callers[n] is the probability that n people call. `property` empty: no sensor sees it. hold_s: from, to,
    the real seconds that it lasts at a sensor; longer than the alarm rules want to see it.
    """

    type: IncidentType
    weight: float
    callers: tuple[float, ...] = (1.0,)
    property: str = ""
    also_seen_by: tuple[str, ...] = ()
    on_road: bool = False
    hold_s: tuple[float, float] = (60.0, 120.0)


_T = IncidentType
RECIPES: Final = (
    Recipe(
        type=_T.FIRE_BUILDING,
        weight=3,
        callers=(0, 0.2, 0.5, 0.2, 0.1),
        property="smoke",
        also_seen_by=("smoke", "pm2_5"),
    ),
    Recipe(type=_T.GAS, weight=2, callers=(0.1, 0.5, 0.4), property="gas_ch4", also_seen_by=("gas_ch4",)),
    Recipe(type=_T.MEDICAL, weight=7, callers=(0, 0.85, 0.15)),
    Recipe(type=_T.TRAFFIC_COLLISION, weight=4, callers=(0, 0.4, 0.4, 0.2), on_road=True),
    Recipe(type=_T.CRIME, weight=3, callers=(0, 0.7, 0.3)),
    Recipe(type=_T.FIRE_OTHER, weight=2, callers=(0, 0.6, 0.4)),
    Recipe(type=_T.OTHER, weight=1, callers=(0, 1.0), on_road=True),
    Recipe(type=_T.FLOOD, weight=1, callers=(0.4, 0.6), property="water_level", hold_s=(100, 200)),
    Recipe(
        type=_T.NOISE,
        weight=1,
        callers=(0.3, 0.5, 0.2),
        property="noise",
        also_seen_by=("noise",),
        hold_s=(2, 4),
    ),
    Recipe(type=_T.AIR_QUALITY, weight=0.4, property="pm2_5", also_seen_by=("pm2_5",), hold_s=(700, 900)),
    Recipe(type=_T.HEAT, weight=0.3, property="temperature"),
)
FAULT_WEIGHT: Final = 1.5
"""How often a sensor falls silent, on the scale of the recipes' weights."""

OPENING_S: Final = (0.5, 30.0, 75.0)
"""When the first events happen, so that a new user need not wait; then they come by chance."""

LONGEST_WAIT: Final = 2.0
"""No wait is longer than so many mean ones: a demo in which nothing happens for ten minutes looks broken."""

SCATTER_M: Final = (50.0, 150.0)
"""How far from the event its callers stand."""
SEEN_WITHIN_M: Final = 120.0
SPREAD_M: Final = 450.0
"""New events keep this distance from the latest ones, as far as a few tries find such a place."""
REMEMBERED: Final = 15
SILENCE_S: Final = (90.0, 240.0)
ABANDONED_SHARE: Final = 0.06
"""Share of callers who hang up within seconds."""

_UNCERTAINTY_M: Final = ((0.62, 5, 25), (0.22, 25, 50), (0.10, 50, 400), (0.06, 800, 2000))
"""(share, from, to): 80 % within 50 m, the benchmark that EENA sets for mobile calls; the rest by cell."""

_DRAMA_NUMBERS: Final = 100
"""+49 171 39200 00 to 99 belong to nobody: the German regulator keeps them for films."""


class Story:
    """The endless list of happenings of one seed."""

    def __init__(self, scenario: Scenario, calls_per_hour: float) -> None:
        """Tell it for `scenario`; `calls_per_hour` is the mean in simulated time."""
        self._scenario = scenario
        self._rng = rng_for(scenario.seed, "story")
        self._recent: deque[Place] = deque(maxlen=REMEMBERED)
        self._recipes = [r for r in RECIPES if not r.property or self._sensors(r.property)]
        weights = sum(recipe.weight for recipe in self._recipes)
        calls = sum(recipe.weight * _mean(recipe.callers) for recipe in self._recipes) / weights
        self._mean_wait_s = 3600 / calls_per_hour * calls
        self._mean_fault_wait_s = self._mean_wait_s * weights / FAULT_WEIGHT

    def __iter__(self) -> Iterator[Happening]:
        """Yield happenings by time: after the opening one Poisson process of events and one of faults."""
        at_s = OPENING_S[-1]
        fault_at_s = at_s + self._wait_s(self._mean_fault_wait_s)
        for number, opening_s in enumerate(OPENING_S):
            yield self._event(number, opening_s)
        number = len(OPENING_S)
        at_s += self._wait_s(self._mean_wait_s)
        while True:
            if fault_at_s < at_s and self._scenario.sensors:
                yield self._fault(number, fault_at_s)
                fault_at_s += self._wait_s(self._mean_fault_wait_s)
            else:
                yield self._event(number, at_s)
                at_s += self._wait_s(self._mean_wait_s)
            number += 1

    def _wait_s(self, mean_s: float) -> float:
        """Return a waiting time of a Poisson process, its longest ones cut, its mean kept."""
        whole_mean_s = mean_s / (1 - math.exp(-LONGEST_WAIT))
        return min(self._rng.expovariate(1 / whole_mean_s), LONGEST_WAIT * whole_mean_s)

    def _sensors(self, property_: str) -> list[Source]:
        return [sensor for sensor in self._scenario.sensors if sensor.property == property_]

    def _event(self, number: int, at_s: float) -> Happening:
        recipe = self._recipe(number)
        place = self._site(recipe, first=number == 0)
        self._recent.append(place)
        return Happening(
            number=number,
            at_s=at_s,
            type=recipe.type,
            place=place,
            effects=tuple(self._effects(recipe, place, at_s)),
            calls=tuple(self._calls(recipe, place)),
        )

    def _recipe(self, number: int) -> Recipe:
        # The first thing that a new user sees is a fire: sensor and callers become one incident.
        if number == 0:
            return self._recipes[0]
        return self._rng.choices(self._recipes, [recipe.weight for recipe in self._recipes])[0]

    def _site(self, recipe: Recipe, *, first: bool) -> Place:
        if recipe.property:
            sites: Sequence[Place] = [sensor.place for sensor in self._sensors(recipe.property)]
            if first and self._scenario.cameras:
                return nearest(sites, self._scenario.cameras[0].place)
        else:
            sites = self._scenario.crossings if recipe.on_road else self._scenario.addresses
        tries = [self._rng.choice(sites) for _ in range(12)]
        return max(tries, key=lambda site: min([SPREAD_M, *(apart_m(site, old) for old in self._recent)]))

    def _effects(self, recipe: Recipe, place: Place, at_s: float) -> Iterator[Effect]:
        if not recipe.property:
            return
        hold_s = self._rng.uniform(*recipe.hold_s)
        seen_by = {recipe.property, *recipe.also_seen_by}
        for sensor in self._scenario.sensors:
            away_m = apart_m(sensor.place, place)
            if sensor.property in seen_by and away_m <= SEEN_WITHIN_M:
                yield Effect(
                    source_id=sensor.id,
                    start_s=at_s + away_m / 4,  # smoke and gas drift with a light wind, 4 m/s
                    rise_s=min(hold_s / 4, self._rng.uniform(3, 8)),
                    hold_s=hold_s,
                    strength=1.0 - 0.15 * away_m / SEEN_WITHIN_M,
                )

    def _calls(self, recipe: Recipe, place: Place) -> Iterator[CallPlan]:
        callers = self._rng.choices(range(len(recipe.callers)), recipe.callers)[0]
        delay_s = 0.0
        for _ in range(callers):
            delay_s += self._rng.uniform(4, 15) if delay_s == 0.0 else self._rng.expovariate(1 / 50)
            yield self._call(recipe, place, delay_s)

    def _call(self, recipe: Recipe, place: Place, delay_s: float) -> CallPlan:
        rng = self._rng
        lon, lat = offset(place, rng.uniform(*SCATTER_M), rng.uniform(0, 360))
        language = rng.choices(list(LANGUAGES), list(LANGUAGES.values()))[0]
        gives_up = rng.random() < ABANDONED_SHARE
        return CallPlan(
            delay_s=round(delay_s, 1),
            caller_place=_located(Place(lon=lon, lat=lat), rng),
            caller_number=f"+49 171 39200{rng.randrange(_DRAMA_NUMBERS):02d}",
            language=language,
            words=rng.choice(WORDS[recipe.type][language]).format(place=place.text),
            patience_s=rng.uniform(2.5, 5) if gives_up else rng.uniform(150, 400),
            interview_s=max(20.0, rng.gauss(50, 12)),
            type=recipe.type,
            place=_reported(place, lon, lat, rng),
            notes=rng.choice(NOTES[recipe.type]),
        )

    def _fault(self, number: int, at_s: float) -> Happening:
        sensor = self._rng.choice(self._scenario.sensors)
        silence = Silence(source_id=sensor.id, duration_s=round(self._rng.uniform(*SILENCE_S)))
        return Happening(
            number=number, at_s=at_s, type=_T.DEVICE_FAULT, place=sensor.place, silences=(silence,)
        )


def _mean(probabilities: Sequence[float]) -> float:
    return sum(n * probability for n, probability in enumerate(probabilities))


def _located(place: Place, rng: random.Random) -> Place | None:
    """Return what the network says of a caller's place, or None when it says nothing (5 %)."""
    if rng.random() < 0.05:
        return None
    _, low, high = rng.choices(_UNCERTAINTY_M, [share for share, _, _ in _UNCERTAINTY_M])[0]
    uncertainty_m = rng.uniform(low, high)
    # The stated radius holds the true place with 95 %: 2.45 standard deviations of a round normal error.
    lon, lat = offset(place, abs(rng.gauss(0, uncertainty_m / 2.45)), rng.uniform(0, 360))
    return Place(lon=lon, lat=lat, uncertainty_m=round(uncertainty_m, 1))


def _reported(place: Place, lon: float, lat: float, rng: random.Random) -> Place:
    """Return where the caller says it is: the right address, drawn up to 40 % towards where they stand."""
    share = rng.uniform(0, 0.4)
    return Place(
        lon=place.lon + share * (lon - place.lon),
        lat=place.lat + share * (lat - place.lat),
        uncertainty_m=30.0,
        text=place.text,
    )
