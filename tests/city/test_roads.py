"""The road graph of hand-made files: what connects, in which direction, how long it takes."""

from pathlib import Path

import numpy as np
import pytest

from osm_files import STEP_DEG, OsmFile, square
from safecity.city import RoadGraph
from safecity.city.basemap import BasemapWriter
from safecity.city.gazetteer import GazetteerCollector
from safecity.city.highway import SIGNAL_DELAY_S, URGENT_TIME_SHARE
from safecity.city.importer import Reader, import_city, read_into
from safecity.city.roads import MAX_ARC_M, RoadCollector
from safecity.errors import Invalid


def graph_of(osm: OsmFile, folder: Path) -> RoadGraph:
    roads = RoadCollector()
    with BasemapWriter(folder) as basemap:
        reader = Reader(roads, GazetteerCollector(), basemap)
        read_into(osm.write(folder / "city.osm"), reader, lambda _: None)
    graph, _ = roads.build()
    graph.save(folder / "roads")
    return RoadGraph.open(folder / "roads")


def arcs(graph: RoadGraph, street: str) -> list[int]:
    return [a for a in range(graph.arc_count) if graph.street(a) == street]


def ends(graph: RoadGraph, arc: int) -> tuple[tuple[int, int], tuple[int, int]]:
    def grid(node: int) -> tuple[int, int]:
        return round(graph.node_lon[node] / STEP_DEG), round(graph.node_lat[node] / STEP_DEG)

    return grid(int(graph.arc_tail[arc])), grid(int(graph.arc_head[arc]))


