"""Playback over HTTP: opened on a ground, asked for with a token that is one account's, and written down."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from operations.builders import alarm, city
from safecity.access.policy import Role
from safecity.bus.connection import Bus
from safecity.clock import ManualClock
from safecity.errors import NotFound
from safecity.operations import alarms, registry
from safecity.operations.command import Order
from safecity.store import journal
from safecity.web.playback import IDLE_S, MAX_OPEN, Playbacks
from web_house import House

pytestmark = pytest.mark.engines

INCIDENT = alarm("one").incident_id
GROUND = {"purpose": "who left the bag", "incident_id": INCIDENT}
OPEN = "/api/cameras/camera-1/playback"
AT = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)


class Viewing:
    """Answers on the bus as the viewing role does."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked: list[dict[str, Any]] = []

    async def answer(self, data: bytes) -> bytes:
        """Answer a question: two seconds from what was asked for."""
        question = msgspec.msgpack.decode(data)
        self.asked.append(question)
        at = question["at"]
        if at.year == 2030:
            return msgspec.msgpack.encode({"code": "not_found", "message": "nothing is recorded then"})
        if question["op"] == "frame":
            shown = at + timedelta(seconds=question["step"] / 10)
            return msgspec.msgpack.encode({"jpeg": b"\xff\xd8frame\xff\xd9", "at": shown, "coarse": ""})
        end = at + timedelta(seconds=2)
        gap = {"start": end, "end": end + timedelta(seconds=5), "reason": "the camera was lost"}
        chunk = {
            "mime": "video/mp4",
            "width": 640,
            "height": 360,
            "init": b"init",
            "fragments": [b"one", b"three"],
            "start": at,
            "end": end,
            "next": end + timedelta(seconds=5),
            "gap": gap,
            "skipped": None,
        }
        return msgspec.msgpack.encode(chunk)


@pytest.fixture
async def viewing(house: House) -> Viewing:
    """A camera, an incident and somebody who plays recordings."""
    await registry.register(house.deps.db, Order(actor="system:setup"), city())
    await alarms.receive(house.deps.db, [alarm("one")])
    role = Viewing(house.deps.bus)
    await house.deps.bus.serve("playback.camera-1", role.answer)
    return role


async def _looks(house: House) -> list[tuple[str, str, str]]:
    async with house.deps.db.reading() as tx:
        entries = await journal.page(tx, 0, 1000)
    return [(e.action, e.purpose, e.text) for e in entries if e.action.startswith("video.")]


