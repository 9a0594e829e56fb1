"""Looks through cameras: masked by default, none without a ground that counts, each in the journal."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from operations.builders import alarm, city
from safecity.access.policy import Role
from safecity.bus.connection import Bus
from safecity.model.incident import Disposition, Incident, IncidentState
from safecity.operations import alarms, registry
from safecity.operations.command import Order
from safecity.store import journal
from safecity.web import cameras as live_pictures
from safecity.web.channels import Channels, Viewer, sequence_number
from safecity.web.looks import LIVE_END, REPEAT_S
from safecity.web.sockets import Ended
from web_house import House

pytestmark = pytest.mark.engines

INCIDENT = alarm("one").incident_id
LOOK = f"?incident_id={INCIDENT}&purpose=smoke+at+the+market"
AT = datetime(2026, 1, 1, 7, 59, 58, 500_000, tzinfo=UTC)
MASKED, CLEAR = "view.camera-1", "live.camera-1.main"


def fragment(number: int) -> bytes:
    """Return the beginning of a movie fragment of that number, as ISO/IEC 14496-12 writes it."""
    return (
        b"\x00\x00\x00\x20moof\x00\x00\x00\x10mfhd\x00\x00\x00\x00" + number.to_bytes(4, "big") + b"picture"
    )


class Pictures:
    """Answers on the bus as the viewing and video roles do, with pictures of known bytes."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked: list[str] = []
        self.strict: list[bool] = []
        self.number = 7
        self.coarse = ""
        self.lost = False
        self.taken_at = AT

    async def start(self) -> None:
        """Answer for camera-1."""
        for subject in (MASKED, CLEAR, "live.camera-1.sub"):
            await self.bus.serve(f"{subject}.start", self._start_of(subject))
        await self.bus.serve("still.camera-1", self._still)
        await self.bus.serve("snapshot.camera-1", self._snapshot)

    def _start_of(self, subject: str):
        async def start(_: bytes) -> bytes:
            self.asked.append(subject)
            if self.lost:
                return msgspec.msgpack.encode({"code": "unavailable", "message": "the camera is lost"})
            # A fragment that the answer holds already is published before the answer is there.
            await self.publish(self.number, subject=subject)
            mime = 'video/mp4; codecs="avc1.42C01F"'
            return msgspec.msgpack.encode(
                {
                    "mime": mime,
                    "width": 640,
                    "height": 360,
                    "init": f"ftyp+moov of {subject}".encode(),
                    "fragments": [fragment(self.number)],
                    "coarse": self.coarse,
                }
            )

        return start

    async def _still(self, data: bytes) -> bytes:
        question = msgspec.msgpack.decode(data)
        self.strict.append(question["strict"])
        masked = question["masked"]
        jpeg = b"\xff\xd8masked\xff\xd9" if masked else b"\xff\xd8clear\xff\xd9"
        return msgspec.msgpack.encode({"jpeg": jpeg, "at": self.taken_at})

    async def _snapshot(self, data: bytes) -> bytes:
        if msgspec.msgpack.decode(data)["id"] != "event-1":
            return msgspec.msgpack.encode({"code": "not_found", "message": "there is no picture"})
        return msgspec.msgpack.encode({"jpeg": b"\xff\xd8event\xff\xd9"})

    async def publish(self, number: int, kind: str = "fragment", subject: str = MASKED) -> None:
        """Publish a fragment."""
        await self.bus.client.publish(subject, fragment(number), headers={"Kind": kind})


@pytest.fixture
async def scene(house: House) -> Pictures:
    """A camera, an incident and somebody who serves pictures."""
    await registry.register(house.deps.db, Order(actor="system:setup"), city())
    await alarms.receive(house.deps.db, [alarm("one")])
    role = Pictures(house.deps.bus)
    await role.start()
    return role


async def _looks(house: House) -> list[tuple[str, str, str]]:
    async with house.deps.db.reading() as tx:
        entries = await journal.page(tx, 0, 1000)
    begun = [e for e in entries if e.action.startswith("video.") and e.action != LIVE_END]
    return [(e.action, e.object_id, e.purpose) for e in begun]


async def test_live_picture_begins_with_its_header_and_repeats_nothing(house: House, scene: Pictures) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person, f"/api/cameras/camera-1/live{LOOK}") as socket:
        init = json.loads(await socket.link.recv())
        assert init == {
            "type": "init",
            "mime": 'video/mp4; codecs="avc1.42C01F"',
            "width": 640,
            "height": 360,
            "masked": True,
            "coarse": "",
        }
        assert await socket.link.recv() == b"ftyp+moov of view.camera-1"
        assert await socket.link.recv() == fragment(7)
        for number in (8, 9):
            await scene.publish(number)
        assert [await socket.link.recv() for _ in range(2)] == [fragment(8), fragment(9)]
    assert await _looks(house) == [("video.live", "camera-1", "smoke at the market")]
    assert scene.asked == [MASKED]


