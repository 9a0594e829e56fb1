"""Calls over HTTP: a card with an impossible place is refused, a ringing call never is."""

from typing import Any

import pytest

from safecity.access.policy import Role
from safecity.model.base import Place
from safecity.model.call import Call
from web_house import House

pytestmark = pytest.mark.engines

PATH = "/api/calls"
PLACE = {"lon": 69.25, "lat": 41.3, "uncertainty_m": 20.0, "text": "Navoiy 5"}
NOWHERE = [
    {"lon": 0, "lat": 0},
    {"lon": -0.1, "lat": 51.5},
    {**PLACE, "text": "x" * 501},
    {**PLACE, "uncertainty_m": 100_001},
]


def _ringing(**changed: Any) -> dict[str, Any]:
    return {"call_id": "c1", "received_at": "2026-11-22T09:00:00Z", **changed}


async def _call(house: House) -> Call:
    async with house.deps.db.reading() as tx:
        return await tx.get(Call, "c1")


async def _figures(house: House) -> str:
    monitor = await house.machine(Role.MONITOR, name="monitor")
    return (await monitor.get("/metrics")).text


@pytest.mark.parametrize("place", NOWHERE)
async def test_a_card_needs_a_place_in_or_near_the_city(house: House, place: dict[str, Any]) -> None:
    telephony = await house.machine(Role.TELEPHONY)
    assert (await telephony.post(PATH, json=_ringing())).status_code == 202
    taker = await house.person(Role.CALL_TAKER)
    await taker.post(f"{PATH}/c1/take", headers={"Idempotency-Key": "take"})
    for path in (f"{PATH}/c1/submit", f"{PATH}/typed"):
        card = {"type": "medical", "place": place}
        answer = await taker.post(path, json=card, headers={"Idempotency-Key": path})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), path
    answer = await taker.post(
        f"{PATH}/c1/submit", json={"type": "medical", "place": PLACE}, headers={"Idempotency-Key": "good"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("place", [*NOWHERE, {"lon": 500, "lat": 0}, {"lon": "x"}, "Navoiy 5", []])
async def test_no_call_is_lost_for_its_place(house: House, place: object) -> None:
    telephony = await house.machine(Role.TELEPHONY)
    answer = await telephony.post(PATH, json=_ringing(caller_place=place))
    assert (answer.status_code, answer.json()) == (202, {"call_id": "c1"})
    assert (await _call(house)).caller_place is None
    assert 'safecity_calls_corrected_total{what="place"} 1.0' in await _figures(house)


async def test_a_good_place_stays(house: House) -> None:
    telephony = await house.machine(Role.TELEPHONY)
    await telephony.post(PATH, json=_ringing(caller_place=PLACE))
    assert (await _call(house)).caller_place == Place(
        lon=69.25, lat=41.3, uncertainty_m=20.0, text="Navoiy 5"
    )
    assert "calls_corrected_total{" not in await _figures(house)


async def test_a_call_from_the_future_rings_now(house: House) -> None:
    telephony = await house.machine(Role.TELEPHONY)
    await telephony.post(PATH, json=_ringing(received_at="2031-01-01T00:00:00Z"))
    assert (await _call(house)).received_at == house.clock.now()
    assert 'safecity_calls_corrected_total{what="time"} 1.0' in await _figures(house)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"call_id": "c1"}',
        b'{"call_id": "", "received_at": "2026-11-22T09:00:00Z"}',
        b'{"call_id": "c1", "received_at": "2026-11-22T09:00:00"}',
        b'{"call_id": "c1", "received_at": "2026-11-22T09:00:00Z", "line": "\\u0000"}',
        b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
)
async def test_a_body_without_a_call_is_kept_and_counted(house: House, body: bytes) -> None:
    telephony = await house.machine(Role.TELEPHONY)
    answer = await telephony.post(PATH, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    letter = await house.deps.bus.js.get_msg("DEAD", 1)
    assert (letter.subject, letter.data or b"") == ("dead.calls", body)
    assert "safecity_calls_refused_total 1.0" in await _figures(house)


async def test_the_document_still_says_what_a_call_is(house: House) -> None:
    person = await house.person(Role.DISPATCHER)
    document = (await person.get("/schema/openapi.json")).json()
    schema = document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "call_id" in document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
