"""The roles: what runs in a process of its own. `safecity run ROLE` runs one."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus, connect
from safecity.bus.logins import BusLogin
from safecity.bus.subjects import ROLE_STATUS
from safecity.clock import Clock, SystemClock
from safecity.config import Settings
from safecity.deployment import Folder, RunFile, city_folder, settings_of
from safecity.store.database import Database, open_database

log = structlog.get_logger()

HEARTBEAT_S = 1.0
STOP_S = 1.5
"""How long a role may take to end in good order; the whole tree ends within 5 s."""

SIMULATOR_STOP_S = 3.5
"""The simulated city first waits for what it sent, so that it can say what was acknowledged."""

VIEWING_NICENESS = 5


class Role(StrEnum):
    """The roles of an installation."""

    INTAKE = "intake"
    FUSION = "fusion"
    OPERATIONS = "operations"
    DISPATCH = "dispatch"
    VIDEO = "video"
    VIEWING = "viewing"
    WEB = "web"
    SIMULATOR = "simulator"


BUS_LOGINS: Final = {
    Role.VIDEO: BusLogin.VIDEO,
    Role.VIEWING: BusLogin.VIEWING,
    Role.WEB: BusLogin.WEB,
    Role.SIMULATOR: BusLogin.SIMULATOR,
}
"""As whom a role speaks on the bus; the others share the login of the core."""


def process_name(role: str, shard: int) -> str:
    """Return the name of a process that does one shard of a role; the first is named like the role."""
    return f"{role}-{shard}" if shard else str(role)


class Surroundings:
    """What a role is given: settings, clock, engines; engines are opened when first asked for."""

    def __init__(
        self, role: Role, folder: Folder, run: RunFile, stack: AsyncExitStack, shard: int = 0
    ) -> None:
        """Prepare; connections are closed when `stack` ends. shard: which part of the role it does."""
        self.role = role
        self.shard = shard
        self.folder = folder
        self.run = run
        self.settings: Settings = settings_of(run)
        self.clock: Clock = SystemClock()
        self.report: Callable[[], Mapping[str, float]] = dict
        self.cameras: Callable[[], Sequence[Mapping[str, object]]] = tuple
        self.shards: Callable[[], Sequence[int]] = tuple
        self.is_ready: Callable[[], bool] = lambda: role not in SAY_WHEN_READY
        self._stack = stack

    async def bus(self, name: str = "") -> Bus:
        """Return a new connection to NATS; calls and telemetry may have one each."""
        login = BUS_LOGINS.get(self.role, BusLogin.CORE)
        bus = await connect(
            self.folder.bus_url(self.run, login),
            f"{process_name(self.role, self.shard)}{name and '-' + name}",
            inbox=login.inbox,
        )
        self._stack.push_async_callback(bus.close)
        return bus

    async def database(self) -> Database:
        """Return a pool of connections to PostgreSQL."""
        database = await open_database(self.run.database_url, self.clock, size=self.settings.store.pool_size)
        self._stack.push_async_callback(database.close)
        return database

    @property
    def city_folder(self) -> Path:
        """Folder of the imported city."""
        return city_folder(self.folder, self.run)

    def batcher(self, bus: Bus) -> MicroBatcher:
        """Return a micro-batcher with the configured limits."""
        return MicroBatcher(bus, self.settings.bus.batch_size, self.settings.bus.batch_delay_s)


SAY_WHEN_READY = frozenset({Role.FUSION, Role.DISPATCH})
"""Roles that load or compile before they work, and say themselves when they do."""


Main = Callable[[Surroundings], Awaitable[None]]


async def intake(at: Surroundings) -> None:
    """Sensors from MQTT to the bus, and everything from the bus into the store."""
    from safecity.city.city import City
    from safecity.intake.mqtt import MqttIntake
    from safecity.intake.validation import Gate
    from safecity.intake.writer import Writer

    bus, writer_bus = await at.bus("mqtt"), await at.bus("writer")
    gate = Gate(City.open(at.city_folder).bbox)
    mqtt = MqttIntake(bus, at.batcher(bus), gate, at.clock)
    writer = Writer(await at.database(), writer_bus, at.clock, at.settings.store.observation_days)
    at.report = lambda: {
        **mqtt.counters,
        **{f"written_{name}": value for name, value in writer.counters.items()},
    }
    async with asyncio.TaskGroup() as group:
        group.create_task(mqtt.run())
        group.create_task(writer.run())


async def fusion(at: Surroundings) -> None:
    """Observations to alarms."""
    from safecity.fusion.room import FusionRoom
    from safecity.rules.alarm_rules import load_alarm_rules

    room = FusionRoom(await at.database(), await at.bus(), at.settings, at.clock, load_alarm_rules())
    at.report = room.counters.copy
    at.is_ready = room.ready.is_set
    await room.run()


async def operations(at: Surroundings) -> None:
    """Alarms to incidents, and the outbox to the bus."""
    from safecity.operations.room import OperationsRoom

    room = OperationsRoom(await at.database(), await at.bus())
    at.report = room.counters.copy
    await room.run()


async def dispatch(at: Surroundings) -> None:
    """Answers which units to send."""
    from safecity.city.city import City
    from safecity.dispatch.room import DispatchRoom
    from safecity.dispatch.service import DispatchService
    from safecity.rules.run_cards import load_run_cards

    graph = City.open(at.city_folder).graph
    room = DispatchRoom(graph, load_run_cards(), at.settings.dispatch, at.clock)
    service = DispatchService(room, await at.database(), await at.bus())
    at.report = service.counters.copy
    at.is_ready = service.ready.is_set
    await service.run()


async def video(at: Surroundings) -> None:
    """One shard of cameras: recorded, watched, shown."""
    from safecity.video.allocator import give_back_early

    # Before any thread has memory of its own.
    give_back_early()
    from safecity.video.onvif import Hearing
    from safecity.video.recording.shipper import Shipper
    from safecity.video.room import VideoRoom
    from safecity.video.roster import Roster
    from safecity.video.service import VideoService, publisher

    roster = Roster(
        at.run.database_url,
        at.folder.roster_file(at.shard),
        at.folder.camera_keys,
        at.shard,
        at.clock,
        simulator_at=f"127.0.0.1:{at.run.rtsp_port}",
    )

    async def connect_store() -> Database:
        return await open_database(at.run.database_url, at.clock, size=2)

    bus = await at.bus()
    publish = publisher(at.batcher(bus))
    room = VideoRoom((), at.folder.recordings, publish, at.clock, settings=at.settings.video)
    shipper = Shipper(connect_store, at.folder.recordings, room.recording_since)
    room.on_entry(shipper.notify)
    service = VideoService(room, bus, shipper, Hearing(publish, at.clock))
    at.report, at.cameras, at.shards = service.counters, service.camera_figures, lambda: service.shards
    await service.run(roster.changes())


async def viewing(at: Surroundings) -> None:
    """What people see of cameras: masked live views, stills, playback."""
    from safecity.video.viewing.service import ViewingService

    # Who looks gives way to what records.
    os.nice(VIEWING_NICENESS)
    service = ViewingService(
        at.folder.recordings, at.settings.video, await at.database(), await at.bus(), at.clock
    )
    at.report = service.counters
    await service.run()


async def web(at: Surroundings) -> None:
    """The console's server and all ways in over HTTP."""
    from safecity.city.city import City
    from safecity.web.app import create_app
    from safecity.web.deps import WebDeps
    from safecity.web.server import serve

    bus, telemetry_bus = await at.bus(), await at.bus("telemetry")
    deps = WebDeps(
        db=await at.database(),
        bus=bus,
        batcher=at.batcher(telemetry_bus),
        settings=at.settings,
        clock=at.clock,
        city=City.open(at.city_folder),
        simulated=at.run.simulated,
        static_dir=Path(__file__).parent / "web" / "static",
        roles=[role for role in Role if at.run.simulated or role is not Role.SIMULATOR],
        camera_keys=at.folder.camera_keys.public,
    )
    await serve(create_app(deps), at.run.web_host, at.run.web_port)