async def test_why_a_picture_is_coarse_is_said(house: House, scene: Pictures) -> None:
    scene.coarse = "people cannot be found"
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person, f"/api/cameras/camera-1/live{LOOK}") as socket:
        assert json.loads(await socket.link.recv())["coarse"] == "people cannot be found"


async def test_without_masks_needs_the_right_and_is_written_down_as_such(
    house: House, scene: Pictures
) -> None:
    officer = await house.person(Role.DUTY_OFFICER, name="Aziza")
    for stream, subject in (("", CLEAR), ("&stream=sub", "live.camera-1.sub")):
        path = f"/api/cameras/camera-1/live{LOOK}&unmasked=1{stream}"
        async with house.socket(officer, path) as socket:
            assert json.loads(await socket.link.recv())["masked"] is False
            assert await socket.link.recv() == f"ftyp+moov of {subject}".encode()
    still = await officer.get(f"/api/cameras/camera-1/still{LOOK}&unmasked=1")
    assert still.content == b"\xff\xd8clear\xff\xd9"
    assert await _looks(house) == [("video.unmask", "camera-1", "smoke at the market")] * 3
    async with house.deps.db.reading() as tx:
        texts = [e.text for e in await journal.page(tx, 0, 1000) if e.action == "video.unmask"]
    assert all("Aziza" in text and text.endswith("without masks") for text in texts)


async def test_without_the_right_nobody_takes_masks_off(house: House, scene: Pictures) -> None:
    person = await house.person(Role.DISPATCHER)
    answer = await person.get(f"/api/cameras/camera-1/still{LOOK}&unmasked=1")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    async with house.socket(person, f"/api/cameras/camera-1/live{LOOK}&unmasked=true") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.link.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403
    assert await _looks(house) == []
    assert scene.asked == []
    async with house.deps.db.reading() as tx:
        refused = [e for e in await journal.page(tx, 0, 100) if e.action == "access.refused"]
    assert len(refused) >= 1


async def test_masked_and_unmasked_viewers_of_one_camera(house: House, scene: Pictures) -> None:
    officer = await house.person(Role.DUTY_OFFICER, name="Aziza")
    person = await house.person(Role.DISPATCHER)
    path = f"/api/cameras/camera-1/live{LOOK}"
    async with (
        house.socket(person, path) as masked,
        house.socket(person, path) as second,
        house.socket(officer, f"{path}&unmasked=1") as clear,
    ):
        for socket in (masked, second, clear):
            for _ in range(3):
                await socket.link.recv()
        await scene.publish(8, "keyframe")
        await scene.publish(8, "keyframe", CLEAR)
        await scene.publish(9, subject=CLEAR)
        assert await masked.link.recv() == fragment(8)
        assert await second.link.recv() == fragment(8)
        assert [await clear.link.recv() for _ in range(2)] == [fragment(8), fragment(9)]
    # The second viewer of a stream begins with what is kept: nobody is asked again.
    assert sorted(scene.asked) == [CLEAR, MASKED]


async def test_who_comes_later_begins_with_the_last_keyframe(house: House, scene: Pictures) -> None:
    person = await house.person(Role.DISPATCHER)
    path = f"/api/cameras/camera-1/live{LOOK}"
    async with house.socket(person, path) as first:
        for _ in range(3):
            await first.link.recv()
        for number, kind in ((8, "fragment"), (9, "keyframe"), (10, "fragment")):
            await scene.publish(number, kind)
            await first.link.recv()
        async with house.socket(person, path) as second:
            assert json.loads(await second.link.recv())["type"] == "init"
            assert await second.link.recv() == b"ftyp+moov of view.camera-1"
            assert [await second.link.recv() for _ in range(2)] == [fragment(9), fragment(10)]


@pytest.mark.parametrize("restart", ["init", "count"])
async def test_a_stream_that_begins_anew_ends_the_picture(
    house: House, scene: Pictures, restart: str
) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person, f"/api/cameras/camera-1/live{LOOK}") as socket:
        for _ in range(3):
            await socket.link.recv()
        await scene.publish(8)
        await socket.link.recv()
        await scene.publish(1, "init" if restart == "init" else "keyframe")
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.link.recv(), 10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


