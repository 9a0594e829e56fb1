"""The whole installation on one machine: engines, roles and, for the demo, the simulated city."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity import __version__
from safecity.bus import engine as nats_engine
from safecity.bus.connection import Bus, can_store, connect
from safecity.bus.logins import BusLogin
from safecity.bus.subjects import ROLE_STATUS
from safecity.config import Settings, load
from safecity.deployment import MIN_FREE_MB, Folder, RunFile, free_port
from safecity.errors import Configuration, SafeCityError
from safecity.roles import Role, process_name, stop_within_s
from safecity.store import engine as postgres_engine
from safecity.supervisor import Program, Supervisor, accepts

log = structlog.get_logger()

Say = Callable[[str], None]

CITY_ROLES: Final = (
    Role.INTAKE,
    Role.FUSION,
    Role.OPERATIONS,
    Role.DISPATCH,
    Role.VIDEO,
    Role.VIEWING,
    Role.WEB,
)
POSTGRES, NATS = "postgresql", "nats"
ROLE_READY_S: Final = 120.0
"""On a slow, busy machine the detector and the web server take long to load."""

SHARDS_EVERY_S: Final = 1.0
MAX_SHARDS: Final = 64
"""Video processes of one machine at most, of 16 cameras each: far beyond what one machine carries."""

PROBE_EVERY_S: Final = 5.0
REFUSED_LIMIT: Final = 3
"""So many probes in a row must fail before the bus is started anew; a restart of its own takes less."""

SEEDED: Final = "cameras are setups"
"""What preparation and seeding make, in a word: another one makes an older folder be prepared again."""

ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Many processes share few cores: no library starts a pool of threads or heaps for itself."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and how."""

    folder: Folder
    config_path: Path | None = None
    simulated: bool = False
    speed: float = 1.0
    scripted_operator: bool = False


class Installation:
    """One running installation; made by `running`."""

    def __init__(self, plan: Plan, settings: Settings, run: RunFile, supervisor: Supervisor) -> None:
        """Hold what runs."""
        self.plan = plan
        self.settings = settings
        self.run = run
        self.supervisor = supervisor

    @property
    def url(self) -> str:
        """Address of the console."""
        return f"http://{self.run.web_host}:{self.run.web_port}"


