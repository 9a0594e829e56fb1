"""Every fault of the camera simulator against a real session and a real recorder: recording goes on."""

import itertools

import av
import pytest

from safecity.model.source import CameraState
from safecity.model.video import Transport
from safecity.simulator.camera import Fault
from safecity.video.recording.custody import verify
from safecity.video.stream.session import Backoff

from .conftest import PASSWORD, USER, wait_for
from .recording import Taker


def _grows(one, fragments: int = 3) -> None:
    """Wait until the recording has grown by `fragments`."""
    before = one.recorder.counters.fragments
    wait_for(lambda: one.has(before + fragments), "the recording to go on")


@pytest.mark.parametrize("film", ["small", "bidirectional"])
@pytest.mark.parametrize("fault", [Fault.CLOCK_FORWARD, Fault.CLOCK_BACK])
def test_a_clock_jump_is_bridged_in_the_same_file(open_street, recording, fault, film):
    street = open_street(film)
    one = recording(street.config(0))
    wait_for(lambda: one.has(3), "a recording")
    street.set_fault(0, fault)
    _grows(one)
    one.close()
    assert one.states == [(CameraState.LIVE, "")]
    assert one.session.counters.discontinuities == 1
    assert one.recorder.counters.lost_packets == 0
    # Within a group of B-frames nobody can tell how long the jump was to the picture.
    ((_, _, _, pictures),) = one.played(misplaced=2 if film == "bidirectional" else 0)
    assert pictures >= one.session.counters.packets - 3


def test_a_clock_that_jumps_a_little_is_bridged_too(open_street, recording):
    street = open_street("small")
    one = recording(street.config(0))
    wait_for(lambda: one.has(2), "a recording")
    for amount in (0.5, 0.3):
        street.set_fault(0, Fault.CLOCK_BACK, amount)
        _grows(one)
    one.close()
    assert 1 <= one.session.counters.discontinuities <= 4
    assert one.gaps() == []
    assert len(one.played()) == 1


def test_a_clock_that_stands_still_costs_no_picture(open_street):
    street = open_street("small")
    with Taker(street.config(0)) as taker:
        wait_for(lambda: len(taker.packets) > 30, "pictures")
        street.set_fault(0, Fault.CLOCK_STOPPED)
        wait_for(lambda: taker.session.counters.discontinuities > 10, "the clock to stand still")
        broken = len(taker.packets)
        wait_for(lambda: len(taker.packets) > broken + 30, "more pictures")
    ticks = [packet.ticks for packet in taker.packets]
    assert ticks == sorted(set(ticks))
    assert [state for state, _ in taker.states] == [CameraState.LIVE]
    film_s = (ticks[-1] - ticks[0]) / 90_000
    assert abs(film_s - (len(ticks) - 1) / 25) < 1.0


def test_a_drifting_clock_is_followed_without_a_jump(open_street):
    street = open_street("small")
    with Taker(street.config(0)) as taker:
        wait_for(lambda: len(taker.packets) > 10, "pictures")
        street.set_fault(0, Fault.CLOCK_DRIFT, -0.05)
        wait_for(lambda: len(taker.packets) > 80, "more pictures")
    assert taker.session.counters.discontinuities <= 1
    times = [packet.time_s for packet in taker.packets[15:]]
    assert max(b - a for a, b in itertools.pairwise(times)) < 1.0


def test_time_stamps_that_wrap_are_no_jump(open_street):
    street = open_street("small")
    with Taker(street.config(0)) as taker:
        wait_for(lambda: len(taker.packets) > 10, "pictures")
        # From any start the 32 bits are used up soon after two such jumps.
        for _ in range(2):
            street.set_fault(0, Fault.CLOCK_FORWARD, 2**31 / 90_000 - 3600)
            seen = len(taker.packets)
            wait_for(lambda: len(taker.packets) > seen + 20, "more pictures")  # noqa: B023
    assert taker.session.counters.discontinuities == 2
    ticks = [packet.ticks for packet in taker.packets]
    assert max(b - a for a, b in itertools.pairwise(ticks)) < 2 * 90_000


@pytest.mark.parametrize("film", ["small", "hevc"])
def test_damaged_pictures_are_counted_and_recording_goes_on(open_street, recording, film):
    street = open_street(film)
    one = recording(street.config(0))
    wait_for(lambda: one.has(2), "a recording")
    street.set_fault(0, Fault.CORRUPT, 2)
    wait_for(lambda: one.session.counters.damaged >= 2, "damage", 20.0)
    street.set_fault(0, None)
    _grows(one)
    one.close()
    assert [state for state, _ in one.states] == [CameraState.LIVE]
    assert one.gaps() == []
    for path in one.films():
        with av.open(str(path)) as container:
            assert sum(1 for packet in container.demux(video=0) if packet.size) >= 1
    assert verify("cam-0", one.folder).is_whole


