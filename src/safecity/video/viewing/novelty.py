"""Whether something has changed in a picture since people were last looked for, where nobody is covered.

Between two searches those who were found are covered where they were going. Who only just comes in was not
found yet: but whoever comes in changes the picture where it is not covered, and that is cheap to see.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safecity.video.masking.blur import Boxes, grown

CELL_PX: Final = 8
"""The picture is compared in cells so wide: sensor noise averages out over 64 pixels, a head does not."""
STEP: Final = 8
"""By so much, of 255, the mean luma of a cell must differ. Noise of 15 a pixel is 2 in the mean of a cell."""


class Novelty:
    """Compares pictures of one film with the one that was last searched. Used by one thread."""

    def __init__(self) -> None:
        """Know no picture: everything is new."""
        self._last: NDArray[np.int16] | None = None

    def searched(self, small: Any) -> None:
        """Know that people were looked for in this picture."""
        self._last = _cells(small)

    def is_in(self, small: Any, covered: Boxes) -> bool:
        """Return whether anything differs from the last searched picture outside the `covered` boxes."""
        now = _cells(small)
        if self._last is None or self._last.shape != now.shape:
            return True
        changed = np.abs(now - self._last) > STEP
        rows, columns = changed.shape
        for box in covered:
            area = grown(box, small.width, small.height)
            if area is not None:
                left, top, right, bottom = area
                # Only cells that are covered as a whole: of others something can be seen.
                row = slice(-(-top * rows // small.height), bottom * rows // small.height)
                changed[row, -(-left * columns // small.width) : right * columns // small.width] = False
        return bool(changed.any())


def _cells(small: Any) -> NDArray[np.int16]:
    """Return the mean luma of each cell."""
    width, height = (max(side // CELL_PX, 1) for side in (small.width, small.height))
    cells = small.reformat(width=width, height=height, format="gray", interpolation="AREA")
    return np.asarray(cells.to_ndarray(), dtype=np.int16)
