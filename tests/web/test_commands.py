"""The commands over HTTP: the whole life of an incident, and what goes wrong in words."""

from itertools import count
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operations.builders import NOON, alarm, city
from safecity.access.policy import Role
from safecity.model.base import Agency, Reason, ReasonCode
from safecity.model.unit import Capability, Pick, Recommendation
from safecity.operations import alarms, registry
from safecity.operations.command import Order
from web_house import House

pytestmark = pytest.mark.engines

INCIDENT = alarm("one").incident_id
PLACE = {"lon": 69.25, "lat": 41.3, "text": "Navoiy 5"}
_keys = count()


async def _say(
    client: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None, key: str = ""
) -> httpx.Response:
    headers = {"Idempotency-Key": key or f"key-{next(_keys)}"}
    return await client.post(path, json=body or {}, headers=headers)


@pytest.fixture
async def officer(house: House) -> httpx.AsyncClient:
    """Somebody who runs the room, with an incident before them."""
    await registry.register(house.deps.db, Order(actor="system:setup"), city())
    await alarms.receive(house.deps.db, [alarm("one")])
    return await house.person(Role.DUTY_OFFICER, Role.ADMINISTRATOR)


async def test_the_life_of_an_incident(house: House, officer: httpx.AsyncClient) -> None:
    path = f"/api/incidents/{INCIDENT}"
    steps = [
        (f"{path}/acknowledge", {}, "acknowledged"),
        (f"{path}/note", {"text": "caller is safe"}, "acknowledged"),
        (f"{path}/priority", {"priority": 1, "reason": "children inside"}, "acknowledged"),
        (f"{path}/dispatch", {"unit_ids": ["f-11", "f-12"], "override_reason": "nearest"}, "dispatched"),
        (f"{path}/units/f-12/cancel", {}, "dispatched"),
        ("/api/units/f-11/depart", {}, "dispatched"),
        ("/api/units/f-11/arrive", {}, "on_scene"),
        ("/api/units/f-11/clear", {}, "cleared"),
        (f"{path}/close", {"disposition": "real", "note": "put out"}, "closed"),
        (f"{path}/reopen", {}, "acknowledged"),
    ]
    for address, body, state in steps:
        answer = await _say(officer, address, body)
        assert answer.status_code == 200, answer.text
        detail = (await officer.get(path)).json()
        assert detail["incident"]["state"] == state, address
    assert {line["actor"] for line in detail["timeline"]} == {"system:fusion", "Malika"}
    assert detail["incident"]["priority"] == 1
    assert detail["assignments"][0]["reason"]["params"]["reason"] == "nearest"
    report = (await officer.get("/api/check")).json()
    assert report["ok"] is True
    page = (await officer.get("/api/journal?after=1&limit=3")).json()
    assert [entry["seq"] for entry in page["entries"]] == [2, 3, 4]
    assert page["head"] == report["entries"]


async def test_the_same_key_is_the_same_command(officer: httpx.AsyncClient) -> None:
    path = f"/api/incidents/{INCIDENT}/acknowledge"
    first, second = [await _say(officer, path, key="k1") for _ in range(2)]
    assert first.content == second.content
    other = await _say(officer, f"/api/incidents/{INCIDENT}/reopen", key="k1")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


async def test_what_cannot_be_done_is_a_sentence(officer: httpx.AsyncClient) -> None:
    answer = await _say(officer, f"/api/incidents/{INCIDENT}/reopen")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "possible now" in answer.json()["message"]
    assert (await officer.get("/api/incidents/none")).status_code == 404
    assert (await officer.get("/api/incidents/none/recommendation")).status_code in (404, 503)
    assert (await _say(officer, "/api/units/none/depart")).status_code == 404
    assert (await _say(officer, "/api/calls/none/take")).status_code == 404


