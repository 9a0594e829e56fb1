"""`safecity camera`, `token`, `account`, `device` against the database of a running installation."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from engines import PostgresServer
from operations.builders import NOON
from safecity.access import accounts
from safecity.access.accounts import Door
from safecity.access.policy import Role
from safecity.access.sessions import find
from safecity.access.tokens import machine_of
from safecity.cli import main, parser
from safecity.clock import ManualClock, SystemClock
from safecity.deployment import Folder, RunFile
from safecity.model.video import CameraSetup, Transport
from safecity.store import journal
from safecity.store.database import Database

pytestmark = pytest.mark.engines

SECRET = "grey-cranes-7"
GATE = (
    *("camera", "add", "gate", "--name", "North gate", "--lon", "69.24", "--lat", "-41.31"),
    *("--url", "rtsp://10.0.0.7/main"),
)
RULES = """
[[rule]]
kind = "zone_intrusion"
name = "lawn"
polygon = [[0, 0], [1, 0], [1, 1]]

[[mask]]
name = "window"
polygon = [[0, 0], [0.5, 0], [0.5, 0.5]]
"""

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def folder(database: Database, postgres: PostgresServer, tmp_path: Path) -> Folder:
    """The data folder of an installation whose database runs."""
    made = Folder(tmp_path / "var")
    made.prepare()
    made.camera_keys.ensure()
    name = await database.pool.fetchval("SELECT current_database()")
    made.write_run(
        RunFile(
            data_dir=str(made.root),
            config_path="",
            database_url=postgres.url(name),
            nats_url="",
            web_host="127.0.0.1",
            web_port=1,
            mqtt_host="127.0.0.1",
            mqtt_port=2,
            rtsp_port=3,
            simulated=False,
        )
    )
    return made


@pytest.fixture
def run(folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command as its users do; `typed` comes on standard input."""

    async def running(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main, [*arguments, "--data", str(folder.root)])
        output = capsys.readouterr()
        return int(ended.value.code or 0), output.out, output.err

    return running


async def _setup(database: Database) -> CameraSetup:
    async with database.reading() as tx:
        return await tx.get(CameraSetup, "gate")


async def test_the_life_of_a_camera(run: Run, database: Database, folder: Folder, tmp_path: Path) -> None:
    rules, password = tmp_path / "gate.toml", tmp_path / "password"
    rules.write_text(RULES)
    password.write_text(SECRET + "\n")
    assert (await run(*GATE, "--user", "viewer", "--rules", str(rules), typed=SECRET + "\n"))[0] == 0
    made = await _setup(database)
    assert (made.place.lat, made.rules[0].name, made.masks[0].name) == (-41.31, "lawn", "window")
    assert await _password(database, folder) == SECRET
    code, out, _ = await run(
        *("camera", "change", "gate", "--name", "Gate", "--transport", "udp", "--no-blur", "--no-on"),
        *("--retention-days", "3", "--sub-url", "rtsp://10.0.0.7/sub", "--heading", "90", "--lon", "69.25"),
    )
    assert (code, out) == (0, "Gate changed\n")
    changed = await _setup(database)
    assert (changed.transport, changed.blur_persons, changed.enabled) == (Transport.UDP, False, False)
    assert (changed.place.lon, changed.place.lat, changed.retention.max_age_days) == (69.25, -41.31, 3.0)
    assert changed.rules == made.rules
    assert (await run("camera", "change", "gate", "--name", "Gate"))[1] == "Gate is like that already\n"
    await run("camera", "change", "gate", "--retention-days", "0", "--on", "--blur")
    assert (await _setup(database)).retention.max_age_days is None
    code, out, _ = await run("camera", "list")
    assert out.splitlines()[1].split() == ["gate", "Gate", "connecting", "no", "yes", "0", "1", "1"]
    code, out, _ = await run("camera", "show", "gate")
    assert "account            set" in out
    assert json.loads((await run("camera", "show", "gate", "--json"))[1])["id"] == "gate"
    assert json.loads((await run("camera", "list", "--json"))[1])["setups"][0]["id"] == "gate"
    assert (await run("camera", "account", "gate", "--user", "other", "--password-file", str(password)))[
        0
    ] == 0
    assert await _password(database, folder) == SECRET
    assert (await run("camera", "rotate-key"))[1] == "1 accounts were sealed anew\n"
    assert await _password(database, folder) == SECRET
    assert (await run("camera", "account", "gate", "--none"))[0] == 0
    code, out, _ = await run("camera", "remove", "gate")
    assert "until their retention ends" in out
    async with database.reading() as tx:
        entries = await journal.page(tx, 0, 100)
        assert (await journal.check(tx)).ok
    assert all(entry.actor.startswith("system:cli/") for entry in entries)
    assert SECRET not in str(entries)


