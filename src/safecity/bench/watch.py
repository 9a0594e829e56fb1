"""Record + gate + detection on activity: simulated 1080p25 cameras with sub-streams, one video process.

Measured twice: while nothing moves (a still picture under sensor noise), and while somebody is in nearly
every picture (the demo film) of some of the cameras; what the others cost in the quiet part is taken off, so
that the active figure is of the active cameras alone. How many can be active at once is a question of the
detector's time on a machine, so looks a second are told beside: 5 are full pace, below 2 people are lost.
Beside the quiet part, in the same seconds, runs the way of others: a process for each camera that decodes the
main stream and compares pictures; it doesn't even record.

Truth: the moments at which people cross a line in the demo film (PETS 2009 S2L1, view 1), by the boxes of a
published tracker (CEM, Milan, Roth, Schindler, 2014; foot point = middle of a box's lower edge). An event
counts as found when it comes within TOLERANCE_S of one.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from safecity.bench.processes import child
from safecity.clock import SystemClock

WORDS = "watching: processor a camera, quiet and active, events found, beside a process for each camera"

USER, PASSWORD = "bench", "on-the-loopback-only"
FILMS: Final = Path(tempfile.gettempdir()) / "safecity-films"
LINE: Final = ((0.3, 0.2), (0.3, 0.9))
CROSSED_S: Final = (
    *(17.8, 20.1, 24.5, 30.6, 32.4, 52.2, 57.7, 59.3),
    *(65.0, 67.0, 67.3, 70.8, 70.8, 75.7, 79.3),
)
"""When LINE is crossed, in seconds of the film."""
FILM_S: Final = 79.5
QUIET_FILM_S: Final = 10.0
FPS: Final = 25
TOLERANCE_S: Final = 2.0
SETTLE_S: Final = 8.0
"""Between the first pictures and the measurement: bursts are over, the gate has learned its background."""
BASELINE_LOOKS_PER_S: Final = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--cameras", type=int, default=16, help="simulated cameras, 16 at most")
    parser.add_argument(
        "--active", type=int, default=2, help="how many of them show people in the second part"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long each part is measured")
    parser.add_argument("--no-sub", action="store_true", help="cameras have no sub-stream: keyframe gate")
    parser.add_argument("--sub-fps", type=int, default=10, help="pictures a second of the 640x360 sub-stream")
    parser.add_argument("--baseline-cameras", type=int, default=2, help="processes of the other way; 0: none")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--room", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--baseline", metavar="URL", help=argparse.SUPPRESS)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return cpu_percent_per_camera_quiet and _active (of one core), events_found, events_true, and more."""
    if options.serve:
        asyncio.run(_serve(options))
        return {}
    if options.room:
        asyncio.run(_run_room(options))
        return {}
    if options.baseline:
        _be_baseline(options.baseline)
        return {}
    for film in ("quiet", "busy"):
        _films(film, options.sub_fps)
    quiet = _measure(options, "quiet", options.baseline_cameras)
    options.active = min(options.active, options.cameras)
    active = _measure(options, "busy", 0)
    total_percent = active["cpu_percent_per_camera"] * options.cameras
    at_rest_percent = quiet["cpu_percent_per_camera"] * (options.cameras - options.active)
    figures = {
        "cameras": options.cameras,
        "active_cameras": options.active,
        "sub_stream": "none" if options.no_sub else f"640x360@{options.sub_fps}",
        "cpu_percent_per_camera_quiet": quiet["cpu_percent_per_camera"],
        "cpu_percent_per_camera_active": round((total_percent - at_rest_percent) / options.active, 2),
        "looks_per_s_and_camera_active": active["looks_per_s"],
        "looks_quiet": quiet["looks"],
        "pictures_decoded_per_s_and_camera_quiet": quiet["decoded_per_s"],
        "pictures_decoded_per_s_and_camera_active": active["decoded_per_s"],
        "lost_packets": quiet["lost_packets"] + active["lost_packets"],
        "frames_dropped": quiet["frames_dropped"] + active["frames_dropped"],
        "events_quiet": len(quiet["events"]),
        **_judged(options, active),
    }
    if options.baseline_cameras:
        figures["baseline_percent_per_camera"] = quiet["baseline_percent"]
        figures["baseline_kept_up"] = quiet["baseline_kept_up"]
        figures["ratio"] = round(quiet["baseline_percent"] / quiet["cpu_percent_per_camera"], 2)
    return figures


