"""The studio: one thread that makes the masked live views of all cameras that somebody looks at."""

import threading
from typing import Final

import structlog

from safecity.video.viewing.masked import LONGEST_S, SHORTEST_S, MaskedView
from safecity.video.viewing.veil import VeilOf

log = structlog.get_logger()

CORE_SHARE: Final = 0.7
"""Of one core, for all masked live views together; past it each shows fewer pictures a second."""


class Studio:
    """Masks and encodes live views, the one whose packet waits longest first."""

    def __init__(self, veil_of: VeilOf, core_share: float = CORE_SHARE) -> None:
        """Prepare. veil_of is called in the studio's thread and may load the detector when first called."""
        self._veil_of = veil_of
        self._core_share = core_share
        self._views: dict[str, MaskedView] = {}
        self._wake = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="studio", daemon=True)

    @property
    def views(self) -> dict[str, MaskedView]:
        """Return the views that are made now, by camera."""
        return self._views

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End after the present picture; return whether it has ended within `timeout_s`."""
        self._stop = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def add(self, view: MaskedView) -> None:
        """Make this view from now on."""
        self._views = {**self._views, view.camera_id: view}

    def remove(self, camera_id: str) -> None:
        """Make this view no longer."""
        self._views = {id_: view for id_, view in self._views.items() if id_ != camera_id}

    def wake(self) -> None:
        """Know that a packet waits."""
        self._wake.set()

    def interval_s(self) -> float:
        """Return the seconds of film between two masked pictures of one camera."""
        affordable_s = sum(view.cost_s for view in self._views.values()) / self._core_share
        return min(max(SHORTEST_S, affordable_s), LONGEST_S)

    def _run(self) -> None:
        while not self._stop:
            self._wake.clear()
            view = self._next()
            if view is None:
                self._wake.wait(1.0)
                continue
            waiting = view.mailbox.take()
            if waiting is None:
                continue
            try:
                view.process(waiting, self._veil_of(view.camera_id), self.interval_s())
            except Exception:
                log.exception("a masked picture could not be made", camera=view.camera_id)

    def _next(self) -> MaskedView | None:
        """Return the view whose packet has waited longest."""
        ages = [(view.mailbox.oldest_s(), view) for view in self._views.values()]
        waiting = [(age, view) for age, view in ages if age is not None]
        return min(waiting, key=lambda item: item[0])[1] if waiting else None
