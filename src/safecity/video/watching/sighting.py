"""What a look at a picture gives: an event, the picture it is of, and where people are in it."""

from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from safecity.model.video import CameraSetup
from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import Detections, Floats
from safecity.video.event import VideoEvent
from safecity.video.watching.tracker import Tracks

_PERSON: Final = CLASSES.index(ObjectClass.PERSON)


class Finder(Protocol):
    """What finds objects in a decoded picture."""

    def detect(self, frame: Any) -> Detections:
        """Return the objects in the picture."""
        ...


class Seen(NamedTuple):
    """An event in wall time, and the picture in which it became certain.

    persons: (n, 4) boxes in pixels of everybody in the picture; None when nobody knows where people are.
    """

    event: VideoEvent
    frame: Any
    persons: Floats | None
    setup: CameraSetup


def persons_in(found: Detections, tracks: Tracks | None) -> Floats:
    """Return where people are: as found now, and where those must be who were only missed now."""
    boxes: Floats = found.boxes[found.classes == _PERSON]
    if tracks is None:
        return boxes
    missed = tracks.boxes[(tracks.classes == _PERSON) & ~tracks.seen]
    return np.concatenate((boxes, missed)) if len(missed) else boxes
