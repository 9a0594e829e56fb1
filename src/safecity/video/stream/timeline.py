"""A camera's time made monotonic, and tied to ours.

Whatever a camera writes on its pictures (a clock that jumps, stops, repeats itself, wraps or drifts, or no
time at all), each packet gets a place after the one before, and the places advance as our own clock does.
"""

from typing import Final, NamedTuple

from safecity.video.stream.bitstream import TICKS_PER_S

FORWARD_LIMIT_S: Final = 2.0
"""A step so far into our future is a jump of the camera's clock.

A camera that was held up and leaves pictures out takes a long step too, but only up to now.
"""
LAG_LIMIT_S: Final = 30.0
"""A stream that is so much behind what it was has lost time.

Less is a queue: the buffers of a connection hold up to 20 s of a 4 Mbit/s stream (measured on an overloaded
machine), and those pictures are as old as they say.
"""
WINDOW_S: Final = 60.0
"""The least delayed packet of one to two such windows tells the true offset between the two clocks.

So a clock that is wrong by 1 % (crystals are good to 0.01 %, some cameras to less) is followed, and the time
of a picture stays right within a second; a queue on the way that lasts shorter is still seen as what it is.
"""
NOMINAL_TICKS: Final = TICKS_PER_S // 25
"""Step used when nothing is known of the picture rate: PAL's 25 a second."""
HELD_UP_TICKS: Final = TICKS_PER_S
"""How late the first dated packet may be through our own fault."""
WRAPS: Final = (1 << 32, 1 << 33)
"""Where time stamps begin anew: RTP 32 bits (RFC 3550, section 5.1), MPEG-2 33 (ISO/IEC 13818-1, 2.4.3.7)."""


class Moment(NamedTuple):
    """Where a packet lies: `ticks` on the timeline (1/90000 s), and how long ago it was taken, `lag_s`."""

    ticks: int
    duration_ticks: int
    lag_s: float


class Timeline:
    """Places each packet after the last one. It lives as long as the camera, over all its connections."""

    def __init__(self) -> None:
        """Start at 0 with the first packet."""
        self.discontinuities = 0
        self._ticks = 0
        self._step = NOMINAL_TICKS
        self._raw: int | None = None
        self._arrival_s: float | None = None
        self._fresh = True
        self._window_end_s = 0.0
        self._least_s = 0.0
        self._least_before_s = 0.0

    def reconnect(self) -> None:
        """Forget the camera's own time: a new connection counts from somewhere else."""
        self._raw = None
        self._fresh = True

    def place(self, raw_ticks: int | None, arrival_s: float, duration_ticks: int = 0) -> Moment:
        """Return where the packet lies that the camera dates `raw_ticks` and that came at `arrival_s`.

        raw_ticks: the camera's decoding time in 1/90000 s, None when it gave none.
        arrival_s: our monotonic time. duration_ticks: how long the source says it lasts, 0 when it doesn't.
        """
        if self._fresh and duration_ticks > 0:
            self._step = min(duration_ticks, TICKS_PER_S)
        if self._arrival_s is None:
            self._anchor(arrival_s)
        elif self._fresh:
            self._jump(arrival_s)
        elif raw_ticks is None or self._raw is None:
            self._undated(arrival_s, dated_again=raw_ticks is not None)
        else:
            self._advance(_unwrapped(raw_ticks - self._raw), arrival_s)
        self._fresh = False
        self._raw = raw_ticks
        self._arrival_s = arrival_s
        return Moment(self._ticks, self._step, self._lag_s(arrival_s))

    def _advance(self, step: int, arrival_s: float) -> None:
        lag_s = arrival_s - self._offset_s() - (self._ticks + step) / TICKS_PER_S
        if step <= 0 or lag_s < -FORWARD_LIMIT_S or lag_s > LAG_LIMIT_S:
            self.discontinuities += 1
            self._jump(arrival_s)
            return
        self._ticks += step
        self._step = step

    def _undated(self, arrival_s: float, *, dated_again: bool) -> None:
        """Go on by the usual step as long as that agrees with our own clock.

        dated_again: the packet has a date, only the one before had none (the first of an RTSP connection).
        Our own work on the first keyframe may have held this one up; its age then tells so.
        """
        usual = min(self._step, TICKS_PER_S)
        behind = self._expected(arrival_s) - self._ticks - usual
        if dated_again and abs(behind) < HELD_UP_TICKS:
            behind = 0
        # Several packets may come at once; each still gets a place of its own.
        self._ticks += max(usual + behind, usual // 2, 1)

    def _jump(self, arrival_s: float) -> None:
        """Go on where our own clock says we are, at least one step on."""
        self._ticks = max(self._ticks + min(self._step, TICKS_PER_S), self._expected(arrival_s))
        self._anchor(arrival_s)

    def _expected(self, arrival_s: float) -> int:
        return round((arrival_s - self._offset_s()) * TICKS_PER_S)

    def _offset_s(self) -> float:
        """Return our monotonic time at tick 0 of the timeline, as the least delayed packets tell it."""
        return min(self._least_s, self._least_before_s)

    def _anchor(self, arrival_s: float) -> None:
        """Know that this packet has just been taken."""
        self._least_s = self._least_before_s = arrival_s - self._ticks / TICKS_PER_S
        self._window_end_s = arrival_s + WINDOW_S

    def _lag_s(self, arrival_s: float) -> float:
        offset_s = arrival_s - self._ticks / TICKS_PER_S
        if arrival_s >= self._window_end_s:
            self._window_end_s = arrival_s + WINDOW_S
            self._least_before_s, self._least_s = self._least_s, offset_s
        self._least_s = min(self._least_s, offset_s)
        return max(offset_s - self._offset_s(), 0.0)


def _unwrapped(step: int) -> int:
    """Return the step, made good when the time stamps only started anew in between."""
    if step >= 0:
        return step
    for period in WRAPS:
        made_good = step + period
        if 0 < made_good < FORWARD_LIMIT_S * 2 * TICKS_PER_S:
            return made_good
    return step
