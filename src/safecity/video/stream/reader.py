"""A source's packets made ours: parameter sets taken out, damage counted, time made monotonic."""

from collections.abc import Iterator
from typing import Final

import msgspec

from safecity.clock import Clock
from safecity.errors import Invalid
from safecity.video.stream.bitstream import (
    CODECS,
    TICKS_PER_S,
    StreamInfo,
    VideoPacket,
    describe,
    join_sample,
)
from safecity.video.stream.reorder import Reorder
from safecity.video.stream.source import Description, RawPacket, RawSound, RefusedError, SoundPacket
from safecity.video.stream.timeline import Moment, Timeline

BAD_STARTS: Final = 5
"""Keyframes whose parameter sets describe no picture, before the stream is refused."""
SOUND_LIMIT_TICKS: Final = 2 * TICKS_PER_S
"""Sound that claims to be farther from the pictures around it is not theirs."""


class ReaderCounters(msgspec.Struct):
    """What was wrong with a stream since the program started.

    damaged: packets with a NAL unit that cannot be right. unusable: packets without a picture or before the
    first keyframe. discontinuities: jumps of the camera's clock that were bridged. formats: times that the
    stream's nature was told anew (codec, size, parameter sets). clock_error_s: how far ahead of ours the
    camera's clock is, by its RTCP sender reports (RFC 3550, section 6.4.1); None while it sends none.
    Recordings are dated by our clock.
    """

    damaged: int = 0
    unusable: int = 0
    discontinuities: int = 0
    formats: int = 0
    clock_error_s: float | None = None


class Reader:
    """Turns the parts of one connection into packets on the camera's timeline."""

    def __init__(self, timeline: Timeline, clock: Clock, counters: ReaderCounters) -> None:
        """Continue `timeline` with a new connection."""
        self.info: StreamInfo | None = None
        self._timeline = timeline
        self._clock = clock
        self._counters = counters
        self._codec = CODECS["h264"]
        self._sets: dict[int, list[bytes]] = {}
        self._reorder = Reorder()
        self._bad_starts = 0
        self._is_start = True
        self._last: tuple[int, Moment] | None = None
        self._sound_end = 0
        timeline.reconnect()

    def begin(self, description: Description) -> None:
        """Know codec and parameter sets as the source describes them."""
        codec = CODECS[description.codec]
        if codec is not self._codec:
            self._codec, self._sets, self.info = codec, {}, None
        self._reorder.set_depth(description.reorder_depth)
        self._learn([nal for nal in description.parameter_sets if nal])

    def read(self, raw: RawPacket) -> Iterator[VideoPacket]:
        """Yield packets in our form; none while no keyframe has come or when there is no picture in it.

        `info` is that of the packet just yielded. Raises RefusedError when no keyframe describes a picture.
        """
        for dated in self._reorder.take(raw):
            packet = self._read(dated)
            self._counters.discontinuities = self._timeline.discontinuities
            if packet is None:
                self._counters.unusable += 1
            else:
                yield packet

    def read_sound(self, raw: RawSound) -> SoundPacket | None:
        """Return sound on the timeline of the pictures, None while there is no picture to place it beside."""
        if self._last is None or raw.pts_ticks is None or self.info is None:
            return None
        dts, moment = self._last
        ahead = raw.pts_ticks - dts
        ticks = moment.ticks + ahead
        if abs(ahead) > SOUND_LIMIT_TICKS or ticks < self._sound_end:
            return None
        self._sound_end = ticks + 1
        time_s = self._clock.now().timestamp() - max(moment.lag_s, 0.0)
        return SoundPacket(raw.data, ticks, raw.duration_ticks, time_s)

    def _read(self, raw: RawPacket) -> VideoPacket | None:
        nals = [nal for nal in raw.nals if self._codec.is_sound(nal)]
        self._counters.damaged += raw.is_damaged or len(nals) < len(raw.nals)
        kinds = {self._codec.kind(nal) for nal in nals}
        moment = self._timeline.place(raw.dts_ticks, self._clock.monotonic_s(), raw.duration_ticks)
        self._last = None if raw.dts_ticks is None else (raw.dts_ticks, moment)
        if raw.taken_s is not None:
            self._counters.clock_error_s = raw.taken_s - (self._clock.now().timestamp() - moment.lag_s)
        if kinds & self._codec.sets:
            self._learn(nals)
        pictures = [nal for nal in nals if self._codec.kind(nal) not in self._codec.no_picture]
        is_key = bool(kinds & self._codec.keys)
        if is_key:
            self._describe(pictures)
        if self.info is None or not pictures or self._is_skipped(kinds):
            return None
        return self._packet(raw, pictures, moment, is_key=is_key)

    def _is_skipped(self, kinds: set[int]) -> bool:
        """Return whether the picture needs ones before the keyframe we began with (RASL, H.265 3.129)."""
        if self._is_start and kinds & self._codec.skipped:
            return True
        if not kinds & (self._codec.keys | self._codec.leading):
            self._is_start = False
        return False

    def _packet(self, raw: RawPacket, pictures: list[bytes], moment: Moment, *, is_key: bool) -> VideoPacket:
        shift = 0 if raw.pts_ticks is None or raw.dts_ticks is None else raw.pts_ticks - raw.dts_ticks
        return VideoPacket(
            join_sample(pictures),
            moment.ticks,
            max(shift, 0),
            moment.duration_ticks,
            is_key,
            self._clock.now().timestamp() - moment.lag_s,
        )

    def _learn(self, nals: list[bytes]) -> None:
        found: dict[int, list[bytes]] = {}
        for nal in nals:
            kind = self._codec.kind(nal)
            if kind in self._codec.sets and nal not in found.setdefault(kind, []):
                found[kind].append(nal)
        self._sets.update(found)

    def _describe(self, pictures: list[bytes]) -> None:
        sets = tuple(nal for kind in sorted(self._sets) for nal in self._sets[kind])
        if self.info is not None and (self.info.codec, self.info.parameter_sets) == (self._codec.name, sets):
            return
        try:
            self.info = describe(self._codec, sets, pictures)
        except Invalid as error:
            # A damaged parameter set comes right again with one of the next keyframes.
            self._counters.damaged += 1
            self._bad_starts += 1
            if self.info is None and self._bad_starts >= BAD_STARTS:
                raise RefusedError(str(error)) from error
            return
        self._bad_starts = 0
        self._is_start = True
        self._counters.formats += 1
        self._reorder.set_depth(self.info.reorder_depth)
