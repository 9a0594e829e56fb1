"""Simulated vehicles take the fastest way, along the streets, in the allowed direction."""

import itertools
import random

import numpy as np
import pytest

from safecity.city import City
from safecity.dispatch.travel import Router
from safecity.model.base import distance_m
from safecity.simulator.road import OFF_ROAD_MPS, Drive, Roads
from safecity.simulator.scenario import Scenario


@pytest.fixture(scope="module")
def roads(demo_city: City) -> Roads:
    return Roads(demo_city.graph)


def pairs(scenario: Scenario, count: int) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    rng = random.Random(3)
    places = [[rng.choice(scenario.addresses) for _ in "ab"] for _ in range(count)]
    return [((a.lon, a.lat), (b.lon, b.lat)) for a, b in places]


@pytest.mark.parametrize("urgent", [True, False])
def test_it_takes_as_long_as_the_dispatch_room_expects(
    demo_city: City, scenario: Scenario, roads: Roads, urgent: bool
) -> None:
    router = Router(demo_city.graph)
    for start, end in pairs(scenario, 8):
        drive = roads.drive(start, end, urgent=urgent)
        expected = router.route(start, end, urgent=urgent)
        off_road_m = sum(demo_city.graph.nearest_one(*point)[1] for point in (start, end))
        assert drive.duration_s == pytest.approx(expected.duration_s + off_road_m / OFF_ROAD_MPS, rel=0.01)


def test_every_step_is_an_arc_of_the_graph(demo_city: City, scenario: Scenario, roads: Roads) -> None:
    graph = demo_city.graph
    arcs = set(zip(graph.arc_tail.tolist(), graph.arc_head.tolist(), strict=True))
    for start, end in pairs(scenario, 8):
        nodes = [int(node) for node in roads.drive(start, end, urgent=True).nodes if node >= 0]
        assert all(step in arcs for step in itertools.pairwise(nodes))


def test_it_moves_without_jumps_and_ends_at_the_door(scenario: Scenario, roads: Roads) -> None:
    for start, end in pairs(scenario, 5):
        drive = roads.drive(start, end, urgent=True)
        before = drive.at(0.0)
        assert distance_m(before[0], before[1], *start) < 1
        for second in range(1, int(drive.duration_s) + 2):
            lon, lat, speed_mps, heading_deg = drive.at(second)
            assert distance_m(before[0], before[1], lon, lat) < 45
            assert 0 <= speed_mps < 45
            assert 0 <= heading_deg < 360
            before = (lon, lat, speed_mps, heading_deg)
        assert before[:2] == pytest.approx(end)
        assert before[2] == 0.0


def test_turning_around_begins_at_the_next_junction(scenario: Scenario, roads: Roads) -> None:
    start, end = pairs(scenario, 1)[0]
    out = roads.drive(start, end, urgent=True)
    half_s = out.duration_s / 2
    lead = out.to_next_node(half_s)
    assert lead is not None
    where = out.at(half_s)[:2]
    back = roads.drive(where, start, urgent=False, lead=lead)
    assert back.at(0.0)[:2] == pytest.approx(where)
    junction = int(lead.nodes[-1])
    assert junction in out.nodes
    assert junction in back.nodes
    assert back.end == pytest.approx(start)
    assert np.all(np.diff(back.time_s) >= 0)


def test_no_junction_is_ahead_in_the_yard(scenario: Scenario, roads: Roads) -> None:
    start, end = pairs(scenario, 1)[0]
    drive = roads.drive(start, end, urgent=True)
    assert drive.to_next_node(drive.duration_s) is None


def test_a_drive_to_where_one_is(scenario: Scenario, roads: Roads) -> None:
    start, _ = pairs(scenario, 1)[0]
    drive: Drive = roads.drive(start, start, urgent=False)
    assert drive.at(drive.duration_s)[:2] == pytest.approx(start)
