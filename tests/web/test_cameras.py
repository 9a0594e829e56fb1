"""Looks through cameras: none without a purpose, each in the journal, pictures whole and in order."""

import asyncio
import json

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from operations.builders import alarm, city
from safecity.access.policy import Role
from safecity.bus.connection import Bus
from safecity.operations import alarms, registry
from safecity.operations.command import Order
from safecity.store import journal
from safecity.web.cameras import Viewer, sequence_number
from web_house import House

pytestmark = pytest.mark.engines

INCIDENT = alarm("one").incident_id
LOOK = f"?incident_id={INCIDENT}&purpose=smoke+at+the+market"


def fragment(number: int) -> bytes:
    """Return the beginning of a movie fragment of that number, as ISO/IEC 14496-12 writes it."""
    return (
        b"\x00\x00\x00\x20moof\x00\x00\x00\x10mfhd\x00\x00\x00\x00" + number.to_bytes(4, "big") + b"picture"
    )


class VideoRole:
    """Answers on the bus as the video role does, with pictures of known bytes."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked = 0
        self.number = 7

    async def start(self) -> None:
        """Answer for camera-1."""
        await self.bus.serve("live.camera-1.main.start", self._start)
        await self.bus.serve("still.camera-1", self._still)

    async def _start(self, _: bytes) -> bytes:
        self.asked += 1
        # A fragment that the answer holds already is published before the answer is there.
        await self.bus.client.publish("live.camera-1.main", fragment(self.number), headers={"Kind": "fragment"})
        return msgspec.msgpack.encode(
            {
                "mime": 'video/mp4; codecs="avc1.42C01F"',
                "width": 640,
                "height": 360,
                "init": b"ftyp+moov",
                "fragments": [fragment(self.number)],
            }
        )

    async def _still(self, _: bytes) -> bytes:
        return b"\xff\xd8picture\xff\xd9"

    async def publish(self, number: int, kind: str = "fragment") -> None:
        """Publish a fragment."""
        await self.bus.client.publish("live.camera-1.main", fragment(number), headers={"Kind": kind})


@pytest.fixture
async def scene(house: House) -> VideoRole:
    """A camera, an incident and somebody who serves pictures."""
    await registry.register(house.deps.db, Order(actor="system:setup"), city())
    await alarms.receive(house.deps.db, [alarm("one")])
    role = VideoRole(house.deps.bus)
    await role.start()
    return role


async def _looks(house: House) -> list[tuple[str, str, str]]:
    async with house.deps.db.reading() as tx:
        entries = await journal.page(tx, 0, 1000)
    return [(e.action, e.object_id, e.purpose) for e in entries if e.action.startswith("video.")]


async def test_live_picture_begins_with_its_header_and_repeats_nothing(
    house: House, scene: VideoRole
) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person, f"/api/cameras/camera-1/live{LOOK}") as socket:
        init = json.loads(await socket.link.recv())
        assert init == {
            "type": "init",
            "mime": 'video/mp4; codecs="avc1.42C01F"',
            "width": 640,
            "height": 360,
        }
        assert await socket.link.recv() == b"ftyp+moov"
        assert await socket.link.recv() == fragment(7)
        for number in (8, 9):
            await scene.publish(number)
        assert [await socket.link.recv() for _ in range(2)] == [fragment(8), fragment(9)]
    assert await _looks(house) == [("video.live", "camera-1", "smoke at the market")]


@pytest.mark.parametrize("restart", ["init", "count"])
async def test_a_stream_that_begins_anew_ends_the_picture(
    house: House, scene: VideoRole, restart: str
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
async def test_no_look_without_purpose_and_incident(house: House, scene: VideoRole, query: str) -> None:
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
    house: House, scene: VideoRole, camera: str, incident: str
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
    assert scene.asked == 0
    assert await _looks(house) == []


async def test_still(house: House, scene: VideoRole) -> None:
    person = await house.person(Role.DISPATCHER)
    answer = await person.get(f"/api/cameras/camera-1/still{LOOK}")
    assert (answer.status_code, answer.content) == (200, b"\xff\xd8picture\xff\xd9")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    assert await _looks(house) == [("video.still", "camera-1", "smoke at the market")]


async def test_without_the_video_role_there_is_a_sentence(house: House) -> None:
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
    assert not viewer.restarted.is_set()