async def test_advice_comes_from_the_dispatch_room(house: House, officer: httpx.AsyncClient) -> None:
    path = f"/api/incidents/{INCIDENT}/recommendation"
    assert (await officer.get(path)).status_code == 503
    reason = Reason(code=ReasonCode.CLOSEST_BY_ROAD, text="closest engine")
    pick = Pick(
        unit_id="f-11",
        call_sign="F-11",
        agency=Agency.FIRE,
        capability=Capability.ENGINE,
        travel_time_s=180.0,
        distance_m=1500.0,
        reason=reason,
    )
    advice = Recommendation(
        incident_id=INCIDENT, picks=(pick,), shortfalls=(), computed_at=NOON, compute_ms=1.0
    )

    async def room(data: bytes) -> bytes:
        if msgspec.json.decode(data) != {"incident_id": INCIDENT}:
            return b'{"code": "not_found", "message": "there is no such incident"}'
        return msgspec.json.encode(advice)

    await house.deps.bus.serve("dispatch.recommend", room)
    assert msgspec.json.decode((await officer.get(path)).content, type=Recommendation) == advice
    assert (await officer.get("/api/incidents/none/recommendation")).status_code == 404
    answer = await _say(officer, f"/api/incidents/{INCIDENT}/dispatch", {"unit_ids": ["f-11"]})
    assert answer.json()["assignments"][0]["expected_travel_s"] == 180.0


async def test_the_way_of_a_call(house: House) -> None:
    telephony = await house.machine(Role.TELEPHONY)
    taker = await house.person(Role.CALL_TAKER)
    ringing = {"call_id": "c1", "received_at": "2026-11-22T09:00:00Z", "caller_number": "+998 71 000 00 00"}
    for _ in range(2):
        answer = await telephony.post("/api/calls", json=ringing)
        assert (answer.status_code, answer.json()) == (202, {"call_id": "c1"})
    for word, state in (("claim", "claimed"), ("release", "ringing"), ("take", "taken")):
        answer = await _say(taker, f"/api/calls/c1/{word}")
        assert answer.json()["call"]["state"] == state
    card = {"type": "medical", "place": PLACE, "notes": "awake"}
    assert (await _say(taker, "/api/calls/c1/submit", card)).json()["call"]["state"] == "submitted"
    typed = await _say(taker, "/api/calls/typed", {"type": "fire_building", "place": PLACE})
    assert typed.json()["call"]["line"] == "typed"
    assert (await _say(taker, f"/api/incidents/{INCIDENT}/acknowledge")).status_code == 403


@pytest.mark.parametrize(
    "card",
    [
        {"type": "medical"},
        {"type": "medical", "place": None},
        {"type": "medical", "place": {"lon": 500, "lat": 0}},
        {"type": "dragon", "place": PLACE},
        {"type": "medical", "place": PLACE, "notes": "nul \x00"},
        {"type": "medical", "place": {**PLACE, "text": "\x00"}},
    ],
)
async def test_a_card_that_cannot_be_is_refused(house: House, card: dict[str, Any]) -> None:
    taker = await house.person(Role.CALL_TAKER)
    answer = await _say(taker, "/api/calls/typed", card)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


async def test_search(house: House) -> None:
    taker = await house.person(Role.CALL_TAKER)
    found = (await taker.get("/api/search?q=navo")).json()
    assert found == {"places": [{"text": "Navoiy", "kind": "street", "lon": 69.2, "lat": 41.3}]}
    assert (await taker.get("/api/search")).status_code == 400


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_PATHS = st.sampled_from(
    [
        f"/api/incidents/{INCIDENT}/dispatch",
        f"/api/incidents/{INCIDENT}/close",
        f"/api/incidents/{INCIDENT}/priority",
        f"/api/incidents/{INCIDENT}/note",
        "/api/incidents/%00/note",
        "/api/calls/typed",
        "/api/calls/x/submit",
        "/api/calls/x/close",
        "/api/calls",
        "/api/telemetry",
    ]
)
_FIELDS = [
    "unit_ids",
    "override_reason",
    "disposition",
    "note",
    "priority",
    "reason",
    "text",
    "type",
    "place",
]
_BODIES = _JSON | st.dictionaries(
    st.sampled_from([*_FIELDS, "place", "call_id", "received_at", "observations"]), _JSON | st.just("real")
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=_PATHS, body=_BODIES)
async def test_no_body_is_an_internal_error(
    house: House, officer: httpx.AsyncClient, path: str, body: object
) -> None:
    machine = await house.machine(Role.SIMULATOR)
    client = machine if path in ("/api/calls", "/api/telemetry") else officer
    answer = await client.post(path, json=body, headers={"Idempotency-Key": f"key-{next(_keys)}"})
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert len(answer.json()["message"]) > 10
