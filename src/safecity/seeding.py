"""The second step of a start, once the engines run: schema, streams, who and what is registered."""

import sys

import msgspec

from safecity.access.tokens import ensure_machine_token
from safecity.bus.connection import connect, ensure_streams, limit_mqtt_stream, wake_mqtt
from safecity.bus.engine import INTERNAL_USER
from safecity.clock import SystemClock
from safecity.deployment import MACHINE_TOKENS, Folder, RunFile, city_folder, settings_of
from safecity.operations.command import Order
from safecity.operations.registry import Registered, register
from safecity.store.database import Database, migrate, open_database

ACTOR = Order(actor="system:setup")


async def seed(folder: Folder) -> None:
    """Bring schema and streams up to date, register what stands in the city, make the machine tokens."""
    run = folder.read_run()
    database = await open_database(run.database_url, SystemClock(), size=2)
    try:
        await migrate(database)
        await _make_streams(folder, run)
        if run.prepared_anew or not await _is_registered(database):
            new = await register(database, ACTOR, _standing(folder, run))
            if new:
                sys.stdout.write(f"registered {new} stations, units, cameras and sensors\n")
        if run.simulated:
            for name, roles in MACHINE_TOKENS.items():
                await ensure_machine_token(database, name, roles, folder.secret(f"token-{name}"))
    finally:
        await database.close()


async def _make_streams(folder: Folder, run: RunFile) -> None:
    settings = settings_of(run)
    if not settings.bus.url:
        wake_mqtt(run.mqtt_host, run.mqtt_port, INTERNAL_USER, folder.secret("nats"))
    bus = await connect(run.nats_url, "seed")
    try:
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
        return [*found.stations, *found.units, *found.cameras, *found.sensors]
    from safecity.city.city import City

    return list(City.open(city_folder(folder, run)).stations)
