"""Live pictures for many viewers of one camera, through the real processes of a running installation.

The camera is simulated; its recording process, the viewing process (masks, blur, encoder), the bus and the
web server are those of `safecity demo`. Viewers are WebSocket clients in this process.

Delay: from when a picture has left the simulated camera until its fragment is with a viewer. A connection
of our own to the camera sees each picture leave, and knows it again by its bytes in the unmasked fragments.
A masked picture keeps the decode time of the picture it was made of, so the decode times of the unmasked
fragments of the same stream tell when that one left.
"""

import argparse
import asyncio
import hashlib
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import numpy as np
import psutil
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from safecity.access import accounts
from safecity.access.accounts import Door
from safecity.access.policy import Role as Right
from safecity.app import Installation, Plan, running
from safecity.clock import SystemClock
from safecity.deployment import Folder
from safecity.model.base import Place, Priority, Reason, ReasonCode, derived_id
from safecity.model.incident import Alarm, IncidentType
from safecity.model.observation import ObservationKind
from safecity.model.source import Camera
from safecity.model.video import CameraSetup, StreamRole
from safecity.operations import alarms
from safecity.roles import Role
from safecity.simulator.camera import SimulatedCamera
from safecity.store.database import Database, open_database
from safecity.video.camera import CameraConfig
from safecity.video.stream.bitstream import StreamInfo, VideoPacket
from safecity.video.stream.session import StreamSession
from safecity.video.viewing.fragments import packets_in
from safecity.web.gate import COOKIE

WORDS = "live: 50 viewers of one camera: processor, time to the first picture, delay; masked and unmasked"

