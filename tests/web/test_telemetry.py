"""Telemetry over HTTP: what is true goes to disk, what cannot be true is named, counted and kept apart."""

import json
from datetime import timedelta
from typing import Any

import pytest

from engines import NatsServer
from safecity.access.policy import Role
from safecity.bus.connection import Bus
from safecity.model.observation import unpack
from safecity.web.telemetry import MAX_BODY, MAX_OBSERVATIONS
from web_house import House

pytestmark = pytest.mark.engines

PATH = "/api/telemetry"
DEEP = b'{"observations": [{"value": 1, "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}]}"


def _at(house: House, seconds_s: float = 0.0) -> str:
    return (house.clock.now() + timedelta(seconds=seconds_s)).isoformat()


def _reading(house: House, **changed: Any) -> dict[str, Any]:
    return {
        "source_id": "gas-017",
        "kind": "reading",
        "event_time": _at(house),
        "property": "gas_ch4",
        "value": 12.5,
        "unit": "[ppm]",
        **changed,
    }


def _position(house: House, **changed: Any) -> dict[str, Any]:
    place = {"lon": 69.25, "lat": 41.3, "value": 8.0, "heading_deg": 359.999}
    return {
        "source_id": "f-11",
        "kind": "position",
        "event_time": _at(house),
        "property": "position",
        **place,
        **changed,
    }


async def _stored(bus: Bus) -> list[str]:
    info = await bus.js.stream_info("TELEMETRY")
    messages = [await bus.js.get_msg("TELEMETRY", seq) for seq in range(1, info.state.last_seq + 1)]
    return [observation.id for message in messages for observation in unpack(message.data or b"")]


async def _letters(bus: Bus) -> list[Any]:
    info = await bus.js.stream_info("DEAD")
    return [await bus.js.get_msg("DEAD", seq) for seq in range(1, info.state.last_seq + 1)]


async def test_what_is_acknowledged_is_on_the_bus(house: House) -> None:
    gateway = await house.machine(Role.GATEWAY)
    body = {"observations": [_reading(house), _position(house)]}
    answer = await gateway.post(PATH, json=body)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "refused": []})
    assert len(await _stored(house.deps.bus)) == 2


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"lon": -1.5, "lat": 0.7}, "near this city"),
        ({"lon": 384.4, "lat": 0.0}, "near this city"),
        ({"lon": 0.0, "lat": 0.0}, "without a fix"),
        ({"lon": 69.3}, "together"),
        ({"value": None}, "value"),
        ({"value": "warm"}, "value"),
        ({"unit": "furlong"}, "furlong"),
        ({"kind": "video"}, "video"),
        ({"source_id": ""}, "source_id"),
        ({"source_id": "x" * 65}, "source_id"),
        ({"source_id": "nul\x00"}, "source_id"),
        ({"property": "gas\n"}, "property"),
        ({"event_time": "yesterday"}, "event_time"),
        ({"event_time": "2026-11-22T09:00:00"}, "time zone"),
        ({"event_time": "2026-11-22T09:06:00Z"}, "future"),
        ({"event_time": "2026-11-21T08:59:00Z"}, "24 hours"),
        ({"uncertainty_m": -1.0}, "uncertainty_m"),
        ({"uncertainty_m": 100_001.0}, "uncertainty_m"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_true_is_refused_and_the_rest_goes_through(
    house: House, changed: dict[str, Any], word: str
) -> None:
    gateway = await house.machine(Role.GATEWAY)
    body = {"observations": [_reading(house), _reading(house, **changed)]}
    answer = await gateway.post(PATH, json=body)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    (refused,) = answer.json()["refused"]
    assert refused["index"] == 1
    assert word in refused["reason"]
    (letter,) = await _letters(house.deps.bus)
    (kept,) = json.loads(letter.data)
    assert kept["observation"] == json.loads(json.dumps(body["observations"][1]))
    assert kept["reason"] == refused["reason"]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"lon": None, "lat": None}, "needs"),
        ({"value": -1.0}, "speed"),
        ({"value": 100.1}, "speed"),
        ({"lon": 0.0, "lat": 0.0}, "without a fix"),
        ({"heading_deg": 361.0}, "heading_deg"),
    ],
)
async def test_positions_are_checked_too(house: House, changed: dict[str, Any], word: str) -> None:
    gateway = await house.machine(Role.GATEWAY)
    answer = await gateway.post(PATH, json={"observations": [_position(house, **changed)]})
    assert word in answer.json()["refused"][0]["reason"]


async def test_infinity_is_not_a_figure(house: House) -> None:
    gateway = await house.machine(Role.GATEWAY)
    text = json.dumps({"observations": [_reading(house, value=0)]}).replace('"value": 0', '"value": 1e999')
    answer = await gateway.post(PATH, content=text)
    assert answer.json()["accepted"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"observations": 3}', b"\xff\xfe", b"{}", DEEP])
async def test_a_body_that_cannot_be_read_is_kept_and_counted(house: House, body: bytes) -> None:
    gateway = await house.machine(Role.GATEWAY)
    answer = await gateway.post(PATH, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    (letter,) = await _letters(house.deps.bus)
    assert (letter.data or b"") == body
    assert letter.headers["Origin"].startswith(PATH)
    monitor = await house.machine(Role.MONITOR, name="monitor")
    figures = (await monitor.get("/metrics")).text
    assert 'safecity_telemetry_refused_total{reason="malformed"} 1.0' in figures


async def test_too_much_at_once_is_refused(house: House) -> None:
    gateway = await house.machine(Role.GATEWAY)
    many = await gateway.post(PATH, json={"observations": [0] * (MAX_OBSERVATIONS + 1)})
    assert (many.status_code, many.json()["code"]) == (413, "too_large")
    large = await gateway.post(PATH, content=b" " * (MAX_BODY + 1))
    assert (large.status_code, large.json()["code"]) == (413, "too_large")


async def test_a_unit_sends_for_itself_only(house: House) -> None:
    unit = await house.machine(Role.FIELD_MACHINE, name="f-11")
    body = {"observations": [_position(house), _position(house, source_id="f-12")]}
    answer = await unit.post(PATH, json=body)
    assert answer.json()["accepted"] == 1
    assert "f-12" in answer.json()["refused"][0]["reason"]


async def test_who_may_not_send_is_refused(house: House) -> None:
    telephony = await house.machine(Role.TELEPHONY)
    assert (await telephony.post(PATH, json={"observations": []})).status_code == 403
    person = await house.person(Role.ADMINISTRATOR)
    assert (await person.post(PATH, json={"observations": []})).status_code == 401
    gateway = await house.machine(Role.GATEWAY, name="gateway")
    answer = await gateway.get(PATH)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


async def test_without_the_bus_nothing_is_acknowledged(house: House, nats_server: NatsServer) -> None:
    gateway = await house.machine(Role.GATEWAY)
    nats_server.kill()
    answer = await gateway.post(PATH, json={"observations": [_reading(house)]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
