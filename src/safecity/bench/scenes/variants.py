"""Synthetic clips: a named film, changed in memory so that something happens which no free film shows.

Each is coded again as H.264 before it is looked at, as a camera would. What they prove is that a rule does
what it is meant to; how often it errs in a street only a street can tell.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

import msgspec
import numpy as np

from safecity.bench.scenes.clips import EVERYWHERE, WATCHED_EVERYWHERE, Clip, Film, Picture, Truth
from safecity.model.video_rule import Congestion, StoppedVehicle, VideoEventKind, VideoRule
from safecity.video.offline import Coded
from safecity.video.stream.bitstream import TICKS_PER_S, StreamInfo, VideoPacket

Change = Callable[[Film], Iterator[tuple[float, Picture]]]
PEOPLE: Final = "pedestrians.mp4"
ROOM: Final = "one-by-one-person-detection.mp4"
CARS: Final = "car-detection.mp4"
STREET: Final = "vehicle_survaillance.mp4"
MOTORWAY: Final = "bgslib_video02.avi"
TAMPERED_S: Final = {PEOPLE: 24.0, ROOM: 24.0, MOTORWAY: 12.0}
"""When the camera is tampered with; by then it knows its healthy picture. The motorway film is short."""
UNTIL_S: Final = 48.0
WIDTH_PX: Final = 480
"""Of the changed films: that of a camera's small stream."""
NO_STOPPING: Final = StoppedVehicle(name="no stopping", polygon=EVERYWHERE, min_still_s=8.0)
NEAR_ROAD: Final = StoppedVehicle(
    name="near road",
    polygon=((0.3, 0.45), (0.6, 0.45), (1.0, 0.85), (1.0, 1.0), (0.42, 1.0)),
    min_still_s=8.0,
)
JAM: Final = Congestion(name="jam", polygon=EVERYWHERE, min_vehicles=3, min_duration_s=8.0)


def synthetic() -> list[Clip]:
    """Return all synthetic clips."""
    return [*_tampered(), *_harmless(), *_standing(), *_left(), *_burning()]


