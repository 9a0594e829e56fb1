"""Real cameras for the video tests: the RTSP simulator in its own thread, and the demo film's packets."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

import safecity.simulator
from safecity.clock import SystemClock
from safecity.model.base import Place
from safecity.model.video import CameraSetup
from safecity.model.video_rule import VideoRule
from safecity.simulator.camera import CameraServer, Fault, SimulatedCamera
from safecity.simulator.camera_rtp import Clip, read_clip
from safecity.video.bitstream import CODECS, StreamInfo, VideoPacket, describe, join_sample
from safecity.video.camera import CameraConfig

CLIP_PATH = Path(safecity.simulator.__file__).parent / "data" / "pedestrians.mp4"
PLACE = Place(lon=13.26, lat=53.55)
USER, PASSWORD = "viewer", "Xk3/p@ss:word"


def wait_for(condition: Callable[[], object], what: str, limit_s: float = 15.0) -> None:
    """Return as soon as `condition` holds; fail after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {limit_s} s for {what}"
        time.sleep(0.02)


class CameraStreet:
    """Simulated cameras /cam/0, /cam/1 ... behind one real port."""

    def __init__(self, clip: Clip, offsets_s: tuple[float, ...]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        cameras = [
            SimulatedCamera(path=f"/cam/{i}", user=USER, password=PASSWORD, offset_s=offset_s)
            for i, offset_s in enumerate(offsets_s)
        ]
        self._server = CameraServer(cameras, clip, SystemClock())
        self.port = self._call(self._server.start())

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def set_fault(self, number: int, fault: Fault | None) -> None:
        self._loop.call_soon_threadsafe(self._server.set_fault, f"/cam/{number}", fault)

    def viewers(self, number: int) -> int:
        return self._server.viewers(f"/cam/{number}")

    def config(
        self, number: int, password: str = PASSWORD, rules: tuple[VideoRule, ...] = ()
    ) -> CameraConfig:
        setup = CameraSetup(
            id=f"cam-{number}",
            name=f"Camera {number}",
            url=f"rtsp://127.0.0.1:{self.port}/cam/{number}",
            place=PLACE,
            rules=rules,
            simulated=True,
        )
        return CameraConfig(setup=setup, user=USER, password=password)

    def close(self) -> None:
        self._call(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture(scope="session")
def clip() -> Clip:
    """Return the demo film, ready to be sent."""
    return read_clip(CLIP_PATH)


@pytest.fixture
def street(clip: Clip) -> Iterator[CameraStreet]:
    """Yield two cameras, the second 40 s ahead in the film."""
    cameras = CameraStreet(clip, (0.0, 40.0))
    yield cameras
    cameras.close()


@pytest.fixture(scope="session")
def film() -> tuple[StreamInfo, list[VideoPacket]]:
    """Return the demo film's first 12 s as a session would hand them on, from 1 Jan 2026 00:00 UTC."""
    clip = read_clip(CLIP_PATH)
    info: StreamInfo | None = None
    packets: list[VideoPacket] = []
    with av.open(str(CLIP_PATH)) as container:
        for packet in container.demux(video=0):
            if not packet.size or len(packets) == 120:
                break
            data = bytes(packet)
            nals, position = [], 0
            while position < len(data):
                length = int.from_bytes(data[position : position + 4], "big")
                nals.append(data[position + 4 : position + 4 + length])
                position += 4 + length
            if info is None:
                info = describe(CODECS["h264"], (clip.sps, clip.pps), nals)
            ticks = len(packets) * 9000
            packets.append(
                VideoPacket(
                    join_sample(nals), ticks, 0, 9000, packet.is_keyframe, 1_767_225_600 + ticks / 90_000
                )
            )
    assert info is not None
    return info, packets
