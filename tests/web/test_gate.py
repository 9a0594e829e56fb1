"""Every route passes the gate: nothing answers without a session but sign-in, health and the shell."""

import re

import httpx
import pytest
from litestar import get
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from safecity.access.policy import Role
from safecity.errors import Configuration
from safecity.model.journal import Entry
from safecity.store import journal
from safecity.web.app import HANDLERS, create_app, demands
from safecity.web.deps import WebDeps
from safecity.web.gate import Access, Open
from safecity.web.telemetry import PATH as TELEMETRY
from web_house import House

pytestmark = pytest.mark.engines

OPEN = {
    "/",
    "/{name:str}",
    "/assets/{name:path}",
    "/api/sign-in",
    "/api/sign-in/link",
    "/api/sign-in/link/check",
    "/health",
}
SOCKETS = {"/api/live", "/api/cameras/{camera_id:str}/live"}


def _filled(path: str) -> str:
    return re.sub(r"\{[a-z_]+:[a-z]+\}", "x1", path)


def _closed(house: House) -> list[tuple[str, str]]:
    found = [(m, p) for m, p, demand in demands(house.app.framework) if isinstance(demand, Access)]
    assert len(found) > 30
    return [*((method, path) for method, path in found if method != "SOCKET"), ("POST", TELEMETRY)]


async def _entries(deps: WebDeps) -> list[Entry]:
    async with deps.db.reading() as tx:
        return await journal.page(tx, 0, 10_000)


def test_the_open_routes_are_these_and_no_others(deps: WebDeps) -> None:
    found = list(demands(create_app(deps).framework))
    assert {path for _, path, demand in found if isinstance(demand, Open)} == OPEN
    assert {path for method, path, _ in found if method == "SOCKET"} == SOCKETS
    assert {method for method, _, demand in found if demand is None} == {"OPTIONS"}


def test_a_route_without_an_action_cannot_be_served(deps: WebDeps) -> None:
    @get("/api/forgotten")
    async def forgotten() -> str:
        return "everything"

    with pytest.raises(Configuration, match="/api/forgotten"):
        create_app(deps, [*HANDLERS, forgotten])


async def test_every_closed_route_without_a_session_is_401(house: House) -> None:
    client = await house.stranger()
    for method, path in _closed(house):
        answer = await client.request(method, _filled(path), json={})
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.json()["code"] == "unauthenticated"
        preflight = await client.request("OPTIONS", _filled(path))
        assert preflight.status_code == 401, (path, preflight.text)


@pytest.mark.parametrize("credential", ["cookie", "bearer", "basic"])
async def test_a_wrong_credential_is_401(house: House, credential: str) -> None:
    client = await house.stranger()
    if credential == "cookie":
        client.cookies.set("safecity_session", "x" * 43)
    else:
        client.headers["Authorization"] = f"{credential} {'x' * 43}"
    for path in ("/api/session", "/metrics", "/basemap/city.pmtiles"):
        assert (await client.get(path)).status_code == 401


async def test_every_closed_route_for_somebody_without_a_role_is_403(house: House) -> None:
    person = await house.person(Role.DISPATCHER)
    machine = await house.machine(Role.GATEWAY)
    async with house.deps.db.writing() as tx:
        await tx.connection.execute("UPDATE account SET roles = '{}'")
        await tx.connection.execute("UPDATE machine_token SET roles = '{}'")
    for method, path in _closed(house):
        for client in (machine,) if path == TELEMETRY else (person, machine):
            answer = await client.request(method, _filled(path), json={})
            assert answer.status_code == 403, (method, path, answer.text)
            assert answer.json()["code"] == "forbidden"
    refused = [entry for entry in await _entries(house.deps) if entry.action == "access.refused"]
    assert len(refused) > len(_closed(house))


