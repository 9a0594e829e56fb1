"""The data folder, its secrets, its ports; the supervisor and what it does with processes that die."""

import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from safecity.bus.logins import BusLogin
from safecity.deployment import Folder, RunFile, free_port
from safecity.errors import Configuration, Unavailable
from safecity.supervisor import Program, State, Supervisor


def test_secrets_are_for_the_owner_only_and_last(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "var")
    folder.prepare()
    first = folder.secret("nats")
    assert folder.secret("nats") == first
    assert folder.secret("other") != first
    assert stat.S_IMODE((folder.secrets / "nats").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.secrets.stat().st_mode) == 0o700


def test_the_run_file_is_private_and_its_repr_is_silent(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "var")
    folder.prepare()
    with pytest.raises(Configuration, match="nothing runs"):
        folder.read_run()
    run = RunFile(
        data_dir="d",
        config_path="",
        database_url="postgresql://x:topsecret@127.0.0.1/x",
        nats_url="nats://x:topsecret@127.0.0.1",
        web_host="127.0.0.1",
        web_port=1,
        mqtt_host="127.0.0.1",
        mqtt_port=2,
        rtsp_port=3,
        simulated=True,
    )
    folder.write_run(run)
    assert folder.read_run() == run
    assert stat.S_IMODE(folder.run_file.stat().st_mode) == 0o600
    assert "topsecret" not in repr(run)
    folder.run_file.write_text("{")
    with pytest.raises(Configuration, match="cannot be read"):
        folder.read_run()


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Configuration, match="--data DIR"):
        Folder(tmp_path / "file" / "var").prepare()


def test_a_taken_port_is_replaced_and_a_wrong_address_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port, "a test") != port
    with pytest.raises(Configuration, match="cannot be used"):
        free_port("203.0.113.1", 0, "a test")


def _program(tmp_path: Path, code: str, **more: object) -> Program:
    mark = tmp_path / "ready"

    async def ready() -> bool:
        return mark.exists()

    return Program(
        name="sleeper",
        command=[sys.executable, "-c", code, str(mark)],
        log_path=tmp_path / "log",
        ready=ready,
        **more,  # type: ignore[arg-type]
    )


SLEEPER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a process has no event of ours
            await asyncio.sleep(0.01)


async def test_what_was_killed_comes_back(tmp_path: Path) -> None:
    supervisor = Supervisor()
    await supervisor.start(_program(tmp_path, SLEEPER))
    child = supervisor.children["sleeper"]
    try:
        for _ in range(2):
            before = child.pid
            assert before is not None
            os.kill(before, signal.SIGKILL)
            await _until(
                lambda before=before: child.pid not in (None, before) and child.state is State.RUNNING
            )
        assert child.restarts == 2
    finally:
        await supervisor.stop_all()
    assert supervisor.states() == {"sleeper": State.DOWN}
    assert child.pid is None


async def test_what_does_not_listen_is_killed(tmp_path: Path) -> None:
    supervisor = Supervisor()
    await supervisor.start(_program(tmp_path, DEAF))
    pid = supervisor.children["sleeper"].pid
    assert pid is not None
    await supervisor.stop_all()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    supervisor = Supervisor()
    with pytest.raises(Unavailable, match="no such thing"):
        await supervisor.start(_program(tmp_path, "import sys; sys.exit('no such thing')"))
    await supervisor.stop_all()


async def test_children_do_not_outlive_the_supervisor(tmp_path: Path) -> None:
    code = f"""
import asyncio, pathlib, sys
sys.path[:0] = {sys.path!r}
from safecity.supervisor import Program, Supervisor
mark = pathlib.Path({str(tmp_path / "ready")!r})
async def ready(): return mark.exists()
async def main():
    supervisor = Supervisor()
    await supervisor.start(Program(name="s", command=[sys.executable, "-c", {SLEEPER!r}, str(mark)],
        log_path=pathlib.Path({str(tmp_path / "log")!r}), ready=ready))
    print(supervisor.children["s"].pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child_pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    parent.kill()
    await parent.wait()

    def gone() -> bool:
        try:
            os.kill(child_pid, 0)
        except ProcessLookupError:
            return True
        return Path(f"/proc/{child_pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"

    await _until(gone)


def test_each_group_of_roles_has_a_login_of_its_own_unless_the_bus_is_somebody_elses(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "var")
    folder.prepare()
    run = RunFile(
        data_dir="d",
        config_path="",
        database_url="",
        nats_url="nats://127.0.0.1:4222",
        own_bus=True,
        web_host="127.0.0.1",
        web_port=1,
        mqtt_host="127.0.0.1",
        mqtt_port=2,
        rtsp_port=3,
        simulated=True,
    )
    urls = {folder.bus_url(run, login) for login in BusLogin}
    assert len(urls) == len({url.rpartition(":")[0].rpartition(":")[2] for url in urls}) == len(BusLogin)
    web = folder.bus_passwords()[BusLogin.WEB]
    assert folder.bus_url(run, BusLogin.WEB) == f"nats://safecity.web:{web}@127.0.0.1:4222"
    external = msgspec.structs.replace(run, nats_url="nats://us:secret@bus.example:4222", own_bus=False)
    assert {folder.bus_url(external, login) for login in BusLogin} == {external.nats_url}