def parts_of(body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return head and parts of a chunk as the console reads them."""
    size = int.from_bytes(body[:4], "big")
    head = json.loads(body[4 : 4 + size])
    rest, parts = body[4 + size :], []
    for length in head["parts"]:
        parts.append(rest[:length])
        rest = rest[length:]
    assert rest == b""
    return head, parts


async def test_a_chunk_is_its_head_and_its_parts(house: House, viewing: Viewing) -> None:
    person = await house.person(Role.DISPATCHER)
    opened = await person.post(OPEN, json=GROUND)
    assert opened.status_code == 200
    token = opened.json()["token"]
    assert await _looks(house) == []
    answer = await person.get(f"/api/playback/{token}/chunk?at=2026-01-01T08:00:00Z&speed=4")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    head, parts = parts_of(answer.content)
    assert parts == [b"init", b"one", b"three"]
    assert head == {
        "mime": "video/mp4",
        "width": 640,
        "height": 360,
        "start": "2026-01-01T08:00:00Z",
        "end": "2026-01-01T08:00:02Z",
        "next": "2026-01-01T08:00:07Z",
        "gap": {
            "start": "2026-01-01T08:00:02Z",
            "end": "2026-01-01T08:00:07Z",
            "reason": "the camera was lost",
        },
        "skipped": None,
        "masked": True,
        "coarse": "",
        "parts": [4, 3, 5],
    }
    assert viewing.asked == [{"op": "chunk", "at": AT, "speed": 4, "masked": True}]


async def test_a_frame_says_when_it_was(house: House, viewing: Viewing) -> None:
    person = await house.person(Role.DISPATCHER)
    token = (await person.post(OPEN, json=GROUND)).json()["token"]
    answer = await person.get(f"/api/playback/{token}/frame?at=2026-01-01T08:00:00Z&step=-3")
    assert answer.headers["x-frame-time"] == "2026-01-01T07:59:59.700000Z"
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/jpeg", "no-store")
    assert answer.content == b"\xff\xd8frame\xff\xd9"


async def test_what_is_played_on_and_on_is_written_down_again_and_again(
    house: House, viewing: Viewing
) -> None:
    person = await house.person(Role.DISPATCHER)
    token = (await person.post(OPEN, json=GROUND)).json()["token"]
    for minute in (*range(0, 300, 20), *range(300, 0, -20)):
        at = (AT + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
        assert (await person.get(f"/api/playback/{token}/chunk?at={at}")).status_code == 200
    texts = [text for _, _, text in await _looks(house)]
    assert [text[-12:-4] for text in texts] == ["08:00:00", "09:20:00", "10:40:00", "12:00:00"]


@pytest.mark.parametrize("camera", ["camera%201", "camera%3E", "a.b", "camera-1%2a"])
async def test_an_id_that_is_no_camera_s_is_not_found(house: House, viewing: Viewing, camera: str) -> None:
    person = await house.person(Role.DISPATCHER)
    answer = await person.post(f"/api/cameras/{camera}/playback", json=GROUND)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_one_entry_a_playback_and_one_more_when_it_goes_far(house: House, viewing: Viewing) -> None:
    person = await house.person(Role.DISPATCHER, name="Malika")
    token = (await person.post(OPEN, json=GROUND)).json()["token"]
    for minute in range(0, 75, 15):
        at = (AT + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
        assert (await person.get(f"/api/playback/{token}/chunk?at={at}")).status_code == 200
    assert len(await _looks(house)) == 1
    assert (await person.get(f"/api/playback/{token}/frame?at=2026-01-03T08:00:00Z")).status_code == 200
    assert [(action, purpose) for action, purpose, _ in await _looks(house)] == [
        ("video.playback", "who left the bag")
    ] * 2
    first, second = (text for _, _, text in await _looks(house))
    assert "Malika played recordings of" in first
    assert first.endswith("from 2026-01-01 08:00:00 UTC")
    assert second.endswith("from 2026-01-03 08:00:00 UTC")


async def test_without_masks_needs_the_right_and_says_so(house: House, viewing: Viewing) -> None:
    dispatcher = await house.person(Role.DISPATCHER)
    refused = await dispatcher.post(OPEN, json={**GROUND, "unmasked": True})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    officer = await house.person(Role.DUTY_OFFICER, name="Aziza")
    token = (await officer.post(OPEN, json={**GROUND, "unmasked": True})).json()["token"]
    answer = await officer.get(f"/api/playback/{token}/chunk?at=2026-01-01T08:00:00Z")
    assert parts_of(answer.content)[0]["masked"] is False
    assert viewing.asked[-1]["masked"] is False
    ((action, _, text),) = await _looks(house)
    assert action == "video.unmask"
    assert "without masks" in text


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"purpose": " "}, 403),
        ({"incident_id": ""}, 403),
        ({"incident_id": "no-such"}, 404),
        ({"purpose": "a\x07b"}, 400),
        ({"extra": 1}, 400),
        ({"purpose": "x" * 501}, 400),
    ],
)
async def test_no_playback_without_a_ground(
    house: House, viewing: Viewing, change: dict[str, Any], status: int
) -> None:
    person = await house.person(Role.DISPATCHER)
    answer = await person.post(OPEN, json={**GROUND, **change})
    assert answer.status_code == status, answer.text
    assert "token" not in answer.json()


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.CALL_TAKER, Role.AUDITOR, Role.FIELD])
async def test_who_may_not_look_opens_nothing(house: House, viewing: Viewing, role: Role) -> None:
    person = await house.person(role)
    assert (await person.post(OPEN, json=GROUND)).status_code == 403
    assert (await person.get("/api/playback/abc/chunk?at=2026-01-01T08:00:00Z")).status_code == 403


async def test_a_token_is_of_one_account(house: House, viewing: Viewing) -> None:
    owner = await house.person(Role.DISPATCHER, name="Malika")
    other = await house.person(Role.DUTY_OFFICER, name="Aziza")
    token = (await owner.post(OPEN, json=GROUND)).json()["token"]
    for path in (f"/api/playback/{token}/chunk", f"/api/playback/{token}/frame"):
        assert (await other.get(f"{path}?at=2026-01-01T08:00:00Z")).status_code == 404
        assert (await owner.get(f"{path}?at=2026-01-01T08:00:00Z")).status_code == 200
    assert (await owner.get("/api/playback/guess/chunk?at=2026-01-01T08:00:00Z")).status_code == 404


async def test_a_right_that_is_taken_away_ends_the_playback(house: House, viewing: Viewing) -> None:
    person = await house.person(Role.DISPATCHER)
    token = (await person.post(OPEN, json=GROUND)).json()["token"]
    async with house.deps.db.writing() as tx:
        await tx.connection.execute("UPDATE account SET roles = '{call_taker}'")
    answer = await person.get(f"/api/playback/{token}/chunk?at=2026-01-01T08:00:00Z")
    assert answer.status_code == 403
    assert viewing.asked == []


async def test_a_playback_ends_when_it_is_not_used(house: House, viewing: Viewing) -> None:
    person = await house.person(Role.DISPATCHER)
    opened = (await person.post(OPEN, json=GROUND)).json()
    path = f"/api/playback/{opened['token']}/chunk?at=2026-01-01T08:00:00Z"
    assert datetime.fromisoformat(opened["expires_at"]) == house.clock.now() + timedelta(seconds=IDLE_S)
    for _ in range(3):
        house.clock.advance(IDLE_S - 1)
        assert (await person.get(path)).status_code == 200
    house.clock.advance(IDLE_S + 1)
    assert (await person.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("at=2026-01-01T08:00:00", 400),
        ("at=yesterday", 400),
        ("", 400),
        ("at=2026-01-01T08:00:00Z&speed=0", 400),
        ("at=2026-01-01T08:00:00Z&speed=17", 400),
        ("at=2030-01-01T08:00:00Z", 404),
    ],
)
async def test_bad_questions_are_a_sentence(house: House, viewing: Viewing, query: str, status: int) -> None:
    person = await house.person(Role.DISPATCHER)
    token = (await person.post(OPEN, json=GROUND)).json()["token"]
    answer = await person.get(f"/api/playback/{token}/chunk?{query}")
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]
    assert await _looks(house) == []


async def test_open_playbacks_are_bounded() -> None:
    from safecity.access.policy import Action, Actor, ActorKind, Purpose
    from safecity.web.gate import Identity
    from safecity.web.looks import Look

    who = Identity(actor=Actor(id="a", name="a", roles=frozenset(), kind=ActorKind.PERSON))
    look = Look(action=Action.LOOK_PLAYBACK, camera_id="c", camera_name="c", ground=Purpose())
    playbacks = Playbacks(ManualClock(AT))
    tokens = [playbacks.open(who, look) for _ in range(MAX_OPEN + 1)]
    with pytest.raises(NotFound):
        playbacks.use(tokens[0], who)
    assert playbacks.use(tokens[-1], who).look is look
