"""Masked live views on the bus: made while somebody looks, from what the recording process publishes."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from nats.aio.msg import Msg

from safecity.bus.connection import Bus
from safecity.bus.subjects import live, live_start
from safecity.clock import Clock
from safecity.errors import Invalid, SafeCityError, Unavailable
from safecity.model.base import Noun
from safecity.model.video import StreamRole
from safecity.video.live import LOOK_S, FragmentKind, LiveStart
from safecity.video.stream.bitstream import StreamInfo, VideoPacket, described_by
from safecity.video.viewing.fragments import packets_in, sequence_of
from safecity.video.viewing.masked import NAME, MaskedView
from safecity.video.viewing.studio import Studio

log = structlog.get_logger()

START_WITHIN_S: Final = 5.0
"""How long a new viewer may wait for the first masked picture; the detector is loaded in this time too."""
ANSWER_WITHIN_S: Final = 2.0
RENEW_S: Final = 5.0
RETRY_S: Final = 1.0

Publish = Callable[[str, FragmentKind, bytes], None]


class Source(Noun, frozen=True):
    """What a recording process answers when a stream is asked for, or with `code` why there is none.

    taken_at_s: when the last picture was taken, seconds since 1970 UTC.
    """

    mime: str = ""
    width: int = 0
    height: int = 0
    init: bytes = b""
    fragments: tuple[bytes, ...] = ()
    taken_at_s: float = 0.0
    code: str = ""
    message: str = ""


async def ask(bus: Bus, camera_id: str, stream: StreamRole, words: bytes = b"") -> Source:
    """Return what the recording process has of a stream. Raises Unavailable when that is nothing."""
    answer = await bus.request(live_start(camera_id, stream), words, ANSWER_WITHIN_S)
    source = msgspec.msgpack.decode(answer, type=Source)
    if source.code:
        raise Unavailable(source.message)
    return source


class Show:
    """One camera shown masked, from its first viewer until nobody has renewed."""

    def __init__(self, camera_id: str, bus: Bus, studio: Studio, clock: Clock, publish: Publish) -> None:
        """Prepare. `publish` is called in the event loop."""
        self.camera_id = camera_id
        self._bus = bus
        self._studio = studio
        self._clock = clock
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._until_s = 0.0
        self._view: MaskedView | None = None
        self._info: StreamInfo | None = None
        self._sequence = 0
        self._newest = 0
        self._early: list[Msg] | None = None
        self._restart = asyncio.Event()
        self._settled = asyncio.Event()
        self._problem: SafeCityError | None = None

    @property
    def is_wanted(self) -> bool:
        """Return whether somebody looks."""
        return self._clock.monotonic_s() < self._until_s

    def look(self) -> None:
        """Keep the show on for LOOK_S."""
        self._until_s = self._clock.monotonic_s() + LOOK_S

    async def start(self) -> tuple[LiveStart, str]:
        """Return what a new viewer needs, and why it is coarse, and keep the show on for LOOK_S.

        Raises Unavailable while there is no picture.
        """
        self.look()
        try:
            await asyncio.wait_for(self._settled.wait(), START_WITHIN_S)
        except TimeoutError as error:
            raise Unavailable("the masked picture is not ready yet; try again in a moment") from error
        if self._problem is not None:
            raise self._problem
        view = self._view
        if view is None:
            raise Unavailable("the masked picture begins anew; try again in a moment")
        return view.live.start(NAME), view.coarse

    async def run(self) -> None:
        """Show until nobody looks."""
        while self.is_wanted:
            try:
                await self._follow()
            except (SafeCityError, msgspec.MsgspecError) as error:
                unread = Unavailable("the camera's answer cannot be read; its process restarts by itself")
                self._problem = error if isinstance(error, SafeCityError) else unread
                self._settled.set()
                await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Show one beginning of the stream, until it begins anew or nobody looks."""
        self._restart.clear()
        self._early = []
        subject = live(self.camera_id, StreamRole.SUB)
        subscription = await self._bus.client.subscribe(subject, cb=self._on_message)
        try:
            self._begin(await ask(self._bus, self.camera_id, StreamRole.SUB))
            while self.is_wanted and not self._restart.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._restart.wait(), RENEW_S)
                    return
                await ask(self._bus, self.camera_id, StreamRole.SUB)
        finally:
            self._end()
            if not self._bus.client.is_closed:
                await subscription.unsubscribe()

    def _begin(self, source: Source) -> None:
        self._info = described_by(source.init)
        self._newest = 0
        self._settled.clear()
        self._problem = None
        view = MaskedView(self.camera_id, self._clock, self._from_studio, self._on_first)
        self._view = view
        packets = [packet for data in source.fragments for packet in packets_in(data)]
        if packets:
            view.leave_out(packets[-1].ticks)
        self._sequence = max((sequence_of(data) for data in source.fragments), default=0)
        self._studio.add(view)
        self._feed(packets)
        early, self._early = self._early or [], None
        for message in early:
            self._take(message)

    def _end(self) -> None:
        self._studio.remove(self.camera_id)
        if self._view is not None:
            self._view = None
            # Whoever still looks is told to begin anew.
            self._publish(self.camera_id, FragmentKind.INIT, b"")
        self._settled.clear()

    async def _on_message(self, message: Msg) -> None:
        if self._early is not None:
            self._early.append(message)
        else:
            self._take(message)

    def _take(self, message: Msg) -> None:
        """Take a fragment; one that is missing before it makes the picture wait for the next keyframe."""
        kind = (message.headers or {}).get("Kind", FragmentKind.FRAGMENT)
        number = sequence_of(message.data)
        if kind == FragmentKind.INIT:
            self._restart.set()
            return
        if number < self._newest:
            # Only a recording process that began anew counts from 1 again.
            self._restart.set()
            return
        self._newest = number
        if number <= self._sequence:
            return
        if number != self._sequence + 1 and self._view is not None:
            self._view.mailbox.restart(StreamRole.MAIN)
        self._sequence = number
        try:
            self._feed(packets_in(message.data))
        except Invalid as error:
            log.info("a live fragment cannot be read", camera=self.camera_id, error=str(error))

    def _feed(self, packets: list[VideoPacket]) -> None:
        if self._view is None or self._info is None:
            return
        for packet in packets:
            self._view.mailbox.put(StreamRole.MAIN, self._info, packet)
        self._studio.wake()

    def _from_studio(self, camera_id: str, kind: FragmentKind, data: bytes) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._publish, camera_id, kind, data)

    def _on_first(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settled.set)
