"""Decoding times for pictures that carry only the time at which they are shown (RTP with B-frames)."""

import bisect
from collections.abc import Iterator
from typing import Final

from safecity.video.stream.bitstream import TICKS_PER_S
from safecity.video.stream.source import RawPacket

DEPTH_LIMIT: Final = 16
"""Pictures that a decoder may hold back at most (ITU-T H.264, annex A.3.1: max_dec_frame_buffering)."""
NEAR_TICKS: Final = TICKS_PER_S
"""Shown times that differ by more between neighbours are a jump of the clock, no reordering."""
NOMINAL_TICKS: Final = TICKS_PER_S // 25
"""Duration of a picture while nothing is known: PAL's 25 a second."""


class Reorder:
    """Gives each picture the decoding time that an encoder with the same delay would have written.

    Decoding times are the shown times in rising order, `depth` pictures late (the way of ISO/IEC 14496-10,
    annex C.4.5.3, where a picture leaves when `depth` others wait).
    """

    def __init__(self, depth: int = 0) -> None:
        """Expect `depth` pictures to be decoded before one that is shown earlier."""
        self._depth = min(depth, DEPTH_LIMIT)
        self._shown: list[int] = []
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._held: list[RawPacket] | None = None

    @property
    def depth(self) -> int:
        """Return how many pictures are decoded ahead, as told or as learned."""
        return self._depth

    def set_depth(self, depth: int) -> None:
        """Know that the stream now says `depth`; what was learned from it is more than what it says."""
        if depth > self._depth:
            self._restart(min(depth, DEPTH_LIMIT))

    def take(self, packet: RawPacket) -> Iterator[RawPacket]:
        """Yield what can be dated now, in decoding order: mostly the packet itself, with its decoding time.

        Only before the very first date of a stream with B-frames are a few packets held back.
        """
        if packet.dts_ticks is not None:
            yield packet
        elif self._held is not None or (packet.pts_ticks is None and self._last_pts is None and self._depth):
            yield from self._hold(packet)
        elif packet.pts_ticks is None:
            yield packet
        else:
            yield packet._replace(dts_ticks=self._date(packet.pts_ticks, packet.duration_ticks))

    def _date(self, pts: int, duration: int) -> int:
        if self._last_pts is None:
            self._fill(pts, duration or NOMINAL_TICKS)
        elif abs(pts - self._last_pts) > NEAR_TICKS:
            # A jump may come anywhere: pictures that are shown before this one may follow it.
            self._fill(pts - self._depth * (duration or NOMINAL_TICKS), duration or NOMINAL_TICKS)
        self._last_pts = pts
        bisect.insort(self._shown, pts)
        if self._last_dts is not None and pts < self._last_dts and self._depth < DEPTH_LIMIT:
            # Shown before one that was already dated: the stream reorders more than it says.
            bisect.insort(self._shown, self._last_dts)
            self._depth += 1
        self._last_dts = self._shown.pop(0)
        return self._last_dts

    def _fill(self, pts: int, duration: int) -> None:
        """Begin anew, as if `depth` pictures had been sent before this one."""
        self._shown = [pts - duration * ahead for ahead in range(self._depth, 0, -1)]
        self._last_dts = None

    def _restart(self, depth: int) -> None:
        self._depth = depth
        self._last_pts = self._last_dts = None

    def _hold(self, packet: RawPacket) -> Iterator[RawPacket]:
        """Wait until enough dates are known to tell when the undated first picture is shown."""
        held = self._held = [*(self._held or []), packet]
        dates = sorted(one.pts_ticks for one in held if one.pts_ticks is not None)
        if len(dates) <= self._depth and len(held) <= 2 * DEPTH_LIMIT:
            return
        self._held = None
        step = packet.duration_ticks or NOMINAL_TICKS
        last = dates[0] if dates else 0
        self._shown, self._last_dts = dates[1:], last
        self._last_pts = packet.pts_ticks if packet.pts_ticks is not None else last
        for behind, one in zip(range(len(held) - 1, -1, -1), held, strict=True):
            dts = last - behind * step
            pts = dts + self._depth * step if one.pts_ticks is None else one.pts_ticks
            yield one._replace(pts_ticks=pts, dts_ticks=dts)