async def _password(database: Database, folder: Folder) -> str:
    sealed = await database.pool.fetchval("SELECT sealed FROM camera_account WHERE camera_id = 'gate'")
    return folder.camera_keys.open(bytes(sealed), "gate").password


async def test_recordings_are_held_and_released(run: Run) -> None:
    await run(*GATE)
    times = ("--from", NOON.isoformat(), "--to", (NOON + timedelta(hours=1)).isoformat())
    _, out, _ = await run("camera", "hold", "gate", *times, "--reason", "break-in")
    hold_id = out.split("release ")[1].split("'")[0]
    assert "break-in" in (await run("camera", "holds"))[1]
    assert (await run("camera", "release", hold_id))[0] == 0
    assert "break-in" not in (await run("camera", "holds"))[1]
    assert (await run("camera", "release", hold_id))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("camera", "show", "none"), "there is no camera"),
        (("camera", "remove", "none"), "there is no camera setup"),
        (("camera", "account", "gate"), "--none"),
        ((*GATE[:-1], f"rtsp://viewer:{SECRET}@10.0.0.7/main"), "must not hold an account"),
        ((*GATE, "--rules", "/none.toml"), "cannot be read"),
        ((*GATE, "--heading", "400"), "heading_deg"),
        ((*GATE, "--retention-days", "-2"), "cannot be kept"),
        ((*GATE, "--user", "viewer", "--password-file", "/none"), "cannot be read"),
        (("camera", "probe", "http://10.0.0.7/"), "rtsp://"),
        (("token", "make", "x1", "--role", "cook"), "no role 'cook'"),
        (("token", "disable", "none"), "no system called"),
        (("account", "disable", "nobody"), "nobody called"),
        (("device", "add", "a b"), "1 to 64 letters"),
    ],
)
async def test_mistakes_are_told_in_one_sentence(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = await run(*arguments)
    assert (code, out) == (1, "")
    assert any(part in err for part in says.split("|")), err
    assert err.count("\n") == 1
    assert SECRET not in err


async def test_without_an_installation_it_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        await asyncio.to_thread(main, ["camera", "list", "--data", str(tmp_path)])
    assert "nothing runs in" in capsys.readouterr().err


async def test_while_it_is_still_starting_it_says_so(run: Run, database: Database) -> None:
    await database.pool.execute("DROP TABLE camera_account, camera_setup")
    code, _, err = await run("camera", "list")
    assert (code, "still starting" in err) == (1, True)


def test_no_command_takes_a_password_as_an_argument() -> None:
    camera = parser()._subparsers._group_actions[0].choices["camera"]  # type: ignore[union-attr, index]
    commands = camera._subparsers._group_actions[0].choices
    for name, command in commands.items():
        assert "example:" in command.format_help(), name
        options = [option for action in command._actions for option in action.option_strings]
        assert not {"--password", "-p"} & set(options), name


async def test_a_token_is_shown_once_and_works_until_it_is_disabled(run: Run, database: Database) -> None:
    _, out, _ = await run("token", "make", "telephony", "--role", "telephony")
    token = out.strip()
    machine = await machine_of(database, token)
    assert machine is not None
    assert machine.roles == {Role.TELEPHONY}
    listed = (await run("token", "list"))[1]
    assert "telephony" in listed
    assert token not in listed
    assert (await run("token", "disable", "telephony"))[0] == 0
    assert await machine_of(database, token) is None


async def test_a_disabled_person_is_out_at_once(run: Run, database: Database, clock: ManualClock) -> None:
    del clock
    real = SystemClock()
    link = await accounts.create_link(database, (Role.DISPATCHER,), real)
    database.clock = real
    begun = await Door(database, real).use_link(link, "Malika", "seven grey cranes over water", "test")
    assert await find(database, begun.token, 3600) is not None
    assert "Malika" in (await run("account", "list"))[1]
    assert (await run("account", "disable", "malika"))[0] == 0
    assert await find(database, begun.token, 3600) is None
    assert (await run("account", "disable", "Malika"))[0] == 1
    async with database.reading() as tx:
        assert (await journal.check(tx)).ok


async def test_a_device_gets_a_login_of_its_own(run: Run, folder: Folder) -> None:
    _, out, _ = await run("device", "add", "smoke-17")
    (login,) = folder.devices()
    assert (login.device_id, login.password) == ("smoke-17", out.splitlines()[0])
    assert (await run("device", "add", "smoke-17"))[0] == 1
    assert (await run("device", "list"))[1] == "smoke-17\n"
