"""The process that tries one camera's address; `probe` starts it and ends it."""

import os
import sys
import threading
from pathlib import Path
from typing import Final

import msgspec

from safecity.clock import Clock, SystemClock
from safecity.model.base import Place
from safecity.model.source import CameraState
from safecity.model.video import CameraSetup
from safecity.video.camera import CameraConfig
from safecity.video.stream.bitstream import TICKS_PER_S, StreamInfo, VideoPacket
from safecity.video.stream.probe import WITHIN_S, ProbeRequest, ProbeResult
from safecity.video.stream.session import Backoff, StreamSession

WATCH_S: Final = 1.0
"""How much of the film is watched to tell its picture rate."""
TIMEOUT_S: Final = 3.0
NO_PICTURE: Final = "no picture came within 5 s"


def look(request: ProbeRequest, clock: Clock, within_s: float = WITHIN_S) -> ProbeResult:
    """Connect in this process and return what came."""
    setup = CameraSetup(
        id="probe", name="probe", place=Place(lon=0, lat=0), url=request.url, transport=request.transport
    )
    config = CameraConfig(setup=setup, user=request.user, password=request.password)
    first = _FirstPictures()
    patient = Backoff(first_s=10 * within_s)
    session = StreamSession(
        config,
        first,
        first.on_state,
        clock,
        timeout_s=TIMEOUT_S,
        backoff=patient,
        files_dir=Path(request.files_dir) if request.files_dir else None,
    )
    session.start()
    first.done.wait(within_s)
    session.stop()
    return first.result()


class _FirstPictures:
    """Takes a stream's first second, or how it failed."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self._lock = threading.Lock()
        self._failed: tuple[CameraState, str] | None = None
        self._info: StreamInfo | None = None
        self._ticks: list[int] = []

    def begin(self, info: StreamInfo) -> None:
        with self._lock:
            self._info = info

    def add(self, packet: VideoPacket) -> None:
        with self._lock:
            self._ticks.append(packet.ticks)
            if self._ticks[-1] - self._ticks[0] >= WATCH_S * TICKS_PER_S:
                self.done.set()

    def end(self, reason: str) -> None:
        self.done.set()

    def on_state(self, state: CameraState, reason: str) -> None:
        if state in (CameraState.REFUSED, CameraState.LOST):
            with self._lock:
                self._failed = (state, reason)
            self.done.set()

    def result(self) -> ProbeResult:
        with self._lock:
            if self._info is not None and self._ticks:
                return ProbeResult(
                    state=CameraState.LIVE,
                    codec=self._info.codec,
                    width=self._info.width,
                    height=self._info.height,
                    fps=self._fps(),
                )
            state, reason = self._failed or (CameraState.LOST, NO_PICTURE)
            return ProbeResult(state=state, reason=reason)

    def _fps(self) -> float:
        span = self._ticks[-1] - self._ticks[0]
        return round((len(self._ticks) - 1) * TICKS_PER_S / span, 1) if span > 0 else 0.0


def main() -> None:
    """Try what comes as JSON on standard input; write the result as JSON."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=ProbeRequest)
    sys.stdout.buffer.write(msgspec.json.encode(look(request, SystemClock())))
    sys.stdout.buffer.flush()
    # A stream that does not end by itself ends with the process.
    os._exit(0)


if __name__ == "__main__":
    main()