CONFIG: Final = """
[web]
port = 0
[bus]
port = 0
mqtt_port = 0
[simulator]
sensors = 0
units = 3
cameras = 1
calls_per_hour = 1
rtsp_port = 0
"""
SERVED: Final = (Role.WEB, Role.VIEWING, Role.VIDEO)
STAGGER_S: Final = 0.02
"""Between two viewers who come: not all in one millisecond, all within a second."""
FIRST_WITHIN_S: Final = 60.0
GONE_S: Final = 20.0
"""What was looked at goes on for 15 s after the last word of its viewers."""
_NOWHERE: Final = Place(lon=0.0, lat=0.0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--viewers", type=int, default=50, help="viewers of one camera")
    parser.add_argument("--seconds", type=float, default=15.0, help="for how long they look")
    parser.add_argument("--unmasked", action="store_true", help="the same again without masks")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return cpu_percent (web, viewing and video of one core), first_frame_ms, delay_p95_ms, and more."""
    directory = Path(tempfile.mkdtemp(prefix="safecity-bench-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        return uvloop.run(_measure(options, directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _measure(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    config = directory / "bench.toml"
    config.write_text(CONFIG, encoding="utf-8")
    plan = Plan(folder=Folder(directory / "city"), config_path=config, simulated=True)
    async with running(plan, lambda _: None) as city, AsyncExitStack() as stack:
        database = await open_database(city.run.database_url, SystemClock(), size=2)
        stack.push_async_callback(database.close)
        house = await _settle_in(city, database)
        watch = stack.enter_context(_Observer(city, house.camera_path))
        cold = await _cold(house)
        idle = await _idle_percent(city, options.seconds)
        figures: dict[str, Any] = {"viewers": options.viewers, "cold_first_frame_ms": round(cold), **idle}
        figures |= await _look(city, house, watch, options, masked=True)
        if options.unmasked:
            await asyncio.sleep(GONE_S)
            clear = await _look(city, house, watch, options, masked=False)
            figures |= {f"unmasked_{name}": value for name, value in clear.items()}
        return figures


class _House(msgspec.Struct, frozen=True):
    """Where viewers come in: the socket's address without its last words, and their session."""

    url: str
    origin: str
    cookie: str
    camera_path: str

    @asynccontextmanager
    async def look(self, words: str) -> AsyncIterator[ClientConnection]:
        """Open a live picture; `words` are added to the address."""
        headers = {"Cookie": f"{COOKIE}={self.cookie}", "Origin": self.origin}
        async with connect(
            self.url + words, additional_headers=headers, max_size=None, compression=None
        ) as socket:
            yield socket


async def _settle_in(city: Installation, database: Database) -> _House:
    """Make an account with the right to unmask and an incident to look for, as people would have them."""
    clock = SystemClock()
    token = await accounts.create_link(database, [Right.DUTY_OFFICER], clock)
    begun = await Door(database, clock).use_link(token, "Bench", secrets.token_urlsafe(16), "bench")
    async with database.reading() as tx:
        camera = (await tx.select(Camera, "true"))[0]
        setup = await tx.get(CameraSetup, camera.id)
    await alarms.receive(database, [_alarm(camera)])
    address = f"{city.run.web_host}:{city.run.web_port}"
    ground = f"purpose=benchmark&incident_id={quote(derived_id('incident', 'bench-live'))}"
    return _House(
        url=f"ws://{address}/api/cameras/{camera.id}/live?{ground}",
        origin=f"http://{address}",
        cookie=begun.token,
        camera_path=setup.url.removeprefix("simulator://"),
    )


def _alarm(camera: Camera) -> Alarm:
    now = SystemClock().now()
    reason = Reason(code=ReasonCode.THRESHOLD_ABOVE, text="benchmark")
    return Alarm(
        id=derived_id("alarm", "bench-live"),
        rule_id="bench",
        source_id=camera.id,
        source_name=camera.name,
        observation_id=derived_id("observation", "bench-live"),
        observation_kind=ObservationKind.VIDEO,
        type=IncidentType.FIRE_BUILDING,
        priority=Priority.LOW,
        priority_reason=reason,
        reason=reason,
        place=camera.place,
        event_time=now - timedelta(seconds=1),
        receive_time=now,
        raised_at=now,
        action_text="",
        response_time_s=60.0,
        agencies=(),
        incident_id=derived_id("incident", "bench-live"),
        link_reason=reason,
        simulated=True,
    )


class _Observer:
    """A connection of our own to the camera's streams: when each picture left, by the hash of its bytes."""

    def __init__(self, city: Installation, path: str) -> None:
        served = msgspec.json.decode(
            city.plan.folder.simulated_cameras_file.read_bytes(), type=list[SimulatedCamera]
        )
        camera = next(one for one in served if one.path == path)
        root = f"rtsp://127.0.0.1:{city.run.rtsp_port}{path}"
        setup = CameraSetup(id="observer", name="observer", place=_NOWHERE, url=root, sub_url=f"{root}/sub")
        config = CameraConfig(setup=setup, user=camera.user, password=camera.password)
        self.left_s: dict[bytes, float] = {}
        self._sessions = [
            StreamSession(config, self, lambda *_: None, SystemClock(), role=role) for role in StreamRole
        ]

    def __enter__(self) -> "_Observer":
        for session in self._sessions:
            session.start()
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            session.stop()
        for session in self._sessions:
            session.join(4.0)

    def begin(self, info: StreamInfo) -> None:
        """Expect packets."""

    def add(self, packet: VideoPacket) -> None:
        """Note when the picture came; of pictures that the film repeats, the last time."""
        self.left_s[_hash(packet.sample) + _second(time.monotonic())] = time.monotonic()

    def end(self, reason: str) -> None:
        """Go on: the session connects again."""

    def left(self, packet: VideoPacket, came_s: float) -> float | None:
        """Return when a picture left that came at `came_s`, None when it wasn't seen."""
        name = _hash(packet.sample)
        times = (self.left_s.get(name + _second(came_s - back)) for back in range(8))
        return next((left for left in times if left is not None), None)


def _hash(sample: bytes) -> bytes:
    return hashlib.blake2b(sample, digest_size=16).digest()


def _second(at_s: float) -> bytes:
    """Return the second of a time as bytes: the film repeats, a picture doesn't within one."""
    return int(at_s).to_bytes(8, "big")


class _Viewer:
    """One viewer: when the first picture was there, and when each fragment after it came."""

    def __init__(self) -> None:
        self.first_ms = float("nan")
        self.arrived: list[tuple[float, bytes]] = []
        self.bytes = 0

    async def look(self, house: _House, words: str, stop: asyncio.Event) -> None:
        """Look until told to stop, coming again when the stream begins anew."""
        begun_s = time.monotonic()
        while not stop.is_set():
            try:
                async with house.look(words) as socket:
                    await self._receive(socket, begun_s, stop)
            except (OSError, WebSocketException):
                await asyncio.sleep(0.2)

    async def _receive(self, socket: ClientConnection, begun_s: float, stop: asyncio.Event) -> None:
        parts = 0
        async for message in socket:
            if isinstance(message, str):
                continue
            parts += 1
            self.bytes += len(message)
            if parts == 2 and np.isnan(self.first_ms):
                self.first_ms = (time.monotonic() - begun_s) * 1000
            if parts > 2:
                self.arrived.append((time.monotonic(), message))
            if stop.is_set():
                return


async def _cold(house: _House) -> float:
    """Return the milliseconds to the first masked picture of all, for which the detector is loaded."""
    viewer, stop = _Viewer(), asyncio.Event()
    task = asyncio.create_task(viewer.look(house, "", stop))
    async with asyncio.timeout(FIRST_WITHIN_S):
        while np.isnan(viewer.first_ms):  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait({task}, timeout=5)
    task.cancel()
    return viewer.first_ms


def _cpu_s(city: Installation) -> dict[str, float]:
    """Return the processor seconds of the processes that serve pictures, so far."""
    found = {}
    for name in SERVED:
        child = city.supervisor.children.get(name)
        if child is not None and child.pid is not None:
            times = psutil.Process(child.pid).cpu_times()
            found[str(name)] = times.user + times.system
    return found


async def _idle_percent(city: Installation, seconds_s: float) -> dict[str, float]:
    """Return the load of a camera that is recorded and watched and that nobody looks at any more."""
    await asyncio.sleep(GONE_S)
    shares = await _percent(city, seconds_s)
    return {"cpu_percent_without_viewers": round(sum(shares.values()), 1)}


async def _percent(city: Installation, seconds_s: float) -> dict[str, float]:
    before, begun_s = _cpu_s(city), time.monotonic()
    await asyncio.sleep(seconds_s)
    took_s = time.monotonic() - begun_s
    return {name: 100 * (now - before.get(name, 0.0)) / took_s for name, now in _cpu_s(city).items()}


async def _look(
    city: Installation, house: _House, watch: _Observer, options: argparse.Namespace, *, masked: bool
) -> dict[str, Any]:
    stop = asyncio.Event()
    teller, viewers, tasks = _Viewer(), [_Viewer() for _ in range(options.viewers)], []
    words = "" if masked else "&unmasked=1"
    for viewer in viewers:
        tasks.append(asyncio.create_task(viewer.look(house, words, stop)))
        await asyncio.sleep(STAGGER_S)
    # After the others, so that their first pictures owe nothing to it.
    tasks.append(asyncio.create_task(teller.look(house, "&unmasked=1&stream=sub", stop)))
    await asyncio.sleep(2.0)
    shares = await _percent(city, options.seconds)
    stop.set()
    await asyncio.wait(tasks, timeout=5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    delays = _masked_delays(viewers, teller, watch) if masked else _clear_delays(viewers, watch)
    firsts = np.array([viewer.first_ms for viewer in viewers])
    pictures = np.mean([len(viewer.arrived) for viewer in viewers]) / (options.seconds + 2)
    return {
        "cpu_percent": round(sum(shares.values()), 1),
        **{f"cpu_percent_{name}": round(share, 1) for name, share in shares.items()},
        "first_frame_ms": round(float(np.nanpercentile(firsts, 50))),
        "first_frame_p95_ms": round(float(np.nanpercentile(firsts, 95))),
        "without_picture": int(np.isnan(firsts).sum()),
        "delay_p50_ms": _percentile(delays, 50),
        "delay_p95_ms": _percentile(delays, 95),
        "delays_measured": len(delays),
        "pictures_per_s": round(float(pictures), 1),
    }


def _masked_delays(viewers: list[_Viewer], teller: _Viewer, watch: _Observer) -> list[float]:
    """Return the delays in ms of masked pictures whose source was seen to leave."""
    left: dict[int, float] = {}
    for came_s, data in teller.arrived:
        for packet in packets_in(data):
            at_s = watch.left(packet, came_s)
            if at_s is not None:
                left[packet.ticks] = at_s
    return [
        (came_s - left[packet.ticks]) * 1000
        for viewer in viewers
        for came_s, data in viewer.arrived
        for packet in packets_in(data)
        if packet.ticks in left
    ]


def _clear_delays(viewers: list[_Viewer], watch: _Observer) -> list[float]:
    """Return the delays in ms of unmasked pictures that were seen to leave."""
    found = []
    for viewer in viewers:
        for came_s, data in viewer.arrived:
            for packet in packets_in(data):
                at_s = watch.left(packet, came_s)
                if at_s is not None:
                    found.append((came_s - at_s) * 1000)
    return found


def _percentile(values: list[float], share: float) -> float | None:
    return round(float(np.percentile(values, share)), 1) if values else None
