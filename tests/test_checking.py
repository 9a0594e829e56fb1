"""`safecity check --recordings` says what is recorded, held and free, and finds what was changed."""

import json
from pathlib import Path

import msgspec
import pytest

from engines import PostgresServer
from safecity import checking
from safecity.clock import ManualClock
from safecity.deployment import Folder, RunFile
from safecity.model.video import Hold
from video.entries import CAMERA, START, IndexWriter

pytestmark = pytest.mark.engines


async def _installation(tmp_path: Path, postgres: PostgresServer, clock: ManualClock) -> tuple[Folder, str]:
    name, database = await postgres.fresh(clock)
    hold = Hold(
        id="hold-1",
        camera_id=CAMERA,
        start=START,
        end=START.replace(minute=1, second=30),
        reason="evidence",
        by="Malika",
        at=clock.now(),
    )
    async with database.writing() as tx:
        tx.put(hold)
        await tx.journal(actor="Malika", action="recording.hold", object_kind="hold", object_id=hold.id)
    await database.close()
    folder = Folder(tmp_path)
    folder.prepare()
    run = RunFile(
        data_dir=str(tmp_path),
        config_path="",
        database_url=postgres.url(name),
        nats_url="",
        web_host="",
        web_port=0,
        mqtt_host="",
        mqtt_port=0,
        rtsp_port=0,
        simulated=True,
    )
    folder.write_private(folder.run_file, msgspec.json.encode(run))
    return folder, name


async def test_recordings_are_verified_with_holds_and_space(
    tmp_path: Path, postgres: PostgresServer, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, name = await _installation(tmp_path, postgres, clock)
    writer = IndexWriter(folder.recordings / CAMERA)
    files = writer.record(5)
    writer.delete(files[4], clock.now())
    assert await checking.run(folder, as_json=True, recordings=True) == 0
    verdict = json.loads(capsys.readouterr().out)
    (chain,) = verdict["recordings"]
    assert (chain["files"], chain["deleted"], chain["bytes"]) == (5, 1, 40)
    assert (chain["held_files"], chain["held_bytes"]) == (2, 20)
    assert verdict["free_mb"] > 0
    (writer.folder / files[0].path).write_bytes(b"0123456780")
    assert await checking.run(folder, as_json=False, recordings=True) == 1
    said = capsys.readouterr().out
    assert f"{CAMERA}: {files[0].path}: fragment 0 was changed" in said
    assert "4 files, 5 fragments, 0 MB, 2 of them held, 1 deleted before: something is wrong" in said
    assert "held: 0 MB, free on their disk:" in said
    await postgres.drop(name)