@pytest.mark.parametrize(
    "query", ["", "?purpose=curious", f"?incident_id={INCIDENT}", f"?incident_id={INCIDENT}&purpose=%20"]
)
async def test_no_look_without_purpose_and_incident(house: House, scene: Pictures, query: str) -> None:
    person = await house.person(Role.DISPATCHER)
    with pytest.raises(InvalidStatus):
        async with house.socket(person, f"/api/cameras/camera-1/live{query}"):
            pass
    answer = await person.get(f"/api/cameras/camera-1/still{query}")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await _looks(house) == []
    async with house.deps.db.reading() as tx:
        refused = [e for e in await journal.page(tx, 0, 100) if e.action == "access.refused"]
    assert {entry.object_id for entry in refused} == {"camera-1"}


@pytest.mark.parametrize(
    ("camera", "incident"), [("camera-9", INCIDENT), ("camera-1", "no-such-incident"), ("a.b", INCIDENT)]
)
async def test_no_look_at_or_for_what_is_not_there(
    house: House, scene: Pictures, camera: str, incident: str
) -> None:
    person = await house.person(Role.DISPATCHER)
    query = f"?incident_id={incident}&purpose=smoke"
    answer = await person.get(f"/api/cameras/{camera}/still{query}")
    assert answer.status_code == 404
    async with house.socket(person, f"/api/cameras/{camera}/live{query}") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.link.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404
    assert scene.asked == []
    assert await _looks(house) == []


async def _close(house: House, hours_ago: float) -> None:
    """Let the incident be closed, so long ago."""
    async with house.deps.db.writing() as tx:
        incident = await tx.get(Incident, INCIDENT)
        closed_at = house.clock.now() - timedelta(hours=hours_ago)
        closed = msgspec.structs.replace(
            incident,
            state=IncidentState.CLOSED,
            closed_at=closed_at,
            disposition=next(iter(Disposition)),
        )
        tx.put(closed)
        await tx.journal(
            actor="test", action="test", object_kind="incident", object_id=INCIDENT, text="closed"
        )


@pytest.mark.parametrize(("hours_ago", "status"), [(1, 200), (23, 200), (25, 403), (1000, 403)])
async def test_a_look_for_an_incident_that_ended_long_ago_is_refused(
    house: House, scene: Pictures, hours_ago: float, status: int
) -> None:
    await _close(house, hours_ago)
    for role in (Role.DISPATCHER, Role.DUTY_OFFICER):
        person = await house.person(role, name=role.value)
        answer = await person.get(f"/api/cameras/camera-1/still{LOOK}")
        assert answer.status_code == status
        if status == 403:
            assert "closed too long ago" in answer.json()["message"]
            async with house.socket(person, f"/api/cameras/camera-1/live{LOOK}") as socket:
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.link.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4403
    snapshot = f"/api/snapshots/camera-1/event-1{LOOK}"
    assert (await person.get(snapshot)).status_code == 200
    dispatcher = await house.person(Role.DISPATCHER, name="another")
    assert (await dispatcher.get(snapshot)).status_code == status


async def test_setup_still_is_masked_and_needs_a_purpose_only(house: House, scene: Pictures) -> None:
    administrator = await house.person(Role.ADMINISTRATOR)
    path = "/api/cameras/camera-1/setup-still"
    answer = await administrator.get(f"{path}?purpose=a+new+mask&unmasked=1")
    assert (answer.status_code, answer.content) == (200, b"\xff\xd8masked\xff\xd9")
    assert scene.strict == [True]
    assert answer.headers["cache-control"] == "no-store"
    assert await _looks(house) == [("video.setup", "camera-1", "a new mask")]
    assert (await administrator.get(path)).status_code == 403
    assert (await administrator.get(f"{path}?purpose=")).status_code == 403
    assert (await administrator.get("/api/cameras/camera-9/setup-still?purpose=x")).status_code == 404
    dispatcher = await house.person(Role.DISPATCHER, name="Dilnoza")
    assert (await dispatcher.get(f"{path}?purpose=curious")).status_code == 403


async def test_snapshots(house: House, scene: Pictures) -> None:
    person = await house.person(Role.DISPATCHER)
    answer = await person.get(f"/api/snapshots/camera-1/event-1{LOOK}")
    assert (answer.status_code, answer.content) == (200, b"\xff\xd8event\xff\xd9")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/jpeg", "no-store")
    assert await _looks(house) == [("video.snapshot", "camera-1", "smoke at the market")]
    for path in ("camera-1/other", "camera-1/..", "camera-1/%2e%2e%2fsecret", "..%2f/event-1", "a.b/event-1"):
        assert (await person.get(f"/api/snapshots/{path}{LOOK}")).status_code == 404
    for query in ("", "?purpose=x", f"?incident_id={INCIDENT}"):
        assert (await person.get(f"/api/snapshots/camera-1/event-1{query}")).status_code in (400, 403)
    for role in (Role.CALL_TAKER, Role.ADMINISTRATOR, Role.AUDITOR):
        other = await house.person(role, name=role.value)
        assert (await other.get(f"/api/snapshots/camera-1/event-1{LOOK}")).status_code == 403
    assert len(await _looks(house)) == 1


