"""The map's layers: what goes where, and that the guide tells map makers the truth."""

import re
from pathlib import Path

import pytest

from safecity.city import layers

GUIDE = Path(__file__).parents[2] / "docs/guide/city.md"


@pytest.mark.parametrize(
    ("tags", "layer", "kind"),
    [
        ({"building": "yes", "amenity": "school"}, "buildings", None),
        ({"natural": "water", "water": "pond"}, "water", "pond"),
        ({"natural": "water"}, "water", "lake"),
        ({"landuse": "forest"}, "green", "forest"),
        ({"landuse": "residential"}, "landuse", "residential"),
        ({"building": "no", "landuse": "farmland"}, "green", "farmland"),
    ],
)
def test_polygons(tags: dict[str, str], layer: str, kind: str | None) -> None:
    feature = layers.polygon(tags)
    assert feature is not None
    assert (feature.layer, feature.attributes.get("kind")) == (layer, kind)


def test_lines() -> None:
    road = layers.line(
        {"highway": "primary_link", "oneway": "-1", "name": "B 96", "ref": "96", "bridge": "yes"}
    )
    assert road is not None
    assert road.attributes == {
        "class": "primary",
        "link": 1,
        "oneway": -1,
        "name": "B 96",
        "ref": "96",
        "bridge": 1,
    }
    assert layers.line({"highway": "pedestrian", "area": "yes"}) is None
    assert layers.line({"waterway": "stream", "tunnel": "culvert"}) is None
    assert layers.line({"power": "line"}) is None


def test_unnamed_settlements_get_no_label() -> None:
    assert layers.point({"place": "village"}) is None
    village = layers.point({"place": "village", "name": "Rowa", "name:ru": "Рова"})
    assert village is not None
    assert village.attributes == {"kind": "village", "name": "Rowa", "name:ru": "Рова"}


def test_the_guide_lists_every_layer_with_its_geometry_and_kinds() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    assert rows == dict(layers.LAYERS)


def test_the_guide_names_every_kind() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    tables = (
        layers._GREEN,
        layers._LANDUSE,
        layers._POIS,
        layers._WATERWAYS,
        layers._RAIL,
        layers.ROAD_CLASSES,
    )
    kinds = {kind for table in tables for kind, _ in table.values()} | set(layers._WATER_KINDS.values())
    assert {kind for kind in kinds | set(layers._PLACES) if not re.search(rf"\b{kind}\b", text)} == set()
