"""One stream of a simulated camera: its place in the film, its viewers, and what is wrong with it."""

import asyncio
import random
import zlib
from typing import Final

import structlog

from safecity.clock import Clock
from safecity.simulator.camera_fault import (
    DEFAULT_AMOUNTS,
    ENDS_CONNECTIONS,
    CameraClips,
    CameraClock,
    Fault,
    damage,
)
from safecity.simulator.camera_rtp import RTP_CLOCK_HZ, Clip
from safecity.simulator.camera_sound import UNIT_SAMPLES, in_samples
from safecity.simulator.camera_viewer import UdpViewer, Viewer

log = structlog.get_logger()

SLOW_LIMIT_S: Final = 10.0
"""A viewer that stays behind for so long is disconnected."""
UNITS_AT_ONCE: Final = 32
"""More sound than these 2 s is not made up for."""
REPORT_PERIOD_S: Final = 5.0
"""Between two RTCP sender reports (the minimum of RFC 3550, section 6.2)."""


class Channel:
    """Sends every viewer the same picture at the same moment, as a real camera does."""

    def __init__(
        self,
        path: str,
        account: tuple[str, str],
        clips: CameraClips,
        clip: Clip,
        offset_s: float,
        clock: Clock,
    ) -> None:
        """Show `clip`, one of `clips`, from `offset_s` on."""
        self.path = path
        self.clip = clip
        self.sound = clips.sound if clip is clips.main else None
        self.viewers: dict[Viewer, asyncio.StreamWriter] = {}
        self.listeners: set[Viewer] = set()
        self.connections: set[asyncio.StreamWriter] = set()
        self.fault: Fault | None = None
        self._account = account
        self._clips = clips
        self._clip = clip
        self._clock = clock
        self._camera_clock = CameraClock()
        self._rng = random.Random(zlib.crc32(path.encode()))
        self._amount = 0.0
        self._start_s = clock.monotonic_s() - offset_s % clip.length_s
        self._number = self._due_number()
        self._sound_number = 0
        self._next_report_s = 0.0

    @property
    def account(self) -> tuple[str, str]:
        """Return user and password that are accepted now."""
        user, password = self._account
        return (user, password + "-changed") if self.fault is Fault.PASSWORD else (user, password)

    @property
    def is_silent(self) -> bool:
        """Return whether no picture comes."""
        return self.fault in {Fault.FREEZE, Fault.DROP}

    def set_account(self, user: str, password: str) -> None:
        """Accept only this account from now on; whoever is connected is thrown out."""
        self._account = (user, password)
        self.disconnect()

    def set_fault(self, fault: Fault | None, amount: float | None) -> None:
        """Break, or mend with None. Raises Invalid when the camera has no film for the fault."""
        clip = self._clips.under(fault, self._clip)
        was, self.fault = self.fault, fault
        if fault is None:
            self._amount = 0.0
        else:
            self._amount = DEFAULT_AMOUNTS.get(fault, 0.0) if amount is None else amount
        self._camera_clock.set_fault(fault, self._amount, self._now_ticks())
        for viewer in self.viewers:
            self._limit(viewer)
        self._show(clip)
        if fault in ENDS_CONNECTIONS or was is Fault.CODEC:
            self.disconnect()

    def disconnect(self) -> None:
        """End all connections."""
        for writer in list(self.connections):
            writer.transport.abort()

    def tick(self) -> float:
        """Send what is due to all viewers; return when the next picture is, in monotonic seconds."""
        now_s = self._clock.monotonic_s()
        due = self._due_number()
        # A machine that slept doesn't make up for what nobody saw.
        self._number = max(self._number, due - 2 * self.clip.number_at(RTP_CLOCK_HZ) - 2)
        while self._number < due:
            self._number += 1
            self._send_all(self._number, now_s)
        self._sound_all()
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + REPORT_PERIOD_S
            self._report_all()
        return self._start_s + self.clip.ticks(self._number + 1) / RTP_CLOCK_HZ

    def join(self, viewer: Viewer, writer: asyncio.StreamWriter) -> None:
        """Add a viewer, beginning with the picture on show and what is needed to decode it."""
        self._limit(viewer)
        if not self.is_silent and not viewer.skipping:
            now_s = self._clock.monotonic_s()
            for number in range(self.clip.key_before(self._number), self._number + 1):
                self._send(viewer, number, now_s)
        self.viewers[viewer] = writer

    def listen(self, viewer: Viewer) -> None:
        """Add one who hears the sound."""
        self.listeners.add(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        self.viewers.pop(viewer, None)
        self.listeners.discard(viewer)
        viewer.close()

    def _show(self, clip: Clip) -> None:
        if clip is self.clip:
            return
        self.clip = clip
        self._number = self._due_number()
        for viewer in self.viewers:
            viewer.skipping = True

    def _limit(self, viewer: Viewer) -> None:
        viewer.bytes_per_s = self._amount if self.fault is Fault.SLOW else None
        if isinstance(viewer, UdpViewer):
            viewer.lost_share = self._amount if self.fault is Fault.LOSS else 0.0

    def _now_ticks(self) -> int:
        return int((self._clock.monotonic_s() - self._start_s) * RTP_CLOCK_HZ)

    def _due_number(self) -> int:
        return self.clip.number_at(self._now_ticks())

    def _send_all(self, number: int, now_s: float) -> None:
        if self.is_silent:
            return
        for viewer in list(self.viewers):
            viewer.pump(now_s)
            self._send(viewer, number, now_s)

    def _send(self, viewer: Viewer, number: int, now_s: float) -> None:
        if not self._has_room(viewer, now_s):
            return
        frame = self.clip.frame(number)
        if viewer.skipping and not frame.is_key:
            return
        viewer.skipping = False
        data = viewer.picture(frame, self._camera_clock.read(self.clip.ticks(number)))
        if self.fault is Fault.CORRUPT and number % max(int(self._amount), 1) == 0:
            damage(data, frame, self._rng)
        viewer.send(data, frame.starts, now_s)

    def _has_room(self, viewer: Viewer, now_s: float) -> bool:
        if viewer.has_room:
            viewer.behind_since_s = None
            return True
        viewer.skipping = True
        if viewer.behind_since_s is None:
            viewer.behind_since_s = now_s
        elif now_s - viewer.behind_since_s > SLOW_LIMIT_S:
            log.info("a viewer of a simulated camera was too slow", camera=self.path)
            self.viewers[viewer].transport.abort()
            self.leave(viewer)
        return False

    def _report_all(self) -> None:
        if self.is_silent:
            return
        now, stamp = self._clock.now(), self._camera_clock.read(self._now_ticks())
        for viewer in self.viewers:
            viewer.report(now, stamp)
        for listener in self.listeners:
            listener.report(now, in_samples(stamp))

    def _sound_all(self) -> None:
        """Send the sound since the last picture to all who hear it."""
        if self.sound is None:
            return
        due = self.sound.number_at(self._now_ticks())
        if self.listeners and not self.is_silent:
            for number in range(max(self._sound_number, due - UNITS_AT_ONCE), due):
                for listener in self.listeners:
                    frame = self.sound.frame(number)
                    data = listener.picture(frame, number * UNIT_SAMPLES)
                    listener.send(data, frame.starts, self._clock.monotonic_s())
        self._sound_number = due
