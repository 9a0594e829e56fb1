"""Telemetry through the whole way: micro-batcher, JetStream with fsync, writer, committed rows."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import numpy as np
import uvloop

from safecity.app import start_engines
from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus, connect, ensure_streams, wake_mqtt
from safecity.bus.logins import BusLogin
from safecity.clock import SystemClock
from safecity.config import Settings
from safecity.deployment import Folder
from safecity.intake.writer import Writer
from safecity.model.observation import Observation, ObservationKind, Unit
from safecity.store.database import Database, migrate, open_database
from safecity.store.observations import Delivery
from safecity.supervisor import Supervisor

WORDS = "telemetry: observations per second and time until committed, on engines of its own"

SOURCES = 1000
TICK_S = 0.005
DRAIN_S = 30.0
WARM_UP_S = 0.5
"""The writer makes its partitions and opens its consumers in this time; it is not part of the figures."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--rate", type=int, default=20_000, help="observations per second")
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long")
    parser.add_argument("--writer", type=Path, help=argparse.SUPPRESS)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return sustained_per_s, p50_ms, p99_ms (receipt to commit) and lost."""
    if options.writer:
        uvloop.run(_write_until_told(options.writer))
        return {}
    directory = Path(tempfile.mkdtemp(prefix="safecity-bench-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        return uvloop.run(_measure(options, directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _measure(options: argparse.Namespace, directory: Path) -> dict[str, float]:
    folder = Folder(directory)
    folder.prepare()
    supervisor = Supervisor()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(supervisor.stop_all)
        run = await start_engines(folder, Settings(), supervisor)
        database = await open_database(run.database_url, SystemClock(), size=2)
        stack.push_async_callback(database.close)
        await migrate(database)
        wake_mqtt(run.mqtt_host, run.mqtt_port, BusLogin.SETUP, folder.secret(BusLogin.SETUP.secret_name))
        bus = await connect(folder.bus_url(run, BusLogin.SETUP), "bench")
        stack.push_async_callback(bus.close)
        await ensure_streams(bus, 1024)
        await _forget_other_consumers(bus)
        writer = await _start_writer(directory)
        try:
            return await _drive(options, bus, database, writer)
        finally:
            if writer.returncode is None:
                writer.kill()


async def _forget_other_consumers(bus: Bus) -> None:
    """Nothing fuses here: a consumer that nobody reads would keep every message in the stream."""
    await bus.js.delete_consumer("TELEMETRY", "fuse-telemetry")


async def _start_writer(directory: Path) -> asyncio.subprocess.Process:
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "safecity.cli", "bench", "ingest", "--writer", str(directory)),
        stdout=asyncio.subprocess.PIPE,
    )
    if writer.stdout is not None:
        await asyncio.wait_for(writer.stdout.readline(), 20)
    return writer


async def _drive(
    options: argparse.Namespace, bus: Bus, database: Database, writer: asyncio.subprocess.Process
) -> dict[str, float]:
    sent, acknowledged, took_s = await _generate(bus, options.rate, options.seconds)
    stored = await _wait_for(database, acknowledged)
    writer.send_signal(signal.SIGTERM)
    output, _ = await asyncio.wait_for(writer.communicate(), 20)
    lag = json.loads(output.decode().splitlines()[0])
    return {
        "offered_per_s": options.rate,
        "sustained_per_s": round(acknowledged / took_s),
        "p50_ms": lag["p50_ms"],
        "p99_ms": lag["p99_ms"],
        "lost": acknowledged - stored,
        "sent": sent,
    }


async def _generate(bus: Bus, rate: int, seconds_s: float) -> tuple[int, int, float]:
    """Offer observations at an even rate; return how many were sent and acknowledged, and in which time.

    The time ends when the last one was acknowledged, so a backlog lowers the sustained rate.
    """
    batcher = MicroBatcher(bus)
    clock = SystemClock()
    names = [f"sensor-{i:04d}" for i in range(SOURCES)]
    begun = time.perf_counter()
    sent = 0
    while (elapsed_s := time.perf_counter() - begun) < seconds_s:
        now = clock.now()
        for i in range(sent, int(elapsed_s * rate)):
            batcher.add(
                Observation(
                    source_id=names[i % SOURCES],
                    kind=ObservationKind.READING,
                    event_time=now + timedelta(microseconds=i // SOURCES),
                    receive_time=now,
                    property="gas_ch4",
                    value=float(i % 97),
                    unit=Unit.PPM,
                )
            )
        sent = max(sent, int(elapsed_s * rate))
        await asyncio.sleep(TICK_S)
    await batcher.flush()
    return sent, batcher.stored_count, time.perf_counter() - begun


async def _wait_for(database: Database, wanted: int) -> int:
    deadline = time.monotonic() + DRAIN_S
    while True:
        async with database.reading() as tx:
            stored = int(await tx.connection.fetchval("SELECT count(*) FROM observation"))
        if stored >= wanted or time.monotonic() > deadline:
            return stored
        await asyncio.sleep(0.2)


async def _write_until_told(directory: Path) -> None:
    """Run the writer as its role does, and print its percentiles at the end."""
    folder = Folder(directory)
    run = folder.read_run()
    clock = SystemClock()
    lags_ms: list[float] = []

    def on_committed(deliveries: Sequence[Delivery]) -> None:
        now = clock.now()
        lags_ms.extend(
            (now - delivery.observations[0].receive_time) / timedelta(milliseconds=1)
            for delivery in deliveries
        )

    database = await open_database(run.database_url, clock, size=4)
    bus = await connect(folder.bus_url(run, BusLogin.CORE), "bench-writer", inbox=BusLogin.CORE.inbox)
    work = asyncio.create_task(Writer(database, bus, clock, 30, on_committed).run())
    await asyncio.sleep(WARM_UP_S)
    print("ready", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    work.cancel()
    await asyncio.wait({work}, timeout=2)
    p50, p99 = np.percentile(np.array(lags_ms), [50, 99])
    print(json.dumps({"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}), flush=True)
    await bus.close()
    await database.close()
