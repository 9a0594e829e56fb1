"""Simulated vehicles do what the system orders, on the roads of the city."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from scipy.spatial import cKDTree

from engines import until
from safecity.city import City
from safecity.city.geo import LocalMetres
from safecity.clock import SystemClock
from safecity.model.base import Place, distance_m
from safecity.model.journal import EntityKind
from safecity.model.unit import Assignment, AssignmentState
from safecity.simulator.api import Token
from safecity.simulator.pace import Pace
from safecity.simulator.road import Roads
from safecity.simulator.scenario import Scenario
from safecity.simulator.units import Phase, Vehicle, VehicleFleet
from simulator.listener import Answer, Listener, Request
from simulator.stage import Machines, Stage, order

UNIT = "a-21"
PERIOD_S = 0.02


class Field:
    """A fleet at work before a server that does what it is told."""

    def __init__(self, stage: Stage, fleet: VehicleFleet, server: Listener) -> None:
        self.stage, self.fleet, self.server = stage, fleet, server

    @property
    def vehicle(self) -> Vehicle:
        return self.fleet.vehicles[UNIT]

    @property
    def said(self) -> list[str]:
        return [r.path.rsplit("/", 1)[1] for r in self.server.requests if r.path.startswith("/api/units/")]

    def fixes(self) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        for request in self.server.posted("/api/telemetry"):
            observations = request.json["observations"]
            assert isinstance(observations, list)
            found += [(o["lon"], o["lat"]) for o in observations if o["source_id"] == UNIT]
        return found


@asynccontextmanager
async def driving(
    city: City, scenario: Scenario, token: Token, machines: Machines, pace: Pace, stage: Stage | None = None
) -> AsyncIterator[Field]:
    stage = stage or Stage(token)

    def answer(request: Request) -> Answer:
        if request.path == "/api/telemetry":
            observations = request.json["observations"]
            assert isinstance(observations, list)
            return 202, {"accepted": len(observations), "refused": []}
        _, _, _, unit_id, command = request.path.split("/")
        return stage.unit_command(unit_id, command)

    async with Listener(answer) as server:
        machine = machines.at(server.url)
        fleet = VehicleFleet(
            tuple(unit for unit in scenario.units if unit.id == UNIT),
            Roads(city.graph),
            stage.feed,
            machine,
            machine,
            SystemClock(),
            pace,
            seed=1,
            period_s=PERIOD_S,
        )
        life = asyncio.create_task(fleet.run())
        yield Field(stage, fleet, server)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def away(scenario: Scenario, unit_id: str = UNIT) -> Place:
    """Return an address a good kilometre from the unit's station."""
    home = next(unit.home for unit in scenario.units if unit.id == unit_id)
    return next(
        place
        for place in scenario.addresses
        if 1200 < distance_m(place.lon, place.lat, home.lon, home.lat) < 1500
    )


async def test_a_vehicle_departs_arrives_clears_and_drives_home_by_road(
    demo_city: City, scenario: Scenario, token: Token, machines: Machines
) -> None:
    place = away(scenario)
    async with driving(demo_city, scenario, token, machines, Pace(SystemClock(), 100.0)) as field:
        field.stage.show(EntityKind.ASSIGNMENT, order(UNIT, place))
        await until(lambda: field.vehicle.phase is Phase.WORKING)
        assert distance_m(*field.vehicle.position, place.lon, place.lat) < 1
        await until(lambda: "clear" in field.said and field.vehicle.phase is Phase.FREE)
        assert field.said == ["depart", "arrive", "clear"]
        home = field.vehicle.unit.home
        assert distance_m(*field.vehicle.position, home.lon, home.lat) < 30
        fixes = field.fixes()
        assert field.fleet.acknowledged >= len(fixes) - 1
    ends = (home, place)
    between = [fix for fix in fixes if all(distance_m(*fix, end.lon, end.lat) > 100 for end in ends)]
    assert len(between) > 20
    assert share_on_road(demo_city, between) > 0.98


def share_on_road(city: City, fixes: list[tuple[float, float]]) -> float:
    """Return the share of fixes that lie within 8 m of the middle of a road."""
    graph = city.graph
    plane = LocalMetres(city.center[1])
    points = []
    for arc in range(graph.arc_count):
        ends = plane.project(*graph.shape(arc))
        for a, b in itertools.pairwise(ends):
            steps = int(np.linalg.norm(b - a) // 10) + 1
            points.append(a + (b - a) * np.linspace(0, 1, steps + 1)[:, None])
    tree = cKDTree(np.concatenate(points))
    away_m, _ = tree.query(plane.project(*(np.array(axis) for axis in zip(*fixes, strict=True))))
    return float(np.mean(away_m < 8))


async def test_a_cancelled_vehicle_turns_around(
    demo_city: City, scenario: Scenario, token: Token, machines: Machines
) -> None:
    async with driving(demo_city, scenario, token, machines, Pace(SystemClock(), 50.0)) as field:
        field.stage.show(EntityKind.ASSIGNMENT, order(UNIT, away(scenario)))
        home = field.vehicle.unit.home
        await until(lambda: distance_m(*field.vehicle.position, home.lon, home.lat) > 300)
        assert field.vehicle.phase is Phase.DRIVING
        field.stage.drop(EntityKind.ASSIGNMENT, f"order-{UNIT}")
        await until(lambda: field.vehicle.phase is Phase.RETURNING)
        await until(lambda: field.vehicle.phase is Phase.FREE)
        assert field.said == ["depart"]


@pytest.mark.parametrize(
    ("state", "said"),
    [(AssignmentState.EN_ROUTE, ["arrive", "clear"]), (AssignmentState.ON_SCENE, ["clear"])],
)
async def test_a_new_start_goes_on_with_the_order_as_the_system_has_it(
    demo_city: City,
    scenario: Scenario,
    token: Token,
    machines: Machines,
    state: AssignmentState,
    said: list[str],
) -> None:
    place = away(scenario)
    stage = Stage(token)
    positions = [[UNIT, place.lon, place.lat, 0.0, 0.0, 1]]
    entities = {"assignment": [order(UNIT, place, state)]}
    stage.say({"type": "snapshot", "seq": 5, "entities": entities, "positions": positions})
    pace = Pace(SystemClock(), 200.0)
    async with driving(demo_city, scenario, token, machines, pace, stage) as field:
        await until(lambda: "clear" in field.said)
        assert field.said == said
        first = field.fixes()[0]
        assert distance_m(*first, place.lon, place.lat) < 60
        await until(lambda: stage.feed.all(Assignment) == [])


async def test_positions_wait_for_the_server_and_are_bounded(
    demo_city: City, scenario: Scenario, token: Token, machines: Machines, pace: Pace
) -> None:
    stage = Stage(token)
    is_back = False

    def answer(request: Request) -> Answer:
        observations = request.json["observations"]
        assert isinstance(observations, list)
        return (202, {"accepted": len(observations), "refused": []}) if is_back else None

    async with Listener(answer) as server:
        machine = machines.at(server.url)
        fleet = VehicleFleet(
            scenario.units,
            Roads(demo_city.graph),
            stage.feed,
            machine,
            machine,
            SystemClock(),
            pace,
            1,
            0.001,
        )
        life = asyncio.create_task(fleet.run())
        await until(lambda: fleet.held >= 300 * 30)
        assert fleet.held == 300 * 30
        is_back = True
        await until(lambda: fleet.acknowledged >= 300 * 30)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
