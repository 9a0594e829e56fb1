"""A start makes cameras of the simulated city and of former files, and leaves no account in the open."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from safecity.city import City
from safecity.config import SimulatorSection
from safecity.deployment import Folder
from safecity.model.source import Camera
from safecity.model.video import CameraSetup
from safecity.operations import cameras
from safecity.operations.command import Order
from safecity.seeding import register_simulated_cameras, take_over_former_cameras
from safecity.simulator.camera import SimulatedCamera
from safecity.simulator.scenario import build_scenario
from safecity.simulator.setups import camera_setups
from safecity.store import journal
from safecity.store.database import Database

pytestmark = pytest.mark.engines

FORMER = {
    "id": "gate",
    "name": "Gate",
    "url": "rtsp://10.0.0.7/main",
    "place": {"lon": 13.2, "lat": 53.5},
    "user": "viewer",
    "password": "grey-cranes-7",
    "zones": [{"name": "lawn", "polygon": [[0, 0], [1, 0], [1, 1]]}],
}
SIMULATED = FORMER | {"id": "camera-1", "simulated": True}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A data folder with its camera key."""
    made = Folder(tmp_path / "var")
    made.prepare()
    made.camera_keys.ensure()
    return made


def _everything(folder: Folder) -> bytes:
    files = [path for path in folder.root.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files if path != folder.simulated_cameras_file)


async def test_simulated_cameras_become_setups_once(
    folder: Folder, database: Database, demo_city: City
) -> None:
    scenario = build_scenario(demo_city, SimulatorSection(cameras=18))
    folder.scenario_file.write_bytes(msgspec.json.encode(scenario))
    assert await register_simulated_cameras(folder, database) == 18
    await cameras.remove(database, Order(actor="Anna"), "camera-2")
    assert await register_simulated_cameras(folder, database) == 1
    async with database.reading() as tx:
        setups, seen = await tx.current(CameraSetup), await tx.current(Camera)
        assert (await journal.check(tx)).ok
    assert sorted(setup.shard for setup in setups) == [0] * 16 + [1] * 2
    assert {camera.id for camera in seen} == {setup.id for setup in setups}
    assert all(setup.url.startswith("simulator:///cam/") and setup.simulated for setup in setups)


async def test_the_simulator_serves_the_accounts_that_are_sealed(
    folder: Folder, database: Database, demo_city: City
) -> None:
    scenario = build_scenario(demo_city, SimulatorSection())
    folder.scenario_file.write_bytes(msgspec.json.encode(scenario))
    served, _ = camera_setups(scenario, folder.secret)
    await register_simulated_cameras(folder, database)
    rows = await database.pool.fetch("SELECT camera_id, sealed FROM camera_account ORDER BY camera_id")
    opened = [folder.camera_keys.open(bytes(row["sealed"]), row["camera_id"]) for row in rows]
    assert [(a.user, a.password) for a in opened] == [_account(camera) for camera in served]


def _account(camera: SimulatedCamera) -> tuple[str, str]:
    return camera.user, camera.password


@pytest.mark.parametrize("nested", [False, True])
async def test_a_former_file_is_taken_over_and_gone(folder: Folder, database: Database, nested: bool) -> None:
    given: list[dict[str, Any]] = [FORMER, SIMULATED]
    if nested:
        given = [_nested(camera) for camera in given]
    folder.former_cameras_file.write_text(json.dumps(given))
    await take_over_former_cameras(folder, database)
    assert not folder.former_cameras_file.exists()
    assert b"grey-cranes-7" not in _everything(folder)
    async with database.reading() as tx:
        (setup,) = await tx.current(CameraSetup)
        sealed = await tx.connection.fetchval("SELECT sealed FROM camera_account WHERE camera_id = 'gate'")
    assert (setup.id, [rule.name for rule in setup.rules]) == ("gate", ["lawn"])
    assert folder.camera_keys.open(bytes(sealed), "gate").password == "grey-cranes-7"
    await take_over_former_cameras(folder, database)


def _nested(camera: dict[str, Any]) -> dict[str, Any]:
    setup = {key: value for key, value in camera.items() if key not in ("user", "password", "zones")}
    rules = [{"kind": "zone_intrusion", **zone} for zone in camera["zones"]]
    return {"setup": setup | {"rules": rules}, "user": camera["user"], "password": camera["password"]}


@pytest.mark.parametrize("content", ["{", "[1]", json.dumps([FORMER | {"url": "gopher://x"}])])
async def test_a_former_file_that_cannot_be_read_stays_and_is_named(
    folder: Folder, database: Database, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    folder.former_cameras_file.write_text(content)
    await take_over_former_cameras(folder, database)
    assert folder.former_cameras_file.exists()
    said = capsys.readouterr().out
    assert "cannot be taken over" in said
    assert "grey-cranes" not in said
