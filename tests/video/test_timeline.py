"""Any nonsense of a camera's clock becomes a monotonic timeline that follows our own."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from safecity.video.timeline import Timeline

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
