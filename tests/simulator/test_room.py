"""The whole simulated city starts when nothing else runs, and stops when told."""

import asyncio
from pathlib import Path

import pytest

from engines import free_port, until
from safecity.bus.engine import DeviceLogin
from safecity.city import City
from safecity.clock import SystemClock
from safecity.config import SimulatorSection
from safecity.errors import Invalid
from safecity.simulator.room import Endpoints, MachineName, SimulatedCity
from safecity.simulator.scenario import Scenario


def endpoints(folder: Path, scenario: Scenario) -> Endpoints:
    tokens = {name: folder / name for name in MachineName}
    for path in tokens.values():
        path.write_text("a-token-only-for-tests", encoding="ascii")
    return Endpoints(
        web_url=f"http://127.0.0.1:{free_port()}",
        tokens=tokens,
        mqtt_host="127.0.0.1",
        mqtt_port=free_port(),
        devices=tuple(DeviceLogin(sensor.id, "secret") for sensor in scenario.sensors),
    )


async def test_it_waits_for_a_city_that_is_away(demo_city: City, scenario: Scenario, tmp_path: Path) -> None:
    city = SimulatedCity(
        demo_city,
        scenario,
        endpoints(tmp_path, scenario),
        SimulatorSection(),
        clock=SystemClock(),
        speed=10.0,
        scripted_operator=True,
    )
    life = asyncio.create_task(city.run())
    await until(lambda: city.report().http_retries > 2 and city.sensors.held > 100)
    assert not life.done()
    async with asyncio.timeout(5):
        report = await city.stop()
    assert life.done()
    assert set(report.acknowledged.values()) == {0}
    assert report.held["reading"] > 100
    assert report.happenings == 0


async def test_an_impossible_speed_is_refused(demo_city: City, scenario: Scenario, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="speed"):
        SimulatedCity(
            demo_city,
            scenario,
            endpoints(tmp_path, scenario),
            SimulatorSection(),
            clock=SystemClock(),
            speed=0.0,
        )


def test_logins_are_not_shown(scenario: Scenario, tmp_path: Path) -> None:
    assert "secret" not in repr(endpoints(tmp_path, scenario))
