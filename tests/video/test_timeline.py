"""Any nonsense of a camera's clock becomes a monotonic timeline that follows our own."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from safecity.video.stream.timeline import Timeline

steps = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-(2**40), 2**40), st.integers(0, 9000)),
        st.floats(0.0, 20.0, allow_nan=False),
    ),
    min_size=1,
    max_size=60,
)


@given(steps)
def test_time_always_rises_and_is_never_in_the_future(raw_steps):
    timeline, arrival_s, last, raw = Timeline(), 100.0, -1, 0
    for raw_step, gap_s in raw_steps:
        arrival_s += gap_s
        raw = None if raw_step is None else (raw or 0) + raw_step
        moment = timeline.place(raw, arrival_s)
        assert moment.ticks > last
        assert moment.lag_s >= -1e-9
        assert moment.duration_ticks > 0
        last = moment.ticks


def test_a_steady_camera_keeps_its_own_steps():
    timeline = Timeline()
    ticks = [timeline.place(500_000 + n * 9000, 10 + n * 0.1).ticks for n in range(100)]
    assert [b - a for a, b in itertools.pairwise(ticks)] == [9000] * 99
    assert timeline.discontinuities == 0


def test_the_undated_first_packet_is_placed_before_the_second():
    timeline = Timeline()
    assert timeline.place(None, 10.0).ticks < timeline.place(9000, 10.1).ticks
    assert timeline.discontinuities == 0


def test_a_burst_after_a_network_stall_is_no_jump():
    timeline = Timeline()
    for n in range(50):
        timeline.place(n * 9000, 10 + n * 0.1)
    for n in range(50, 90):
        moment = timeline.place(n * 9000, 19.0)
    assert timeline.discontinuities == 0
    assert moment.ticks == 89 * 9000


def test_a_clock_jump_either_way_is_counted_once_and_bridged():
    for jump in (90_000 * 3600, -90_000 * 3600):
        timeline = Timeline()
        for n in range(20):
            timeline.place(n * 9000, 10 + n * 0.1)
        ticks = [timeline.place(n * 9000 + jump, 10 + n * 0.1).ticks for n in range(20, 40)]
        assert timeline.discontinuities == 1
        assert ticks[-1] == 39 * 9000


def test_an_outage_is_as_long_on_the_timeline_as_on_our_clock():
    timeline = Timeline()
    for n in range(20):
        before = timeline.place(n * 9000, 10 + n * 0.1).ticks
    timeline.reconnect()
    after = timeline.place(None, 41.9)
    assert after.ticks - before == 30 * 90_000
    assert timeline.discontinuities == 0


class Lies:
    """A camera of 10 pictures a second whose clock does what the steps say, while ours runs on."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.arrival_s = 100.0
        self.raw = 2**31
        self.places: list[int] = []
        self.lags: list[float] = []

    def picture(self, *, drift: float = 0.0, dated: bool = True, late_s: float = 0.0) -> None:
        self.arrival_s += 0.1
        self.raw += round(9000 * (1 + drift))
        moment = self.timeline.place(self.raw if dated else None, self.arrival_s + late_s)
        self.places.append(moment.ticks)
        self.lags.append(moment.lag_s)


lies = st.lists(
    st.tuples(
        st.sampled_from(("steady", "forward", "back", "repeat", "undated", "wrap", "reconnect")),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=12,
)


@given(lies)
def test_however_a_camera_lies_its_timeline_runs_as_our_clock_and_each_lie_is_counted(story):
    camera = Lies()
    camera.picture()
    jumps = 0
    for lie, pictures in story:
        if lie == "forward":
            camera.raw += 90_000 * 3600
            jumps += 1
        elif lie == "back":
            camera.raw -= 90_000 * 3600
            jumps += 1
        elif lie == "repeat":
            camera.raw -= 9000
            jumps += 1
        elif lie == "wrap":
            camera.raw -= 2**32
        elif lie == "reconnect":
            camera.timeline.reconnect()
        for _ in range(pictures):
            camera.picture(dated=lie != "undated")
    steps = [b - a for a, b in itertools.pairwise(camera.places)]
    assert min(steps, default=1) > 0
    assert camera.timeline.discontinuities <= jumps
    film_s = (camera.places[-1] - camera.places[0]) / 90_000
    assert abs(film_s - 0.1 * (len(camera.places) - 1)) < 0.3
    assert max(camera.lags) < 0.3


def test_each_jump_is_counted_exactly_once():
    camera = Lies()
    for jump in (1, -1, 1, -1):
        for _ in range(10):
            camera.picture()
        camera.raw += jump * 90_000 * 600
    for _ in range(10):
        camera.picture()
    assert camera.timeline.discontinuities == 4


def test_32_and_33_bits_that_wrap_are_no_jump():
    for bits in (32, 33):
        timeline = Timeline()
        ticks = [
            timeline.place((2**bits - 50_000 + n * 9000) % 2**bits, 10 + n * 0.1).ticks for n in range(20)
        ]
        assert {b - a for a, b in itertools.pairwise(ticks)} == {9000}
        assert timeline.discontinuities == 0


@settings(max_examples=25)
@given(st.floats(-0.01, 0.01))
def test_a_clock_that_drifts_is_followed_for_hours_and_the_time_stays_right(drift):
    timeline = Timeline()
    for n in range(4000):
        # Two seconds apart: more than two hours in few steps.
        moment = timeline.place(round(n * 180_000 * (1 + drift)), 10 + n * 2.0)
        assert moment.lag_s < 1.3
    assert timeline.discontinuities == 0


def test_a_camera_that_never_gives_a_time_advances_as_our_clock():
    timeline = Timeline()
    moments = [timeline.place(None, 10 + n * 0.1) for n in range(600)]
    assert abs(moments[-1].ticks - 599 * 9000) < 9000
    assert max(moment.lag_s for moment in moments) < 0.1


def test_undated_packets_in_a_burst_each_get_a_place():
    timeline = Timeline()
    ticks = [timeline.place(None, 10.0).ticks for _ in range(50)]
    assert ticks == sorted(set(ticks))


def test_a_queue_on_the_way_is_seen_as_age_and_not_as_time():
    camera = Lies()
    for _ in range(50):
        camera.picture()
    for n in range(50):
        camera.picture(late_s=min(n * 0.1, 3.0))
    assert camera.timeline.discontinuities == 0
    assert abs(camera.lags[-1] - 3.0) < 0.05


def test_the_first_picture_lasts_as_long_as_it_says_however_long_it_took_to_look_at():
    timeline = Timeline()
    moments = [timeline.place(None, 10.0, 3600), timeline.place(3600, 10.4), timeline.place(7200, 10.41)]
    assert [b.ticks - a.ticks for a, b in itertools.pairwise(moments)] == [3600, 3600]
    assert 0.3 < moments[1].lag_s < 0.4
    timeline.reconnect()
    again = [timeline.place(None, 30.0, 9000), timeline.place(9000, 30.5)]
    assert again[1].ticks - again[0].ticks == 9000


def test_pictures_left_out_by_a_camera_that_was_held_up_are_no_jump():
    camera = Lies()
    for _ in range(20):
        camera.picture()
    for n in range(40):
        camera.picture(late_s=n * 0.1)
    # Four seconds behind: the camera leaves those out, and the next picture comes in the same moment.
    camera.raw += 4 * 90_000
    camera.arrival_s += 4.0
    for _ in range(20):
        camera.picture()
    assert camera.timeline.discontinuities == 0
    assert camera.lags[-1] < 0.2
