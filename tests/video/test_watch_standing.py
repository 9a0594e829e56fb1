"""What a watch does that a rule alone cannot: look though nothing moves, and go on through changes."""

from datetime import UTC, datetime
from fractions import Fraction

import av
import msgspec
import numpy as np
import pytest

from safecity.clock import ManualClock
from safecity.model.base import Place
from safecity.model.video import CameraSetup, StreamRole
from safecity.model.video_rule import ObjectLeft, SmokeFlame, VideoEventKind, ZoneIntrusion
from safecity.video.camera import CameraConfig
from safecity.video.detector import EMPTY, Detections
from safecity.video.stream.bitstream import TICKS_PER_S, StreamInfo, VideoPacket
from safecity.video.watching.mailbox import Waiting
from safecity.video.watching.watch import CameraWatch

ALL = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
RIGHT = ((0.3, 0.0), (1.0, 0.0), (1.0, 1.0), (0.3, 1.0))
FPS = 5
COLUMNS, ROWS = 320, 240
GROUND = np.kron(np.random.default_rng(1).integers(110, 150, (30, 40)), np.ones((8, 8)))


def filmed(pictures, key_s: float = 2.0, scale: int = 1) -> tuple[StreamInfo, list[VideoPacket]]:
    """Return a film of grey pictures at FPS as a camera sends it."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = COLUMNS * scale, ROWS * scale, "yuv420p"
    context.time_base = Fraction(1, TICKS_PER_S)
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": f"keyint={round(key_s * FPS)}:scenecut=0",
    }
    info = StreamInfo("h264", (), context.width, context.height, b"", b"", "")
    packets = []
    for n, picture in enumerate(pictures):
        grown = np.kron(picture, np.ones((scale, scale))).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(grown, format="gray").reformat(format="yuv420p")
        frame.pts, frame.time_base = n * TICKS_PER_S // FPS, Fraction(1, TICKS_PER_S)
        packets += [
            VideoPacket(bytes(coded), frame.pts, 0, 0, coded.is_keyframe, 1000 + n / FPS)
            for coded in context.encode(frame)
        ]
    return info, packets


def watch_of(*rules) -> tuple[CameraWatch, ManualClock]:
    setup = CameraSetup(
        id="cam", name="Cam", url="rtsp://camera/x", place=Place(lon=13.0, lat=53.0), rules=rules
    )
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    return CameraWatch(CameraConfig(setup=setup), clock), clock


class Person:
    """Finds one person where the film has one; `where` gives its left side at a moment."""

    def __init__(self, where) -> None:
        self.where = where
        self.looks_s: list[float] = []

    def detect(self, frame):
        time_s = frame.pts / TICKS_PER_S
        self.looks_s.append(time_s)
        left = self.where(time_s)
        if left is None:
            return EMPTY
        scale = frame.width / COLUMNS
        box = np.array([[left, 100, left + 36, 196]], dtype=np.float32) * np.float32(scale)
        return Detections(box, np.array([0.8], dtype=np.float32), np.array([0]))


def passes(time_s: float) -> int | None:
    """Return where somebody is who comes at 6 s, stands for two seconds at the bag's place, and goes."""
    if 6 <= time_s < 10:
        return 20 + int((time_s - 6) * 31)
    if 10 <= time_s < 12:
        return 146
    return 146 + int((time_s - 12) * 45) if 12 <= time_s < 15 else None


def with_bag(time_s: float):
    picture = GROUND.copy()
    if time_s >= 11:
        picture[170:194, 150:174] = np.tile(np.kron([[20, 230], [230, 20]], np.ones((6, 6))), (2, 2))
    left = passes(time_s)
    if left is not None:
        picture[100:196, left : left + 36] = 40
    return picture


@pytest.mark.parametrize("role", list(StreamRole))
def test_what_was_left_is_told_when_all_has_become_quiet(role):
    info, packets = filmed(with_bag(n / FPS) for n in range(36 * FPS))
    watch, clock = watch_of(ObjectLeft(name="hall", polygon=ALL, min_still_s=12.0))
    finder, seen = Person(passes), []
    for n, packet in enumerate(packets):
        waiting = Waiting(info, packet, n == 0, clock.monotonic_s(), role)
        seen += watch.process(waiting, finder, 0.2)
        clock.advance(1 / FPS)
    left = [one.event for one in seen if one.event.kind is VideoEventKind.OBJECT_LEFT]
    assert len(left) == 1
    assert left[0].time_s - 1000 < 32
    assert finder.looks_s[-1] > 22, "nothing moved, and it looked all the same"


def restless(time_s: float):
    """Return somebody who walks in and then moves the arms."""
    picture = GROUND.copy()
    left = 20 + int(min(time_s, 6) * 20)
    picture[100:196, left : left + 36] = 40
    high = 110 + int(time_s * FPS) % 2 * 8
    picture[high : high + 8, left : left + 36] = 200
    return picture


def test_the_other_stream_shows_the_same_person_and_no_new_event():
    small = filmed(restless(n / FPS) for n in range(40 * FPS))
    large = filmed((restless(n / FPS) for n in range(40 * FPS)), scale=2)
    watch, clock = watch_of(ZoneIntrusion(name="z", polygon=RIGHT, cool_down_s=60.0, min_travel=0.0))
    finder, seen, role = Person(lambda time_s: 20 + int(min(time_s, 6) * 20)), [], None
    for n in range(40 * FPS):
        wanted = StreamRole.MAIN if n // (10 * FPS) % 2 else StreamRole.SUB
        info, packets = large if wanted is StreamRole.MAIN else small
        waiting = Waiting(info, packets[n], wanted is not role, clock.monotonic_s(), wanted)
        role = wanted
        seen += watch.process(waiting, finder, 0.2)
        clock.advance(1 / FPS)
    assert [one.event.kind for one in seen] == [VideoEventKind.ZONE_INTRUSION]


def test_a_change_that_has_nothing_to_do_with_a_rule_tells_nothing_again():
    info, packets = filmed(restless(n / FPS) for n in range(30 * FPS))
    zone = ZoneIntrusion(name="z", polygon=RIGHT, cool_down_s=0.0, min_travel=0.0)
    watch, clock = watch_of(zone)
    finder, seen = Person(lambda time_s: 20 + int(min(time_s, 6) * 20)), []
    changes = {
        15 * FPS: {"name": "Renamed"},
        20 * FPS: {"rules": (zone, ZoneIntrusion(name="other", polygon=ALL, classes=("bus",)))},
    }
    for n, packet in enumerate(packets):
        if n in changes:
            setup = msgspec.structs.replace(watch.config.setup, **changes[n])
            watch.configure(CameraConfig(setup=setup))
        seen += watch.process(Waiting(info, packet, n == 0, 0.0, StreamRole.SUB), finder, 0.2)
        clock.advance(0)
    assert len(seen) == 1


@pytest.mark.parametrize(("rules", "is_all"), [((), False), ((SmokeFlame(name="yard", polygon=ALL),), True)])
def test_a_rule_that_needs_more_than_keyframes_gets_every_picture_of_a_large_stream(rules, is_all):
    info, packets = filmed(GROUND for _ in range(20 * FPS))
    watch, _ = watch_of(*rules)
    for n, packet in enumerate(packets):
        watch.process(Waiting(info, packet, n == 0, 0.0), Person(lambda _: None), 0.2)
    assert (watch.counters.gated > 80) is is_all
    assert (watch.counters.gated <= 11) is not is_all
