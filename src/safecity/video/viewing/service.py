"""The viewing role on the bus: masked live views, stills, playback and snapshots, on request."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from nats.aio.msg import Msg

from safecity.bus.connection import Bus
from safecity.bus.subjects import EVERY, playback, snapshot, still, view, view_start
from safecity.clock import Clock
from safecity.config import VideoSection
from safecity.errors import Invalid, NotFound, SafeCityError
from safecity.model.base import Noun
from safecity.model.video import ID
from safecity.store.database import Database
from safecity.video.viewing.snapshots import read_snapshot

if TYPE_CHECKING:
    from safecity.video.live import FragmentKind
    from safecity.video.viewing.desk import Desk

log = structlog.get_logger()

QUEUE: Final = "viewing"
"""Several viewing processes share the work; each request is answered by one."""


class StillQuestion(Noun, frozen=True):
    """Asks for a still. strict: people are hidden whatever the setup says."""

    masked: bool = True
    strict: bool = False


class PlaybackOp(StrEnum):
    """What is asked of a recording."""

    CHUNK = "chunk"
    FRAME = "frame"


class PlaybackQuestion(Noun, frozen=True):
    """Asks for a piece of a recording to play, or for a single picture."""

    op: PlaybackOp
    at: datetime
    speed: int = 1
    masked: bool = True
    step: int = 0


class SnapshotQuestion(Noun, frozen=True):
    """Asks for the picture of an event."""

    id: str


Answer = Callable[[str, bytes], Awaitable[Any]]


class ViewingService:
    """Connects what makes pictures for people to the bus. Its libraries are loaded when somebody looks."""

    def __init__(
        self, directory: Path, settings: VideoSection, database: Database, bus: Bus, clock: Clock
    ) -> None:
        """Prepare. directory: of the recordings, only read."""
        self._directory = directory
        self._settings = settings
        self._database = database
        self._bus = bus
        self._clock = clock
        self._desk: Desk | None = None
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until cancelled."""
        answers = {
            view_start(EVERY): self._on_view,
            still(EVERY): self._on_still,
            playback(EVERY): self._on_playback,
            snapshot(EVERY): self._on_snapshot,
        }
        for subject, answer in answers.items():
            await self._bus.client.subscribe(subject, queue=QUEUE, cb=self._answering(answer))
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def counters(self) -> dict[str, float]:
        """Return what is made now and was made."""
        return self._desk.counters() if self._desk is not None else {}

    def _answering(self, answer: Answer) -> Callable[[Msg], Awaitable[None]]:
        async def on_message(message: Msg) -> None:
            # In a task of its own: one who waits for a chunk must not hold up the next.
            self._keep(asyncio.create_task(self._respond(message, answer)))

        return on_message

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _respond(self, message: Msg, answer: Answer) -> None:
        camera_id = message.subject.split(".")[1]
        try:
            if not ID.fullmatch(camera_id):
                raise NotFound("there is no camera with that id")
            reply = await answer(camera_id, message.data)
        except SafeCityError as error:
            reply = {"code": error.code, "message": str(error)}
        except msgspec.MsgspecError as error:
            reply = {"code": Invalid.code, "message": f"that question cannot be read: {error}"}
        except Exception:
            log.exception("a picture could not be made", subject=message.subject)
            reply = {"code": SafeCityError.code, "message": "the picture could not be made"}
        try:
            await message.respond(msgspec.msgpack.encode(reply))
        except Exception as error:
            log.warning("an answer was not sent", subject=message.subject, error=repr(error))

    async def _open(self) -> "Desk":
        async with self._opening:
            if self._desk is None:
                self._desk = await self._load()
                self._keep(asyncio.create_task(self._desk.run()))
            return self._desk

    async def _load(self) -> "Desk":
        def load() -> "type[Desk]":
            from safecity.video.viewing.desk import Desk

            return Desk

        # In a thread: importing the codecs holds a slow machine up for a second.
        desk = await asyncio.to_thread(load)
        return desk(self._directory, self._settings, self._database, self._bus, self._clock, self._publish)

    async def _on_view(self, camera_id: str, _: bytes) -> Any:
        start, coarse = await (await self._open()).start(camera_id)
        return {**msgspec.structs.asdict(start), "coarse": coarse}

    async def _on_still(self, camera_id: str, data: bytes) -> Any:
        question = msgspec.msgpack.decode(data, type=StillQuestion) if data else StillQuestion()
        return await (await self._open()).still(camera_id, masked=question.masked, strict=question.strict)

    async def _on_playback(self, camera_id: str, data: bytes) -> Any:
        question = msgspec.msgpack.decode(data, type=PlaybackQuestion)
        desk = await self._open()
        if question.op is PlaybackOp.CHUNK:
            return await desk.chunk(camera_id, question.at, question.speed, masked=question.masked)
        return await desk.frame(camera_id, question.at, question.step, masked=question.masked)

    async def _on_snapshot(self, camera_id: str, data: bytes) -> Any:
        question = msgspec.msgpack.decode(data, type=SnapshotQuestion)
        found = await asyncio.to_thread(read_snapshot, self._directory, camera_id, question.id)
        return {"jpeg": found}

    def _publish(self, camera_id: str, kind: "FragmentKind", data: bytes) -> None:
        task = asyncio.ensure_future(
            self._bus.client.publish(view(camera_id), data, headers={"Kind": kind.value})
        )
        task.add_done_callback(_note_failure)


def _note_failure(task: "asyncio.Future[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.info("a masked fragment was not published", error=repr(task.exception()))
