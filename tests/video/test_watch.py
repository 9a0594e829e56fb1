"""Analysis sees what set the gate off from its beginning, and drops frames rather than wait."""

from datetime import UTC, datetime
from fractions import Fraction

import av
import msgspec
import numpy as np

from safecity.clock import ManualClock
from safecity.model.base import Place
from safecity.model.video import CameraSetup, StreamRole
from safecity.model.video_rule import LineCrossing, VideoEventKind
from safecity.video.camera import CameraConfig
from safecity.video.detector import EMPTY, Detections
from safecity.video.stream.bitstream import (
    CODECS,
    TICKS_PER_S,
    VideoPacket,
    describe,
    join_sample,
    split_nals,
)
from safecity.video.watching.analysis import SLOWEST_INTERVAL_S, Analysis
from safecity.video.watching.mailbox import Mailbox, Waiting, WatchCounters
from safecity.video.watching.ring import RETRO_S
from safecity.video.watching.watch import GATE_S, HOLD_S, IDLE_AFTER_S, IDLE_LOOK_S, CameraWatch

from .conftest import wait_for

CONFIG = CameraConfig(
    setup=CameraSetup(id="cam", name="Cam", url="rtsp://camera/x", place=Place(lon=13.0, lat=53.0))
)
INTERVAL_S = 0.2


class Notebook:
    """Finds nothing and writes down which pictures it was shown."""

    def __init__(self) -> None:
        self.ticks: list[int] = []

    def detect(self, frame):
        self.ticks.append(frame.pts)
        return EMPTY


def made_film(seconds: int, moves_from_s: float, moves_to_s: float):
    """Return a film at 10 pictures a second, a keyframe every 2 s, with a dark box that walks for a while."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 320, 240, "yuv420p"
    context.framerate, context.time_base = Fraction(10), Fraction(1, 10)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=20:scenecut=0"}
    coded = []
    for n in range(seconds * 10):
        luma = np.full((240, 320, 3), 130, dtype=np.uint8)
        if moves_from_s <= n / 10 < moves_to_s:
            x = 40 + 3 * (n % 60)
            luma[100:160, x : x + 30] = 20
        frame = av.VideoFrame.from_ndarray(luma, format="rgb24").reformat(format="yuv420p")
        frame.pts = n
        coded += context.encode(frame)
    coded += context.encode(None)
    codec = CODECS["h264"]
    info, packets = None, []
    sets: list[bytes] = []
    for n, packet in enumerate(coded):
        nals = split_nals(bytes(packet))
        sets = [nal for nal in nals if codec.kind(nal) in codec.sets] or sets
        pictures = [nal for nal in nals if codec.kind(nal) not in codec.no_picture]
        info = info or describe(codec, tuple(sets), pictures)
        packets.append(
            VideoPacket(join_sample(pictures), n * 9000, 0, 9000, packet.is_keyframe, 1000 + n / 10)
        )
    return info, packets


def run(info, packets, waited_s: float = 0.1) -> tuple[CameraWatch, Notebook]:
    """Analyse `packets`, each after it has waited for `waited_s`."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(waited_s)
    watch, notebook = CameraWatch(CONFIG, clock), Notebook()
    for n, packet in enumerate(packets):
        watch.process(Waiting(info, packet, n == 0, 0.0), notebook, INTERVAL_S)
    return watch, notebook


def test_a_quiet_film_costs_only_its_keyframes():
    info, packets = made_film(10, 99, 99)
    watch, notebook = run(info, packets)
    assert notebook.ticks == []
    assert watch.counters.decoded == sum(packet.is_key for packet in packets) == 5


def test_what_opened_the_gate_is_seen_from_its_beginning_and_for_a_while_after():
    # The box appears at 4.5 s; the keyframe at 6 s opens the gate; pictures since 4 s are decoded after it.
    info, packets = made_film(20, 4.5, 7.0)
    watch, notebook = run(info, packets)
    assert watch.counters.activations == 1
    seen_s = [ticks / 90_000 for ticks in notebook.ticks]
    assert seen_s[0] == 4.0
    assert sorted(set(seen_s)) == seen_s
    assert 7.0 + HOLD_S - 0.5 <= seen_s[-1] <= 7.0 + HOLD_S + 0.5
    looks = [s for s in seen_s if s <= 4.5 + IDLE_AFTER_S]
    assert len(looks) >= (looks[-1] - 4.0) / INTERVAL_S
    assert not watch.is_active


