"""The viewing role on the bus: every question has an answer, and a bad one is a sentence."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from safecity.bus.connection import Bus
from safecity.bus.subjects import playback, snapshot, still, view_start
from safecity.clock import SystemClock
from safecity.config import VideoSection
from safecity.store.database import Database
from safecity.video.viewing.service import ViewingService

from .viewing_parts import Recording, at, decoded, setup

pytestmark = pytest.mark.engines


@pytest.fixture
async def role(bus: Bus, database: Database, film, tmp_path) -> AsyncIterator[ViewingService]:
    """The viewing role at work over six recorded seconds and one snapshot."""
    info, packets = film
    recording = Recording(tmp_path)
    recording.feed(info, packets[:60], "end")
    recording.close()
    day = tmp_path / "cam" / "snapshots" / "2026-01-01"
    day.mkdir(parents=True)
    (day / "event-1.jpg").write_bytes(b"picture")
    async with database.writing() as tx:
        tx.put(setup(blur_persons=False))
        await tx.journal(actor="test", action="test", object_kind="camera", object_id="cam", text="set up")
    service = ViewingService(tmp_path, VideoSection(), database, bus, SystemClock())
    task = asyncio.create_task(service.run())
    await _answers(bus)
    yield service
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _ask(bus: Bus, subject: str, question: Any) -> dict[str, Any]:
    data = await bus.request(subject, msgspec.msgpack.encode(question), 60)
    return dict(msgspec.msgpack.decode(data))


async def _answers(bus: Bus) -> None:
    """Wait until the role has subscribed."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.wait_for(_nothing(bus), 2)
            except Exception:
                await asyncio.sleep(0.1)


async def _nothing(bus: Bus) -> None:
    await _ask(bus, snapshot("cam"), {"id": "none"})


async def test_each_question_has_its_answer(bus: Bus, role: ViewingService) -> None:
    assert await _ask(bus, snapshot("cam"), {"id": "event-1"}) == {"jpeg": b"picture"}
    # A look at a file loads nothing.
    assert role.counters() == {}
    chunk = await _ask(bus, playback("cam"), {"op": "chunk", "at": "2026-01-01T00:00:02Z", "speed": 2})
    assert (chunk["width"], chunk["start"], chunk["next"]) == (640, at(2), at(4))
    assert len(decoded(chunk["init"], chunk["fragments"])) > 5
    clear = await _ask(bus, playback("cam"), {"op": "chunk", "at": at(2), "masked": False})
    assert clear["width"] == 768
    frame = await _ask(bus, playback("cam"), {"op": "frame", "at": at(2), "step": -1})
    assert frame["at"] == at(1.9)
    assert frame["jpeg"].startswith(b"\xff\xd8")
    assert role.counters()["jobs_total"] == 3


@pytest.mark.parametrize(
    ("subject", "question", "code"),
    [
        (snapshot("cam"), {"id": "../../../etc/passwd"}, "not_found"),
        (snapshot("cam"), {}, "invalid"),
        (snapshot("cam"), {"id": 5}, "invalid"),
        (playback("cam"), {"op": "delete", "at": at(0)}, "invalid"),
        (playback("cam"), {"op": "chunk", "at": "yesterday"}, "invalid"),
        (playback("cam"), {"op": "chunk", "at": "2026-01-01T00:00:00"}, "invalid"),
        (playback("cam"), {"op": "chunk", "at": at(0), "speed": 0}, "invalid"),
        (playback("cam"), {"op": "chunk", "at": at(0), "speed": 17}, "invalid"),
        (playback("cam"), {"op": "chunk", "at": at(0) + timedelta(days=1)}, "not_found"),
        (playback("other"), {"op": "chunk", "at": at(0)}, "not_found"),
        (still("other"), {"masked": True}, "unavailable"),
        (view_start("other"), {}, "unavailable"),
        (snapshot("a$b"), {"id": "event-1"}, "not_found"),
    ],
)
async def test_a_bad_question_is_answered_with_a_sentence(
    bus: Bus, role: ViewingService, subject: str, question: Any, code: str
) -> None:
    answer = await _ask(bus, subject, question)
    assert answer["code"] == code
    assert answer["message"]
