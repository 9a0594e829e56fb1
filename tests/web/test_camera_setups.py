"""Cameras administered over HTTP: who may, what is answered, and that no account ever comes out."""

import asyncio
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import until
from operations.builders import VIEWER, setup
from safecity.access.policy import Role
from safecity.access.sealed import KeyRing
from safecity.bus.subjects import live_start
from safecity.model.video import Calibration, StreamRole
from safecity.operations import cameras
from safecity.operations.command import Order
from safecity.operations.finding_cameras import FoundCamera
from safecity.operations.relay import Relay
from safecity.store import journal
from safecity.video.roster import Roster
from safecity.web.camera_setups import TRIES
from web_house import House

pytestmark = pytest.mark.engines

SECRET = "grey-cranes-7"
USER = "viewer-of-gates"
BODY = {"id": "gate", "name": "Gate", "place": {"lon": 69.2, "lat": 41.3}, "url": "rtsp://10.0.0.7/main"}
ACCOUNT = {"user": USER, "password": SECRET}
LAWN = {"kind": "zone_intrusion", "name": "lawn", "polygon": [[0, 0], [1, 0], [1, 1]]}
_keys = count()


async def _say(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None, key: str = ""
) -> httpx.Response:
    headers = {"Idempotency-Key": key or f"key-{next(_keys)}"}
    return await client.request(method, path, json=body, headers=headers)


@pytest.fixture
async def admin(house: House) -> httpx.AsyncClient:
    """Somebody who configures cameras."""
    return await house.person(Role.ADMINISTRATOR)


async def test_the_life_of_a_camera(house: House, admin: httpx.AsyncClient, camera_keys: KeyRing) -> None:
    made = (await _say(admin, "POST", "/api/cameras", {"setup": BODY, **ACCOUNT})).json()
    assert (made["setup"]["id"], made["has_account"], made["camera"]["name"]) == ("gate", True, "Gate")
    listed = (await admin.get("/api/camera-setups")).json()
    assert (listed["seqs"], list(listed["accounts"])) == ({"gate": made["seq"]}, ["gate"])
    changed = {**BODY, "name": "Yard", "rules": [LAWN]}
    path = "/api/cameras/gate/setup"
    answer = await _say(admin, "PUT", path, {"setup": changed, "seq": made["seq"]})
    assert answer.json()["setup"]["rules"][0]["name"] == "lawn"
    stale = await _say(admin, "PUT", path, {"setup": BODY, "seq": made["seq"]})
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    sealed = await house.deps.db.pool.fetchval("SELECT sealed FROM camera_account")
    assert camera_keys.open(bytes(sealed), "gate").password == SECRET
    answer = await _say(admin, "PUT", "/api/cameras/gate/account", {"user": "", "password": ""})
    assert answer.json()["has_account"] is False
    answer = await _say(admin, "DELETE", "/api/cameras/gate")
    assert "until their retention ends" in answer.json()["message"]
    assert (await admin.get("/api/camera-setups")).json()["setups"] == []
    assert (await _say(admin, "DELETE", "/api/cameras/gate")).status_code == 404


async def test_the_same_key_adds_one_camera(admin: httpx.AsyncClient) -> None:
    first, second = [
        await _say(admin, "POST", "/api/cameras", {"setup": BODY, **ACCOUNT}, key="k1") for _ in range(2)
    ]
    assert (first.status_code, first.content) == (200, second.content)
    other = await _say(admin, "POST", "/api/cameras", {"setup": {**BODY, "id": "door"}}, key="k1")
    assert other.status_code == 409


async def test_holds_are_of_the_duty_officer(house: House, admin: httpx.AsyncClient) -> None:
    await _say(admin, "POST", "/api/cameras", {"setup": BODY})
    officer = await house.person(Role.DUTY_OFFICER, name="Olim")
    now = house.clock.now()
    wanted = {"start": (now - timedelta(hours=1)).isoformat(), "end": now.isoformat(), "reason": "break-in"}
    assert (await _say(admin, "POST", "/api/cameras/gate/holds", wanted)).status_code == 403
    answer = await _say(officer, "POST", "/api/cameras/gate/holds", wanted)
    made = answer.json()["hold"]
    assert (made["by"], made["camera_id"]) == ("Olim", "gate")
    async with house.socket(officer) as socket:
        await socket.say(type="hello", since=None)
        snapshot = await socket.hear("snapshot")
    assert [hold["id"] for hold in snapshot["entities"]["hold"]] == [made["id"]]
    assert [one["id"] for one in snapshot["entities"]["camera_setup"]] == ["gate"]
    released = await _say(officer, "DELETE", f"/api/holds/{made['id']}")
    assert released.json()["hold"]["released_by"] == "Olim"
    assert (await _say(officer, "DELETE", f"/api/holds/{made['id']}")).status_code == 409
    assert (await _say(officer, "PUT", "/api/cameras/gate/setup", {"setup": BODY})).status_code == 403


