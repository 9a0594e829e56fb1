"""Boxes in the text format of the MOT Challenge (arXiv:1504.01942, table 3)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from safecity.errors import Invalid


class Picture(NamedTuple):
    """The boxes of one picture. ids: (n,). boxes: (n, 4) left, top, right, bottom in px. scores: (n,)."""

    ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


Film = dict[int, Picture]
"""Pictures by their number, from 1; a picture without boxes may be missing."""


def read_film(path: Path) -> Film:
    """Return the boxes in a file with lines of frame, id, left, top, width, height, score, and more.

    Lines with a score of 0 are left out: in a ground truth they say what is not to be counted.
    Raises Invalid when the file isn't of this form.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        rows = np.loadtxt(lines, delimiter=",", dtype=np.float64, ndmin=2) if lines else np.zeros((0, 0))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise Invalid(f"{path} holds no lines of frame,id,left,top,width,height,score") from error
    if rows.size == 0 or rows.shape[1] < 7 or not np.isfinite(rows[:, :7]).all():
        raise Invalid(f"{path} holds no lines of frame,id,left,top,width,height,score")
    rows = rows[rows[:, 6] != 0]
    return {int(frame): _picture(rows[rows[:, 0] == frame]) for frame in np.unique(rows[:, 0])}


def _picture(rows: NDArray[np.float64]) -> Picture:
    boxes = np.concatenate((rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]), axis=1)
    return Picture(rows[:, 1].astype(np.int64), boxes.astype(np.float32), rows[:, 6].astype(np.float32))
