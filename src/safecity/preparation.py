"""The first step of a first start, before the engines run: the city, and what stands in the simulated one."""

import sys
from pathlib import Path

import msgspec

from safecity.bus.engine import DeviceLogin, new_secret
from safecity.city import City
from safecity.deployment import Folder, city_folder, settings_of
from safecity.errors import SafeCityError
from safecity.simulator.scenario import Scenario, build_scenario
from safecity.simulator.setups import camera_setups

DEMO_MAP = Path(__file__).parent / "simulator" / "data" / "neubrandenburg.osm.pbf"


def prepare(folder: Folder) -> None:
    """Import the demo's city when there is none yet; write the simulated city, its logins, its cameras."""
    run = folder.read_run()
    where = city_folder(folder, run)
    city = _open_or_import(where, demo=where == folder.demo_city)
    if not run.simulated:
        return
    scenario = build_scenario(city, settings_of(run).simulator)
    folder.scenario_file.write_bytes(msgspec.json.encode(scenario))
    _write_devices(folder, scenario)
    _write_cameras(folder, scenario)


def _tell(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def _open_or_import(where: Path, *, demo: bool) -> City:
    if not demo:
        return City.open(where)
    try:
        return City.open(where)
    except SafeCityError:
        from safecity.city.importer import import_city

        return import_city(DEMO_MAP, where, progress=lambda words: _tell(f"city: {words}"))


def _write_devices(folder: Folder, scenario: Scenario) -> None:
    known = {login.device_id: login for login in folder.devices()}
    logins = [known.get(sensor.id) or DeviceLogin(sensor.id, new_secret()) for sensor in scenario.sensors]
    others = [login for id_, login in known.items() if id_ not in {sensor.id for sensor in scenario.sensors}]
    folder.write_private(folder.devices_file, msgspec.json.encode(logins + others))


def _write_cameras(folder: Folder, scenario: Scenario) -> None:
    """Write how the simulated cameras are served, with accounts that last."""
    served, _ = camera_setups(scenario, folder.secret)
    folder.write_private(folder.simulated_cameras_file, msgspec.json.encode(served))
