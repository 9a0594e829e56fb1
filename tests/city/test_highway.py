"""What highway tags mean: direction, speed, access."""

import pytest

from safecity.city.highway import LIMIT_SHARE, RoadClass, blocks_vehicles, drivable, limit_kmh


@pytest.mark.parametrize(
    ("text", "kmh"),
    [
        ("50", 50.0),
        ("30 mph", 48.28),
        ("30mph", 48.28),
        ("RU:urban", 50.0),
        ("DE:rural", 90.0),
        ("none", 120.0),
        ("walk", 7.0),
        ("50;30", 50.0),
        ("signals", None),
        ("variable", None),
        ("0", None),
        ("", None),
        (None, None),
        ("-40", None),
        ("50 furlongs", 50.0),
    ],
)
def test_limits(text: str | None, kmh: float | None) -> None:
    assert limit_kmh(text) == (None if kmh is None else pytest.approx(kmh, abs=0.01))


@pytest.mark.parametrize(
    ("tags", "forward", "backward"),
    [
        ({}, True, True),
        ({"oneway": "yes"}, True, False),
        ({"oneway": "1"}, True, False),
        ({"oneway": "-1"}, False, True),
        ({"oneway": "reverse"}, False, True),
        ({"oneway": "no", "junction": "roundabout"}, True, True),
        ({"junction": "roundabout"}, True, False),
        ({"highway": "motorway"}, True, False),
        ({"highway": "motorway", "oneway": "no"}, True, True),
    ],
)
def test_direction(tags: dict[str, str], forward: bool, backward: bool) -> None:
    road = drivable({"highway": "residential", **tags})
    assert road is not None
    assert (road.forward_kmh > 0, road.backward_kmh > 0) == (forward, backward)


@pytest.mark.parametrize(
    ("tags", "usable"),
    [
        ({"highway": "footway"}, False),
        ({"highway": "track"}, False),
        ({"highway": "construction"}, False),
        ({"highway": "residential", "area": "yes"}, False),
        ({"highway": "residential", "access": "no"}, False),
        ({"highway": "residential", "motor_vehicle": "no"}, False),
        ({"highway": "residential", "motor_vehicle": "no", "emergency": "yes"}, True),
        ({"highway": "service", "access": "no", "bus": "yes"}, True),
        ({"highway": "residential", "access": "no", "motor_vehicle": "yes"}, True),
        ({"highway": "service", "access": "private"}, True),
        ({}, False),
    ],
)
def test_access(tags: dict[str, str], usable: bool) -> None:
    assert (drivable(tags) is not None) == usable


def test_speeds_by_class_limit_and_side() -> None:
    primary = drivable({"highway": "primary"})
    assert primary is not None
    assert primary.road_class is RoadClass.PRIMARY
    assert primary.forward_kmh == 65.0
    limited = drivable({"highway": "primary", "maxspeed": "50", "maxspeed:backward": "30"})
    assert limited is not None
    assert limited.forward_kmh == pytest.approx(50 * LIMIT_SHARE)
    assert limited.backward_kmh == pytest.approx(30 * LIMIT_SHARE)
    private = drivable({"highway": "service", "access": "private"})
    aisle = drivable({"highway": "service", "service": "parking_aisle"})
    assert private is not None
    assert aisle is not None
    assert private.forward_kmh < aisle.forward_kmh < 15.0


@pytest.mark.parametrize(
    ("tags", "blocked"),
    [
        ({"barrier": "bollard"}, True),
        ({"barrier": "bollard", "emergency": "yes"}, False),
        ({"barrier": "bollard", "access": "yes"}, False),
        ({"barrier": "lift_gate"}, False),
        ({"highway": "traffic_signals"}, False),
    ],
)
def test_barriers(tags: dict[str, str], blocked: bool) -> None:
    assert blocks_vehicles(tags) == blocked
