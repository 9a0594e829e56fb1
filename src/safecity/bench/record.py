"""Recording alone: simulated cameras in processes of their own, recorded in shards of 16, no analysis.

The cameras send 1080p25 H.264 of 4 Mbit/s over RTSP. Only the recording processes are measured. What was lost
is counted in the recorded files themselves, against the time they cover.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from safecity.clock import SystemClock
from safecity.errors import Unavailable

WORDS = "recording: processor, memory and lost packets a camera, simulated cameras outside the figures"

FPS: Final = 25
CAMERAS_PER_SHARD: Final = 16
CAMERAS_PER_SIMULATOR: Final = 32
SETTLE_S: Final = 5.0
"""Between the first picture of the last camera and the measurement: bursts are over, files are open."""
START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 30.0
BURST_PICTURES: Final = 3 * FPS
TICKS_PER_S: Final = 90_000
TRUN_HEAD: Final = 16
TRUN_ROW: Final = 16
"""Bytes of a track run from its name to its table, and of a row in it (`fmp4.fragment_head`)."""
FILMS: Final = Path(tempfile.gettempdir()) / "safecity-films"
USER, PASSWORD = "bench", "on-the-loopback-only"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--cameras", type=int, default=64, help="simulated cameras")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long it is measured")
    parser.add_argument("--keep", type=Path, help="record into this folder and leave it there")
    parser.add_argument("--profile", type=Path, help="write a profile of the first shard (needs py-spy)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--shard", help=argparse.SUPPRESS)
    parser.add_argument("--ports", help=argparse.SUPPRESS)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return cpu_percent_per_camera (of one core), mb_per_camera (PSS), lost_packets."""
    if options.serve:
        asyncio.run(_serve(int(options.serve)))
        return {}
    if options.shard:
        _record(options.shard, [int(port) for port in options.ports.split(",")], options.keep)
        return {}
    directory = options.keep or Path(tempfile.mkdtemp(prefix="safecity-record-"))
    try:
        return _measure(options, directory)
    finally:
        if options.keep is None:
            shutil.rmtree(directory, ignore_errors=True)


def _measure(options: argparse.Namespace, directory: Path) -> dict[str, float]:
    with contextlib.ExitStack() as stack:
        simulators = [
            stack.enter_context(_child("--serve", str(count)))
            for count in _shares(options.cameras, CAMERAS_PER_SIMULATOR)
        ]
        ports = [simulator.line() for simulator in simulators]
        shards = []
        for number, count in enumerate(_shares(options.cameras, CAMERAS_PER_SHARD)):
            first = number * CAMERAS_PER_SHARD
            arguments = ["--shard", f"{first}:{count}", "--ports", ",".join(ports)]
            shards.append(stack.enter_context(_child(*arguments, "--keep", str(directory))))
        for shard in shards:
            shard.line()
        time.sleep(SETTLE_S)
        before_s, began_s = _cpu_s(shards), time.monotonic()
        _watch(options, shards)
        used_s, took_s = _cpu_s(shards) - before_s, time.monotonic() - began_s
        memory_mb = sum(shard.pss_mb() for shard in shards)
        counters = [json.loads(shard.stop()) for shard in shards]
    return {
        "cameras": options.cameras,
        "seconds": round(took_s, 1),
        "cpu_percent_per_camera": round(100 * used_s / took_s / options.cameras, 3),
        "mb_per_camera": round(memory_mb / options.cameras, 2),
        **_summed(counters),
        **_verified(directory),
    }


def _watch(options: argparse.Namespace, shards: Sequence["_Child"]) -> None:
    """Let the measured time pass; profile the first shard when that is wanted."""
    if options.profile is None:
        time.sleep(options.seconds)
        return
    command = ["py-spy", "record", "--threads", "--format", "raw", "--rate", "200"]
    rest = ["--duration", str(int(options.seconds)), "--output", str(options.profile)]
    subprocess.run([*command, *rest, "--pid", str(shards[0].pid)], check=True, capture_output=True)


def _shares(total: int, limit: int) -> list[int]:
    """Return how many of `total` each process gets, at most `limit`."""
    return [min(limit, total - begun) for begun in range(0, total, limit)]


