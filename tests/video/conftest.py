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
from safecity.model.video import CameraSetup, Transport
from safecity.model.video_rule import VideoRule
from safecity.simulator.camera import CameraClips, CameraServer, Fault, SimulatedCamera
from safecity.simulator.camera_film import FilmRecipe, kept_film
from safecity.simulator.camera_payload import ClipCodec
from safecity.simulator.camera_rtp import Clip, read_clip
from safecity.video.camera import CameraConfig
from safecity.video.stream.bitstream import CODECS, StreamInfo, VideoPacket, describe, join_sample

from .recording import Recording

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

    def __init__(
        self, clip: Clip | CameraClips, offsets_s: tuple[float, ...], *, basic: bool = False, udp: bool = True
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        cameras = [
            SimulatedCamera(
                path=f"/cam/{i}", user=USER, password=PASSWORD, offset_s=offset_s, basic=basic, udp=udp
            )
            for i, offset_s in enumerate(offsets_s)
        ]
        self._server = CameraServer(cameras, clip, SystemClock())
        self.port = self._call(self._server.start())

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def set_fault(self, number: int, fault: Fault | None, amount: float | None = None, sub: str = "") -> None:
        """Break camera `number`, or its sub-stream alone, and return when it is broken, or mended."""

        async def change() -> None:
            self._server.set_fault(f"/cam/{number}{sub}", fault, amount)

        self._call(change())

    def set_account(self, number: int, user: str, password: str) -> None:
        """Change the account of camera `number`; its connections end."""

        async def change() -> None:
            self._server.set_account(f"/cam/{number}", user, password)

        self._call(change())

    def viewers(self, number: int, sub: str = "") -> int:
        return self._server.viewers(f"/cam/{number}{sub}")

    def config(
        self,
        number: int,
        password: str = PASSWORD,
        rules: tuple[VideoRule, ...] = (),
        transport: Transport = Transport.TCP,
        *,
        sub: bool = False,
    ) -> CameraConfig:
        setup = CameraSetup(
            id=f"cam-{number}",
            name=f"Camera {number}",
            url=f"rtsp://127.0.0.1:{self.port}/cam/{number}",
            sub_url=f"rtsp://127.0.0.1:{self.port}/cam/{number}/sub" if sub else "",
            transport=transport,
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


FILMS = {
    "small": FilmRecipe(width_px=320, height_px=240, fps=25, bitrate_kbps=300, gop_s=0.4, length_s=2.0),
    "sub": FilmRecipe(width_px=192, height_px=144, fps=10, bitrate_kbps=100, gop_s=0.5, length_s=2.0),
    "hevc": FilmRecipe(
        width_px=640, height_px=360, fps=15, bitrate_kbps=800, gop_s=0.4, length_s=2.0, codec=ClipCodec.HEVC
    ),
    "bidirectional": FilmRecipe(
        width_px=320, height_px=240, fps=25, bitrate_kbps=300, gop_s=0.48, length_s=2.4, b_frames=2
    ),
    "4k": FilmRecipe(
        width_px=3840,
        height_px=2160,
        fps=5,
        bitrate_kbps=8000,
        gop_s=0.6,
        length_s=1.2,
        codec=ClipCodec.HEVC,
        noise=0.0,
    ),
}


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> Callable[[str], Path]:
    """Return a function that gives the path of one of FILMS, made once."""
    folder = tmp_path_factory.mktemp("films")
    return lambda name: kept_film(folder, FILMS[name])


@pytest.fixture
def open_street(films) -> Iterator[Callable[..., CameraStreet]]:
    """Yield a function that opens a street of cameras which show the named films."""
    opened: list[CameraStreet] = []

    def open_(main: str, *, cameras: int = 1, basic: bool = False, udp: bool = True, **others: str):
        clips = {role: read_clip(films(name)) for role, name in others.items()}
        made = CameraClips(main=read_clip(films(main)), **clips)
        opened.append(CameraStreet(made, (0.0,) * cameras, basic=basic, udp=udp))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


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


@pytest.fixture
def recording(tmp_path):
    """Yield a function that starts to record a camera; all are stopped in the end."""
    made: list[Recording] = []

    def start(config: CameraConfig, **how) -> Recording:
        made.append(Recording(config, tmp_path, **how))
        return made[-1]

    yield start
    for one in made:
        one.close()