@pytest.mark.parametrize("path", sorted(SOCKETS))
async def test_every_socket_is_refused_without_a_session_or_role(house: House, path: str) -> None:
    url = f"ws://127.0.0.1:{house.port}{_filled(path)}"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url):
            pass
    assert refused.value.response.status_code == 403
    machine = await house.machine(Role.GATEWAY)
    with pytest.raises(InvalidStatus):
        async with house.socket(machine, _filled(path)):
            pass


async def test_a_command_needs_the_csrf_token(house: House) -> None:
    client = await house.person(Role.DUTY_OFFICER)
    for wrong in ("", "x" * 43):
        client.headers["x-csrf-token"] = wrong
        answer = await client.post("/api/incidents/x/acknowledge", headers={"Idempotency-Key": "1"})
        assert answer.status_code == 403
        assert "X-CSRF-Token" in answer.json()["message"]
    assert (await client.get("/api/session")).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_requests_from_another_site_are_refused(house: House, origin: str) -> None:
    client = await house.person(Role.DUTY_OFFICER)
    client.headers["Origin"] = origin
    answer = await client.post("/api/incidents/x/acknowledge", headers={"Idempotency-Key": "1"})
    assert answer.status_code == 403
    body = {"name": "Malika", "password": "seven grey cranes over water"}
    assert (await client.post("/api/sign-in", json=body)).status_code == 403
    for headers in ({"Origin": origin}, {"Origin": ""}):
        with pytest.raises(InvalidStatus):
            async with house.socket(client, **headers):
                pass


async def test_a_machine_needs_no_csrf_token(house: House) -> None:
    client = await house.machine(Role.TELEPHONY)
    call = {"call_id": "c1", "received_at": "2026-11-22T09:00:00Z"}
    answer = await client.post("/api/calls", json=call)
    assert (answer.status_code, answer.json()) == (202, {"call_id": "c1"})


async def test_every_answer_carries_the_security_headers(house: House) -> None:
    client = await house.stranger()
    for path in ("/", "/health", "/api/session", "/api/nothing", "/assets/app-1a2b.js"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert f"ws://127.0.0.1:{house.port}" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


async def test_a_strange_host_does_not_get_into_the_policy(house: House) -> None:
    client = await house.stranger()
    answer = await client.get("/", headers={"Host": "x; script-src *"})
    assert "script-src *" not in answer.headers["content-security-policy"]


async def test_unknown_addresses_are_json(house: House) -> None:
    client = await house.person(Role.DISPATCHER)
    for path in ("/api/nothing", "/api", "/api/incidents/x/dance", "/nothing.html"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await client.put("/api/session")
    assert answer.status_code == 405


@pytest.mark.parametrize(
    ("body", "word"),
    [(b"{", "body"), (b'{"disposition": "maybe"}', "maybe"), (b"[]", "object"), (b"{}", "disposition")],
)
async def test_bad_bodies_are_a_sentence(house: House, body: bytes, word: str) -> None:
    client = await house.person(Role.DUTY_OFFICER)
    headers = {"Idempotency-Key": "1", "Content-Type": "application/json"}
    answer = await client.post("/api/incidents/x/close", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert word in answer.json()["message"]


async def test_a_command_needs_a_key(house: House) -> None:
    client = await house.person(Role.DUTY_OFFICER)
    for headers in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "x" * 65}):
        answer = await client.post("/api/incidents/x/acknowledge", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert "Idempotency-Key" in answer.json()["message"]


async def test_a_body_that_is_too_large_is_413(house: House) -> None:
    client = await house.person(Role.DUTY_OFFICER)
    headers = {"Idempotency-Key": "1"}
    answer = await client.post("/api/incidents/x/note", json={"text": "x" * 70_000}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_defect_says_nothing_of_itself(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await house.person(Role.DUTY_OFFICER)

    def broken(*_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(type(house.deps.city), "search", broken)
    answer: httpx.Response = await client.get("/api/search?q=x")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "42" not in answer.text