def _tampered() -> list[Clip]:
    ways: list[tuple[str, VideoEventKind, Callable[[Picture, float], Picture]]] = [
        ("capped", VideoEventKind.CAMERA_COVERED, lambda p, _: p // 40),
        ("cloth held before it", VideoEventKind.CAMERA_COVERED, _cloth),
        ("nudged by 6 %", VideoEventKind.CAMERA_MOVED, lambda p, _: _shifted(p, 0.06, 0.03)),
        ("turned by a third", VideoEventKind.CAMERA_MOVED, lambda p, _: _turned(p)),
        ("out of focus", VideoEventKind.CAMERA_DEFOCUSED, _blurred),
    ]
    clips = [
        _pixels(f"{film}, {name}", film, from_time(at_s, change), _tamper(kind, at_s))
        for film, at_s in TAMPERED_S.items()
        for name, kind, change in ways
    ]
    frozen = VideoEventKind.CAMERA_FROZEN
    return clips + [
        _pixels(
            f"{film}, frozen", film, held(at_s, at_s + 45, noise=0.0, resume=False), _tamper(frozen, at_s)
        )
        for film, at_s in TAMPERED_S.items()
        if film != MOTORWAY
    ]


def _tamper(kind: VideoEventKind, at_s: float) -> Truth:
    within_s = 20.0 if kind is VideoEventKind.CAMERA_FROZEN else 13.0
    return Truth(kind=kind, rule="", at_s=at_s + within_s, within_s=within_s)


def _harmless() -> list[Clip]:
    changes: list[tuple[str, Callable[[float], Change]]] = [
        ("light switched off", lambda at_s: from_time(at_s, lambda p, _: _scaled(p, 0.35))),
        ("sudden sun", lambda at_s: from_time(at_s, lambda p, _: _scaled(p, 1.5))),
        ("dusk", lambda _: from_time(0.0, lambda p, t: _scaled(p, max(0.25, 1 - t / 60)))),
        ("lorry stops in front for 6 s", lambda at_s: between(at_s, at_s + 6, _lorry)),
        ("noisy", lambda at_s: from_time(at_s, lambda p, t: _noisy(p, 12.0, t))),
    ]
    return [
        _pixels(f"{film}, {name}", film, change(at_s))
        for film, at_s in TAMPERED_S.items()
        for name, change in changes
    ]


def _standing() -> list[Clip]:
    def stands(film: str, name: str, at_s: float, for_s: float, count: int, *rules: VideoRule) -> Clip:
        after = [Truth(kind=VideoEventKind.STOPPED_VEHICLE, rule=rules[0].name, at_s=at_s + 8, within_s=3.0)]
        if JAM in rules:
            after = [Truth(kind=VideoEventKind.CONGESTION, rule=JAM.name, at_s=at_s + 10, within_s=5.0)]
        change = held(at_s, at_s + for_s, noise=2.0, resume=True)
        return _clip(f"{film}, {name}", film, change, *after * count, rules=rules, until_s=30.0)

    return [
        stands(CARS, "a car stops for 15 s", 6.8, 15.0, 1, NO_STOPPING),
        stands(STREET, "a car stops for 15 s", 3.3, 15.0, 1, NEAR_ROAD),
        stands(STREET, "a pickup stops for 15 s", 5.4, 15.0, 1, NEAR_ROAD),
        stands(MOTORWAY, "all stop for 20 s", 21.3, 20.0, 1, JAM),
        stands(MOTORWAY, "all stop for 4 s", 21.3, 4.0, 0, JAM),
    ]


def _left() -> list[Clip]:
    kind, rule = VideoEventKind.OBJECT_LEFT, WATCHED_EVERYWHERE[0].name

    def bag(film: str, name: str, x: float, y: float, start_s: float, end_s: float, told: bool) -> Clip:
        truth = (Truth(kind=kind, rule=rule, at_s=start_s + 14, within_s=12.0),) if told else ()
        change = between(start_s, end_s, lambda p, _: _with_bag(p, x, y))
        return _clip(f"{film}, {name}", film, change, *truth, until_s=max(start_s, 19.0) + 26.0)

    return [
        bag(ROOM, "a bag is left", 0.50, 0.88, 18.6, 1e9, True),
        bag(ROOM, "a bag is left by the second", 0.63, 0.90, 43.0, 1e9, True),
        bag(PEOPLE, "a bag is left on the road", 0.52, 0.45, 20.0, 1e9, True),
        bag(PEOPLE, "a bag is left at the kerb", 0.30, 0.38, 30.0, 1e9, True),
        bag(ROOM, "a bag where nobody was", 0.08, 0.55, 20.0, 1e9, False),
        bag(ROOM, "a bag is fetched", 0.50, 0.88, -1.0, 19.0, False),
        bag(ROOM, "a bag is put down for 6 s", 0.50, 0.88, 18.6, 24.6, False),
    ]


def _burning() -> list[Clip]:
    smoke, flame = VideoEventKind.SMOKE, VideoEventKind.FLAME
    rule = WATCHED_EVERYWHERE[1].name

    def burns(film: str, name: str, change: Change, kind: VideoEventKind | None) -> Clip:
        truth = (Truth(kind=kind, rule=rule, at_s=18.0, within_s=10.0),) if kind else ()
        clip = _clip(f"{film}, {name}", film, change, *truth, until_s=27.0)
        return msgspec.structs.replace(clip, rules=WATCHED_EVERYWHERE[1:])

    both = (PEOPLE, MOTORWAY)
    return [
        *(burns(film, "flame", from_time(10.0, _flame), flame) for film in both),
        *(burns(film, "smoke", from_time(10.0, _smoke), smoke) for film in both),
        *(burns(film, "orange sign", from_time(10.0, _sign), None) for film in both),
        *(burns(film, "flashing lamp", from_time(10.0, _lamp), None) for film in both),
        *(burns(film, "fog", from_time(10.0, _fog), None) for film in both),
    ]


def _pixels(name: str, film: str, change: Change, *truth: Truth) -> Clip:
    """Return a clip that only the rules on the camera itself look at, twice a second."""
    return msgspec.structs.replace(_clip(name, film, change, *truth), rules=(), objects=False, every_s=0.5)


def _clip(
    name: str,
    film: str,
    change: Change,
    *truth: Truth,
    rules: tuple[VideoRule, ...] = (),
    until_s: float = UNTIL_S,
) -> Clip:
    return Clip(
        name=name,
        film=film,
        rules=(*rules, *WATCHED_EVERYWHERE),
        truth=truth,
        change=change,
        until_s=until_s,
        width_px=WIDTH_PX,
    )


def from_time(start_s: float, change: Callable[[Picture, float], Picture]) -> Change:
    """Return what changes every picture from a moment on; the change gets the seconds since then."""
    return between(start_s, 1e9, change)


def between(start_s: float, end_s: float, change: Callable[[Picture, float], Picture]) -> Change:
    """Return what changes every picture between two moments."""
    return lambda film: ((t, change(p, t - start_s) if start_s <= t < end_s else p) for t, p in film)


def held(start_s: float, end_s: float, *, noise: float, resume: bool) -> Change:
    """Return what stops the film at a moment, with the noise of a sensor or none; it may then go on."""

    def change(film: Film) -> Iterator[tuple[float, Picture]]:
        wait_s = end_s - start_s
        for t, picture in film:
            if t < start_s:
                yield t, picture
                continue
            if wait_s > 0:
                for n in range(int(wait_s * 5)):
                    yield t + n / 5, _noisy(picture, noise, n)
                shift_s, wait_s = wait_s, 0.0
                if not resume:
                    return
            yield t + shift_s, picture

    return change


def coded(film: Film) -> Iterator[Coded]:
    """Yield a film's packets as a camera's H.264 encoder makes them, a keyframe every twenty pictures."""
    import av

    encoder: Any = None
    info = StreamInfo("h264", (), 0, 0, b"", b"", "")
    for t, picture in film:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        if encoder is None:
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuv420p"
            encoder.time_base = Fraction(1, TICKS_PER_S)
            encoder.gop_size = 20
            encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "24"}
            info = info._replace(width=frame.width, height=frame.height)
        frame.pts, frame.time_base = round(t * TICKS_PER_S), Fraction(1, TICKS_PER_S)
        for packet in encoder.encode(frame.reformat(format="yuv420p")):
            yield info, VideoPacket(bytes(packet), frame.pts, 0, 0, packet.is_keyframe, t)


