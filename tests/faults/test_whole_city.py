"""The headless demo sums up honestly; stopping is quick and clean; starting again goes on where it was."""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

import pytest

from running_city import RunningCity
from safecity.deployment import Folder
from safecity.errors import StorageFull

pytestmark = [pytest.mark.faults, pytest.mark.engines, pytest.mark.timeout(600)]


def test_a_headless_run_ends_with_its_figures() -> None:
    with RunningCity("--headless", "--for", "60", "--speed", "10", "--json") as city:
        assert city.process is not None
        assert city.process.wait(180) == 0
        figures = json.loads(city.output().splitlines()[-1])
    assert figures["journal_ok"] is True
    assert figures["lost"] == 0
    assert figures["incidents_opened"] >= figures["incidents_dispatched"] >= 1
    assert figures["incidents_closed"] >= 1
    assert {"reading", "position", "call", "video", "device"} <= figures["observations"].keys()
    assert figures["event_to_incident_ms"]["p50"] > 0
    assert figures["rss_mb"] > 100


async def test_stop_and_start_again_and_who_else_wants_the_folder() -> None:
    with RunningCity() as city:
        await city.healthy()
        link = city.link
        assert "welcome?token=" in link
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "safecity.cli", "demo", "--data", str(city.directory)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, words = await asyncio.wait_for(second.communicate(), 60)
        assert second.returncode == 1
        assert b"already runs" in words
        deadline = time.monotonic() + 120
        while not await city.rows("SELECT id FROM incident LIMIT 1"):
            assert time.monotonic() < deadline, f"no incident\n{city.logs()}"
            await asyncio.sleep(0.5)
        before = await city.rows("SELECT seq, hash FROM journal ORDER BY seq")
        assert city.stop(signal.SIGTERM) == 0
        assert not city.folder.run_file.exists()
        city.start()
        await city.healthy()
        after = await city.rows("SELECT seq, hash FROM journal ORDER BY seq LIMIT $1", len(before))
        assert after == before
        assert city.check()["ok"]
        assert city.stop() == 0


def test_a_full_disk_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # More than any disk has: the true figure of the file system is compared with it.
    monkeypatch.setattr("safecity.deployment.MIN_FREE_MB", 10**9)
    with pytest.raises(StorageFull, match="--data DIR"):
        Folder(tmp_path / "var").prepare()
