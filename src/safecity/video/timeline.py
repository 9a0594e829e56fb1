"""A camera's time made monotonic, and tied to ours."""

from typing import Final, NamedTuple

from safecity.video.bitstream import TICKS_PER_S

FORWARD_LIMIT_S: Final = 2.0
"""A step that claims so much more time than passed here is a jump of the camera's clock."""
LAG_LIMIT_S: Final = 10.0
"""A stream that is so much behind what it was has lost time; a network burst is shorter."""
DRIFT: Final = 2e-4
"""The camera's clock may run slow by this share and is still followed (crystals are good to 1e-4)."""
NOMINAL_TICKS: Final = TICKS_PER_S // 25
"""Step used when nothing is known of the picture rate: PAL's 25 a second."""


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
        self._anchor_s = 0.0
        self._fresh = True

    def reconnect(self) -> None:
        """Forget the camera's own time: a new connection counts from somewhere else."""
        self._raw = None
        self._fresh = True

    def place(self, raw_ticks: int | None, arrival_s: float) -> Moment:
        """Return where the packet lies that the camera dates `raw_ticks` and that came at `arrival_s`.

        raw_ticks: the camera's decoding time in 1/90000 s, None when it gave none.
        arrival_s: our monotonic time.
        """
        if self._arrival_s is None:
            self._anchor_s = arrival_s
        elif self._fresh:
            self._jump(arrival_s)
        else:
            self._advance(raw_ticks, arrival_s)
        self._fresh = False
        self._raw = raw_ticks
        self._arrival_s = arrival_s
        position_s = self._ticks / TICKS_PER_S
        # The packet that was least delayed tells the true offset between the two clocks.
        self._anchor_s = min(self._anchor_s, arrival_s - position_s)
        return Moment(self._ticks, self._step, arrival_s - position_s - self._anchor_s)

    def _advance(self, raw_ticks: int | None, arrival_s: float) -> None:
        gap_s = arrival_s - (self._arrival_s or arrival_s)
        self._anchor_s += gap_s * DRIFT
        if raw_ticks is None or self._raw is None:
            self._ticks += self._step
            return
        step = raw_ticks - self._raw
        lag_s = arrival_s - self._anchor_s - (self._ticks + step) / TICKS_PER_S
        if step <= 0 or step / TICKS_PER_S - gap_s > FORWARD_LIMIT_S or lag_s > LAG_LIMIT_S:
            self.discontinuities += 1
            self._jump(arrival_s)
            return
        self._ticks += step
        self._step = step

    def _jump(self, arrival_s: float) -> None:
        """Go on where our own clock says we are, at least one step on."""
        expected = round((arrival_s - self._anchor_s) * TICKS_PER_S)
        self._ticks = max(self._ticks + min(self._step, TICKS_PER_S), expected)
        self._anchor_s = arrival_s - self._ticks / TICKS_PER_S
