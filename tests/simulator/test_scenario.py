"""The simulated city stands where the real one does, and is the same for the same seed."""

from collections import Counter

import pytest

from safecity.city import City
from safecity.config import SimulatorSection
from safecity.model.base import Agency
from safecity.model.source import SourceKind
from safecity.model.unit import Capability
from safecity.simulator.scenario import Scenario, apart_m, build_scenario
from safecity.simulator.signal import SIGNALS


def test_the_same_seed_gives_the_same_city(demo_city: City, scenario: Scenario) -> None:
    assert build_scenario(demo_city, SimulatorSection()) == scenario
    assert build_scenario(demo_city, SimulatorSection(seed=7)).sensors != scenario.sensors


def test_thirty_units_of_three_agencies_live_at_real_stations(demo_city: City, scenario: Scenario) -> None:
    stations = {station.id: station for station in demo_city.stations}
    assert Counter(unit.agency for unit in scenario.units) == {
        Agency.FIRE: 10,
        Agency.AMBULANCE: 10,
        Agency.POLICE: 10,
    }
    assert len({unit.id for unit in scenario.units}) == 30
    for unit in scenario.units:
        station = stations[unit.station_id]
        assert station.agency is unit.agency
        assert apart_m(station.place, unit.home) < 20
        assert unit.simulated
    assert {capability for unit in scenario.units for capability in unit.capabilities} == set(Capability)


def test_every_station_has_a_vehicle(scenario: Scenario) -> None:
    assert {unit.station_id for unit in scenario.units} == {station.id for station in scenario.stations}


def test_two_hundred_sensors_each_with_its_own_name_and_rhythm(scenario: Scenario) -> None:
    assert len(scenario.sensors) == 200
    assert len({sensor.id for sensor in scenario.sensors}) == 200
    assert {sensor.property for sensor in scenario.sensors} == set(SIGNALS)
    for sensor in scenario.sensors:
        assert sensor.kind is SourceKind.SENSOR
        assert sensor.simulated
        assert 1 <= sensor.period_s <= 10
        assert not set(sensor.id) & set("./ *>#+"), "an id is a level of an MQTT topic and of a NATS subject"


def test_some_sensors_stand_beside_each_other(scenario: Scenario) -> None:
    smoke = [sensor for sensor in scenario.sensors if sensor.property == "smoke"]
    paired = [a for a in smoke if any(a is not b and apart_m(a.place, b.place) < 100 for b in smoke)]
    assert 4 <= len(paired) < len(smoke) / 2


def test_cameras_stand_apart_in_the_centre(demo_city: City, scenario: Scenario) -> None:
    one, two = scenario.cameras
    assert apart_m(one.place, two.place) > 500
    smoke = [sensor for sensor in scenario.sensors if sensor.property == "smoke"]
    assert min(apart_m(sensor.place, one.place) for sensor in smoke) < 150


@pytest.mark.parametrize(("units", "sensors", "cameras"), [(0, 0, 0), (1, 1, 1), (100, 37, 5)])
def test_any_number_of_each(demo_city: City, units: int, sensors: int, cameras: int) -> None:
    settings = SimulatorSection(units=units, sensors=sensors, cameras=cameras)
    scenario = build_scenario(demo_city, settings)
    assert (len(scenario.units), len(scenario.sensors), len(scenario.cameras)) == (units, sensors, cameras)
