"""The second step of a start, once the engines run: schema, streams, who and what is registered."""

import sys
from typing import Any

import msgspec

from safecity.access.sealed import Account
from safecity.access.tokens import ensure_machine_token
from safecity.bus.connection import connect, ensure_streams, limit_mqtt_stream, wake_mqtt
from safecity.bus.logins import BusLogin
from safecity.clock import SystemClock
from safecity.deployment import MACHINE_TOKENS, Folder, RunFile, city_folder, settings_of
from safecity.errors import Invalid
from safecity.model.video import CameraSetup
from safecity.operations import cameras
from safecity.operations.command import Order
from safecity.operations.registry import Registered, register
from safecity.store.database import Database, migrate, open_database

ACTOR = Order(actor="system:setup")


async def seed(folder: Folder) -> None:
    """Bring schema and streams up to date, register what stands in the city, make the machine tokens.

    It may begin while the engines still start, and waits for them.
    """
    run = folder.read_run()
    database = await open_database(run.database_url, SystemClock(), size=2)
    try:
        await migrate(database)
        await _make_streams(folder, run)
        folder.camera_keys.ensure()
        if run.prepared_anew or not await _is_registered(database):
            new = await register(database, ACTOR, _standing(folder, run))
            if run.simulated:
                new += await register_simulated_cameras(folder, database)
            if new:
                sys.stdout.write(f"registered {new} stations, units, cameras and sensors\n")
        await take_over_former_cameras(folder, database)
        if run.simulated:
            for name, roles in MACHINE_TOKENS.items():
                await ensure_machine_token(database, name, roles, folder.secret(f"token-{name}"))
    finally:
        await database.close()


async def register_simulated_cameras(folder: Folder, database: Database) -> int:
    """Add the simulated city's cameras that are not there yet, their accounts sealed; return how many."""
    from safecity.simulator.scenario import Scenario
    from safecity.simulator.setups import camera_setups

    scenario = msgspec.json.decode(folder.scenario_file.read_bytes(), type=Scenario)
    _, setups = camera_setups(scenario, folder.secret)
    return await cameras.register(database, ACTOR, setups, folder.camera_keys)


async def take_over_former_cameras(folder: Folder, database: Database) -> None:
    """Make setups of the cameras that an earlier version kept with open accounts, and delete that file.

    It stays, which is said, when something in it cannot be read.
    """
    path = folder.former_cameras_file
    if not path.exists():
        return
    try:
        former = former_cameras(path.read_bytes())
        new = await cameras.register(database, ACTOR, former, folder.camera_keys)
    except (msgspec.MsgspecError, Invalid) as error:
        sys.stdout.write(
            f"the cameras in {path} cannot be taken over: {error}; add them with 'safecity camera add' and "
            "delete that file, it holds passwords\n"
        )
        return
    path.unlink()
    if new:
        sys.stdout.write(f"{new} cameras were taken over from {path.name}; their accounts are sealed now\n")


def former_cameras(content: bytes) -> list[tuple[CameraSetup, Account]]:
    """Return the cameras of an earlier version's file, without simulated ones, which are made anew.

    Raises msgspec.ValidationError or Invalid when something cannot be read.
    """
    found = []
    for given in msgspec.json.decode(content, type=list[dict[str, Any]]):
        fields = dict(given.get("setup", given))
        zones = [{"kind": "zone_intrusion", **zone} for zone in fields.pop("zones", ())]
        setup = msgspec.convert({"rules": zones, **fields}, CameraSetup)
        account = Account(user=given.get("user", ""), password=given.get("password", ""))
        if not setup.simulated:
            found.append((setup, account))
    return found


async def _make_streams(folder: Folder, run: RunFile) -> None:
    settings = settings_of(run)
    # nats-server listens for MQTT before it lets us in.
    bus = await connect(folder.bus_url(run, BusLogin.SETUP), "seed")
    try:
        if run.own_bus:
            secret = folder.secret(BusLogin.SETUP.secret_name)
            wake_mqtt(run.mqtt_host, run.mqtt_port, BusLogin.SETUP, secret)
        await ensure_streams(bus, settings.bus.max_stream_mb)
        await limit_mqtt_stream(bus, settings.bus.max_stream_mb)
    finally:
        await bus.close()


async def _is_registered(database: Database) -> bool:
    async with database.reading() as tx:
        return bool(await tx.connection.fetchval("SELECT EXISTS (SELECT FROM station)"))


def _standing(folder: Folder, run: RunFile) -> list[Registered]:
    """Return what stands in the city; loading it takes a second that a repeated start need not spend."""
    if run.simulated:
        from safecity.simulator.scenario import Scenario

        found = msgspec.json.decode(folder.scenario_file.read_bytes(), type=Scenario)
        return [*found.stations, *found.units, *found.sensors]
    from safecity.city.city import City

    return list(City.open(city_folder(folder, run)).stations)