async def test_an_administrator_alone_shows_nothing_that_is_hidden(
    house: House, admin: httpx.AsyncClient
) -> None:
    window = {"name": "window", "polygon": [[0, 0], [0.5, 0], [0.5, 0.5]]}
    body = {"setup": {**BODY, "masks": [window]}}
    assert (
        await _say(admin, "POST", "/api/cameras", {"setup": {**BODY, "blur_persons": False}})
    ).status_code == 403
    seq = (await _say(admin, "POST", "/api/cameras", body)).json()["seq"]
    path = "/api/cameras/gate/setup"
    for shown in ({**BODY}, {**BODY, "masks": [window], "blur_persons": False}):
        answer = await _say(admin, "PUT", path, {"setup": shown, "seq": seq})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "would show what is hidden now" in answer.json()["message"]
    async with house.deps.db.reading() as tx:
        refused = [e for e in await journal.page(tx, 0, 100) if e.action == "access.refused"]
    assert [(entry.object_id, "hidden now" in entry.text) for entry in refused] == [("gate", True)]
    both = await house.person(Role.ADMINISTRATOR, Role.DUTY_OFFICER, name="Zafar")
    answer = await _say(both, "PUT", path, {"setup": {**BODY, "blur_persons": False}, "seq": seq})
    assert answer.status_code == 200
    async with house.deps.db.reading() as tx:
        told = (await journal.page(tx, 0, 100))[-1].text
    assert "mask 'window' removed" in told
    assert "people are shown as they are" in told


async def test_setups_are_not_shown_to_those_who_only_see_cameras(
    house: House, admin: httpx.AsyncClient
) -> None:
    await _say(admin, "POST", "/api/cameras", {"setup": BODY})
    dispatcher = await house.person(Role.DISPATCHER, name="Dilnoza")
    assert (await dispatcher.get("/api/camera-setups")).status_code == 403
    async with house.socket(dispatcher) as socket:
        await socket.say(type="hello", since=None)
        entities = (await socket.hear("snapshot"))["entities"]
    assert "camera_setup" not in entities
    assert [camera["id"] for camera in entities["camera"]] == ["gate"]


@pytest.mark.parametrize(
    "body",
    [
        {"setup": {**BODY, "url": f"rtsp://{USER}:{SECRET}@10.0.0.7/main"}},
        {"setup": {**BODY, "url": f"rtsp://10.0.0.7/main?user={USER}&password={SECRET}"}},
        {"setup": {**BODY, "onvif_url": f"http://{USER}:{SECRET}@10.0.0.7/onvif"}},
        {"setup": {**BODY, "rules": [{**LAWN, "polygon": [[0, 0]]}]}, **ACCOUNT},
        {"setup": {**BODY, "shard": -1}, **ACCOUNT},
        {"setup": {**BODY, "simulated": True}, **ACCOUNT},
        {"setup": BODY, "user": USER, "password": [SECRET]},
        {"setup": BODY, "user": USER, "password": SECRET + "\x00"},
        {"setup": BODY, "user": USER, "password": SECRET + "\n"},
        {"setup": BODY, "user": "", "password": SECRET},
        {"setup": BODY, "user": USER, "password": SECRET, "pin": SECRET},
        {"setup": BODY, "user": USER, "password": SECRET * 40},
        {"setup": {"id": "gate"}, **ACCOUNT},
        [SECRET],
    ],
)
async def test_what_cannot_be_is_refused_without_repeating_it(admin: httpx.AsyncClient, body: Any) -> None:
    answer = await _say(admin, "POST", "/api/cameras", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert len(answer.json()["message"]) > 10
    assert SECRET not in answer.text
    assert USER not in answer.text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_ROUTES = st.sampled_from(
    [
        ("POST", "/api/cameras"),
        ("PUT", "/api/cameras/gate/setup"),
        ("PUT", "/api/cameras/gate/account"),
        ("POST", "/api/cameras/gate/holds"),
        ("POST", "/api/cameras/probe"),
        ("DELETE", "/api/holds/x"),
    ]
)
_FIELDS = st.sampled_from(["setup", "user", "password", "seq", "start", "end", "reason", "url", "transport"])


@pytest.fixture
async def both(house: House) -> httpx.AsyncClient:
    """Somebody who configures cameras and holds recordings."""
    return await house.person(Role.ADMINISTRATOR, Role.DUTY_OFFICER, name="Zafar")


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(route=_ROUTES, body=_JSON | st.dictionaries(_FIELDS, _JSON | st.just(BODY)))
async def test_no_body_is_an_internal_error(
    both: httpx.AsyncClient, route: tuple[str, str], body: Any
) -> None:
    answer = await _say(both, *route, body)
    assert answer.status_code < 500, answer.text


async def _camera_that_refuses() -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()) and (cseq := await _rest(reader)):
            del line
            writer.write(
                b"RTSP/1.0 401 Unauthorized\r\nCSeq: " + cseq + b"\r\n"
                b'WWW-Authenticate: Basic realm="camera"\r\n\r\n'
            )
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    cseq = b""
    while (line := await reader.readline()).strip():
        if line.lower().startswith(b"cseq:"):
            cseq = line.split(b":")[1].strip()
    return cseq


