"""Real engines for tests: a PostgreSQL and a NATS server on free ports of the loopback."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from safecity.bus import engine as nats_engine
from safecity.bus.connection import Bus, connect, ensure_streams, wake_mqtt
from safecity.bus.engine import DeviceLogin
from safecity.bus.logins import BusLogin
from safecity.clock import Clock, SystemClock
from safecity.store import engine as postgres_engine
from safecity.store.database import Database, migrate, open_database

PASSWORD = "only-for-tests"
TEMPLATE = "safecity_template"
START_S = 30.0
STREAM_MB = 64


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def short_directory(prefix: str) -> Path:
    """Return a new folder with a short path; any user may walk to it, since PostgreSQL may run as nobody."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    directory.chmod(0o755)
    return directory


class Server:
    """A process of ours that listens on a port and is ended by its own pid."""

    def __init__(self, port: int) -> None:
        """Remember the port; `start` begins it."""
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the argument list that runs the server."""
        raise NotImplementedError

    @property
    def run_as(self) -> int | None:
        """User id to run as, or None for our own."""
        return None

    def start(self) -> None:
        """Start the process and wait until its port answers."""
        self.process = subprocess.Popen(
            self.command(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.run_as,
            cwd="/",
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.command()[0]} did not start on port {self.port}")
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill the process as a power cut of its own would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process in its ordinary way (SIGINT: what NATS and PostgreSQL call a fast shutdown)."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


class NatsServer(Server):
    """A nats-server with JetStream and MQTT in a folder of its own."""

    def __init__(self, devices: list[DeviceLogin] | None = None) -> None:
        """Write its configuration; `devices` may speak MQTT."""
        super().__init__(free_port())
        self.mqtt_port = free_port()
        self.directory = short_directory("safecity-nats-")
        self.config = nats_engine.write_config(
            self.directory,
            port=self.port,
            mqtt_host="127.0.0.1",
            mqtt_port=self.mqtt_port,
            passwords=dict.fromkeys(BusLogin, PASSWORD),
            devices=devices or [],
        )

    @property
    def url(self) -> str:
        """Address with the login that may everything."""
        return self.url_of(BusLogin.SETUP)

    def url_of(self, login: BusLogin) -> str:
        """Return the address with a login of our own processes."""
        return f"nats://{login}:{PASSWORD}@127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return the argument list that runs the server."""
        return nats_engine.command(self.config)

    async def ready(self) -> Bus:
        """Return a connection, with every stream and durable consumer made."""
        await asyncio.to_thread(wake_mqtt, "127.0.0.1", self.mqtt_port, BusLogin.SETUP, PASSWORD)
        bus = await connect(self.url, "tests", patience_s=START_S)
        await ensure_streams(bus, STREAM_MB)
        return bus

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and remove the folder."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class PostgresServer(Server):
    """A PostgreSQL cluster in a folder of its own, with a migrated template database."""

    def __init__(self) -> None:
        """Make the cluster."""
        super().__init__(free_port())
        self.root = short_directory("safecity-pg-")
        self.cluster = postgres_engine.Cluster(self.root / "pg", PASSWORD)
        self.cluster.prepare()
        self._made = 0

    @property
    def run_as(self) -> int | None:
        """User id that PostgreSQL must run as."""
        return self.cluster.run_as

    def command(self) -> list[str]:
        """Return the argument list; without fsync, which only a power cut of the whole machine would show."""
        return [*self.cluster.command(self.port), "--fsync=off"]

    def url(self, database: str = postgres_engine.DATABASE) -> str:
        """Return the address of one of its databases."""
        return urlunsplit(urlsplit(self.cluster.url(self.port))._replace(path=f"/{database}"))

    async def make_template(self) -> None:
        """Make the migrated database that every test's own is copied from."""
        await self._execute(f"CREATE DATABASE {TEMPLATE}")
        database = await open_database(self.url(TEMPLATE), SystemClock(), size=1)
        await migrate(database)
        await database.close()

    async def fresh(self, clock: Clock, size: int = 8) -> tuple[str, Database]:
        """Return the name of a new migrated database and the open database."""
        self._made += 1
        name = f"test_{self._made}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return name, await open_database(self.url(name), clock, size=size)

    async def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        await self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _execute(self, sql: str) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                connection = await asyncpg.connect(self.url())
            except (asyncpg.CannotConnectNowError, ConnectionError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.02)
            else:
                break
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def __enter__(self) -> Self:
        """Start and make the template."""
        try:
            self.start()
            asyncio.run(self.make_template())
        except BaseException:
            self.remove()
            raise
        return self

    def remove(self) -> None:
        """Stop and remove the folders."""
        self.stop()
        shutil.rmtree(self.cluster.directory, ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self.remove()


async def until(holds: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait until a condition holds; raises TimeoutError when it does not within the bound."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)