def test_late_pictures_are_decoded_to_catch_up_and_not_looked_at(film):
    info, packets = film
    watch, notebook = run(info, packets, waited_s=1.5)
    # Only what is looked at after the fact, up to the keyframe that opened the gate, is allowed to be old.
    assert max(notebook.ticks) <= packets[40].ticks
    assert watch.counters.skipped > 30
    assert watch.counters.decoded >= len(packets)


def test_a_full_mailbox_drops_and_goes_on_at_a_keyframe(film):
    info, packets = film
    counters = WatchCounters()
    mailbox = Mailbox(counters, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), limit=30)
    for packet in packets[:50]:
        mailbox.put(StreamRole.MAIN, info, packet)
    taken = []
    while (item := mailbox.take()) is not None:
        taken.append(item)
    assert [item.packet for item in taken] == packets[40:50]
    assert [item.fresh for item in taken] == [True] + [False] * 9
    assert counters.dropped == 40


def test_a_stream_that_broke_off_goes_on_at_a_keyframe(film):
    info, packets = film
    mailbox = Mailbox(WatchCounters(), ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    for packet in packets[:5]:
        mailbox.put(StreamRole.MAIN, info, packet)
    mailbox.restart(StreamRole.MAIN)
    for packet in packets[15:25]:
        mailbox.put(StreamRole.MAIN, info, packet)
    fresh = []
    while (item := mailbox.take()) is not None:
        fresh.append((item.packet.ticks // 9000, item.fresh))
    assert fresh == [
        (0, True),
        *((n, False) for n in range(1, 5)),
        (20, True),
        *((n, False) for n in range(21, 25)),
    ]


def test_a_damaged_packet_harms_only_itself(film):
    info, packets = film
    damaged = [
        packet._replace(sample=packet.sample[:4] + bytes(len(packet.sample) - 4))
        if n in {20, 21, 45}
        else packet
        for n, packet in enumerate(packets)
    ]
    watch, notebook = run(info, damaged)
    assert watch.counters.decoded > 60
    assert notebook.ticks


class Broken:
    """A network that cannot look at anything."""

    def detect(self, frame):
        raise RuntimeError("no network")


def repeated(packets, times: int):
    """Return the packets of a film shown again and again."""
    length = packets[-1].ticks + packets[-1].duration_ticks
    return [
        packet._replace(ticks=packet.ticks + n * length, time_s=packet.time_s + n * length / TICKS_PER_S)
        for n in range(times)
        for packet in packets
    ]


def offer_all(analysis, info, packets, role=StreamRole.MAIN):
    """Hand packets over a few at a time, so that none is dropped."""
    mailbox = analysis.watches["cam"].mailbox
    for packet in packets:
        if packet.is_key:
            wait_for(lambda: mailbox.oldest_s() is None, "analysis to catch up", 60.0)
        analysis.offer("cam", role, info, packet)


def test_a_slow_detector_is_asked_less_often_and_a_broken_one_stops_nothing(film):
    info, packets = film
    analysis = Analysis(Broken, lambda *_: None, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    analysis.add(CONFIG)
    analysis.start()
    offer_all(analysis, info, repeated(packets, 5))
    counters = analysis.watches["cam"].counters
    wait_for(lambda: counters.failures > 3, "failures to be counted", 60.0)
    assert analysis.is_watching
    assert analysis.stop(5)
    assert analysis.interval_s() == 0.2
    analysis._cost_s = 5.0
    assert analysis.interval_s() == SLOWEST_INTERVAL_S


def test_analysis_that_breaks_down_begins_anew(film, monkeypatch):
    info, packets = film
    monkeypatch.setattr("safecity.video.watching.analysis.FAILURES_IN_A_ROW", 2)
    made = []

    def make():
        if len(made) == 1:
            made.append("no memory")
            raise MemoryError
        made.append(Broken() if not made else Notebook())
        return made[-1]

    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    analysis = Analysis(make, lambda *_: None, clock, restart_s=(0.01,))
    analysis.add(CONFIG)
    analysis.start()
    film_again = iter(repeated(packets, 200))

    def looks_again():
        offer_all(analysis, info, [next(film_again) for _ in range(20)])
        return len(made) == 3 and made[2].ticks

    wait_for(looks_again, "a third detector that looks", 60.0)
    assert analysis.counters.restarts == 2
    assert analysis.is_watching
    assert analysis.stop(5)


def test_a_detector_that_cannot_be_made_is_tried_again_and_packets_wait_for_nothing(film):
    info, packets = film
    tried = []

    def make():
        tried.append(1)
        raise OSError("no model")

    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    analysis = Analysis(make, lambda *_: None, clock, restart_s=(0.01,))
    analysis.add(CONFIG)
    analysis.start()
    for packet in repeated(packets, 3):
        analysis.offer("cam", StreamRole.MAIN, info, packet)
    wait_for(lambda: len(tried) > 2, "more attempts")
    assert not analysis.is_watching
    assert analysis.watches["cam"].counters.dropped > 0
    assert analysis.stop(5)


def run_sub(info, packets, finder=None, setup=None, waited_s: float = 0.1):
    """Analyse `packets` as a small stream; return the watch, the finder and all events."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(waited_s)
    config = CONFIG if setup is None else CameraConfig(setup=setup)
    watch, finder = CameraWatch(config, clock), finder or Notebook()
    seen = []
    for n, packet in enumerate(packets):
        seen += watch.process(Waiting(info, packet, n == 0, 0.0, StreamRole.SUB), finder, INTERVAL_S)
    return watch, finder, seen


def test_a_quiet_small_stream_is_seen_five_times_a_second_and_never_looked_at():
    info, packets = made_film(10, 99, 99)
    watch, notebook, _ = run_sub(info, packets)
    assert notebook.ticks == []
    assert watch.counters.decoded == len(packets)
    assert len(packets) / 2 - 3 <= watch.counters.gated <= len(packets) / 2 + 1


def test_a_small_stream_is_looked_at_from_before_the_motion_was_noticed():
    # The box appears at 5.3 s; two gate pictures later, by 5.8 s, it is noticed.
    info, packets = made_film(14, 5.3, 7.0)
    watch, notebook, _ = run_sub(info, packets)
    assert watch.counters.activations == 1
    seen_s = [ticks / TICKS_PER_S for ticks in notebook.ticks]
    assert 5.8 - RETRO_S - 2 * GATE_S <= seen_s[0] <= 5.3
    assert sorted(set(seen_s)) == seen_s
    assert 7.0 + HOLD_S - 0.6 <= seen_s[-1] <= 7.0 + HOLD_S + 0.6
    assert not watch.is_active


def test_the_ring_of_a_small_stream_stays_short():
    info, packets = made_film(20, 99, 99)
    watch, _, _ = run_sub(info, packets)
    assert watch._ring.packets[0].is_key
    assert len(watch._ring.packets) <= 41


def test_one_flash_is_nothing():
    info, packets = made_film(6, 3.0, 3.1)
    watch, notebook, _ = run_sub(info, packets)
    assert watch.counters.activations == 0
    assert notebook.ticks == []


def test_where_nothing_is_found_looks_become_fewer():
    info, packets = made_film(30, 3.0, 30.0)
    _, notebook, _ = run_sub(info, packets)
    seen_s = [ticks / TICKS_PER_S for ticks in notebook.ticks]
    late_s = [s for s in seen_s if s > 3.5 + IDLE_AFTER_S + 0.5]
    assert len(late_s) <= (late_s[-1] - late_s[0]) / IDLE_LOOK_S + 2


class Walker:
    """Finds one person where a made film has its box."""

    def detect(self, frame):
        x = 40 + 3 * (round(frame.pts / 9000) % 60)
        box = np.array([[x, 100, x + 30, 160]], dtype=np.float32)
        return Detections(box, np.array([0.8], dtype=np.float32), np.array([0]))


LINE = LineCrossing(name="gate", start=(0.4, 0.0), end=(0.4, 1.0))


def test_a_line_crossing_is_an_event_with_its_wall_time_its_picture_and_everybody_in_it():
    info, packets = made_film(16, 6.0, 12.0)
    setup = msgspec.structs.replace(CONFIG.setup, rules=(LINE,))
    watch, _, seen = run_sub(info, packets, Walker(), setup)
    assert [one.event.kind for one in seen] == [VideoEventKind.LINE_CROSSING]
    event = seen[0].event
    # The foot point, 15 px right of the box's left side, is at 128 px after 24 pictures.
    assert abs(event.time_s - 1008.5) < 1.0
    assert event.rule == "gate"
    assert seen[0].persons.shape == (1, 4)
    assert (seen[0].frame.width, seen[0].frame.height) == (320, 240)
    assert watch.counters.events == 1


def test_rules_change_without_a_break():
    info, packets = made_film(16, 6.0, 12.0)
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    watch, walker = CameraWatch(CONFIG, clock), Walker()
    seen = []
    for n, packet in enumerate(packets):
        if n == 65:
            watch.configure(CameraConfig(setup=msgspec.structs.replace(CONFIG.setup, rules=(LINE,))))
        seen += watch.process(Waiting(info, packet, n == 0, 0.0, StreamRole.SUB), walker, INTERVAL_S)
    assert len(seen) == 1
    assert watch.counters.activations == 1


def test_what_analysis_cannot_catch_up_with_is_left_out_until_a_fresh_keyframe():
    info, packets = made_film(8, 99, 99)
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(100)
    watch, notebook = CameraWatch(CONFIG, clock), Notebook()
    for n, packet in enumerate(packets):
        queued_s = 95.0 if n < 50 else 99.9
        watch.process(Waiting(info, packet, n == 0, queued_s, StreamRole.SUB), notebook, INTERVAL_S)
    assert watch.counters.dropped == 60
    assert watch.counters.decoded == 20


def test_only_a_fresh_keyframe_ends_the_leaving_out():
    info, packets = made_film(8, 99, 99)
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(100)
    watch = CameraWatch(CONFIG, clock)
    # Keyframes at 0, 2, 4 and 6 s: the third is late still, the fourth has not waited.
    for n, packet in enumerate(packets):
        queued_s = 95.0 if n < 30 else 98.5 if n < 60 else 99.9
        watch.process(Waiting(info, packet, n == 0, queued_s, StreamRole.SUB), Notebook(), INTERVAL_S)
    assert watch.counters.dropped == 60
    assert watch.counters.decoded == 20


def test_film_time_runs_on_when_the_other_stream_takes_over(film):
    info, packets = made_film(6, 99, 99)
    large_info, large = film
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    watch = CameraWatch(CONFIG, clock)
    stamps = []

    class Clockwork:
        needs_pictures_fps = 1.0

        def change_stream(self):
            stamps.append(stamps[-1])

        def wants_look(self, film_s):
            return False

        def look_at_picture(self, frame, film_s, moving):
            stamps.append(film_s)
            return []

        def look(self, *_):
            return []

    for n, packet in enumerate(packets[:40]):
        watch._engine = Clockwork()
        watch.process(Waiting(info, packet, n == 0, n / 10, StreamRole.SUB), Notebook(), INTERVAL_S)
    for n, packet in enumerate(large[:40]):
        watch._engine = Clockwork()
        watch.process(Waiting(large_info, packet, n == 0, 5 + n / 10), Notebook(), INTERVAL_S)
    assert stamps == sorted(stamps)
    assert stamps[-1] > 5.0


def test_only_the_stream_that_is_watched_is_let_in(film):
    info, packets = film
    mailbox = Mailbox(WatchCounters(), ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    mailbox.put(StreamRole.SUB, info, packets[0])
    assert mailbox.take() is None
    mailbox.use(StreamRole.SUB)
    for packet in packets[:3]:
        mailbox.put(StreamRole.MAIN, info, packet)
        mailbox.put(StreamRole.SUB, info, packet)
    mailbox.restart(StreamRole.MAIN)
    mailbox.put(StreamRole.SUB, info, packets[3])
    taken = []
    while (item := mailbox.take()) is not None:
        taken.append((item.role, item.fresh))
    assert taken == [(StreamRole.SUB, True)] + [(StreamRole.SUB, False)] * 3