def _noisy(picture: Picture, deviation: float, seed: float) -> Picture:
    if not deviation:
        return picture
    grain = np.random.default_rng(int(seed * 1000)).normal(0, deviation, picture.shape[:2])[..., None]
    return _clipped(picture + grain)


def _clipped(picture: Any) -> Picture:
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def _scaled(picture: Picture, gain: float) -> Picture:
    return _clipped(picture * gain)


def _shifted(picture: Picture, right: float, down: float) -> Picture:
    rows, columns = picture.shape[:2]
    x, y = round(right * columns), round(down * rows)
    moved = np.pad(picture, ((y, 0), (x, 0), (0, 0)), mode="reflect")
    return np.asarray(moved[:rows, :columns])


def _turned(picture: Picture) -> Picture:
    """Another view of a like place: the picture's right two thirds, mirrored and stretched."""
    columns = picture.shape[1]
    take = np.linspace(columns - 1, columns // 3, columns).astype(int)
    return np.asarray(picture[:, take])


def _blurred(picture: Picture, _: float) -> Picture:
    from scipy import ndimage

    deviation = picture.shape[1] / 160
    return np.asarray(ndimage.gaussian_filter(picture, (deviation, deviation, 0)))


def _cloth(picture: Picture, since_s: float) -> Picture:
    rows, columns = picture.shape[:2]
    fold = 12 * np.sin(np.linspace(0, 9, columns) + since_s / 3)[None, :, None]
    return _noisy(_clipped(np.full((rows, columns, 3), (96, 84, 70)) + fold), 3.0, since_s)


def _lorry(picture: Picture, _: float) -> Picture:
    rows, columns = picture.shape[:2]
    changed = picture.copy()
    side = changed[rows // 4 :, columns // 6 : columns // 6 * 4]
    side[:] = (205, 205, 198)
    side[::24] = (120, 120, 120)
    return changed


def _with_bag(picture: Picture, x: float, y: float) -> Picture:
    rows, columns = picture.shape[:2]
    high, wide = round(0.075 * rows), round(0.1 * rows)
    changed = picture.copy()
    top, left = round(y * rows) - high, round(x * columns) - wide // 2
    part = changed[max(top, 0) : top + high, max(left, 0) : left + wide]
    part[:] = (28, 34, 60)
    part[2:-2, 4:8] = (90, 96, 120)
    part[2:-2, -8:-4] = (90, 96, 120)
    return changed


def _blob(picture: Picture, x: float, y: float, size: float, seed: int) -> Any:
    """Return how much of something there is in each cell, 0 to 1: a ragged blob that differs by `seed`."""
    from scipy import ndimage

    rows, columns = picture.shape[:2]
    down, right = np.mgrid[0:rows, 0:columns]
    away = np.hypot((right - x * columns) / rows, (down - y * rows) / rows * 0.8) / size
    rag = np.random.default_rng(seed).normal(0, 1, (rows // 12 + 1, columns // 12 + 1))
    rag = ndimage.zoom(rag, 12, order=1)[:rows, :columns]
    return np.clip(1.3 - away + 0.35 * rag, 0, 1)


def _flame(picture: Picture, since_s: float) -> Picture:
    size = 0.06 + 0.02 * np.sin(2 * np.pi * 2.3 * since_s)
    much = _blob(picture, 0.25, 0.6, size, int(since_s * 10))[..., None]
    colour = np.array((255, 170, 40)) * (0.85 + 0.15 * np.sin(2 * np.pi * 3.7 * since_s))
    return _clipped(picture * (1 - much) + colour * much)


def _smoke(picture: Picture, since_s: float) -> Picture:
    grown = min(0.05 + since_s * 0.015, 0.35)
    slow = int(since_s * 2)
    part = since_s * 2 - slow
    y = 0.55 - grown / 2
    much = (1 - part) * _blob(picture, 0.3, y, grown, slow) + part * _blob(picture, 0.3, y, grown, slow + 1)
    much = 0.75 * much[..., None]
    return _clipped(picture * (1 - much) + 168 * much)


def _sign(picture: Picture, _: float) -> Picture:
    changed = picture.copy()
    rows, columns = picture.shape[:2]
    changed[rows // 2 : rows // 2 + rows // 8, columns // 5 : columns // 5 + rows // 8] = (250, 150, 30)
    return changed


def _lamp(picture: Picture, since_s: float) -> Picture:
    return _sign(picture, since_s) if int(since_s * 3) % 2 == 0 else picture


def _fog(picture: Picture, since_s: float) -> Picture:
    much = min(since_s / 40, 0.6)
    return _clipped(picture * (1 - much) + 180 * much)
