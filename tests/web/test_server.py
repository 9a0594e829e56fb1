"""The server: figures, health, an orderly end, a port that is taken."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engines import NatsServer, PostgresServer, until
from safecity.access.policy import Role
from safecity.errors import Configuration
from safecity.web.server import listen
from web_house import House

pytestmark = pytest.mark.engines

STOPS_WITHIN_S = 5.0


async def test_health_is_open_and_says_what_is_down(house: House, nats_server: NatsServer) -> None:
    client = await house.stranger()
    report = (await client.get("/health")).json()
    assert report == {
        "status": "degraded",
        "roles": {"database": "running", "bus": "running", "intake": "starting"},
    }
    nats_server.kill()
    await until(lambda: not house.deps.bus.client.is_connected)
    assert (await client.get("/health")).json()["roles"]["bus"] == "down"


async def test_figures(house: House) -> None:
    monitor = await house.machine(Role.MONITOR)
    await monitor.get("/api/incidents/never-in-a-label")
    text = (await monitor.get("/metrics")).text
    assert 'path="/api/incidents/{incident_id}"' in text
    assert "never-in-a-label" not in text
    assert "safecity_live_clients 0.0" in text
    assert 'safecity_role_up{role="intake"} 0.0' in text


def test_a_taken_port_is_a_sentence_or_another_port() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Configuration, match=r"web\.port"):
            listen("127.0.0.1", port)
        with listen("127.0.0.1", port, or_any=True) as found:
            assert found.getsockname()[1] != port


PROGRAM = """
import asyncio, sys
from pathlib import Path
from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import connect
from safecity.clock import SystemClock
from safecity.config import Settings
from safecity.store.database import open_database
from safecity.web.app import create_app
from safecity.web.deps import WebDeps
from safecity.web.server import serve
from web_house import Town

async def main(database_url, nats_url, folder):
    clock = SystemClock()
    bus = await connect(nats_url, "web")
    deps = WebDeps(db=await open_database(database_url, clock), bus=bus, batcher=MicroBatcher(bus),
        settings=Settings(), clock=clock, city=Town(folder=Path(folder)), simulated=True,
        static_dir=Path(folder))
    await serve(create_app(deps), "127.0.0.1", 0, on_listening=lambda _, port: print(port, flush=True))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_sigterm_ends_it_though_consoles_are_connected(
    house: House, postgres: PostgresServer, nats_server: NatsServer, tmp_path: Path
) -> None:
    name = await house.deps.db.pool.fetchval("SELECT current_database()")
    person = await house.person(Role.DISPATCHER)
    process = subprocess.Popen(  # noqa: ASYNC220 - it only starts here
        [sys.executable, "-c", PROGRAM, postgres.url(name), nats_server.url, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    try:
        assert process.stdout is not None
        port = int(await asyncio.to_thread(process.stdout.readline))
        there = House(deps=house.deps, app=house.app, port=port, clock=house.clock, stack=house.stack)
        async with there.socket(person) as link:
            await link.say(type="hello", since=None)
            await link.hear("snapshot")
            os.kill(process.pid, signal.SIGTERM)
            await asyncio.wait_for(asyncio.to_thread(process.wait), STOPS_WITHIN_S)
    finally:
        process.kill()
        process.wait()
