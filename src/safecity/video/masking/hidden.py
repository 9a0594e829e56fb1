"""Who is hidden, how surely somebody is looked for, and how large a picture is that people see by default.

The same for masked views, stills, playback and the snapshots of events.
"""

from typing import Any, Final

import numpy as np

from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector.boxes import Detections

CONFIDENCE: Final = 0.2
"""Score from which a detection hides what is there; events want more. A miss here shows a person, and a false
alarm only blurs a bush."""
HIDDEN: Final = frozenset({ObjectClass.PERSON, ObjectClass.BICYCLE, ObjectClass.MOTORCYCLE})
"""Riders are hidden with what they ride."""
_HIDDEN: Final = np.array([kind in HIDDEN for kind in CLASSES])
WIDTH_PX: Final = 640
"""Width of a masked picture: what a person is who is smaller than the detector finds shows no face either."""


def persons(found: Detections) -> Detections:
    """Return those detections that hide somebody."""
    rows = _HIDDEN[found.classes]
    return Detections(found.boxes[rows], found.scores[rows], found.classes[rows])


def small_of(frame: Any) -> Any:
    """Return a decoded picture at most WIDTH_PX wide, with even sides, in yuv420p; its time stays."""
    scale = min(WIDTH_PX / frame.width, 1.0)
    width, height = (max(round(side * scale / 2) * 2, 2) for side in (frame.width, frame.height))
    small = frame.reformat(width=width, height=height, format="yuv420p", interpolation="BILINEAR")
    if small is not frame:
        small.pts = frame.pts
        if frame.time_base is not None:
            small.time_base = frame.time_base
    return small
