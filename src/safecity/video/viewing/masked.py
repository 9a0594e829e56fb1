"""One camera's masked live view: its packets in, masked fragments out, made once for all who look.

Runs in the studio's thread. Every picture that leaves has passed the veil; when time is short there are fewer
pictures, never clearer ones.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from safecity.clock import Clock
from safecity.model.video import StreamRole
from safecity.video.live import FragmentKind, LiveView
from safecity.video.masking.hidden import small_of
from safecity.video.picture import PictureDecoder
from safecity.video.stream.bitstream import TICKS_PER_S, StreamInfo
from safecity.video.viewing.cover import Cover
from safecity.video.viewing.encoder import Encoder
from safecity.video.viewing.novelty import Novelty
from safecity.video.viewing.veil import Veil
from safecity.video.watching.mailbox import Mailbox, Waiting, WatchCounters

SHORTEST_S: Final = 0.1
"""Between two masked pictures at least: ten a second show all that people need."""
LONGEST_S: Final = 1.0
HASTE_S: Final = 0.01
"""A picture that is so little early is on time: the beat of the film is not ours."""
LOOK_EVERY_S: Final = 0.2
"""Between two searches for people; in a picture between they are where they were going, and it is searched
too when anything else has changed in it."""
LATE_S: Final = 0.4
"""A picture that waited so long gives way to a newer one."""
BEHIND_S: Final = 1.5
"""A packet that waited so long is left out, with all up to the next keyframe."""
COST_GAIN: Final = 0.2
NAME: Final = StreamRole.SUB
"""Under which a live view keeps its viewers; a masked one has only this."""

Send = Callable[[str, FragmentKind, bytes], None]


class MaskedCounters(msgspec.Struct):
    """What was shown since the program started; written by the studio, read by anyone."""

    pictures: int = 0
    coarse: int = 0
    skipped: int = 0
    searches: int = 0


class MaskedView:
    """The masked view of one camera. `mailbox` is for the thread that receives, the rest for the studio's."""

    def __init__(self, camera_id: str, clock: Clock, send: Send, on_first: Callable[[], None]) -> None:
        """Show nothing yet. send and on_first (of each beginning) are called in the studio's thread."""
        self.camera_id = camera_id
        self.counters = MaskedCounters()
        self.mailbox = Mailbox(WatchCounters(), clock)
        self.live = LiveView(camera_id, clock, lambda id_, _, kind, data: send(id_, kind, data))
        self.coarse = ""
        self.cost_s = 0.0
        self._send = send
        self._on_first = on_first
        self._clock = clock
        self._busy_s = 0.0
        self._veil: Veil | None = None
        self._info: StreamInfo | None = None
        self._decoder: PictureDecoder | None = None
        self._encoder: Encoder | None = None
        self._cover = Cover()
        self._novelty = Novelty()
        self._broken = False
        self._old_ticks = -1
        self._next_s = 0.0
        self._shown_s = float("-inf")
        self._searched_s = float("-inf")

    def leave_out(self, ticks: int) -> None:
        """Show nothing before `ticks` (1/90000 s): it is past, and only needed to decode what follows."""
        self._old_ticks = ticks

    def process(self, waiting: Waiting, veil: Veil, interval_s: float) -> None:
        """Take the next packet; show its pictures at most every `interval_s` of film."""
        begun_s = time.thread_time()
        shown = self.counters.pictures
        decoder = self._decoder_for(waiting)
        waited_s = self._clock.monotonic_s() - waiting.queued_s
        if self._is_readable(waiting, waited_s):
            for frame in decoder.decode(waiting.packet):
                self._picture(frame, veil, interval_s, is_late=waited_s > LATE_S)
        self._busy_s += time.thread_time() - begun_s
        if self.counters.pictures > shown:
            self.cost_s += (COST_GAIN if self.cost_s else 1.0) * (self._busy_s - self.cost_s)
            self._busy_s = 0.0

    def _is_readable(self, waiting: Waiting, waited_s: float) -> bool:
        """Return whether a packet is to be decoded: what came long ago is not, nor what needs it."""
        if waiting.packet.is_key:
            self._broken = False
        elif waited_s > BEHIND_S:
            self._broken = True
        return not self._broken

    def _decoder_for(self, waiting: Waiting) -> PictureDecoder:
        if self._decoder is None or waiting.info is not self._info:
            self._info = waiting.info
            self._decoder = PictureDecoder(waiting.info)
            self._encoder = None
            self._cover = Cover()
            self._novelty = Novelty()
            self._next_s = 0.0
            self._shown_s = self._searched_s = float("-inf")
        elif waiting.fresh:
            self._decoder.reset()
        return self._decoder

    def _picture(self, frame: Any, veil: Veil, interval_s: float, *, is_late: bool) -> None:
        film_s = frame.pts / TICKS_PER_S
        if film_s < self._next_s - HASTE_S or frame.pts < self._old_ticks:
            return
        if is_late and film_s - self._shown_s < LONGEST_S:
            self.counters.skipped += 1
            return
        self._next_s = max(self._next_s + interval_s, film_s + interval_s / 2)
        self._shown_s = film_s
        ticks = frame.pts
        painted = self._painted(small_of(frame), veil, film_s)
        self._show(painted, ticks, veil, interval_s)

    def _painted(self, small: Any, veil: Veil, film_s: float) -> Any:
        if veil.coarse:
            self.counters.coarse += 1
            return veil.draw(small, None)
        if not veil.searches:
            return veil.draw(small, None)
        if film_s - self._searched_s < LOOK_EVERY_S - SHORTEST_S / 2:
            boxes = self._cover.carry(film_s)
            if not self._novelty.is_in(small, boxes):
                return veil.draw(small, boxes)
        found = veil.find(small)
        if found is None:
            self.counters.coarse += 1
            return veil.draw(small, None)
        self.counters.searches += 1
        self._novelty.searched(small)
        self._searched_s = film_s
        return veil.draw(small, self._cover.update(found, film_s))

    def _show(self, painted: Any, ticks: int, veil: Veil, interval_s: float) -> None:
        size = (painted.width, painted.height)
        begins = self._encoder is None or self._encoder.size != size
        if self._encoder is None or begins:
            self._encoder = Encoder(*size)
        changed = veil is not self._veil
        packets = self._encoder.encode(painted, ticks, round(interval_s * TICKS_PER_S), key=changed)
        if begins and self._encoder.info is not None:
            self.live.begin(self._encoder.info)
        if self._veil is not None and veil.coarse != self.coarse:
            # Viewers who begin anew are told why the picture is coarse now, or that it no longer is.
            self._send(self.camera_id, FragmentKind.INIT, b"")
        self._veil, self.coarse = veil, veil.coarse
        for packet in packets:
            self.live.add(packet)
        self.counters.pictures += 1
        if begins:
            self._on_first()
