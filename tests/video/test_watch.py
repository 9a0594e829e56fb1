"""Analysis sees what set the gate off from its beginning, and drops frames rather than wait."""

from datetime import UTC, datetime
from fractions import Fraction

import av
import numpy as np

from safecity.clock import ManualClock
from safecity.model.base import Place
from safecity.model.video import CameraSetup
from safecity.video.analysis import SLOWEST_INTERVAL_S, Analysis
from safecity.video.bitstream import CODECS, VideoPacket, describe, join_sample, split_nals
from safecity.video.camera import CameraConfig
from safecity.video.detector import EMPTY
from safecity.video.watch import HOLD_S, CameraWatch, Mailbox, Waiting, WatchCounters

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
    assert len(seen_s) >= (seen_s[-1] - 4.0) / INTERVAL_S
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
        mailbox.put(info, packet)
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
        mailbox.put(info, packet)
    mailbox.restart()
    for packet in packets[15:25]:
        mailbox.put(info, packet)
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


def test_a_slow_detector_is_asked_less_often_and_a_broken_one_stops_nothing(film):
    info, packets = film

    class Broken:
        def detect(self, frame):
            raise RuntimeError("no network")

    analysis = Analysis([CONFIG], Broken, lambda *_: None, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    analysis.start()
    for packet in packets:
        analysis.offer("cam", info, packet)
    counters = analysis.watches["cam"].counters
    wait_for(lambda: counters.failures > 3, "failures to be counted")
    assert analysis.stop(5)
    assert analysis.interval_s() == 0.2
    analysis._cost_s = 5.0
    assert analysis.interval_s() == SLOWEST_INTERVAL_S