class _Heard:
    """Which process of which role was heard from, so that 'ready' means: it works; and what they ask for."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self.shards: set[int] = {0}

    async def listen(self, bus: Bus) -> None:
        async def on_status(message: object) -> None:
            data = getattr(message, "data", b"")
            status = msgspec.json.decode(data)
            if status["ready"]:
                self.pids[process_name(status["role"], status["shard"])] = status["pid"]
            if status["shards"]:
                self.shards = {0, *status["shards"]}

        await bus.client.subscribe(f"{ROLE_STATUS}.*", cb=on_status)


@asynccontextmanager
async def running(plan: Plan, say: Say) -> AsyncIterator[Installation]:
    """Start everything, give the running installation, and stop everything within 5 s.

    Raises Configuration when another process runs the same folder or something cannot be started.
    """
    plan.folder.prepare()
    settings = load(plan.config_path)
    supervisor = Supervisor()
    with _only_one(plan.folder):
        bus: Bus | None = None
        try:
            run = _choose_ports(plan, settings)
            plan.folder.write_run(run)
            await _together(
                _start_postgres(plan.folder, settings, run, supervisor, say),
                _prepare_and_start_nats(plan, settings, run, supervisor, say),
            )
            bus = await connect(plan.folder.bus_url(run, BusLogin.SETUP), "supervisor")
            heard = await _start_roles(plan, run, supervisor, bus, say)
            guards = [
                asyncio.create_task(_guard_bus(plan.folder, supervisor, bus)),
                asyncio.create_task(_add_shards(plan.folder, run, supervisor, heard)),
            ]
            try:
                yield Installation(plan, settings, run, supervisor)
            finally:
                for guard in guards:
                    guard.cancel()
                await asyncio.gather(*guards, return_exceptions=True)
        finally:
            if bus is not None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(bus.client.close(), 0.5)
            await supervisor.stop_all()
            plan.folder.run_file.unlink(missing_ok=True)


def _choose_ports(plan: Plan, settings: Settings) -> RunFile:
    folder = plan.folder
    postgres_port = free_port("127.0.0.1", 0, "PostgreSQL")
    nats_port = free_port("127.0.0.1", settings.bus.port, "NATS")
    cluster = postgres_engine.Cluster(folder.postgres, folder.secret("postgres"))
    return RunFile(
        data_dir=str(folder.root),
        config_path=str(plan.config_path.absolute()) if plan.config_path else "",
        database_url=settings.store.url or cluster.url(postgres_port),
        nats_url=settings.bus.url or f"nats://127.0.0.1:{nats_port}",
        own_bus=not settings.bus.url,
        web_host=settings.web.host,
        web_port=free_port(settings.web.host, settings.web.port, "the console"),
        mqtt_host=settings.bus.mqtt_host,
        mqtt_port=free_port(settings.bus.mqtt_host, settings.bus.mqtt_port, "sensors (MQTT)"),
        rtsp_port=free_port("127.0.0.1", settings.simulator.rtsp_port, "simulated cameras"),
        simulated=plan.simulated,
        speed=plan.speed,
        scripted_operator=plan.scripted_operator,
    )


async def start_engines(folder: Folder, settings: Settings, supervisor: Supervisor) -> RunFile:
    """Start the embedded engines alone, for measurements; write and return the run file."""
    run = _choose_ports(Plan(folder=folder), settings)
    folder.write_run(run)
    await asyncio.gather(
        _start_postgres(folder, settings, run, supervisor, _silent),
        _start_nats(folder, settings, run, supervisor),
    )
    return run


def _silent(_words: str) -> None:
    """Say nothing."""


async def _start_postgres(
    folder: Folder, settings: Settings, run: RunFile, supervisor: Supervisor, say: Say
) -> None:
    if settings.store.url:
        return
    cluster = postgres_engine.Cluster(folder.postgres, folder.secret("postgres"))
    if await asyncio.to_thread(cluster.prepare):
        say("PostgreSQL: its folder was made")
    port = int(run.database_url.rpartition(":")[2].partition("/")[0])

    async def ready() -> bool:
        return await accepts("127.0.0.1", port)

    await supervisor.start(
        Program(
            name=POSTGRES,
            command=cluster.command(port),
            log_path=folder.logs / "postgresql.log",
            ready=ready,
            run_as=cluster.run_as,
            stop_signal=signal.SIGINT,
            before=cluster.clear_stale_lock,
        )
    )


async def _together(*work: Coroutine[None, None, None]) -> None:
    """Run all side by side; when one fails the others are told to give up, and its reason is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


async def _prepare_and_start_nats(
    plan: Plan, settings: Settings, run: RunFile, supervisor: Supervisor, say: Say
) -> None:
    # The city comes first because the logins of its sensors stand in the server's configuration.
    fingerprint = _fingerprint(settings, run)
    if not plan.folder.is_prepared(fingerprint):
        await _run_to_end(plan.folder, "prepare", say)
        plan.folder.write_run(msgspec.structs.replace(run, prepared_anew=True))
        plan.folder.mark_prepared(fingerprint)
    # Loading the program to seed takes as long as the engines' start, which it waits for.
    await _together(
        _start_nats(plan.folder, settings, run, supervisor), _run_to_end(plan.folder, "seed", say)
    )


def _fingerprint(settings: Settings, run: RunFile) -> str:
    """Name everything that `prepare` depends on, so that it is done again only when that changed."""
    info = Path(settings.city) / "city.json" if settings.city else None
    changed_ns = info.stat().st_mtime_ns if info is not None and info.exists() else 0
    parts = (__version__, settings.city, changed_ns, settings.simulator, run.simulated, SEEDED)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


async def _start_nats(folder: Folder, settings: Settings, run: RunFile, supervisor: Supervisor) -> None:
    if settings.bus.url:
        return
    port = int(run.nats_url.rpartition(":")[2])
    config = await asyncio.to_thread(
        nats_engine.write_config,
        folder.nats,
        port=port,
        mqtt_host=run.mqtt_host,
        mqtt_port=run.mqtt_port,
        passwords=folder.bus_passwords(),
        devices=folder.devices(),
    )

    async def ready() -> bool:
        return await accepts("127.0.0.1", port) and await accepts(run.mqtt_host, run.mqtt_port)

    await supervisor.start(
        Program(
            name=NATS,
            command=nats_engine.command(config),
            log_path=folder.logs / "nats.log",
            ready=ready,
        )
    )


