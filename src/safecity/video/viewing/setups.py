"""What must be hidden on each camera: its setup from the database, made into veils, with the one detector."""

import threading
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from safecity.clock import Clock
from safecity.errors import SafeCityError, Unavailable
from safecity.model.video import CameraSetup
from safecity.store.database import Database
from safecity.store.transaction import Transaction
from safecity.video.viewing.veil import Finder, Veil

log = structlog.get_logger()

RETRY_S: Final = 30.0
"""How long a detector that could not be loaded is left alone; all is coarse meanwhile."""


class OneFinder:
    """The detector of this process, loaded when first needed. Used by many threads."""

    def __init__(self, make: Callable[[], Finder], clock: Clock) -> None:
        """Load with `make`, which may raise and may take seconds."""
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._finder: Finder | None = None
        self._retry_s = float("-inf")

    def get(self) -> Finder | None:
        """Return the detector, None while it cannot be used."""
        if self._finder is not None:
            return self._finder
        with self._lock:
            if self._finder is None and self._clock.monotonic_s() >= self._retry_s:
                self._retry_s = self._clock.monotonic_s() + RETRY_S
                try:
                    self._finder = self._make()
                except Exception:
                    # Without it people cannot be found: what is shown is coarse, and says so.
                    log.exception("the detector cannot be used; masked pictures are coarse")
            return self._finder


class Veils:
    """The veil of each camera under its present setup. Asked by many threads, updated by one."""

    def __init__(self, finder: OneFinder) -> None:
        """Know no camera yet: each is coarse until its setup is."""
        self._finder = finder
        self._setups: dict[str, CameraSetup] = {}
        self._veils: dict[tuple[str, bool], tuple[CameraSetup | None, Veil]] = {}

    def know(self, camera_id: str, setup: CameraSetup | None) -> None:
        """Hide on a camera what `setup` wants from now on; None when there is no such camera any more."""
        if setup is None:
            self._setups.pop(camera_id, None)
        else:
            self._setups[camera_id] = setup

    def of(self, camera_id: str, *, strict: bool = False) -> Veil:
        """Return what is hidden on a camera now, the same while nothing changes; may load the detector.

        strict: people are hidden too where the setup shows them as they are.
        """
        setup = self._setups.get(camera_id)
        if setup is not None and strict:
            setup = msgspec.structs.replace(setup, blur_persons=True)
        finder = self._finder.get() if setup is not None and setup.blur_persons else None
        known = self._veils.get((camera_id, strict))
        if known is not None and _same(known[0], setup) and not known[1].waits_for(finder):
            return known[1]
        veil = Veil(setup, finder)
        self._veils[camera_id, strict] = (setup, veil)
        return veil


class Setups:
    """Cameras' setups as the database has them."""

    def __init__(self, database: Database, veils: Veils) -> None:
        """Read from `database` and tell `veils`."""
        self._database = database
        self._veils = veils
        self._unreadable: set[str] = set()

    async def refresh(self, *camera_ids: str) -> None:
        """Let the veils of these cameras be as their setups are now; while nobody answers they stay.

        Never raises: a defect in one setup must end neither the other views nor the watch over setups.
        """
        if not camera_ids:
            return
        try:
            async with self._database.reading() as tx:
                for camera_id in camera_ids:
                    await self._refresh(tx, camera_id)
        except (SafeCityError, OSError) as error:
            log.warning("camera setups cannot be read; the last known are used", error=repr(error))
        except Exception:
            log.exception("camera setups cannot be read; the last known are used")

    async def _refresh(self, tx: Transaction, camera_id: str) -> None:
        """Take one setup over; one that cannot be understood hides all of its camera's picture."""
        try:
            setup = await tx.find(CameraSetup, camera_id)
        except (msgspec.MsgspecError, ValueError, SafeCityError) as error:
            if isinstance(error, Unavailable):
                raise
            if camera_id not in self._unreadable:
                log.exception(
                    "a camera's setup cannot be understood; its picture is coarse", camera=camera_id
                )
            self._unreadable.add(camera_id)
            self._veils.know(camera_id, None)
            return
        self._unreadable.discard(camera_id)
        self._veils.know(camera_id, setup)


def _same(one: CameraSetup | None, other: CameraSetup | None) -> bool:
    """Return whether the same is hidden."""
    if one is None or other is None:
        return one is other
    return (one.masks, one.blur_persons) == (other.masks, other.blur_persons)
