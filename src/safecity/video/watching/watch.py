"""Watching one camera: gate, detector, tracker and rules over its packets, in the analysis thread.

Of a small stream every picture is decoded, quickly, and five a second go through the motion gate; of a large
one only the keyframes, while nothing moves. When the gate fires, the pictures kept since the keyframe before
are decoded after the fact, so that what set it off is seen from its beginning.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from safecity.clock import Clock
from safecity.model.video import CameraSetup, StreamRole
from safecity.model.video_rule import Congestion, Crowd, StoppedVehicle
from safecity.video.camera import CameraConfig
from safecity.video.detector import Detections, Floats
from safecity.video.event import VideoEvent
from safecity.video.picture import PictureDecoder
from safecity.video.rules import RuleEngine
from safecity.video.stream.bitstream import TICKS_PER_S, StreamInfo, VideoPacket
from safecity.video.watching.gate import MotionGate
from safecity.video.watching.mailbox import Mailbox, Waiting, WatchCounters
from safecity.video.watching.ring import RETRO_S, Ring
from safecity.video.watching.sighting import Finder, Seen, persons_in
from safecity.video.watching.tracker import Tracker, Tracks

HOLD_S: Final = 5.0
"""How long pictures are looked at closely after the last motion."""
GATE_S: Final = 0.2
"""Between two pictures that the gate sees: 5 a second, as the design measured it."""
GATE_VOTES: Final = 2
"""Of the last three gate pictures of a small stream so many must move: one flash is nothing."""
LATE_S: Final = 1.0
"""A packet that waited so long for analysis is only decoded, to catch up; that is quick."""
GIVE_UP_S: Final = 3.0
"""One that waited so long isn't even decoded; a keyframe that is fresh again goes on."""
FRESH_S: Final = 0.5
ROUNDING_S: Final = 1e-3
"""A picture that is due within this is due: sums of seconds are not exact."""
IDLE_AFTER_S: Final = 5.0
IDLE_LOOK_S: Final = 0.5
"""Trees move for hours: where nothing was found for IDLE_AFTER_S, two looks a second find a person too."""
STANDING_LOOK_S: Final = 1.5
STANDING_IDLE_S: Final = 5.0
"""Rules on what stands still look also while nothing moves: so often while something is there, and else."""
ENOUGH_FPS: Final = 2.0
"""Rules on pictures that want no more than this also work with the keyframes of a large stream."""
SPARSE: Final = 4.0
"""Those that want more get every picture where keyframes bring so many times less than they want."""

LookListener = Callable[[float, Detections, Tracks], None]
"""Is told of each close look: film time, what was found, and the tracks after it."""


class _Shot(NamedTuple):
    """A decoded picture: when it was taken in film time (never runs back) and in wall time."""

    frame: Any
    film_s: float
    time_s: float


