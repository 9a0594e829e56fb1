"""The one-time steps of a start: `prepare` before the engines run, `seed` once they do."""

import sys
from pathlib import Path

import msgspec
from msgspec.structs import replace

from safecity.access.tokens import ensure_machine_token
from safecity.bus.connection import connect, ensure_streams, wake_mqtt
from safecity.bus.engine import INTERNAL_USER, DeviceLogin, new_secret
from safecity.city import City
from safecity.clock import SystemClock
from safecity.deployment import MACHINE_TOKENS, Folder, RunFile, settings_of
from safecity.errors import SafeCityError
from safecity.operations.command import Order
from safecity.operations.registry import register
from safecity.simulator.camera_data import demo_cameras
from safecity.simulator.scenario import Scenario, build_scenario
from safecity.store.database import migrate, open_database

DEMO_MAP = Path(__file__).parent / "simulator" / "data" / "neubrandenburg.osm.pbf"
CAMERA_USER = "viewer"


def city_folder(folder: Folder, run: RunFile) -> Path:
    """Return the folder of the city that this installation runs on."""
    configured = settings_of(run).city
    return Path(configured) if configured else folder.demo_city


def read_scenario(folder: Folder) -> Scenario:
    """Return the simulated city that `prepare` wrote."""
    return msgspec.json.decode(folder.scenario_file.read_bytes(), type=Scenario)


def prepare(folder: Folder) -> None:
    """Import the demo's city when there is none yet; write the simulated city, its logins and its cameras."""
    run = folder.read_run()
    where = city_folder(folder, run)
    city = _open_or_import(where, demo=where == folder.demo_city)
    if not run.simulated:
        return
    scenario = build_scenario(city, settings_of(run).simulator)
    folder.scenario_file.write_bytes(msgspec.json.encode(scenario))
    _write_devices(folder, scenario)
    _write_cameras(folder, run, scenario)


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


def _write_cameras(folder: Folder, run: RunFile, scenario: Scenario) -> None:
    """Write how the simulated cameras are served and reached: this start's port, lasting accounts."""
    served, told = demo_cameras(
        [camera.place for camera in scenario.cameras],
        CAMERA_USER,
        [folder.secret(camera.id) for camera in scenario.cameras],
        port=run.rtsp_port,
    )
    configs = [
        replace(
            config,
            id=camera.id,
            name=camera.name,
            heading_deg=camera.heading_deg,
            field_of_view_deg=camera.field_of_view_deg,
        )
        for config, camera in zip(told, scenario.cameras, strict=True)
    ]
    folder.write_private(folder.cameras_file, msgspec.json.encode(configs))
    folder.write_private(folder.simulated_cameras_file, msgspec.json.encode(served))


async def seed(folder: Folder) -> None:
    """Bring schema and streams up to date, register what stands in the city, make the machine tokens."""
    run = folder.read_run()
    settings = settings_of(run)
    clock = SystemClock()
    database = await open_database(run.database_url, clock, size=2)
    try:
        await migrate(database)
        if not settings.bus.url:
            wake_mqtt(run.mqtt_host, run.mqtt_port, INTERNAL_USER, folder.secret("nats"))
        bus = await connect(run.nats_url, "seed")
        await ensure_streams(bus, settings.bus.max_stream_mb)
        await bus.close()
        if run.simulated:
            scenario = read_scenario(folder)
            new = await register(
                database,
                Order(actor="system:setup"),
                [*scenario.stations, *scenario.units, *scenario.cameras, *scenario.sensors],
            )
            if new:
                _tell(f"registered {new} stations, units, cameras and sensors")
            for name, roles in MACHINE_TOKENS.items():
                await ensure_machine_token(database, name, roles, folder.secret(f"token-{name}"))
        else:
            city = City.open(city_folder(folder, run))
            await register(database, Order(actor="system:setup"), list(city.stations))
    finally:
        await database.close()
