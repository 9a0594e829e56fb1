"""The desk: what makes pictures for people, with the detector, the studio, the library and the jobs."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import structlog

from safecity.bus.connection import Bus
from safecity.bus.subjects import PEEK
from safecity.clock import Clock
from safecity.config import VideoSection
from safecity.errors import Invalid, TooMany
from safecity.model.video import StreamRole
from safecity.store.database import Database
from safecity.video.detector import make_detector
from safecity.video.live import LiveStart
from safecity.video.masking.hidden import CONFIDENCE
from safecity.video.viewing.playback import MAX_SPEED, Chunk, chunk
from safecity.video.viewing.reels import Library
from safecity.video.viewing.setups import OneFinder, Setups, Veils
from safecity.video.viewing.shows import Publish, Show, ask
from safecity.video.viewing.steps import Picture, picture
from safecity.video.viewing.stills import newest
from safecity.video.viewing.studio import Studio
from safecity.video.viewing.veil import Finder

log = structlog.get_logger()

JOBS: Final = 2
"""Stills and chunks that are made at the same time."""
WAITING: Final = 32
"""And that are made or wait at most; who comes then is asked to try again."""
SETUPS_EVERY_S: Final = 1.0
"""How soon a new mask is drawn in a view that runs."""

T = TypeVar("T")
FinderMaker = Callable[[], Finder]


class Desk:
    """All that is made for viewers in this process. Used in the event loop; its work is done in threads."""

    def __init__(
        self,
        directory: Path,
        settings: VideoSection,
        database: Database,
        bus: Bus,
        clock: Clock,
        publish: Publish,
        *,
        make_finder: FinderMaker | None = None,
    ) -> None:
        """Prepare. directory: of the recordings, only read. publish: sends masked fragments, in the loop."""
        careful = msgspec.structs.replace(settings, detector_confidence=CONFIDENCE)
        finder = OneFinder(make_finder or (lambda: make_detector(careful)), clock)
        self._veils = Veils(finder)
        self._setups = Setups(database, self._veils)
        self._library = Library(directory)
        self._studio = Studio(self._veils.of)
        self._bus = bus
        self._clock = clock
        self._publish = publish
        self._shows: dict[str, tuple[Show, asyncio.Task[None]]] = {}
        self._threads = ThreadPoolExecutor(JOBS, thread_name_prefix="viewing")
        self._jobs = 0
        self.done = 0

    async def run(self) -> None:
        """Work until cancelled: keep the veils as the setups are, and end shows that nobody looks at."""
        self._studio.start()
        try:
            while True:
                await asyncio.sleep(SETUPS_EVERY_S)
                self._shows = {id_: pair for id_, pair in self._shows.items() if not pair[1].done()}
                await self._setups.refresh(*self._shows)
        finally:
            await self._close()

    def counters(self) -> dict[str, float]:
        """Return what is made now and was made."""
        views = self._studio.views.values()
        return {
            "views": float(len(views)),
            "views_coarse": float(sum(bool(view.coarse) for view in views)),
            "pictures_per_s_allowed": 1 / self._studio.interval_s(),
            "jobs": float(self._jobs),
            "jobs_total": float(self.done),
        }

    async def start(self, camera_id: str) -> tuple[LiveStart, str]:
        """Return what a new viewer of a camera's masked picture needs, and why it is coarse if it is.

        Raises Unavailable while there is no picture.
        """
        pair = self._shows.get(camera_id)
        if pair is None or pair[1].done():
            await self._setups.refresh(camera_id)
            pair = self._shows.get(camera_id)
        if pair is None or pair[1].done():
            show = Show(camera_id, self._bus, self._studio, self._clock, self._publish)
            show.look()
            pair = (show, asyncio.create_task(show.run()))
            self._shows[camera_id] = pair
        return await pair[0].start()

    async def still(self, camera_id: str, *, masked: bool, strict: bool = False) -> Picture:
        """Return a camera's newest picture. Raises Unavailable while there is none, TooMany.

        strict: people are hidden whatever the camera's setup says.
        """
        stream = StreamRole.SUB if masked else StreamRole.MAIN
        source = await ask(self._bus, camera_id, stream, PEEK)
        taken_at = datetime.fromtimestamp(source.taken_at_s, UTC)
        if masked:
            await self._setups.refresh(camera_id)

        def make() -> Picture:
            veil = self._veils.of(camera_id, strict=strict) if masked else None
            return newest(source.init, source.fragments, taken_at, veil)

        return await self._make(make)

    async def chunk(self, camera_id: str, at: datetime, speed: int, *, masked: bool) -> Chunk:
        """Return a piece of a recording. Raises Invalid, NotFound, Unavailable, TooMany."""
        if not 1 <= speed <= MAX_SPEED:
            raise Invalid(f"'speed' is a whole number from 1 to {MAX_SPEED}")
        if masked:
            await self._setups.refresh(camera_id)

        def make() -> Chunk:
            veil = self._veils.of(camera_id) if masked else None
            return chunk(self._library, camera_id, _aware(at), speed, veil)

        return await self._make(make)

    async def frame(self, camera_id: str, at: datetime, step: int, *, masked: bool) -> Picture:
        """Return a single picture of a recording. Raises Invalid, NotFound, Unavailable, TooMany."""
        if masked:
            await self._setups.refresh(camera_id)

        def make() -> Picture:
            veil = self._veils.of(camera_id) if masked else None
            return picture(self._library, camera_id, _aware(at), step, veil)

        return await self._make(make)

    async def _make(self, work: Callable[[], T]) -> T:
        if self._jobs >= WAITING:
            raise TooMany("too many people look at recordings now; try again in some seconds")
        self._jobs += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._jobs -= 1
            self.done += 1

    async def _close(self) -> None:
        tasks = [task for _, task in self._shows.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._studio.stop, 1.0)
        self._threads.shutdown(wait=False, cancel_futures=True)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Invalid("'at' needs a time zone, for example 2026-01-31T08:00:00Z")
    return at