class CameraWatch:
    """The analysis of one camera. `mailbox` and `configure` are for any thread, the rest for analysis."""

    def __init__(
        self, config: CameraConfig, clock: Clock, on_look: LookListener = lambda _at_s, _found, _tracks: None
    ) -> None:
        """Watch what the rules of `config` name; `on_look` is called in the analysis thread."""
        self.config = config
        self.counters = WatchCounters()
        self.mailbox = Mailbox(self.counters, clock)
        self.cost_s = 0.0
        self._clock = clock
        self._on_look = on_look
        self._ordered: CameraConfig | None = None
        self._info: StreamInfo | None = None
        self._role: StreamRole | None = None
        self._offset_s = 0.0
        self._last = (0.0, 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget everything seen so far; after a defect nothing that it touched is trusted."""
        self._gate = MotionGate()
        self._tracker = Tracker()
        self._engine = RuleEngine(self.config.setup)
        self._decoder: PictureDecoder | None = None
        self._is_quick = False
        self._ring = Ring()
        self._size_px = (0, 0)
        self._key_s: float | None = None
        self._sees_all = False
        self._lost_place = False
        self._active_until_s: float | None = None
        self._next_look_s = 0.0
        self._next_gate_s = 0.0
        self._next_standing_s = 0.0
        self._last_found_s = 0.0
        self._votes: deque[bool] = deque(maxlen=3)

    @property
    def is_active(self) -> bool:
        """Return whether pictures are looked at closely now."""
        return self._active_until_s is not None

    def configure(self, config: CameraConfig) -> None:
        """Watch by other rules from the next packet on."""
        self._ordered = config

    def process(self, waiting: Waiting, finder: Finder, interval_s: float) -> list[Seen]:
        """Return the events that a packet brings; look closely at most every `interval_s` of film."""
        self._obey()
        waited_s = self._clock.monotonic_s() - waiting.queued_s
        decoder = self._decoder_for(waiting)
        packet = waiting.packet
        if self._has_given_up(packet, waited_s):
            self.counters.dropped += 1
            return []
        is_late = waited_s > LATE_S
        if self._sees_all:
            self._ring.keep(packet)
        if self._sees_all or self.is_active:
            seen = self._see_all(decoder, packet, finder, interval_s, is_late=is_late)
        else:
            seen = self._see_key(decoder, packet, finder, interval_s)
        self._calm_down(packet)
        return seen

    def _obey(self) -> None:
        if self._ordered is None:
            return
        self.config, self._ordered = self._ordered, None
        self._engine.configure(self.config.setup)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Return what each rule has counted, by its name."""
        return self._engine.counts

    def _decoder_for(self, waiting: Waiting) -> PictureDecoder:
        """Return the decoder, a new one where another stream begins."""
        is_other = waiting.info != self._info
        if waiting.role is not self._role:
            is_other = True
            self._change_stream(waiting)
        self._info, self._role = waiting.info, waiting.role
        self._last = (waiting.queued_s, self._film_s(waiting.packet.ticks))
        if waiting.packet.is_key:
            self._choose_pictures(self._last[1])
        if is_other or self._decoder is None:
            self._quiet()
            return self._make_decoder(waiting.info, quick=waiting.role is StreamRole.SUB)
        if waiting.fresh:
            self._decoder.reset()
            self._quiet()
        return self._decoder

    def _change_stream(self, waiting: Waiting) -> None:
        """Go on with the camera's other stream: other pixels, another timeline, the same film time."""
        if self._role is None:
            return
        queued_s, film_s = self._last
        self._offset_s = film_s + (waiting.queued_s - queued_s) - waiting.packet.ticks / TICKS_PER_S
        self._gate = MotionGate()
        self._engine.change_stream()
        self._key_s = None

    def _choose_pictures(self, key_s: float) -> None:
        """Decide at a keyframe whether all pictures are decoded: a small stream's, or where rules need it."""
        gap_s = 0.0 if self._key_s is None else key_s - self._key_s
        self._key_s = key_s
        wanted_fps = self._engine.needs_pictures_fps
        is_needed = wanted_fps > ENOUGH_FPS and gap_s * wanted_fps > SPARSE
        self._sees_all = self._role is StreamRole.SUB or is_needed

    def _make_decoder(self, info: StreamInfo, *, quick: bool) -> PictureDecoder:
        decoder = self._decoder = PictureDecoder(info, quick=quick)
        self._is_quick = quick
        return decoder

    def _quiet(self) -> None:
        self._active_until_s = None
        self._votes.clear()
        self._ring.clear()

    def _has_given_up(self, packet: VideoPacket, waited_s: float) -> bool:
        """Return whether the packet goes unseen because analysis is far behind."""
        waits_for_key = not self._sees_all and not self.is_active
        if waited_s > GIVE_UP_S and not waits_for_key:
            self._lost_place = True
        elif self._lost_place and packet.is_key and waited_s <= FRESH_S and self._decoder is not None:
            # Only what is fresh leaves time to look; going on late would mean decoding for nothing for ever.
            self._lost_place = False
            self._decoder.reset()
            self._ring.clear()
        return self._lost_place

    def _film_s(self, ticks: int) -> float:
        return ticks / TICKS_PER_S + self._offset_s

    def _shots(self, decoder: PictureDecoder, packet: VideoPacket) -> Iterator[_Shot]:
        damaged = decoder.damaged
        frames = decoder.decode(packet)
        self.counters.damaged += decoder.damaged - damaged
        for frame in frames:
            self.counters.decoded += 1
            shown_ticks = packet.ticks + packet.shift_ticks
            yield _Shot(
                frame, self._film_s(frame.pts), packet.time_s + (frame.pts - shown_ticks) / TICKS_PER_S
            )

    def _see_key(
        self, decoder: PictureDecoder, packet: VideoPacket, finder: Finder, interval_s: float
    ) -> list[Seen]:
        """Look at a large stream while nothing moves: keyframes only."""
        if not packet.is_key:
            self._ring.add(packet)
            return []
        before = self._ring.begin(packet)
        frame = decoder.decode_alone(packet)
        if frame is None:
            return []
        self.counters.decoded += 1
        shot = _Shot(frame, self._film_s(packet.ticks + packet.shift_ticks), packet.time_s)
        is_moving, seen = self._pass_gate(shot, finder)
        if not is_moving:
            return seen + self._look_at_standing(shot, finder)
        whole = [*before, packet] if before and before[0].is_key else [packet]
        self._ring.clear()
        return seen + self._activate(decoder, whole, finder, interval_s, self._film_s(whole[0].ticks))

    def _see_all(
        self,
        decoder: PictureDecoder,
        packet: VideoPacket,
        finder: Finder,
        interval_s: float,
        *,
        is_late: bool,
    ) -> list[Seen]:
        """Look at every picture: of a small stream, or of a large one while something moves."""
        if packet.is_key and not self.is_active and not self._is_quick:
            decoder = self._make_decoder(decoder.info, quick=True)
        seen: list[Seen] = []
        for shot in self._shots(decoder, packet):
            if is_late:
                self._pass_over(shot, interval_s)
                continue
            if shot.film_s >= self._next_gate_s - ROUNDING_S:
                is_moving, found = self._pass_gate(shot, finder)
                seen += found
                self._votes.append(is_moving)
                if self.is_active and is_moving:
                    self._active_until_s = shot.film_s + HOLD_S
                elif not self.is_active and sum(self._votes) >= GATE_VOTES:
                    return seen + self._wake_up(decoder, shot, finder, interval_s)
                elif not self.is_active:
                    seen += self._look_at_standing(shot, finder)
            seen += self._look_if_due(shot, finder, interval_s)
        return seen

    def _pass_over(self, shot: _Shot, interval_s: float) -> None:
        """Leave a picture out that is late; nobody knows whether something moves, so stay attentive."""
        if self.is_active and shot.film_s >= self._next_look_s - ROUNDING_S:
            self._next_look_s = max(self._next_look_s + interval_s, shot.film_s + interval_s / 2)
            self._active_until_s = shot.film_s + HOLD_S
            self.counters.skipped += 1

    def _pass_gate(self, shot: _Shot, finder: Finder) -> tuple[bool, list[Seen]]:
        """Return whether something moves, and what the rules on pictures as a whole say."""
        self._next_gate_s = max(self._next_gate_s + GATE_S, shot.film_s + GATE_S / 2)
        self.counters.gated += 1
        is_moving = self._gate.look(shot.frame, shot.film_s).active
        events = self._engine.look_at_picture(shot.frame, shot.film_s, is_moving)
        if not events:
            return is_moving, []
        return is_moving, self._place(events, shot, self._everybody(shot.frame, finder))

    def _wake_up(self, decoder: PictureDecoder, shot: _Shot, finder: Finder, interval_s: float) -> list[Seen]:
        """Look closely at a small stream, from a second ago."""
        if self._ring.packets and self._is_quick:
            return self._activate(decoder, self._ring.packets, finder, interval_s, shot.film_s - RETRO_S)
        # It had only just calmed down: the decoder is in the middle of the stream and all was looked at.
        self._begin(shot.film_s, shot.film_s)
        return self._look_if_due(shot, finder, interval_s)

    def _activate(
        self,
        decoder: PictureDecoder,
        packets: list[VideoPacket],
        finder: Finder,
        interval_s: float,
        from_s: float,
    ) -> list[Seen]:
        """Look closely from now on, beginning with what was kept."""
        self._begin(self._film_s(packets[-1].ticks), from_s)
        decoder = self._make_decoder(decoder.info, quick=False)
        return [
            seen
            for packet in packets
            for shot in self._shots(decoder, packet)
            for seen in self._look_if_due(shot, finder, interval_s)
        ]

    def _begin(self, now_s: float, from_s: float) -> None:
        self.counters.activations += 1
        self._active_until_s = now_s + HOLD_S
        self._next_look_s = from_s
        self._last_found_s = now_s

    def _calm_down(self, packet: VideoPacket) -> None:
        if self._active_until_s is None or self._film_s(packet.ticks) <= self._active_until_s:
            return
        self._active_until_s = None
        self._votes.clear()
        if not self._sees_all and self._decoder is not None:
            self._decoder.reset()
            self._ring.clear()

    def _look_if_due(self, shot: _Shot, finder: Finder, interval_s: float) -> list[Seen]:
        if not self.is_active or shot.film_s < self._next_look_s - ROUNDING_S:
            return []
        if shot.film_s - self._last_found_s > IDLE_AFTER_S:
            interval_s = max(interval_s, IDLE_LOOK_S)
        self._next_look_s = max(self._next_look_s + interval_s, shot.film_s + interval_s / 2)
        return self._look(shot, finder)

    def _look_at_standing(self, shot: _Shot, finder: Finder) -> list[Seen]:
        """Look now and then although nothing moves, where a rule is about what stands still."""
        if shot.film_s < self._next_standing_s:
            return []
        if not _has_standing_rules(self.config.setup) and not self._engine.wants_look(shot.film_s):
            return []
        before = self.counters.detections
        seen = self._look(shot, finder)
        found = self.counters.detections > before
        self._next_standing_s = shot.film_s + (STANDING_LOOK_S if found else STANDING_IDLE_S)
        return seen

    def _look(self, shot: _Shot, finder: Finder) -> list[Seen]:
        started_s = self._clock.monotonic_s()
        found = finder.detect(shot.frame)
        # Waiting for the processor counts too: where others take it, pictures are looked at less often.
        self.cost_s = self._clock.monotonic_s() - started_s
        self.counters.looked_at += 1
        self.counters.detections += len(found.scores)
        if len(found.scores):
            self._last_found_s = shot.film_s
        size_px = (shot.frame.width, shot.frame.height)
        if self._size_px not in {(0, 0), size_px}:
            self._tracker.rescale(size_px[0] / self._size_px[0], size_px[1] / self._size_px[1])
        self._size_px = size_px
        tracks = self._tracker.update(found, shot.film_s)
        self._on_look(shot.film_s, found, tracks)
        events = self._engine.look(tracks, shot.film_s, *size_px)
        return self._place(events, shot, persons_in(found, tracks)) if events else []

    def _everybody(self, frame: Any, finder: Finder) -> Floats | None:
        """Return the boxes of all people in a picture that was not looked at closely."""
        try:
            return persons_in(finder.detect(frame), None)
        except Exception:
            # The event is told all the same; its picture is then made coarse as a whole.
            self.counters.failures += 1
            return None

    def _place(self, events: list[VideoEvent], shot: _Shot, persons: Floats | None) -> list[Seen]:
        """Return the events in wall time, with the picture."""
        self.counters.events += len(events)
        return [
            Seen(
                msgspec.structs.replace(event, time_s=shot.time_s + event.time_s - shot.film_s),
                shot.frame,
                persons,
                self.config.setup,
            )
            for event in events
        ]


def _has_standing_rules(setup: CameraSetup) -> bool:
    return any(isinstance(rule, StoppedVehicle | Congestion | Crowd) for rule in setup.rules)