def test_a_square_of_two_way_streets(tmp_path: Path) -> None:
    graph = graph_of(square(), tmp_path)
    assert (graph.node_count, graph.arc_count) == (4, 8)
    assert {ends(graph, a) for a in arcs(graph, "South Street")} == {((0, 0), (1, 0)), ((1, 0), (0, 0))}
    assert graph.arc_length_m == pytest.approx(np.full(8, 100.0), rel=0.01)
    assert graph.arc_normal_s == pytest.approx(np.full(8, 100.0 / (25 / 3.6)), rel=0.01)
    assert graph.arc_urgent_s == pytest.approx(graph.arc_normal_s * URGENT_TIME_SHARE, rel=1e-5)


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [({"oneway": "yes"}, ((1, 1), (0, 1))), ({"oneway": "-1"}, ((0, 1), (1, 1)))],
)
def test_one_way(
    tmp_path: Path, tags: dict[str, str], wanted: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    graph = graph_of(square(**tags), tmp_path)
    assert [ends(graph, a) for a in arcs(graph, "North Street")] == [wanted]


def test_a_closed_street_is_left_out_and_a_footway_is_no_way(tmp_path: Path) -> None:
    for number, tags in enumerate(({"access": "no"}, {"highway": "footway"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        graph = graph_of(square(**tags), folder)
        assert arcs(graph, "North Street") == []
        assert graph.node_count == 4


def test_roundabout_is_driven_one_way_round(tmp_path: Path) -> None:
    osm = OsmFile()
    for ref, (x, y) in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1)), start=1):
        osm.node(ref, x * STEP_DEG / 3, y * STEP_DEG / 3)
        osm.node(ref + 4, x * STEP_DEG, y * STEP_DEG)
        osm.way(20 + ref, [ref, ref + 4], {"highway": "residential"})
    osm.way(20, [1, 2, 3, 4, 1], {"highway": "residential", "junction": "roundabout", "name": "Ring"})
    graph = graph_of(osm, tmp_path)
    ring = arcs(graph, "Ring")
    assert len(ring) == 4
    following = {int(graph.arc_tail[a]): int(graph.arc_head[a]) for a in ring}
    node = next(iter(following))
    seen = [node := following[node] for _ in range(4)]
    assert len(set(seen)) == 4


def test_a_loop_road_keeps_its_way_round(tmp_path: Path) -> None:
    osm = square()
    for ref, (x, y) in enumerate(((2, 0), (2, -0.5)), start=5):
        osm.node(ref, x * STEP_DEG, y * STEP_DEG)
    osm.way(15, [2, 5, 6, 2], {"highway": "residential", "name": "Loop", "oneway": "yes"})
    graph = graph_of(osm, tmp_path)
    loop = arcs(graph, "Loop")
    assert len(loop) >= 2
    assert all(graph.arc_tail[a] != graph.arc_head[a] for a in loop)


def test_dead_ends_that_cannot_be_left_are_dropped_and_counted(tmp_path: Path) -> None:
    osm = square()
    osm.node(5, 2 * STEP_DEG, 0)
    osm.way(15, [2, 5], {"highway": "residential", "oneway": "yes", "name": "Trap"})
    osm.node(8, 5 * STEP_DEG, 5 * STEP_DEG)
    osm.node(9, 6 * STEP_DEG, 5 * STEP_DEG)
    osm.way(16, [8, 9], {"highway": "residential", "name": "Island"})
    city = import_city(osm.write(tmp_path / "a.osm"), tmp_path / "city", progress=lambda _: None)
    assert city.graph.node_count == 4
    assert city.info.counts["road nodes left out"] == 3


def test_missing_nodes_cut_a_way_instead_of_bridging_the_gap(tmp_path: Path) -> None:
    osm = square()
    osm.node(5, STEP_DEG, -STEP_DEG)
    osm.way(15, [2, 999, 5], {"highway": "residential", "name": "Cut"})
    graph = graph_of(osm, tmp_path)
    assert arcs(graph, "Cut") == []


def test_a_bollard_ends_the_way_on_both_sides(tmp_path: Path) -> None:
    osm = OsmFile()
    for ref, x in enumerate((0, 0.5, 1), start=1):
        osm.node(ref, x * STEP_DEG, 0, **({"barrier": "bollard"} if ref == 2 else {}))
    osm.node(4, 0, STEP_DEG)
    osm.node(5, STEP_DEG, STEP_DEG)
    osm.way(11, [1, 2, 3], {"highway": "residential", "name": "Cut"})
    osm.way(12, [1, 4, 5, 3], {"highway": "residential", "name": "Way round"})
    graph = graph_of(osm, tmp_path)
    halves = arcs(graph, "Cut")
    middle = {
        int(graph.arc_head[a])
        for a in halves
        if round(graph.node_lon[graph.arc_head[a]] / STEP_DEG, 1) == 0.5
    }
    assert len(halves) == 4
    assert len(middle) == 2
    assert not any({int(graph.arc_tail[a]), int(graph.arc_head[a])} == middle for a in range(graph.arc_count))


def test_signals_delay_normal_driving_only(tmp_path: Path) -> None:
    osm = square()
    osm.node(7, STEP_DEG / 2, 2 * STEP_DEG, highway="traffic_signals")
    osm.way(15, [4, 7, 3], {"highway": "residential", "name": "Signal Street"})
    graph = graph_of(osm, tmp_path)
    arc = arcs(graph, "Signal Street")[0]
    both = sum(graph.arc_normal_s[a] for a in arcs(graph, "Signal Street"))
    driven = sum(graph.arc_length_m[a] for a in arcs(graph, "Signal Street")) / (25 / 3.6)
    assert both == pytest.approx(driven + 2 * SIGNAL_DELAY_S, abs=0.1)
    assert graph.arc_urgent_s[arc] < graph.arc_normal_s[arc]


def test_long_roads_are_cut_and_the_nearest_node_is_near(tmp_path: Path) -> None:
    osm = square()
    osm.node(5, 50 * STEP_DEG, 0)
    osm.way(15, [2, 5], {"highway": "residential", "name": "Long Road"})
    graph = graph_of(osm, tmp_path)
    assert graph.arc_length_m.max() <= MAX_ARC_M + 0.1
    assert sum(graph.arc_length_m[a] for a in arcs(graph, "Long Road")) == pytest.approx(
        2 * 49 * 100.1, rel=0.01
    )
    for x in range(2, 50, 7):
        _, away_m = graph.nearest_one((x + 0.3) * STEP_DEG, 0.0)
        assert away_m <= MAX_ARC_M / 2 + 0.1


def test_shapes_run_from_tail_to_head(tmp_path: Path) -> None:
    osm = square()
    osm.node(7, STEP_DEG / 2, 1.3 * STEP_DEG)
    osm.way(15, [4, 7, 3], {"highway": "residential", "name": "Bent"})
    graph = graph_of(osm, tmp_path)
    for arc in range(graph.arc_count):
        lon, lat = graph.shape(arc)
        assert (lon[0], lat[0]) == (graph.node_lon[graph.arc_tail[arc]], graph.node_lat[graph.arc_tail[arc]])
        assert (lon[-1], lat[-1]) == (
            graph.node_lon[graph.arc_head[arc]],
            graph.node_lat[graph.arc_head[arc]],
        )


def test_rows_hold_every_arc_once(tmp_path: Path) -> None:
    graph = graph_of(square(oneway="yes"), tmp_path)
    for node in range(graph.node_count):
        row = slice(graph.forward_offsets[node], graph.forward_offsets[node + 1])
        assert (graph.arc_tail[row] == node).all()
        entering = graph.reverse_arcs[graph.reverse_offsets[node] : graph.reverse_offsets[node + 1]]
        assert (graph.arc_head[entering] == node).all()
    assert sorted(graph.reverse_arcs) == list(range(graph.arc_count))


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    graph_of(square(), tmp_path)
    roads = tmp_path / "roads"
    np.save(roads / "arc_head.npy", np.zeros(3, dtype=np.int32))
    with pytest.raises(Invalid, match="import the city again"):
        RoadGraph.open(roads)
    (roads / "arc_head.npy").write_bytes(b"\x93NUMPY garbage")
    with pytest.raises(Invalid, match="import the city again"):
        RoadGraph.open(roads)
