"""One camera's policy on a picture: masks and people hidden, or everything coarse when that isn't certain."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog

from safecity.model.video import CameraSetup
from safecity.video.detector import Detections
from safecity.video.masking.blur import Boxes, coarse, paint_persons
from safecity.video.masking.mask import Masks
from safecity.video.masking.planes import own_copy
from safecity.video.viewing.cover import Cover

log = structlog.get_logger()

NO_SETUP: Final = "what must be masked on this camera is not known"
NO_FINDER: Final = "people cannot be found: the detector does not work"


class Finder(Protocol):
    """What finds people in a decoded picture."""

    def detect(self, frame: Any) -> Detections:
        """Return the objects in the picture."""
        ...


class Veil:
    """What is hidden on one camera under one setup. `coarse` says why all of it is, empty when it isn't.

    For many threads, with a `finder` that is.
    """

    def __init__(self, setup: CameraSetup | None, finder: Finder | None) -> None:
        """Hide what `setup` wants; without it, or without a `finder` where people are hidden, everything."""
        self._masks = Masks(setup) if setup is not None else None
        self._blurs = setup is not None and setup.blur_persons
        self._finder = finder if self._blurs else None
        self._complained = False
        self.coarse = NO_SETUP if setup is None else NO_FINDER if self._blurs and finder is None else ""

    @property
    def searches(self) -> bool:
        """Return whether people are looked for at all."""
        return self._finder is not None

    def waits_for(self, finder: Finder | None) -> bool:
        """Return whether this veil is coarse only for want of a detector, and there is one now."""
        return self.coarse == NO_FINDER and finder is not None

    def find(self, small: Any) -> Detections | None:
        """Return who is in a picture, or None when that cannot be told."""
        if self._finder is None:
            return None
        try:
            return self._finder.detect(small)
        except Exception:
            # Whatever failed there, the picture must not be shown clear.
            if not self._complained:
                log.exception("people could not be found in a picture; it is coarse")
            self._complained = True
            return None

    def draw(self, small: Any, boxes: Boxes | None) -> Any:
        """Return a painted copy of `small`; without boxes where people are to be hidden it is coarse."""
        mine = own_copy(small)
        if self._masks is not None:
            self._masks.paint(mine)
        if self._masks is None or (self._blurs and boxes is None):
            return coarse(mine)
        if self._blurs and boxes is not None and len(boxes):
            paint_persons(mine, boxes)
            self._masks.paint(mine)
        return mine

    def hide(self, small: Any, cover: Cover, time_s: float) -> Any:
        """Return a painted copy of the picture of `time_s`, with those covered whom `cover` remembers."""
        found = self.find(small) if not self.coarse else None
        return self.draw(small, cover.update(found, time_s) if found is not None else None)


VeilOf = Callable[[str], Veil]
"""Returns what is hidden now on the camera of an id."""