def _measure(options: argparse.Namespace, film: str, baselines: int) -> dict[str, Any]:
    shared = ["--cameras", str(options.cameras), "--sub-fps", str(options.sub_fps)]
    shared += ["--active", str(options.active if film == "busy" else 0)]
    shared += ["--no-sub"] if options.no_sub else []
    with contextlib.ExitStack() as stack:
        served = json.loads(stack.enter_context(child("watch", "--serve", *shared)).line())
        room = stack.enter_context(child("watch", "--room", str(served["port"]), *shared))
        others = [
            stack.enter_context(child("watch", "--baseline", _url(served["port"], n, account=True)))
            for n in range(baselines)
        ]
        for process in (room, *others):
            process.line()
        time.sleep(SETTLE_S)
        pictures = [int(other.ask()) for other in others]
        before, began_s = [process.cpu_s() for process in (room, *others)], time.monotonic()
        time.sleep(options.seconds)
        used = [p.cpu_s() - was for p, was in zip((room, *others), before, strict=True)]
        ended_s = time.monotonic()
        pictures = [int(other.ask()) - was for other, was in zip(others, pictures, strict=True)]
        found: dict[str, Any] = json.loads(room.stop())
    took_s, watched_s = ended_s - began_s, ended_s - found["began_s"]
    found["looks_per_s"] = round(found["looks"] / watched_s / (options.active or 1), 2)
    found["decoded_per_s"] = round(found["decoded"] / watched_s / options.cameras, 2)
    found["cpu_percent_per_camera"] = round(100 * used[0] / took_s / options.cameras, 2)
    if others:
        # By the film it got through: on a busy machine such a process falls behind, and seems cheap.
        found["baseline_percent"] = round(100 * sum(used[1:]) / (sum(pictures) / FPS), 2)
        found["baseline_kept_up"] = round(sum(pictures) / FPS / took_s / len(others), 2)
    return found | {"from_s": began_s, "to_s": ended_s, "film_began_s": served["began_s"]}


def _judged(options: argparse.Namespace, active: dict[str, Any]) -> dict[str, Any]:
    """Match events with the crossings that the cameras showed in the measured time."""
    true = found = false = 0
    for camera in range(options.active):
        shift_s = active["film_began_s"] - _offset_s(camera)
        events = sorted(at_s for number, at_s in active["events"] if number == camera)
        events = [at_s for at_s in events if active["from_s"] <= at_s <= active["to_s"]]
        loops = range(int((active["to_s"] - shift_s) / FILM_S) + 1)
        crossed = [shift_s + loop * FILM_S + at_s for loop in loops for at_s in CROSSED_S]
        inside = [s for s in crossed if active["from_s"] + TOLERANCE_S <= s <= active["to_s"] - TOLERANCE_S]
        edge = [s for s in crossed if s not in inside]
        matched = _match(inside, events)
        true += len(inside)
        found += len(matched)
        # What belongs to a crossing at the edge of the measured time is neither right nor wrong.
        rest = [at_s for at_s in events if at_s not in matched.values()]
        false += sum(all(abs(at_s - s) > TOLERANCE_S for s in edge) for at_s in rest)
    return {"events_true": true, "events_found": found, "events_false": false}


def _match(crossed: list[float], events: list[float]) -> dict[int, float]:
    """Return for each crossing that has one its own event, in order of time."""
    matched: dict[int, float] = {}
    for number, at_s in enumerate(sorted(crossed)):
        near = [e for e in events if abs(e - at_s) <= TOLERANCE_S and e not in matched.values()]
        if near:
            matched[number] = near[0]
    return matched


def _offset_s(camera: int) -> float:
    """Return where in the film a camera starts: they are not in step, and keyframes come at all moments."""
    return camera * 4.93 % FILM_S


def _url(port: int, camera: int, *, account: bool = False) -> str:
    who = f"{USER}:{PASSWORD}@" if account else ""
    return f"rtsp://{who}127.0.0.1:{port}/cam/{camera}"


def _films(film: str, sub_fps: int) -> tuple[Path, Path]:
    """Return the main and the sub-stream of one kind of film, made when they aren't there yet."""
    from safecity.simulator.camera_film import FilmRecipe, kept_film

    quiet = film == "quiet"
    length_s = QUIET_FILM_S if quiet else FILM_S
    main = FilmRecipe(bitrate_kbps=4000, length_s=length_s, quiet=quiet)
    sub = FilmRecipe(
        width_px=640,
        height_px=360,
        fps=sub_fps,
        bitrate_kbps=50 * sub_fps,
        length_s=length_s,
        quiet=quiet,
    )
    return kept_film(FILMS, main), kept_film(FILMS, sub)


