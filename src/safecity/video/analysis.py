"""The analysis thread of a shard: one network for all its cameras, within a share of one processor core."""

import os
import threading
from collections.abc import Callable
from typing import Final

import structlog

from safecity.clock import Clock
from safecity.video.bitstream import StreamInfo, VideoPacket
from safecity.video.camera import CameraConfig
from safecity.video.rules import Intrusion
from safecity.video.watch import CameraWatch, Finder

log = structlog.get_logger()

LOOKS_PER_S: Final = 5.0
"""Pictures a second that are looked at closely, when there is power enough."""
SLOWEST_INTERVAL_S: Final = 1.0
"""Between two looks at most; with fewer, people are lost from one to the next."""
NICENESS: Final = 5
"""Analysis gives way to recording when both want the processor."""
COST_GAIN: Final = 0.1

EventListener = Callable[[str, Intrusion], None]


class Analysis:
    """Watches the cameras of one shard in a thread of its own."""

    def __init__(
        self,
        configs: list[CameraConfig],
        make_finder: Callable[[], Finder],
        on_event: EventListener,
        clock: Clock,
        *,
        core_share: float = 0.35,
    ) -> None:
        """Prepare to watch `configs`.

        make_finder: makes the detector, in the analysis thread: recording doesn't wait for its compilation.
        on_event: called in the analysis thread with the camera's id.
        core_share: what finding objects may take of one core, in each of the detector's threads; on a slow
        machine pictures are looked at less often, never recorded less.
        """
        self._watches = {config.id: CameraWatch(config, clock) for config in configs}
        self._make_finder = make_finder
        self._on_event = on_event
        self._core_share = core_share
        self._cost_s = 0.0
        self._wake = threading.Event()
        self._stop = False
        self._watching = False
        self._thread = threading.Thread(target=self._run, name="analysis", daemon=True)

    @property
    def is_watching(self) -> bool:
        """Return whether pictures are looked at: the detector works."""
        return self._watching

    @property
    def watches(self) -> dict[str, CameraWatch]:
        """Return the cameras' analyses by camera id, for their counters."""
        return self._watches

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End after the present picture; return whether it has ended within `timeout_s`."""
        self._stop = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def offer(self, camera_id: str, info: StreamInfo, packet: VideoPacket) -> None:
        """Take a packet from a stream's thread; never waits."""
        self._watches[camera_id].mailbox.put(info, packet)
        self._wake.set()

    def restart(self, camera_id: str) -> None:
        """Know that a camera's stream broke off."""
        self._watches[camera_id].mailbox.restart()

    def interval_s(self) -> float:
        """Return the seconds of film between two close looks at one camera."""
        active = sum(watch.is_active for watch in self._watches.values())
        affordable_s = self._cost_s * max(active, 1) / self._core_share
        return min(max(1 / LOOKS_PER_S, affordable_s), SLOWEST_INTERVAL_S)

    def _run(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            finder = self._make_finder()
        except Exception:
            # Without its network the room still records and shows; that is worth more than stopping.
            log.exception("the detector cannot be used; cameras are recorded and not watched")
            return
        self._watching = True
        while not self._stop:
            self._wake.clear()
            watch = self._next()
            if watch is None:
                self._wake.wait(1.0)
            else:
                self._process(watch, finder)

    def _next(self) -> CameraWatch | None:
        """Return the camera whose packet has waited longest."""
        ages = [(watch.mailbox.oldest_s(), watch) for watch in self._watches.values()]
        waiting = [(age, watch) for age, watch in ages if age is not None]
        return min(waiting, key=lambda item: item[0])[1] if waiting else None

    def _process(self, watch: CameraWatch, finder: Finder) -> None:
        item = watch.mailbox.take()
        if item is None:
            return
        looked_at = watch.counters.looked_at
        try:
            events = watch.process(item, finder, self.interval_s())
        except Exception:
            watch.counters.failures += 1
            log.exception("analysis failed in our own code", camera=watch.config.id)
            return
        if watch.counters.looked_at > looked_at:
            gain = COST_GAIN if self._cost_s else 1.0
            self._cost_s += gain * (watch.cost_s - self._cost_s)
        for event in events:
            self._on_event(watch.config.id, event)
