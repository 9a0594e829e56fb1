"""Seventeen cameras run in two processes; each dies alone, and records without PostgreSQL."""

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from running_city import RunningCity

pytestmark = [pytest.mark.faults, pytest.mark.engines, pytest.mark.timeout(900)]

CAMERAS = 17


def pid_of_shard(city: RunningCity, shard: int) -> int | None:
    """Return the process of one shard of cameras, None while it is away."""
    assert city.process is not None
    for child in psutil.Process(city.process.pid).children():
        try:
            words = child.cmdline()
        except psutil.Error:
            continue
        if "video" in words and "run" in words:
            found = int(words[words.index("--shard") + 1]) if "--shard" in words else 0
            if found == shard and child.status() != psutil.STATUS_ZOMBIE:
                return child.pid
    return None


def recorded(city: RunningCity) -> dict[str, int]:
    """Return the bytes that each camera has recorded."""
    folders = [path for path in city.folder.recordings.iterdir() if path.is_dir()]
    return {path.name: sum(_size(file) for file in path.glob("*/*.mp4")) for path in folders}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def until(condition, what: str, city: RunningCity, limit_s: float = 120.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}\n{city.logs()}"
        await asyncio.sleep(0.1)


async def growing(city: RunningCity, cameras: set[str], limit_s: float = 120.0) -> None:
    """Return when each of `cameras` records."""
    before = recorded(city)
    await until(
        lambda: all(recorded(city).get(id_, 0) > before.get(id_, 0) for id_ in cameras),
        f"recordings of {sorted(cameras)} to grow",
        city,
        limit_s,
    )


async def kill_and_wait(city: RunningCity, shard: int) -> None:
    before = pid_of_shard(city, shard)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    await until(lambda: pid_of_shard(city, shard) not in (None, before), f"shard {shard} to come back", city)


async def test_each_shard_dies_alone_and_records_without_postgresql() -> None:
    environment = {"SAFECITY_SIMULATOR_CAMERAS": str(CAMERAS)}
    with RunningCity("--headless", environment=environment) as city:
        await until(lambda: pid_of_shard(city, 1) is not None, "a second video process", city)
        await city.healthy()
        assert (city.folder.logs / "video-1.log").exists()
        rows = await city.rows("SELECT id, shard FROM camera_setup")
        shards = {shard: {row["id"] for row in rows if row["shard"] == shard} for shard in (0, 1)}
        assert [len(cameras) for cameras in shards.values()] == [16, 1]
        await growing(city, shards[0] | shards[1])

        other = pid_of_shard(city, 0)
        await kill_and_wait(city, 1)
        await growing(city, shards[1])
        assert pid_of_shard(city, 0) == other
        await city.healthy()

        postgres = city.pid_of("postgres")
        assert postgres is not None
        engine = [psutil.Process(postgres), *psutil.Process(postgres).children(recursive=True)]
        for process in engine:
            process.suspend()
        try:
            await kill_and_wait(city, 0)
            # Told by the file that it keeps, because nobody else can tell.
            await growing(city, shards[0] | shards[1])
        finally:
            for process in engine:
                process.resume()
        await city.healthy()
        report = city.check("--recordings")
        assert report["ok"], report
        assert city.stop() == 0
