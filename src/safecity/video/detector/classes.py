"""The network's class numbers and ours."""

from collections.abc import Mapping

import numpy as np

from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector.boxes import Floats, Numbers


class Classes:
    """Which columns of a network's scores are which of CLASSES."""

    def __init__(self, numbers: Mapping[ObjectClass, tuple[int, ...]]) -> None:
        """Take the network's class numbers of each class of ours."""
        pairs = [(number, CLASSES.index(kind)) for kind, many in numbers.items() for number in many]
        self._columns = np.array([number for number, _ in pairs], dtype=np.intp)
        self._kinds = np.array([kind for _, kind in pairs], dtype=np.intp)

    @property
    def largest(self) -> int:
        """Return the largest class number of the network that is used."""
        return int(self._columns.max())

    def best(self, scores: Floats) -> tuple[Numbers, Floats]:
        """Return the best of our classes in each row of `scores` (n, its classes), and the scores."""
        ours = scores[:, self._columns]
        best = ours.argmax(axis=1)
        return self._kinds[best], np.take_along_axis(ours, best[:, None], axis=1)[:, 0]

    def of_numbers(self, numbers: Numbers) -> Numbers:
        """Return our class for each class number of the network, -1 where it is none of ours."""
        same = numbers[:, None] == self._columns[None, :]
        return np.where(same.any(axis=1), self._kinds[same.argmax(axis=1)], -1)