def test_a_new_picture_size_begins_a_new_file(open_street, recording):
    street = open_street("small", other_size="sub")
    one = recording(street.config(0))
    wait_for(lambda: one.has(3), "a recording")
    street.set_fault(0, Fault.RESOLUTION)
    _grows(one)
    street.set_fault(0, None)
    _grows(one)
    one.close()
    assert [played[:3] for played in one.played()] == [
        ("h264", 320, 240),
        ("h264", 192, 144),
        ("h264", 320, 240),
    ]
    assert [state for state, _ in one.states] == [CameraState.LIVE]
    assert one.session.counters.formats == 3
    assert one.session.counters.outages == 0
    assert verify("cam-0", one.folder).is_whole


def test_a_new_codec_begins_a_new_file(open_street, recording):
    street = open_street("small", other_codec="hevc")
    one = recording(street.config(0))
    wait_for(lambda: one.has(3), "a recording")
    street.set_fault(0, Fault.CODEC)
    wait_for(lambda: one.session.counters.formats == 2, "the other codec")
    _grows(one)
    one.close()
    assert [played[0] for played in one.played()] == ["h264", "hevc"]
    assert len(one.gaps()) == 1


def test_an_account_that_is_changed_under_way_is_refused_and_comes_back(open_street, recording):
    street = open_street("small")
    one = recording(street.config(0))
    wait_for(lambda: one.has(2), "a recording")
    street.set_fault(0, Fault.PASSWORD)
    wait_for(lambda: one.is_in(CameraState.REFUSED), "the refusal")
    assert one.session.state[1] == "wrong user or password"
    street.set_fault(0, None)
    wait_for(lambda: one.is_in(CameraState.LIVE), "the return")
    street.set_account(0, USER, "another one")
    wait_for(lambda: one.is_in(CameraState.REFUSED), "the second refusal")
    street.set_account(0, USER, PASSWORD)
    _grows(one)
    one.close()
    assert [gap.reason for gap in one.gaps()] == ["the camera closed the connection"] * 2


def test_a_refused_camera_is_left_alone_for_thirty_seconds(open_street):
    street = open_street("small")
    with Taker(street.config(0, password="wrong"), backoff=Backoff()) as taker:
        wait_for(lambda: taker.states, "the refusal")
        wait_for(lambda: taker.session.state[0] is CameraState.REFUSED, "the refusal")
    assert taker.session.counters.connects == 1
    waits = [Backoff().wait_s(n, refused=True) for n in range(1, 200)]
    assert min(waits) >= 30.0
    assert len(set(waits)) > 100


def test_a_slow_link_loses_pictures_and_not_the_camera(open_street, recording):
    street = open_street("small")
    one = recording(street.config(0), timeout_s=3.0)
    wait_for(lambda: one.has(2), "a recording")
    packets = one.session.counters.packets
    street.set_fault(0, Fault.SLOW, 8000)
    wait_for(lambda: one.session.counters.packets > packets + 20, "pictures that come slowly")
    street.set_fault(0, None)
    _grows(one)
    one.close()
    assert CameraState.REFUSED not in {state for state, _ in one.states}
    assert one.session.counters.outages == 0
    assert all(played[3] for played in one.played())


def test_lost_datagrams_cost_pictures_and_not_the_recording(open_street, recording):
    street = open_street("small")
    one = recording(street.config(0, transport=Transport.UDP))
    wait_for(lambda: one.has(2), "a recording")
    street.set_fault(0, Fault.LOSS, 0.1)
    _grows(one, 6)
    one.close()
    assert [state for state, _ in one.states] == [CameraState.LIVE]
    assert one.gaps() == []
    for path in one.films():
        with av.open(str(path)) as container:
            assert sum(1 for packet in container.demux(video=0) if packet.size) >= 20


def test_48_of_64_cameras_lost_at_once_all_come_back_with_one_gap_each(open_street, recording):
    street = open_street("small", cameras=64)
    lost, kept = range(48), range(48, 64)
    recordings = [recording(street.config(number)) for number in range(64)]
    wait_for(lambda: all(one.has(2) for one in recordings), "64 recordings", 60.0)
    for number in lost:
        street.set_fault(number, Fault.DROP)
    wait_for(lambda: all(recordings[n].is_in(CameraState.LOST) for n in lost), "48 losses", 30.0)
    attempts = sum(recordings[n].session.counters.connects for n in lost)
    wait_for(
        lambda: sum(recordings[n].session.counters.connects for n in lost) > attempts + 96,
        "more attempts",
        30.0,
    )
    for number in lost:
        street.set_fault(number, None)
    wait_for(lambda: all(recordings[n].is_in(CameraState.LIVE) for n in lost), "48 returns", 60.0)
    wait_for(lambda: all(recordings[n].gaps() for n in lost), "48 gaps")
    for one in recordings:
        one.close()
    assert [len(recordings[n].gaps()) for n in lost] == [1] * 48
    assert [len(recordings[n].gaps()) for n in kept] == [0] * 16
    assert [recordings[n].session.counters.outages for n in kept] == [0] * 16
    assert all(one.recorder.counters.lost_packets == 0 for one in recordings)