async def test_an_address_is_tried_and_written_down_without_the_account(
    house: House, admin: httpx.AsyncClient
) -> None:
    server = await _camera_that_refuses()
    port = server.sockets[0].getsockname()[1]
    async with server:
        answer = await _say(
            admin, "POST", "/api/cameras/probe", {"url": f"rtsp://127.0.0.1:{port}/x", **ACCOUNT}
        )
    assert answer.status_code == 200
    assert answer.json()["state"] in ("refused", "lost")
    assert answer.json()["reason"]
    async with house.deps.db.reading() as tx:
        last = (await journal.page(tx, 0, 1000))[-1]
    assert (last.actor, last.action, last.text) == (
        "Malika",
        "camera.probe",
        f"a camera was looked for at 127.0.0.1:{port}",
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7/",
        "simulator:///cam/1",
        "rtsp://",
        "rtsp://h:99999/x",
        "rtsp://h/x\r\nSET",
        f"rtsp://u:{SECRET}@h/x",
    ],
)
async def test_only_rtsp_addresses_are_tried(admin: httpx.AsyncClient, url: str) -> None:
    answer = await _say(admin, "POST", "/api/cameras/probe", {"url": url})
    assert answer.status_code == 400
    assert SECRET not in answer.text


async def test_a_film_is_tried_only_where_films_may_lie_and_not_named_in_the_journal(
    house: House, admin: httpx.AsyncClient
) -> None:
    answer = await _say(admin, "POST", "/api/cameras/probe", {"url": "file:///etc/passwd"})
    assert (answer.status_code, answer.json()["state"]) == (200, "refused")
    assert "files_dir" in answer.json()["reason"]
    async with house.deps.db.reading() as tx:
        assert (await journal.page(tx, 0, 1000))[-1].text == "a camera was looked for at a file"


async def test_trying_addresses_is_no_way_to_scan_a_network(
    house: House, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    officer = await house.person(Role.DUTY_OFFICER, name="Olim")
    body = {"url": "rtsp://10.0.0.7/x"}
    assert (await _say(officer, "POST", "/api/cameras/probe", body)).status_code == 403
    monkeypatch.setattr("safecity.web.camera_setups.probe", _nothing)
    answers = [await _say(admin, "POST", "/api/cameras/probe", body) for _ in range(TRIES + 1)]
    assert [answer.status_code for answer in answers] == [200] * TRIES + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_a_search_is_written_down(
    house: House, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"name": "Gate", "address": "10.0.0.7", "onvif_url": "http://10.0.0.7/onvif/device_service"}

    async def find() -> list[FoundCamera]:
        return [FoundCamera(**found)]

    monkeypatch.setattr("safecity.web.camera_setups.find", find)
    answer = await _say(admin, "POST", "/api/cameras/discover")
    assert (answer.status_code, answer.json()) == (200, [found])
    async with house.deps.db.reading() as tx:
        assert (await journal.page(tx, 0, 1000))[-1].text == "cameras were searched for in the network"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://127.0.0.1:1/onvif/device_service", 503),
        ("rtsp://127.0.0.1/onvif", 400),
        (f"http://u:{SECRET}@127.0.0.1/onvif", 400),
        ("http://127.0.0.1:99999/", 400),
        ("file:///etc/passwd", 400),
    ],
)
async def test_only_devices_that_answer_describe_themselves(
    admin: httpx.AsyncClient, url: str, status: int
) -> None:
    answer = await _say(admin, "POST", "/api/cameras/describe", {"onvif_url": url, **ACCOUNT})
    assert answer.status_code == status, answer.text
    assert SECRET not in answer.text


async def test_a_change_names_the_version_that_was_edited(admin: httpx.AsyncClient) -> None:
    await _say(admin, "POST", "/api/cameras", {"setup": BODY})
    answer = await _say(admin, "PUT", "/api/cameras/gate/setup", {"setup": {**BODY, "name": "Yard"}})
    assert (answer.status_code, "seq" in answer.json()["message"]) == (400, True)


