"""Travel times and ways: equal to an independent search, on random graphs and on the demo city."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import graph_from_arcs, times_to
from safecity.city import City, RoadGraph
from safecity.dispatch import Router, travel_to
from safecity.dispatch.travel import MAX_OFF_ROAD_M
from safecity.errors import NotFound


@st.composite
def random_graphs(draw: st.DrawFn) -> RoadGraph:
    size = draw(st.integers(2, 25))
    node = st.integers(0, size - 1)
    # Sixteenths of a second are exact in every precision, so that times can be compared exactly.
    seconds = st.integers(1, 3200).map(lambda n: n / 16)
    arcs = draw(st.lists(st.tuples(node, node, seconds), min_size=1, max_size=90))
    return graph_from_arcs(size, arcs)


@settings(deadline=None, max_examples=200)
@given(random_graphs(), st.data())
def test_times_equal_the_oracle_on_random_graphs(graph: RoadGraph, data: st.DataObject) -> None:
    root = data.draw(st.integers(0, graph.node_count - 1))
    for urgent, weight_s in ((True, graph.arc_urgent_s), (False, graph.arc_normal_s)):
        found = travel_to(
            graph, (float(graph.node_lon[root]), 0.0), graph.node_lon, graph.node_lat, urgent=urgent
        )
        assert found.time_s.tolist() == times_to(graph, root, weight_s).tolist()


@settings(deadline=None, max_examples=100)
@given(random_graphs(), st.data())
def test_stopping_early_never_changes_the_nearest_ones(graph: RoadGraph, data: st.DataObject) -> None:
    size = graph.node_count
    root = data.draw(st.integers(0, size - 1))
    nodes = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=12))
    kinds = np.array([data.draw(st.integers(1, 3)) for _ in nodes], dtype=np.int64)
    enough = data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    slack_s = data.draw(st.sampled_from([0.0, 5.0, 60.0]))
    end = (float(graph.node_lon[root]), 0.0)
    every = travel_to(graph, end, graph.node_lon[nodes], graph.node_lat[nodes])
    early = travel_to(
        graph, end, graph.node_lon[nodes], graph.node_lat[nodes], kinds=kinds, enough=enough, slack_s=slack_s
    )
    same = early.time_s == every.time_s
    assert (same | np.isinf(early.time_s)).all()
    for bit, count in enumerate(enough):
        times = np.sort(every.time_s[(kinds >> bit & 1) == 1])
        if 0 < count <= times.size:
            within = (kinds >> bit & 1 == 1) & (every.time_s <= times[count - 1] + slack_s)
            assert same[within].all()


def test_times_equal_the_oracle_on_the_demo_city(demo_city: City) -> None:
    graph = demo_city.graph
    chosen = np.random.default_rng(112).integers(0, graph.node_count, 500)
    for root in chosen[:5].tolist():
        end = (float(graph.node_lon[root]), float(graph.node_lat[root]))
        found = travel_to(graph, end, graph.node_lon[chosen], graph.node_lat[chosen])
        wanted = times_to(graph, graph.nearest_one(*end)[0], graph.arc_urgent_s)
        nodes, _ = graph.nearest(graph.node_lon[chosen], graph.node_lat[chosen])
        assert found.time_s == pytest.approx(wanted[nodes], rel=1e-6)
        assert np.isfinite(found.distance_m).all()


def test_one_ways_count(demo_city: City) -> None:
    graph = demo_city.graph
    rng = np.random.default_rng(7)
    pairs = rng.integers(0, graph.node_count, (40, 2))
    there, back = [], []
    for a, b in pairs.tolist():
        for start, end, into in ((a, b, there), (b, a, back)):
            goal = (float(graph.node_lon[end]), float(graph.node_lat[end]))
            travel = travel_to(graph, goal, graph.node_lon[[start]], graph.node_lat[[start]])
            into.append(float(travel.time_s[0]))
    assert sum(abs(t - b) > 0.5 for t, b in zip(there, back, strict=True)) > 10


def test_a_point_that_is_not_in_the_city_has_no_way(demo_city: City) -> None:
    graph = demo_city.graph
    lon, lat = np.array([13.26, 0.0]), np.array([53.55, 0.0])
    found = travel_to(graph, demo_city.center, lon, lat)
    assert np.isfinite(found.time_s).tolist() == [True, False]
    assert np.isnan(found.distance_m).tolist() == [False, True]
    assert found.off_road_m[1] > MAX_OFF_ROAD_M
    assert np.isinf(travel_to(graph, (0.0, 0.0), lon, lat).time_s).all()


def test_no_points_no_times(demo_city: City) -> None:
    assert travel_to(demo_city.graph, demo_city.center, np.array([]), np.array([])).time_s.size == 0


@pytest.mark.parametrize("urgent", [True, False])
def test_a_route_is_the_way_that_the_time_promises(demo_city: City, urgent: bool) -> None:
    graph = demo_city.graph
    router = Router(graph)
    rng = np.random.default_rng(3)
    for a, b in rng.integers(0, graph.node_count, (20, 2)).tolist():
        start = (float(graph.node_lon[a]), float(graph.node_lat[a]))
        end = (float(graph.node_lon[b]), float(graph.node_lat[b]))
        route = router.route(start, end, urgent=urgent)
        travel = travel_to(graph, end, np.array(start[:1]), np.array(start[1:]), urgent=urgent)
        assert route.duration_s == pytest.approx(float(travel.time_s[0]), rel=1e-5)
        assert route.length_m == pytest.approx(float(travel.distance_m[0]), rel=1e-5)
        assert (np.diff(route.time_s) >= 0).all()
        assert (route.lon[0], route.lat[0]) == pytest.approx(start, abs=1e-6)
        assert (route.lon[-1], route.lat[-1]) == pytest.approx(end, abs=1e-6)


def test_driving_along_a_route(demo_city: City) -> None:
    fire = next(s for s in demo_city.stations if s.name.startswith("Berufsfeuerwehr"))
    clinic = next(h for h in demo_city.hospitals if "Klinikum" in h.name)
    route = Router(demo_city.graph).route(
        (fire.place.lon, fire.place.lat), (clinic.lon, clinic.lat), urgent=True
    )
    assert 1_000 < route.length_m < 6_000
    assert 60 < route.duration_s < 600
    assert len(route.streets) >= 2
    assert [at for at, _ in route.streets] == sorted(at for at, _ in route.streets)
    positions = [route.at(float(t)) for t in range(-1, int(route.duration_s) + 3)]
    assert all(0 <= heading < 360 for _, _, heading, _ in positions)
    assert all(speed < 45 for *_, speed in positions)
    assert positions[0][3] == positions[-1][3] == 0.0
    assert positions[10][3] > 1.0
    assert positions[-1][:2] == pytest.approx((route.lon[-1], route.lat[-1]))


def test_a_route_to_where_one_is(demo_city: City) -> None:
    route = Router(demo_city.graph).route(demo_city.center, demo_city.center)
    assert route.duration_s == 0.0
    assert route.length_m == 0.0
    assert route.at(5.0)[2:] == (0.0, 0.0)


def test_a_route_out_of_the_city_is_refused(demo_city: City) -> None:
    with pytest.raises(NotFound, match="km from the city's roads"):
        Router(demo_city.graph).route((0.0, 0.0), demo_city.center)


def test_the_search_works_where_nothing_can_be_cached(demo_city: City) -> None:
    """A cold start where numba finds no folder that it may write: a read-only installation without a home."""
    program = (
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from pathlib import Path\n"
        "from safecity.city import City\n"
        "from safecity.dispatch import Router\n"
        f"city = City.open(Path({str(demo_city.folder)!r}))\n"
        "assert Router(city.graph).route(city.center, city.center).duration_s == 0.0\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "numba_without_cache" in done.stdout + done.stderr
