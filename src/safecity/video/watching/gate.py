"""The motion gate: says cheaply whether it is worth looking closer.

A background model on a small grey picture: mean and variance for each cell, learned only while nothing moves,
so that somebody who stands still is not learned away. What then stays put for half a minute (a parked car, a
place that somebody left) becomes background all the same, and a picture that changes as a whole (light, a
turned camera) is learned anew.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

Luma = NDArray[np.float32]

GRID_WIDTH: Final = 96
"""Cells across; a person of 1/20 of the picture's width covers about 5 x 10 of them."""
DEVIATIONS: Final = 4.0
"""A cell so many standard deviations from its mean is foreground."""
FLOOR: Final = 9.0
"""And at least so many grey levels of 255: compression noise stays below."""
LEARN: Final = 0.08
"""Share of each quiet picture in the model."""
START_VARIANCE: Final = 25.0
NEIGHBOURS: Final = 4
"""Foreground cells needed among the 9 around a cell, itself included; single ones are noise."""
MIN_CELLS: Final = 5
"""Solid foreground cells that make a motion."""
FLOOD_SHARE: Final = 0.6
"""A change of so much of the picture is light or the camera itself."""
STILL_LEVELS: Final = 6.0
STILL_S: Final = 30.0
"""A foreground cell that changed by less than STILL_LEVELS for so long becomes background."""


class Motion(NamedTuple):
    """What a picture shows against the background: does something move, and in which share of the cells."""

    active: bool
    share: float


class MotionGate:
    """The background of one camera. Used by one thread."""

    def __init__(self) -> None:
        """Know nothing; the first picture is taken as background."""
        self._mean: Luma | None = None
        self._variance = np.zeros((0, 0), dtype=np.float32)
        self._last = self._variance
        self._still_s = self._variance
        self._has_still = False
        self._time_s = 0.0
        # Kept from picture to picture: making its tables costs more than using them.
        self._scaler = VideoReformatter()
        self.resets = 0

    def look(self, frame: Any, time_s: float) -> Motion:
        """Return what moves in a decoded picture (av.VideoFrame) taken at `time_s`."""
        height = max(round(GRID_WIDTH * frame.height / frame.width), 1)
        small = self._scaler.reformat(
            frame, width=GRID_WIDTH, height=height, format="gray", interpolation="AREA", threads=1
        )
        return self.look_at(small.to_ndarray().astype(np.float32), time_s)

    def look_at(self, luma: Luma, time_s: float) -> Motion:
        """Return what moves in a small grey picture, (rows, columns) of 0 to 255."""
        if self._mean is None or self._mean.shape != luma.shape:
            self._restart(luma, time_s)
            return Motion(False, 0.0)
        step_s = min(max(time_s - self._time_s, 0.0), STILL_S)
        self._time_s = time_s
        difference = luma - self._mean
        squared = difference * difference
        foreground = squared > np.maximum(DEVIATIONS**2 * self._variance, FLOOR**2)
        cells = _solid(foreground) if np.count_nonzero(foreground) >= MIN_CELLS else 0
        share = cells / foreground.size
        if share > FLOOD_SHARE:
            self.resets += 1
            self._restart(luma, time_s)
            return Motion(True, share)
        self._absorb(luma, foreground, step_s)
        active = cells >= MIN_CELLS
        if not active:
            self._mean += LEARN * difference
            self._variance += LEARN * (squared - self._variance)
        return Motion(active, share)

    def _restart(self, luma: Luma, time_s: float) -> None:
        self._mean = luma.copy()
        self._variance = np.full_like(luma, START_VARIANCE)
        self._last = luma
        self._still_s = np.zeros_like(luma)
        self._time_s = time_s

    def _absorb(self, luma: Luma, foreground: NDArray[np.bool_], step_s: float) -> None:
        """Make background of foreground cells that have long been the same."""
        if not foreground.any():
            if self._has_still:
                self._still_s.fill(0)
            self._has_still, self._last = False, luma
            return
        self._has_still = True
        still = np.abs(luma - self._last) < STILL_LEVELS
        self._still_s = np.where(still & foreground, self._still_s + np.float32(step_s), np.float32(0))
        self._last = luma
        settled = self._still_s >= STILL_S
        if self._mean is not None and settled.any():
            self._mean[settled] = luma[settled]
            self._variance[settled] = START_VARIANCE


def _solid(foreground: NDArray[np.bool_]) -> int:
    """Return how many foreground cells have others around them."""
    return int(np.count_nonzero(foreground & (_around(foreground) >= NEIGHBOURS)))


def _around(cells: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return for each cell how many of the 9 around it, itself included, are set."""
    padded = np.zeros((cells.shape[0] + 2, cells.shape[1] + 2), dtype=np.uint8)
    padded[1:-1, 1:-1] = cells
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])
