"""Where people are, so that they can be hidden: whom the detector finds, and where those must be it misses.

Here a miss shows a person and a false alarm only blurs a bush; so the threshold is low, whoever was seen
stays covered for a while, and riders are covered with what they ride.
"""

from typing import Final, NamedTuple

import numpy as np

from safecity.video.detector import EMPTY, Detections
from safecity.video.masking.blur import Boxes
from safecity.video.masking.hidden import persons
from safecity.video.watching.tracker import Tracker, Tracks

KEEP_S: Final = 1.0
"""How long somebody is covered who is no longer found: between where they were and where they were going."""


class _Seen(NamedTuple):
    box: Boxes
    at_s: float


class Cover:
    """The boxes to hide in one film, picture by picture. Used by one thread."""

    def __init__(self) -> None:
        """Cover nothing yet."""
        self._tracker = Tracker()
        self._seen: dict[int, _Seen] = {}

    def update(self, found: Detections, time_s: float) -> Boxes:
        """Return the (n, 4) boxes to hide in the picture of `time_s`, which must not run backwards."""
        people = persons(found)
        tracks = self._tracker.update(people, time_s)
        missed = [self._missed(tracks, row, time_s) for row in np.flatnonzero(~tracks.seen)]
        self._remember(tracks, time_s)
        return np.concatenate([people.boxes, *missed]).astype(np.float32, copy=False)

    def carry(self, time_s: float) -> Boxes:
        """Return the boxes to hide in a picture in which nobody was looked for."""
        return self.update(EMPTY, time_s)

    def _missed(self, tracks: Tracks, row: np.intp, time_s: float) -> Boxes:
        """Return all that lies between where somebody was last found and where they would be now."""
        seen = self._seen.get(int(tracks.ids[row]))
        if seen is None or time_s - seen.at_s > KEEP_S:
            return np.zeros((0, 4), dtype=np.float32)
        now = tracks.boxes[row]
        return np.concatenate((np.minimum(seen.box[:2], now[:2]), np.maximum(seen.box[2:], now[2:])))[None]

    def _remember(self, tracks: Tracks, time_s: float) -> None:
        for row in np.flatnonzero(tracks.seen):
            self._seen[int(tracks.ids[row])] = _Seen(tracks.boxes[row].copy(), time_s)
        known = set(tracks.ids.tolist())
        self._seen = {id_: seen for id_, seen in self._seen.items() if id_ in known}