class _Child:
    """A process of this benchmark: it says a line when it is ready, and one when it has ended."""

    def __init__(self, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", "safecity.cli", "bench", "record", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def line(self) -> str:
        """Return the next line it says. Raises Unavailable when it says none."""
        timer = threading.Timer(START_WITHIN_S, self._process.kill)
        timer.start()
        text = self._process.stdout.readline().strip() if self._process.stdout else ""
        timer.cancel()
        if not text:
            raise Unavailable("a process of the benchmark did not start; its words stand above")
        return text

    def stop(self) -> str:
        """End the process and return its last words."""
        self._process.send_signal(signal.SIGTERM)
        output, _ = self._process.communicate(timeout=STOP_WITHIN_S)
        return output.splitlines()[0]

    def kill(self) -> None:
        """End the process at once, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def pss_mb(self) -> float:
        """Return its proportional set size in 10^6 bytes: a page that n processes share counts 1/n."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        kib = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return kib * 1024 / 1e6


@contextlib.contextmanager
def _child(*arguments: str) -> Iterator[_Child]:
    child = _Child(arguments)
    try:
        yield child
    finally:
        child.kill()


def _cpu_s(children: Sequence[_Child]) -> float:
    """Return the processor seconds, in user and kernel, that these processes have used."""
    total = 0.0
    for child in children:
        fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _summed(counters: Sequence[Mapping[str, int]]) -> dict[str, float]:
    return {name: sum(found[name] for found in counters) for name in counters[0]}


def _verified(directory: Path) -> dict[str, float]:
    """Return what the files hold: pictures, those missing between them, and whether all is whole."""
    from safecity.video.recording.custody import verify
    from safecity.video.recording.index import FileEntry, GapEntry, entries

    files = pictures = missing = broken = 0
    gaps_s = 0.0
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        broken += len(verify(folder.name, folder).broken)
        known: set[str] = set()
        for _, entry in entries(folder):
            if isinstance(entry, FileEntry):
                # The first seconds of a connection come in one burst, whose dates are estimates.
                durations = _durations(folder / entry.path, skip=0 if known else BURST_PICTURES)
                known.add(entry.path)
                pictures += len(durations)
                missing += sum(max(round(ticks * FPS / TICKS_PER_S) - 1, 0) for ticks in durations)
            elif isinstance(entry, GapEntry):
                gaps_s += (entry.end - entry.start).total_seconds()
        files += len(known)
    return {
        "lost_packets": missing + round(gaps_s * FPS),
        "pictures": pictures,
        "files": files,
        "broken": broken,
    }


def _durations(path: Path, skip: int) -> list[int]:
    """Return how long each picture of a recorded file lasts (1/90000 s), from its track runs."""
    from safecity.video.recording.fmp4 import boxes

    data = path.read_bytes()
    found: list[int] = []
    for box in boxes(data):
        if box.name == "moof":
            run = data.index(b"trun", box.offset)
            count = int.from_bytes(data[run + 8 : run + 12], "big")
            table = run + TRUN_HEAD
            found += [
                int.from_bytes(data[at : at + 4], "big")
                for at in range(table, table + count * TRUN_ROW, TRUN_ROW)
            ]
    return found[skip:]


async def _serve(count: int) -> None:
    """Be `count` cameras until SIGTERM; say the port."""
    from safecity.simulator.camera import CameraServer, SimulatedCamera
    from safecity.simulator.camera_film import FilmRecipe, kept_film
    from safecity.simulator.camera_rtp import read_clip

    clip = read_clip(kept_film(FILMS, FilmRecipe(width_px=1920, height_px=1080, fps=FPS, bitrate_kbps=4000)))
    cameras = [
        # Real cameras are not in step: their keyframes come at different moments.
        SimulatedCamera(path=f"/cam/{n}", user=USER, password=PASSWORD, offset_s=n * 0.617 % clip.length_s)
        for n in range(count)
    ]
    server = CameraServer(cameras, clip, SystemClock())
    port = await server.start("127.0.0.1", 0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(port, flush=True)
    await stop.wait()
    await server.stop()


def _record(cameras: str, ports: Sequence[int], directory: Path) -> None:
    """Record some cameras until SIGTERM: "FIRST:COUNT" of those that the simulators at `ports` are."""
    from safecity.model.base import Place
    from safecity.model.video import CameraSetup, RetentionPolicy
    from safecity.video.allocator import give_back_early
    from safecity.video.camera import CameraConfig
    from safecity.video.recording.archive import Archive, Retention
    from safecity.video.recording.recorder import Recorder
    from safecity.video.stream.session import StreamSession

    give_back_early()
    first, count = (int(part) for part in cameras.split(":"))
    clock = SystemClock()
    entered: list[object] = []
    archive = Archive(directory, Retention(min_free_bytes=0), clock, entered.append)
    recorders, sessions = [], []
    for number in range(first, first + count):
        simulator, path = divmod(number, CAMERAS_PER_SIMULATOR)
        setup = CameraSetup(
            id=f"cam-{number:02d}",
            name=f"Camera {number}",
            place=Place(lon=0.0, lat=0.0),
            url=f"rtsp://127.0.0.1:{ports[simulator]}/cam/{path}",
        )
        found = archive.add_camera(setup.id, RetentionPolicy())
        recorder = Recorder(
            setup.id,
            archive.folder(setup.id),
            archive,
            clock,
            link=found.link,
            last_end=found.last_end,
            outage=found.outage,
        )
        config = CameraConfig(setup=setup, user=USER, password=PASSWORD)
        recorders.append(recorder)
        sessions.append(StreamSession(config, recorder, _ignore, clock))
    archive.start()
    for session in sessions:
        session.start()
    while not all(recorder.is_recording for recorder in recorders):
        time.sleep(0.05)
    # The measured threads are the streams': the main one only waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("recording", flush=True)
    signal.sigwait({signal.SIGTERM})
    for session in sessions:
        session.stop()
    for session in sessions:
        session.join(5.0)
    archive.stop(20.0)
    counters = [recorder.counters for recorder in recorders]
    print(
        json.dumps(
            {
                "unusable_packets": sum(session.counters.unusable for session in sessions),
                "unrecorded_packets": sum(found.lost_packets for found in counters),
                "outages": sum(session.counters.outages for session in sessions),
                "disk_errors": sum(found.disk_errors for found in counters),
            }
        ),
        flush=True,
    )


def _ignore(*_: object) -> None:
    """Take no notice of a camera's state."""
