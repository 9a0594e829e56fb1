"""A picture made small for the rules on pixels, each size made once for all rules that want it."""

from typing import Any, Final

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

Luma = NDArray[np.float32]
Scalers = dict[tuple[int, str], VideoReformatter]
"""FFmpeg's scalers by what they make; their tables cost ten times what using them does."""

WIDTH: Final = 160
"""Cells across for all but sharpness; a bag of 3 % of the picture's height is some three cells wide."""
FINE_WIDTH: Final = 320


class Small:
    """One decoded picture (av.VideoFrame) in the sizes that rules ask for."""

    def __init__(self, frame: Any, scalers: Scalers | None = None) -> None:
        """Take a picture; nothing is computed yet. scalers: kept from picture to picture, of one size."""
        self._frame = frame
        self._scalers = {} if scalers is None else scalers
        self._made: dict[tuple[int, str], NDArray[np.float32]] = {}

    @property
    def aspect(self) -> float:
        """Return width by height."""
        return float(self._frame.width / self._frame.height)

    def luma(self, width: int = WIDTH) -> Luma:
        """Return the grey picture, (rows, columns) of 0 to 255."""
        return self._as(width, "gray")

    def colour(self, width: int = WIDTH) -> Luma:
        """Return the picture in red, green and blue, (rows, columns, 3) of 0 to 255."""
        return self._as(width, "rgb24")

    def _as(self, width: int, form: str) -> NDArray[np.float32]:
        made = self._made.get((width, form))
        if made is None:
            height = max(round(width / self.aspect), 8)
            scaler = self._scalers.setdefault((width, form), VideoReformatter())
            frame = scaler.reformat(
                self._frame, width=width, height=height, format=form, interpolation="AREA", threads=1
            )
            made = self._made[width, form] = frame.to_ndarray().astype(np.float32)
        return made


def edges(luma: Luma) -> Luma:
    """Return how steep the picture is at each cell: the sum of both absolute central differences."""
    steep = np.zeros_like(luma)
    steep[:, 1:-1] += np.abs(luma[:, 2:] - luma[:, :-2])
    steep[1:-1] += np.abs(luma[2:] - luma[:-2])
    return steep


def likeness(a: Luma, b: Luma) -> float:
    """Return the normalised cross-correlation of two pictures, -1 to 1; 0 when one is flat."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


def blocks(luma: Luma, side: int = 8) -> Luma:
    """Return the means of blocks of `side` x `side` cells; what does not fill a block is left out."""
    rows, columns = luma.shape[0] // side * side, luma.shape[1] // side * side
    parts = luma[:rows, :columns].reshape(rows // side, side, columns // side, side)
    return np.asarray(parts.mean(axis=(1, 3)), dtype=np.float32)


def shift_of(now: Luma, before: Luma) -> tuple[int, int]:
    """Return by how many cells (down, right) `now` is shifted against `before`.

    Phase correlation (Kuglin and Hines, Proc. IEEE Conf. Cybernetics and Society, 1975), under a window that
    hides the picture's edges.
    """
    window = np.outer(np.hanning(now.shape[0]), np.hanning(now.shape[1]))
    spectrum = np.fft.rfft2((now - now.mean()) * window) * np.conj(
        np.fft.rfft2((before - before.mean()) * window)
    )
    peak = np.fft.irfft2(spectrum / np.maximum(np.abs(spectrum), 1e-6), s=now.shape)
    down, right = np.unravel_index(int(peak.argmax()), peak.shape)
    rows, columns = now.shape
    return (
        int(down) - rows if down > rows // 2 else int(down),
        int(right) - columns if right > columns // 2 else int(right),
    )
