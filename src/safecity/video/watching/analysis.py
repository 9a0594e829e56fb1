"""The analysis thread of a shard: one network for all its cameras, within a share of one processor core.

Recording knows nothing of it. A defect met with one picture costs that camera its present tracks; one that
goes on costs the thread's work so far, and it begins anew; meanwhile packets are dropped, never waited for.
"""

import os
import threading
import traceback
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from safecity.clock import Clock
from safecity.model.video import StreamRole
from safecity.video.camera import CameraConfig
from safecity.video.stream.bitstream import StreamInfo, VideoPacket
from safecity.video.watching.sighting import Finder, Seen
from safecity.video.watching.watch import CameraWatch

log = structlog.get_logger()

LOOKS_PER_S: Final = 5.0
"""Pictures a second that are looked at closely, when there is power enough."""
SLOWEST_INTERVAL_S: Final = 0.5
"""Between two looks at most. On the pedestrian film 14 of 15 line crossings are found with looks every 0.2 s,
13 with 0.4 s, 3 with 1 s: people are lost between them. Where this is too much, what is late is left out."""
NICENESS: Final = 5
"""Analysis gives way to recording when both want the processor."""
COST_GAIN: Final = 0.1
GATHER_S: Final = 0.05
"""Packets are let come together for so long: waking for each one costs more than looking at it."""
TURN: Final = 32
"""Packets of one camera after which it is another one's turn."""
FAILURES_IN_A_ROW: Final = 25
"""So many defects without a success between them mean that the network itself is broken."""
RESTART_S: Final = (0.5, 2.0, 10.0, 60.0)
"""Waits before analysis begins anew, again and again."""

EventListener = Callable[[str, Seen], None]


class AnalysisCounters(msgspec.Struct):
    """How the thread itself fares. restarts: how often it had to begin anew."""

    restarts: int = 0


class _BrokenError(Exception):
    """Too many pictures in a row could not be looked at."""


class Analysis:
    """Watches the cameras of one shard in a thread of its own."""

    def __init__(
        self,
        make_finder: Callable[[], Finder],
        on_event: EventListener,
        clock: Clock,
        *,
        core_share: float = 0.35,
        restart_s: tuple[float, ...] = RESTART_S,
    ) -> None:
        """Prepare; `add` gives it cameras, before or after `start`.

        make_finder: makes the detector, in the analysis thread: recording doesn't wait for its compilation.
        on_event: called in the analysis thread with the camera's id.
        core_share: what finding objects may take of one core, in each of the detector's threads; on a slow
        machine pictures are looked at less often, never recorded less.
        """
        self.counters = AnalysisCounters()
        self._watches: dict[str, CameraWatch] = {}
        self._make_finder = make_finder
        self._on_event = on_event
        self._clock = clock
        self._core_share = core_share
        self._restart_s = restart_s
        self._cost_s = 0.0
        self._failures = 0
        self._wake = threading.Event()
        self._end = threading.Event()
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

    def add(self, config: CameraConfig) -> CameraWatch:
        """Watch another camera; return its analysis."""
        watch = CameraWatch(config, self._clock)
        # The thread goes through the cameras without a lock: it sees the old table or the new one.
        self._watches = {**self._watches, config.id: watch}
        return watch

    def remove(self, camera_id: str) -> None:
        """Watch a camera no more."""
        self._watches = {known: watch for known, watch in self._watches.items() if known != camera_id}

    def configure(self, config: CameraConfig) -> None:
        """Watch a camera by other rules from now on."""
        if config.id in self._watches:
            self._watches[config.id].configure(config)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End after the present picture; return whether it has ended within `timeout_s`."""
        self._end.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def offer(self, camera_id: str, role: StreamRole, info: StreamInfo, packet: VideoPacket) -> None:
        """Take a packet from a stream's thread; never waits."""
        watch = self._watches.get(camera_id)
        if watch is not None:
            watch.mailbox.put(role, info, packet)
            if not self._wake.is_set():
                self._wake.set()

    def use(self, camera_id: str, role: StreamRole) -> None:
        """Watch this stream of a camera from now on."""
        watch = self._watches.get(camera_id)
        if watch is not None:
            watch.mailbox.use(role)

    def restart(self, camera_id: str, role: StreamRole) -> None:
        """Know that a camera's stream broke off."""
        watch = self._watches.get(camera_id)
        if watch is not None:
            watch.mailbox.restart(role)

    def interval_s(self) -> float:
        """Return the seconds of film between two close looks at one camera."""
        active = sum(watch.is_active for watch in self._watches.values())
        affordable_s = self._cost_s * max(active, 1) / self._core_share
        return min(max(1 / LOOKS_PER_S, affordable_s), SLOWEST_INTERVAL_S)

    def _run(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self._end.is_set():
            try:
                self._work()
            except Exception:
                # Without analysis the room still records and shows; that is worth more than stopping.
                trace = traceback.format_exc()
                log.error("analysis broke down; cameras are recorded, not watched", trace=trace)
                self._watching = False
                wait_s = self._restart_s[min(self.counters.restarts, len(self._restart_s) - 1)]
                self.counters.restarts += 1
                self._end.wait(wait_s)

    def _work(self) -> None:
        finder = self._make_finder()
        for watch in self._watches.values():
            watch.reset()
        self._failures = 0
        self._watching = True
        while not self._end.is_set():
            next_one = self._next()
            if next_one is None:
                self._wake.wait(1.0)
                self._end.wait(GATHER_S)
                self._wake.clear()
            else:
                self._take_turn(next_one, finder)
        self._watching = False

    def _next(self) -> CameraWatch | None:
        """Return the camera whose packet has waited longest."""
        ages = [(watch.mailbox.oldest_s(), watch) for watch in self._watches.values()]
        waiting = [(age, watch) for age, watch in ages if age is not None]
        return min(waiting, key=lambda item: item[0])[1] if waiting else None

    def _take_turn(self, watch: CameraWatch, finder: Finder) -> None:
        for _ in range(TURN):
            if self._end.is_set() or not self._process(watch, finder):
                return

    def _process(self, watch: CameraWatch, finder: Finder) -> bool:
        """Look at a camera's next packet; return whether there was one."""
        item = watch.mailbox.take()
        if item is None:
            return False
        looked_at = watch.counters.looked_at
        try:
            events = watch.process(item, finder, self.interval_s())
        except Exception as error:
            self._fail(watch, error)
            return True
        if watch.counters.looked_at > looked_at:
            self._failures = 0
            gain = COST_GAIN if self._cost_s else 1.0
            self._cost_s += gain * (watch.cost_s - self._cost_s)
        for seen in events:
            self._on_event(watch.config.id, seen)
        return True

    def _fail(self, watch: CameraWatch, error: Exception) -> None:
        watch.counters.failures += 1
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            raise _BrokenError("no picture can be looked at") from error
        # Written out here: loggers that add local variables would add whole pictures.
        trace = "".join(traceback.format_exception(error))
        log.error("analysis failed in our own code", camera=watch.config.id, trace=trace)
        watch.reset()
        watch.mailbox.restart(watch.mailbox.source)