async def simulator(at: Surroundings) -> None:
    """The simulated city: people, vehicles, sensors and cameras."""
    from safecity.city.city import City
    from safecity.simulator.camera import CameraClips, CameraServer, SimulatedCamera
    from safecity.simulator.camera_data import film_path
    from safecity.simulator.camera_film import SUB_RECIPE, kept_film
    from safecity.simulator.camera_rtp import read_clip
    from safecity.simulator.room import Endpoints, MachineName, SimulatedCity
    from safecity.simulator.scenario import Scenario

    folder, run = at.folder, at.run
    served = msgspec.json.decode(folder.simulated_cameras_file.read_bytes(), type=list[SimulatedCamera])
    sub = await asyncio.to_thread(kept_film, folder.root / "films", SUB_RECIPE)
    clips = CameraClips(main=read_clip(film_path()), sub=read_clip(sub))
    cameras = CameraServer(served, clips, at.clock)
    await cameras.start("127.0.0.1", run.rtsp_port)
    city = SimulatedCity(
        City.open(at.city_folder),
        msgspec.json.decode(folder.scenario_file.read_bytes(), type=Scenario),
        Endpoints(
            web_url=f"http://{run.web_host}:{run.web_port}",
            tokens={name: folder.secrets / f"token-{name}" for name in MachineName},
            mqtt_host=run.mqtt_host,
            mqtt_port=run.mqtt_port,
            devices=tuple(folder.devices()),
        ),
        at.settings.simulator,
        clock=at.clock,
        speed=run.speed,
        scripted_operator=run.scripted_operator,
    )
    try:
        await city.run()
    finally:
        report = await asyncio.shield(city.stop())
        folder.write_private(folder.report_file, msgspec.json.encode(report))
        await cameras.stop()


