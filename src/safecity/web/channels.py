"""Live pictures from the bus to many viewers: one subscription a stream, kept since its last keyframe.

A new viewer begins with what is kept, so its first picture is there at once and costs no other process
anything. A slow viewer loses whole groups of pictures, never parts of one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from safecity.bus.connection import Bus
from safecity.errors import SafeCityError, Unavailable
from safecity.model.base import Noun
from safecity.web.answers import kind_of
from safecity.web.sockets import CLOSE_RESTART, CLOSE_TRY_AGAIN, Ended

START_WITHIN_S: Final = 6.0
RENEW_S: Final = 5.0
"""Streams go on for 15 s after each request, so that a lost one does no harm."""
MAX_WAITING: Final = 60
"""Fragments that wait for a slow viewer, some seconds; past this the picture jumps to the next keyframe."""
RING_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""A group of pictures that is larger isn't kept; who comes then waits for the next keyframe."""


class StreamStart(Noun, frozen=True):
    """What is answered when a live picture is asked for: how to decode it, and where to begin.

    coarse: why the picture is coarse all over, empty when it isn't. Or, with `code` and `message`, why there
    is none.
    """

    mime: str = ""
    width: int = 0
    height: int = 0
    init: bytes = b""
    fragments: tuple[bytes, ...] = ()
    coarse: str = ""
    code: str = ""
    message: str = ""


class Viewer:
    """Fragments on their way to one viewer."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        """Keep at most `limit` fragments."""
        self._limit = limit
        self._waiting: deque[bytes] = deque()
        self._skipping = False
        self._wake = asyncio.Event()
        self._ended: Ended | None = None

    def offer(self, fragment: bytes, *, keyframe: bool) -> None:
        """Queue a fragment, or drop it until the next keyframe when the viewer is behind."""
        if len(self._waiting) >= self._limit:
            self._waiting.clear()
            self._skipping = True
        if self._skipping and not keyframe:
            return
        self._skipping = False
        self._waiting.append(fragment)
        self._wake.set()

    def skip(self) -> None:
        """Know that a fragment was lost: show no more before the next keyframe."""
        self._skipping = True

    def end(self, ended: Ended) -> None:
        """Let `next` raise this."""
        self._ended = ended
        self._wake.set()

    async def next(self) -> bytes:
        """Return the next fragment to send. Raises Ended when there will be none."""
        while True:
            if self._ended is not None:
                raise self._ended
            if self._waiting:
                return self._waiting.popleft()
            self._wake.clear()
            await self._wake.wait()


class Channel:
    """One stream: its beginning, what was sent since the last keyframe, and who looks."""

    def __init__(self, bus: Bus, subject: str, start_subject: str) -> None:
        """Prepare to follow `subject`, whose beginning is asked for at `start_subject`."""
        self.viewers: set[Viewer] = set()
        self._bus = bus
        self._subject = subject
        self._start_subject = start_subject
        self._start: StreamStart | None = None
        self._early: list[Msg] = []
        self._ring: list[bytes] = []
        self._ring_bytes = 0
        self._floor = 0
        self._newest = 0
        self._opening = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def join(self) -> tuple[StreamStart, Viewer]:
        """Return the beginning with all since the last keyframe, and the viewer that gets what follows.

        Raises Unavailable, or as the answer says, while there is no picture.
        """
        async with self._opening:
            if self._start is None:
                await self._open()
            start = self._start
        if start is None:
            raise Unavailable("the picture begins anew; try again in a moment")
        viewer = Viewer()
        if not self._ring:
            viewer.skip()
        self.viewers.add(viewer)
        return msgspec.structs.replace(start, fragments=tuple(self._ring)), viewer

    async def close(self) -> None:
        """Follow no more."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self._subscription is not None and not self._bus.client.is_closed:
            await self._subscription.unsubscribe()

    async def _open(self) -> None:
        if self._subscription is None:
            self._subscription = await self._bus.client.subscribe(self._subject, cb=self._on_message)
        self._early = []
        start = await self._ask()
        self._start = start
        self._newest = 0
        self._floor = max((sequence_number(fragment) for fragment in start.fragments), default=0)
        self._ring = list(start.fragments)
        self._ring_bytes = sum(map(len, self._ring))
        early, self._early = self._early, []
        for message in early:
            self._take(message)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _ask(self) -> StreamStart:
        answer = await self._bus.request(self._start_subject, b"", START_WITHIN_S)
        start = msgspec.msgpack.decode(answer, type=StreamStart)
        if start.code:
            raise kind_of(start.code)(start.message)
        return start

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._ask()
            except SafeCityError as error:
                self._end(Ended(CLOSE_TRY_AGAIN, str(error)))
                return

    async def _on_message(self, message: Msg) -> None:
        if self._start is None:
            self._early.append(message)
        else:
            self._take(message)

    def _take(self, message: Msg) -> None:
        kind = (message.headers or {}).get("Kind", "fragment")
        number = sequence_number(message.data)
        if kind == "init" or number < self._newest:
            self._end(Ended(CLOSE_RESTART, "the camera's stream began anew"))
            return
        self._newest = number
        if number <= self._floor:
            return
        is_hole = self._floor > 0 and number != self._floor + 1
        self._floor = number
        self._pass_on(message.data, keyframe=kind == "keyframe", is_hole=is_hole)

    def _pass_on(self, fragment: bytes, *, keyframe: bool, is_hole: bool) -> None:
        self._keep(fragment, keyframe=keyframe, is_hole=is_hole)
        for viewer in self.viewers:
            if is_hole:
                viewer.skip()
            viewer.offer(fragment, keyframe=keyframe)

    def _keep(self, fragment: bytes, *, keyframe: bool, is_hole: bool) -> None:
        if keyframe or is_hole or self._ring_bytes + len(fragment) > RING_LIMIT_BYTES:
            self._ring, self._ring_bytes = [], 0
            if not keyframe:
                return
        elif not self._ring:
            return
        self._ring.append(fragment)
        self._ring_bytes += len(fragment)

    def _end(self, ended: Ended) -> None:
        """Send everybody away; who comes again begins with a new question."""
        self._start = None
        self._ring = []
        self._early = []
        for viewer in self.viewers:
            viewer.end(ended)


class Channels:
    """All streams that somebody looks at."""

    def __init__(self, bus: Bus) -> None:
        """Follow them on `bus`."""
        self._bus = bus
        self._open: dict[str, Channel] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def looking(self, subject: str, start_subject: str) -> AsyncIterator[tuple[StreamStart, Viewer]]:
        """Give the beginning of a stream and its viewer. Raises as `Channel.join`."""
        channel = self._open.setdefault(subject, Channel(self._bus, subject, start_subject))
        self._users[subject] = self._users.get(subject, 0) + 1
        viewer: Viewer | None = None
        try:
            start, viewer = await channel.join()
            yield start, viewer
        finally:
            if viewer is not None:
                channel.viewers.discard(viewer)
            self._users[subject] -= 1
            if not self._users[subject]:
                del self._users[subject], self._open[subject]
                await channel.close()


def sequence_number(fragment: bytes) -> int:
    """Return the number of a movie fragment (ISO/IEC 14496-12 section 8.8.5), 0 when it is none."""
    if fragment[4:8] != b"moof" or fragment[12:16] != b"mfhd":
        return 0
    return int.from_bytes(fragment[20:24], "big")
