"""Which roles live: each says so every second on the bus."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from safecity.clock import Clock
from safecity.model.base import Noun
from safecity.model.source import CameraState

SILENT_S: Final = 5.0
"""A role that was not heard for this long is down; it says something every second."""

STARTING_S: Final = 60.0
"""How long an expected role may take until its first word."""

FORGET_S: Final = 300.0
"""A role that nobody expects and that fell silent is forgotten then."""

RATE_OVER_S: Final = 5.0


class RoleState(StrEnum):
    """How a role is."""

    RUNNING = "running"
    STARTING = "starting"
    DOWN = "down"


class CameraBeat(Noun, frozen=True):
    """What a video process says of one of its cameras; numbers only grow while the process lives.

    clock_error_s: how far the camera's clock is ahead, None where it does not say.
    """

    id: str
    state: CameraState
    recording: bool
    lost_packets: int
    gaps: int
    frames_dropped: int
    clock_error_s: float | None = None


class Heartbeat(Noun, frozen=True):
    """What a role says of itself. Counters whose name ends in _total only grow while the process lives.

    ready: false while it still loads or compiles. shard: which part of the role's work it does; processes of
    one shard stand in for each other, those of different shards don't.
    """

    role: str
    pid: int
    at: datetime
    counters: dict[str, float] = msgspec.field(default_factory=dict)
    ready: bool = True
    shard: int = 0
    cameras: tuple[CameraBeat, ...] = ()


class _Heard:
    def __init__(self) -> None:
        self.beats: dict[int, tuple[float, Heartbeat]] = {}


class RoleWatch:
    """Remembers the last word of every process of every role."""

    def __init__(self, clock: Clock, expected: Sequence[str]) -> None:
        """Wait for the `expected` roles from now on."""
        self._clock = clock
        self._expected = tuple(expected)
        self._began_s = clock.monotonic_s()
        self._heard: dict[str, _Heard] = {}
        self._samples: dict[tuple[str, int], deque[tuple[float, float]]] = {}

    def hear(self, data: bytes) -> None:
        """Take in a heartbeat; raises msgspec.DecodeError, UnicodeError or RecursionError when it is none."""
        beat = msgspec.json.decode(data, type=Heartbeat)
        now_s = self._clock.monotonic_s()
        self._heard.setdefault(beat.role, _Heard()).beats[beat.pid] = (now_s, beat)
        if "readings_total" in beat.counters:
            samples = self._samples.setdefault((beat.role, beat.pid), deque())
            samples.append((now_s, beat.counters["readings_total"]))
            while samples[0][0] < now_s - RATE_OVER_S:
                samples.popleft()

    def states(self) -> dict[str, RoleState]:
        """Return how every expected or heard role is."""
        now_s = self._clock.monotonic_s()
        self._forget(now_s)
        return {role: self._state(role, now_s) for role in sorted({*self._expected, *self._heard})}

    def counters(self) -> Mapping[str, dict[str, float]]:
        """Return the counters of every role, summed over its living processes."""
        now_s = self._clock.monotonic_s()
        summed: dict[str, dict[str, float]] = {}
        for role, heard in self._heard.items():
            total = summed.setdefault(role, {})
            for at_s, beat in heard.beats.values():
                if now_s - at_s <= SILENT_S:
                    for name, value in beat.counters.items():
                        total[name] = total.get(name, 0.0) + value
        return summed

    def cameras(self) -> list[CameraBeat]:
        """Return what living processes say of their cameras, in the order of ids; of two the newer word."""
        now_s = self._clock.monotonic_s()
        beats = [beat for heard in self._heard.values() for beat in heard.beats.values()]
        told = {
            camera.id: camera
            for at_s, beat in sorted(beats, key=lambda timed: timed[0])
            if now_s - at_s <= SILENT_S
            for camera in beat.cameras
        }
        return [told[id_] for id_ in sorted(told)]

    def readings_per_s(self) -> float:
        """Return how many readings all roles together took in a second, over the last seconds."""
        now_s = self._clock.monotonic_s()
        rate = 0.0
        for samples in self._samples.values():
            if len(samples) > 1 and now_s - samples[-1][0] <= SILENT_S:
                (first_s, first), (last_s, last) = samples[0], samples[-1]
                if last_s > first_s:
                    rate += max(0.0, last - first) / (last_s - first_s)
        return round(rate, 1)

    def _state(self, role: str, now_s: float) -> RoleState:
        heard = self._heard.get(role)
        if heard is None:
            return RoleState.STARTING if now_s - self._began_s < STARTING_S else RoleState.DOWN
        shards: dict[int, list[Heartbeat]] = {beat.shard: [] for _, beat in heard.beats.values()}
        for at_s, beat in heard.beats.values():
            if now_s - at_s <= SILENT_S:
                shards[beat.shard].append(beat)
        # A role is as well as its worst shard: nobody does the work of one that is away.
        if not all(shards.values()):
            return RoleState.DOWN
        ready = all(any(beat.ready for beat in alive) for alive in shards.values())
        return RoleState.RUNNING if ready else RoleState.STARTING

    def _forget(self, now_s: float) -> None:
        for role, heard in list(self._heard.items()):
            for pid, (at_s, _) in list(heard.beats.items()):
                others = len(heard.beats) > 1 or role not in self._expected
                if now_s - at_s > FORGET_S and others:
                    del heard.beats[pid]
                    self._samples.pop((role, pid), None)
            if not heard.beats:
                del self._heard[role]