async def test_still(house: House, scene: Pictures) -> None:
    person = await house.person(Role.DISPATCHER)
    answer = await person.get(f"/api/cameras/camera-1/still{LOOK}")
    assert (answer.status_code, answer.content) == (200, b"\xff\xd8masked\xff\xd9")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-time"] == "2026-01-01T07:59:58.500000Z"
    assert await _looks(house) == [("video.still", "camera-1", "smoke at the market")]


async def test_stills_of_one_look_are_one_entry_in_ten_minutes(house: House, scene: Pictures) -> None:
    person = await house.person(Role.DISPATCHER)
    officer = await house.person(Role.DUTY_OFFICER, name="Aziza")
    path = f"/api/cameras/camera-1/still{LOOK}"
    for _ in range(6):
        assert (await person.get(path)).status_code == 200
        house.clock.advance(10)
    assert len(await _looks(house)) == 1
    for client, other in ((person, f"{path}+again"), (officer, path), (officer, f"{path}&unmasked=1")):
        for _ in range(2):
            assert (await client.get(other)).status_code == 200
    assert len(await _looks(house)) == 4
    house.clock.advance(REPEAT_S)
    assert (await person.get(path)).status_code == 200
    assert len(await _looks(house)) == 5


async def test_a_live_look_ends_with_its_ground_and_its_end_is_written_down(
    house: House, scene: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_pictures, "GROUND_EVERY_S", 0.05)
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person, f"/api/cameras/camera-1/live{LOOK}") as socket:
        for _ in range(3):
            await socket.link.recv()
        house.clock.advance(125)
        await scene.publish(8)
        assert await socket.link.recv() == fragment(8)
        await _close(house, hours_ago=30)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.link.recv(), 10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "closed too long ago" in closed.value.rcvd.reason) == (4403, True)
    async with house.deps.db.reading() as tx:
        (ended,) = [e for e in await journal.page(tx, 0, 1000) if e.action == LIVE_END]
    assert ended.text.endswith("for 2 min 5 s")
    assert (ended.object_id, ended.purpose) == ("camera-1", "smoke at the market")


async def test_without_the_viewing_role_there_is_a_sentence(house: House) -> None:
    await registry.register(house.deps.db, Order(actor="system:setup"), city())
    await alarms.receive(house.deps.db, [alarm("one")])
    person = await house.person(Role.DISPATCHER)
    answer = await person.get(f"/api/cameras/camera-1/still{LOOK}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    async with house.socket(person, f"/api/cameras/camera-1/live{LOOK}") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.link.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    assert await _looks(house) == []


async def test_a_slow_viewer_jumps_to_a_keyframe() -> None:
    viewer = Viewer(limit=3)
    for number in range(1, 6):
        viewer.offer(fragment(number), keyframe=False)
    viewer.offer(fragment(6), keyframe=True)
    viewer.offer(fragment(7), keyframe=False)
    assert [sequence_number(await viewer.next()) for _ in range(2)] == [6, 7]


async def test_a_lost_fragment_makes_everybody_wait_for_the_next_keyframe(
    house: House, scene: Pictures
) -> None:
    async with Channels(house.deps.bus).looking(MASKED, f"{MASKED}.start") as (start, viewer):
        assert start.fragments == (fragment(7),)
        for number, kind in ((8, "fragment"), (10, "fragment"), (11, "fragment"), (12, "keyframe")):
            await scene.publish(number, kind)
        assert [sequence_number(await viewer.next()) for _ in range(2)] == [8, 12]


async def _to_the_end(viewer: Viewer) -> None:
    while True:
        await viewer.next()


async def test_a_stream_that_cannot_be_renewed_ends(house: House, scene: Pictures, monkeypatch) -> None:
    monkeypatch.setattr("safecity.web.channels.RENEW_S", 0.01)
    async with Channels(house.deps.bus).looking(MASKED, f"{MASKED}.start") as (_, viewer):
        scene.lost = True
        async with asyncio.timeout(20):
            with pytest.raises(Ended, match="the camera is lost") as ended:
                await _to_the_end(viewer)
    assert ended.value.code == 1013
