"""Recording alone: simulated cameras in processes of their own, recorded in shards of 16.

Each shard is a whole `VideoRoom` as in the video process, with streams, recorder, archive, live views and
states; only watching is left out (`safecity bench watch` measures that). The cameras send 1080p25 H.264 of
4 Mbit/s over RTSP. Only the recording processes are measured. What was lost is counted in the recorded files
themselves, against the time they cover.

Beside it, in the same seconds, runs what the goal was measured with: one process that copies some of the same
streams from PyAV's demuxer to its MP4 muxer and does nothing else, no hashes, no index, no live view.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from safecity.bench.processes import Child, child
from safecity.clock import SystemClock

WORDS = "recording: processor, memory and lost packets a camera, beside a plain copy of the same streams"

FPS: Final = 25
CAMERAS_PER_SHARD: Final = 16
CAMERAS_PER_SIMULATOR: Final = 32
SETTLE_S: Final = 5.0
"""Between the first picture of the last camera and the measurement: bursts are over, files are open."""
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
    parser.add_argument(
        "--baseline-cameras", type=int, default=16, help="how many of them are also plainly copied; 0: none"
    )
    parser.add_argument("--keep", type=Path, help="record into this folder and leave it there")
    parser.add_argument("--profile", type=Path, help="write a profile of the first shard (needs py-spy)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--shard", help=argparse.SUPPRESS)
    parser.add_argument("--copy", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ports", help=argparse.SUPPRESS)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return cpu_percent_per_camera (of one core), mb_per_camera (PSS), lost_packets, and the baseline's."""
    ports = [int(port) for port in options.ports.split(",")] if options.ports else []
    if options.serve:
        asyncio.run(_serve(int(options.serve)))
    elif options.shard:
        asyncio.run(_record(options.shard, ports, options.keep))
    elif options.copy:
        _copy(options.copy, ports, options.keep)
    else:
        with tempfile.TemporaryDirectory(prefix="safecity-record-") as directory:
            return _measure(options, options.keep or Path(directory) / "recordings", Path(directory))
    return {}


def _measure(options: argparse.Namespace, directory: Path, scratch: Path) -> dict[str, float]:
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str) -> Child:
            return stack.enter_context(child("record", *arguments))

        simulators = [
            begin("--serve", str(count)) for count in _shares(options.cameras, CAMERAS_PER_SIMULATOR)
        ]
        ports = ",".join(simulator.line() for simulator in simulators)
        shards = [
            begin(
                "--shard", f"{number * CAMERAS_PER_SHARD}:{count}", "--ports", ports, "--keep", str(directory)
            )
            for number, count in enumerate(_shares(options.cameras, CAMERAS_PER_SHARD))
        ]
        copied = min(options.baseline_cameras, options.cameras)
        others = [begin("--copy", str(copied), "--ports", ports, "--keep", str(scratch))] if copied else []
        for process in (*shards, *others):
            process.line()
        time.sleep(SETTLE_S)
        before, began_s = [process.cpu_s() for process in (*shards, *others)], time.monotonic()
        _watch(options, shards)
        used = [p.cpu_s() - was for p, was in zip((*shards, *others), before, strict=True)]
        took_s = time.monotonic() - began_s
        memory_mb = sum(shard.pss_mb() for shard in shards)
        counters = [json.loads(shard.stop()) for shard in shards]
    percent = 100 * sum(used[: len(shards)]) / took_s / options.cameras
    figures = {
        "cameras": options.cameras,
        "seconds": round(took_s, 1),
        "cpu_percent_per_camera": round(percent, 3),
        "mb_per_camera": round(memory_mb / options.cameras, 2),
        **_summed(counters),
        **_verified(directory),
    }
    if others:
        baseline_percent = 100 * used[-1] / took_s / copied
        figures["baseline_cpu_percent_per_camera"] = round(baseline_percent, 3)
        figures["ratio"] = round(percent / baseline_percent, 2)
    return figures


def _watch(options: argparse.Namespace, shards: Sequence[Child]) -> None:
    """Let the measured time pass; profile the first shard when that is wanted."""
    if options.profile is None:
        time.sleep(options.seconds)
        return
    command = ["py-spy", "record", "--threads", "--gil", "--nonblocking", "--format", "raw", "--rate", "500"]
    rest = ["--duration", str(int(options.seconds)), "--output", str(options.profile)]
    subprocess.run([*command, *rest, "--pid", str(shards[0].pid)], check=True, capture_output=True)


def _shares(total: int, limit: int) -> list[int]:
    """Return how many of `total` each process gets, at most `limit`."""
    return [min(limit, total - begun) for begun in range(0, total, limit)]


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
            elif isinstance(entry, GapEntry) and known:
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


def _url(ports: Sequence[int], number: int, account: str = "") -> str:
    simulator, path = divmod(number, CAMERAS_PER_SIMULATOR)
    return f"rtsp://{account}127.0.0.1:{ports[simulator]}/cam/{path}"


async def _record(cameras: str, ports: Sequence[int], directory: Path) -> None:
    """Record some cameras until SIGTERM: "FIRST:COUNT" of those that the simulators at `ports` are."""
    from safecity.config import VideoSection
    from safecity.video.allocator import give_back_early
    from safecity.video.room import VideoRoom

    give_back_early()
    first, count = (int(part) for part in cameras.split(":"))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    configs = [_config(ports, number) for number in range(first, first + count)]
    settings = VideoSection(min_free_mb=0)
    room = VideoRoom(configs, directory, _publish, SystemClock(), settings=settings, watching=False)
    await room.start()
    while not all(found.recording for found in room.figures()):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    print("recording", flush=True)
    await stop.wait()
    figures = room.figures()
    await room.stop()
    said = {
        "unrecorded_packets": sum(found.lost_packets for found in figures),
        "outages": sum(found.outages for found in figures),
        "discontinuities": sum(found.discontinuities for found in figures),
        "disk_errors": sum(found.disk_errors for found in figures),
    }
    print(json.dumps(said), flush=True)


async def _publish(told: object) -> None:
    """Take no notice of a camera's state."""


def _config(ports: Sequence[int], number: int) -> Any:
    from safecity.model.base import Place
    from safecity.model.video import CameraSetup
    from safecity.video.camera import CameraConfig

    setup = CameraSetup(
        id=f"cam-{number:02d}",
        name=f"Camera {number}",
        place=Place(lon=0.0, lat=0.0),
        url=_url(ports, number),
    )
    return CameraConfig(setup=setup, user=USER, password=PASSWORD)


def _copy(count: int, ports: Sequence[int], directory: Path) -> None:
    """Copy the first `count` cameras into MP4 files as plainly as PyAV can, each in a thread of its own."""
    from safecity.video.allocator import give_back_early

    give_back_early()
    threads = [
        threading.Thread(
            target=_copy_one,
            args=(_url(ports, number, f"{USER}:{PASSWORD}@"), directory / f"{number}.mp4"),
            daemon=True,
        )
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("copying", flush=True)
    signal.sigwait({signal.SIGTERM})


def _copy_one(url: str, path: Path) -> None:
    import av

    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
    with (
        av.open(url, options={"rtsp_transport": "tcp"}, timeout=10.0) as source,
        av.open(str(path), "w", options=options) as copy,
    ):
        stream = source.streams.video[0]
        out = copy.add_stream_from_template(stream)
        for packet in source.demux(stream):
            # The first packets of a connection have no time yet.
            if packet.size and packet.pts is not None:
                packet.dts = packet.pts
                packet.stream = out
                copy.mux(packet)