async def _serve(options: argparse.Namespace) -> None:
    """Be the cameras until SIGTERM; say the port, and when the films began (monotonic)."""
    from safecity.simulator.camera import CameraClips, CameraServer, SimulatedCamera
    from safecity.simulator.camera_rtp import read_clip

    clips = {}
    for film in ("quiet", "busy"):
        main, sub = (read_clip(path) for path in _films(film, options.sub_fps))
        clips[film] = CameraClips(main=main, sub=sub)
    cameras = []
    for number in range(options.cameras):
        film = "busy" if number < options.active else "quiet"
        cameras.append(
            SimulatedCamera(
                path=f"/cam/{number}",
                user=USER,
                password=PASSWORD,
                film=film,
                offset_s=_offset_s(number) % clips[film].main.length_s,
            )
        )
    began_s = time.monotonic()
    server = CameraServer(cameras, clips["quiet"], SystemClock(), clips)
    port = await server.start("127.0.0.1", 0)
    stop = _on_term()
    print(json.dumps({"port": port, "began_s": began_s}), flush=True)
    await stop.wait()
    await server.stop()


async def _run_room(options: argparse.Namespace) -> None:
    """Record and watch the cameras until SIGTERM; say when all are live, then what was found."""
    from safecity.config import VideoSection
    from safecity.model.observation import Observation, ObservationKind
    from safecity.model.source import CameraState
    from safecity.video.room import VideoRoom

    events: list[tuple[int, float]] = []

    async def publish(told: Observation) -> None:
        if told.kind is ObservationKind.VIDEO and told.property == "line_crossing":
            ago_s = time.time() - told.event_time.timestamp()
            events.append((int(told.source_id.partition("-")[2]), time.monotonic() - ago_s))

    stop = _on_term()
    with tempfile.TemporaryDirectory(prefix="safecity-watch-") as directory:
        configs = [_config(options, number) for number in range(options.cameras)]
        settings = VideoSection(min_free_mb=0)
        room = VideoRoom(configs, Path(directory), publish, SystemClock(), settings=settings)
        await room.start()
        while not all(f.state is CameraState.LIVE and f.watched and f.recording for f in room.figures()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        began_s = time.monotonic()
        looks = sum(f.frames_looked_at for f in room.figures())
        decoded = sum(f.frames_decoded for f in room.figures())
        dropped = sum(f.frames_dropped for f in room.figures())
        print("watching", flush=True)
        await stop.wait()
        figures = room.figures()
        await room.stop()
    said = {
        "events": events,
        "began_s": began_s,
        "looks": sum(f.frames_looked_at for f in figures) - looks,
        "lost_packets": sum(f.lost_packets for f in figures),
        "decoded": sum(f.frames_decoded for f in figures) - decoded,
        "frames_dropped": sum(f.frames_dropped for f in figures) - dropped,
    }
    print(json.dumps(said), flush=True)


def _config(options: argparse.Namespace, number: int) -> Any:
    from safecity.model.base import Place
    from safecity.model.video import CameraSetup
    from safecity.model.video_rule import LineCrossing
    from safecity.video.camera import CameraConfig

    url = _url(options.room, number)
    setup = CameraSetup(
        id=f"cam-{number}",
        name=f"Camera {number}",
        place=Place(lon=0.0, lat=0.0),
        url=url,
        sub_url="" if options.no_sub else f"{url}/sub",
        rules=(LineCrossing(name="line", start=LINE[0], end=LINE[1], cool_down_s=0.0),),
    )
    return CameraConfig(setup=setup, user=USER, password=PASSWORD)


def _be_baseline(url: str) -> None:
    """Watch one camera as others do: decode its main stream, compare five pictures a second."""
    import av
    import numpy as np
    from av.video.reformatter import VideoReformatter

    scaler = VideoReformatter()
    mean: Any = None
    moved = 0
    asked: list[int] = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=10.0) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        every = FPS // BASELINE_LOOKS_PER_S
        for number, frame in enumerate(container.decode(stream)):
            if number == 0:
                print("decoding", flush=True)
            if asked:
                asked.clear()
                print(number, flush=True)
            if number % every:
                continue
            grey = scaler.reformat(frame, width=320, height=180, format="gray").to_ndarray()
            picture = grey.astype(np.float32)
            mean = picture if mean is None else mean + 0.05 * (picture - mean)
            moved += int((np.abs(picture - mean) > 25).mean() > 0.002)


def _on_term() -> asyncio.Event:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop
