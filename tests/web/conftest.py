"""Fixtures of the web room: a town, a built console, a serving house."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from safecity.access.sealed import KeyRing
from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus
from safecity.clock import ManualClock
from safecity.config import Settings
from safecity.operations.relay import Relay
from safecity.store.database import Database
from safecity.web.deps import WebDeps
from web_house import House, Town, serving


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """A town in a folder."""
    (tmp_path / "basemap.pmtiles").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "city.json").write_text('{"name": "Kichik"}', encoding="utf-8")
    return Town(folder=tmp_path)


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A built console, as small as can be."""
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Safe City</title>", encoding="utf-8")
    (folder / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    (folder / "assets" / "app-1a2b.js").write_text("export {};", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("not for anybody", encoding="utf-8")
    return folder


@pytest.fixture
def camera_keys(tmp_path: Path) -> KeyRing:
    """The keys to the cameras' accounts."""
    ring = KeyRing(tmp_path / "secrets" / "camera-key")
    ring.ensure()
    return ring


@pytest.fixture
def deps(
    database: Database, bus: Bus, clock: ManualClock, town: Town, shell: Path, camera_keys: KeyRing
) -> WebDeps:
    """What the web room is given."""
    return WebDeps(
        db=database,
        bus=bus,
        batcher=MicroBatcher(bus),
        settings=Settings(),
        clock=clock,
        city=town,
        simulated=True,
        static_dir=shell,
        roles=("intake",),
        camera_keys=camera_keys.public,
    )


@pytest.fixture
async def house(deps: WebDeps, clock: ManualClock) -> AsyncIterator[House]:
    """A serving web room."""
    async with serving(deps, clock) as opened:
        yield opened


@pytest.fixture
async def relay(database: Database, bus: Bus) -> AsyncIterator[Relay]:
    """The relay from the outbox to the bus, at work."""
    working = Relay(database, bus)
    task = asyncio.create_task(working.run())
    yield working
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