MAINS: Mapping[Role, Main] = {
    Role.INTAKE: intake,
    Role.FUSION: fusion,
    Role.OPERATIONS: operations,
    Role.DISPATCH: dispatch,
    Role.VIDEO: video,
    Role.VIEWING: viewing,
    Role.WEB: web,
    Role.SIMULATOR: simulator,
}


async def run_role(role: Role, folder: Folder, shard: int = 0) -> None:
    """Run one role, or one shard of it, until SIGTERM or SIGINT; raises what the role raises."""
    async with AsyncExitStack() as stack:
        at = Surroundings(role, folder, folder.read_run(), stack, shard)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        # Connected before the rooms are imported: that holds the loop up for seconds on a slow machine.
        beat = asyncio.create_task(_heartbeat(at, await at.bus("status")))
        work = asyncio.ensure_future(MAINS[role](at))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (beat, stopped, work):
            if task is not work or not work.done():
                task.cancel()
        await asyncio.wait({work, beat}, timeout=stop_within_s(role))
        if work.done() and not work.cancelled():
            work.result()


def stop_within_s(role: Role) -> float:
    """Return how many seconds a role may take to end in good order."""
    return SIMULATOR_STOP_S if role is Role.SIMULATOR else STOP_S


async def _heartbeat(at: Surroundings, bus: Bus) -> None:
    while True:
        status = {
            "role": at.role,
            "shard": at.shard,
            "shards": at.shards(),
            "pid": os.getpid(),
            "ready": at.is_ready(),
            "at": at.clock.now(),
            "counters": at.report(),
            "cameras": at.cameras(),
        }
        try:
            await bus.client.publish(f"{ROLE_STATUS}.{at.role}", msgspec.json.encode(status))
        except Exception as error:
            log.warning("no heartbeat", error=repr(error))
        await asyncio.sleep(HEARTBEAT_S)