async def _nothing(request: object) -> dict[str, str]:
    return {"state": "lost", "reason": "nobody there"}


async def test_density_is_told_of_a_calibrated_camera(house: House, admin: httpx.AsyncClient) -> None:
    ground = ((13.26, 53.557), (13.2603, 53.557), (13.2603, 53.5572), (13.26, 53.5572))
    calibration = Calibration(picture=((0.1, 0.9), (0.9, 0.9), (0.8, 0.5), (0.2, 0.5)), ground=ground)
    order = Order(actor="Malika")
    await cameras.add(house.deps.db, order, setup("bare"), VIEWER, house.deps.camera_keys)
    await cameras.add(
        house.deps.db, order, setup("gate", calibration=calibration), VIEWER, house.deps.camera_keys
    )
    assert (await admin.get("/api/cameras/bare/density")).status_code == 404
    assert (await admin.get("/api/cameras/none/density")).status_code == 404
    told = (await admin.get("/api/cameras/gate/density?width_px=1920&height_px=1080")).json()
    assert 0 < told["least_px_per_m"] < told["most_px_per_m"]
    assert (await admin.get("/api/cameras/gate/density")).status_code == 503
    assert (await admin.get("/api/cameras/gate/density?width_px=0&height_px=5")).status_code == 400

    async def shard(data: bytes) -> bytes:
        assert data == b"peek"
        return msgspec.msgpack.encode({"mime": "video/mp4", "width": 1920, "height": 1080, "init": b""})

    await house.deps.bus.serve(live_start("gate", StreamRole.MAIN), shard)
    assert (await admin.get("/api/cameras/gate/density")).json() == told


async def test_after_a_full_round_the_account_is_nowhere(
    house: House, admin: httpx.AsyncClient, relay: Relay, camera_keys: KeyRing, tmp_path: Path
) -> None:
    """API answers, journal, outbox, every table, feed, cache, logs and refusals: nothing of the account."""
    answers: list[httpx.Response] = []
    frames: list[str] = []
    with structlog.testing.capture_logs() as logs:
        async with house.socket(admin) as socket:
            await socket.say(type="hello", since=None)
            for method, path, body in _round():
                newest = {"seq": answers[0].json()["seq"]} if "seq" in body else {}
                answers.append(await _say(admin, method, path, body | newest))
            answers.append(await admin.get("/api/camera-setups"))
            answers.append(await admin.get("/api/journal?after=0&limit=500"))
            await until(lambda: relay.published_total >= 2)
            frames.append(str(await socket.hear("snapshot")))
            while "Yard" not in frames[-1]:
                frames.append(str(await socket.hear("change")))
        cache = tmp_path / "roster-0.json"
        url = await _database_url(house)
        roster = Roster(url, cache, camera_keys, 0, house.clock)
        changes = roster.changes()
        assert (await anext(changes)).cameras[0].password == SECRET
        await changes.aclose()
    tables = await _all_rows(house)
    told = "\n".join(
        [*(answer.text + str(answer.headers) + str(answer.url) for answer in answers), *frames, str(logs)]
    )
    for place, content in (("told", told), ("tables", tables), ("cache", cache.read_text())):
        assert "gate" in content, place
        assert SECRET not in content, place
        assert USER not in content, place


def _round() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        ("POST", "/api/cameras", {"setup": BODY, **ACCOUNT}),
        ("POST", "/api/cameras", {"setup": BODY, **ACCOUNT}),
        ("PUT", "/api/cameras/gate/account", {**ACCOUNT, "password": [SECRET]}),
        ("PUT", "/api/cameras/none/account", ACCOUNT),
        ("PUT", "/api/cameras/gate/setup", {"setup": {**BODY, "name": "Yard"}, "seq": 0}),
        ("POST", "/api/cameras/probe", {"url": "rtsp://127.0.0.1:1/gate", **ACCOUNT}),
        ("POST", "/api/cameras/describe", {"onvif_url": "http://127.0.0.1:1/onvif", **ACCOUNT}),
        ("PUT", "/api/cameras/gate/account", ACCOUNT),
    ]


async def _database_url(house: House) -> str:
    async with house.deps.db.pool.acquire() as connection:
        name = await connection.fetchval("SELECT current_database()")
        port = await connection.fetchval("SELECT inet_server_port()")
    return f"postgresql://safecity:only-for-tests@127.0.0.1:{port}/{name}"


async def _all_rows(house: House) -> str:
    pool = house.deps.db.pool
    names = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = []
    for name in names:
        for row in await pool.fetch(f'SELECT * FROM "{name["tablename"]}"'):  # noqa: S608 - names of tables
            rows += [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in row.values()]
    return "\n".join(rows)
