"""Decoding times from shown times, as an encoder would have written them."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from safecity.video.stream.reorder import Reorder
from safecity.video.stream.source import RawPacket

STEP = 3600


def dated(reorder: Reorder, shown: list[int | None]) -> list[RawPacket]:
    found: list[RawPacket] = []
    for pts in shown:
        found += reorder.take(RawPacket([], pts, None, STEP))
    return found


def groups(count: int, b_frames: int) -> list[int]:
    """Return the shown numbers of pictures in decoding order: I, then P before the B-frames it follows."""
    order = [0]
    for start in range(1, count, b_frames + 1):
        order += [start + b_frames, *range(start, start + b_frames)]
    return order


@given(st.integers(0, 4), st.integers(1, 30), st.integers(-(2**40), 2**40))
def test_decoding_times_rise_evenly_and_never_pass_the_shown_ones(b_frames, count, start):
    shown = [start + n * STEP for n in groups(count, b_frames)]
    packets = dated(Reorder(1 if b_frames else 0), list(shown))
    assert [packet.pts_ticks for packet in packets] == shown
    times = [packet.dts_ticks for packet in packets]
    assert {b - a for a, b in itertools.pairwise(times)} <= {STEP}
    assert all(packet.dts_ticks <= packet.pts_ticks for packet in packets)


@given(st.integers(1, 3), st.integers(4, 30))
def test_an_undated_first_picture_gets_its_place(b_frames, count):
    shown: list[int | None] = [n * STEP for n in groups(count, b_frames)]
    packets = dated(Reorder(1), [None, *shown[1:]])
    assert packets[0].pts_ticks == 0
    times = [packet.dts_ticks for packet in packets]
    assert times == sorted(set(times))


def test_reordering_that_the_stream_does_not_tell_is_learned_at_one_irregular_time():
    packets = dated(Reorder(0), [n * STEP for n in groups(60, 2)])
    times = [packet.dts_ticks for packet in packets]
    irregular = [b - a for a, b in itertools.pairwise(times) if b - a != STEP]
    assert len(irregular) <= 3
    assert sum(step <= 0 for step in irregular) == 1


def test_a_jump_begins_anew():
    jump = 90_000 * 3600
    shown = [n * STEP for n in groups(30, 2)]
    packets = dated(Reorder(1), [*shown, *(n + jump for n in shown)])
    times = [packet.dts_ticks for packet in packets]
    # Once to the other time, once more when the room left for pictures shown earlier wasn't needed.
    assert sum(abs(b - a - STEP) > 0 for a, b in itertools.pairwise(times)) <= 2
    assert all(b > a for a, b in itertools.pairwise(times))
    assert all(packet.dts_ticks <= packet.pts_ticks for packet in packets)


def test_a_jump_before_pictures_that_are_shown_earlier_is_one_jump():
    jump = 90_000 * 3600
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]
    shown = [n * STEP + (jump if place >= 4 else 0) for place, n in enumerate(order)]
    packets = dated(Reorder(2), shown)
    times = [packet.dts_ticks for packet in packets]
    assert sum(abs(b - a) > jump / 2 for a, b in itertools.pairwise(times)) == 1
    assert all(b > a for a, b in itertools.pairwise(times))
    assert all(packet.dts_ticks <= packet.pts_ticks for packet in packets)


@given(st.lists(st.one_of(st.none(), st.integers(-(2**34), 2**34)), max_size=60), st.integers(0, 20))
def test_nothing_is_lost_whatever_comes(shown, depth):
    reorder = Reorder(depth)
    packets = dated(reorder, [0, *shown])
    assert len(packets) == len(shown) + 1
    assert reorder.depth <= 16