async def _run_to_end(folder: Folder, step: str, say: Say) -> None:
    """Run a one-time step in a process of its own, so that its memory is given back; pass its words on."""
    process = await asyncio.create_subprocess_exec(
        *_program(folder, step),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    if process.stdout is None or process.stderr is None:
        raise Configuration(f"the step '{step}' has no output")
    try:
        complaint = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            say(line.decode(errors="replace").rstrip())
        if await process.wait() != 0:
            words = (await complaint).decode(errors="replace").strip().splitlines() or ["it did not say why"]
            raise Configuration(f"the step '{step}' failed: {words[-1].removeprefix('safecity: ')}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _program(folder: Folder, *words: str) -> list[str]:
    return [sys.executable, "-m", "safecity.cli", *words, "--data", str(folder.root)]


async def _guard_bus(folder: Folder, supervisor: Supervisor, bus: Bus) -> None:
    """Start the bus anew when it refuses to store although there is room.

    nats-server stops storing for good when the disk was full once, also after there is room again.
    """
    refused = 0
    while True:
        await asyncio.sleep(PROBE_EVERY_S)
        if NATS not in supervisor.children or await can_store(bus):
            refused = 0
            continue
        refused += 1
        free_mb = folder.free_mb()
        log.error("the bus does not store; nothing is acknowledged now", free_mb=free_mb)
        if refused >= REFUSED_LIMIT and free_mb >= MIN_FREE_MB:
            supervisor.kill(NATS)
            refused = 0


async def _add_shards(folder: Folder, run: RunFile, supervisor: Supervisor, heard: _Heard) -> None:
    """Start one more video process as soon as a camera needs it: the running ones say which shards there are.

    A process whose cameras were all removed goes on, idle, until the next start.
    """
    while True:
        await asyncio.sleep(SHARDS_EVERY_S)
        for shard in sorted(heard.shards)[:MAX_SHARDS]:
            name = process_name(Role.VIDEO, shard)
            if name in supervisor.children:
                continue
            log.info("one more video process starts", shard=shard)
            try:
                await supervisor.start(
                    _role_program(folder, run, Role.VIDEO, supervisor, heard, shard), wave=1
                )
            except SafeCityError as error:
                log.error("a video process did not start and is tried again", shard=shard, error=str(error))
                await supervisor.drop(name)


async def _start_roles(plan: Plan, run: RunFile, supervisor: Supervisor, bus: Bus, say: Say) -> _Heard:
    heard = _Heard()
    await heard.listen(bus)
    roles = CITY_ROLES + ((Role.SIMULATOR,) if plan.simulated else ())
    say(f"starting {', '.join(roles)}")
    await supervisor.start(
        *(_role_program(plan.folder, run, role, supervisor, heard) for role in roles), wave=1
    )
    return heard


def _role_program(
    folder: Folder, run: RunFile, role: Role, supervisor: Supervisor, heard: _Heard, shard: int = 0
) -> Program:
    name = process_name(role, shard)

    async def ready() -> bool:
        if role is Role.DISPATCH:
            # It may still compile when the city begins to work; until then units are chosen by hand.
            return True
        child = supervisor.children.get(name)
        works = child is not None and heard.pids.get(name) == child.pid
        if role is Role.WEB:
            return works and await accepts(run.web_host, run.web_port)
        return works

    return Program(
        name=name,
        command=_program(folder, "run", role, *(("--shard", str(shard)) if shard else ())),
        log_path=folder.logs / f"{name}.log",
        ready=ready,
        environment=ENVIRONMENT,
        stop_within_s=stop_within_s(role) + 0.5,
        ready_within_s=ROLE_READY_S,
    )


@contextlib.contextmanager
def _only_one(folder: Folder) -> Iterator[None]:
    """Hold the folder's lock; raises Configuration when another process holds it."""
    path = folder.root / "lock"
    with path.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Configuration(_who_runs(folder, lock)) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _who_runs(folder: Folder, lock: TextIOWrapper) -> str:
    lock.seek(0)
    pid = lock.read().strip() or "?"
    try:
        run = folder.read_run()
        where = f" at http://{run.web_host}:{run.web_port}"
    except SafeCityError:
        where = ""
    return f"process {pid} already runs {folder.root}{where}; stop it, or name another folder with --data DIR"
