"""Bytes of a damaged or strange stream: never a crash, everything counted, the last good nature kept."""

import random

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safecity.clock import SystemClock
from safecity.errors import Invalid
from safecity.video.stream.bitstream import CODECS, describe, split_lengths, split_nals, split_record
from safecity.video.stream.reader import BAD_STARTS, Reader, ReaderCounters
from safecity.video.stream.source import Description, RawPacket, RawSound, RefusedError
from safecity.video.stream.timeline import Timeline


def raw_film(path) -> tuple[Description, list[RawPacket]]:
    """Return a film's description and packets with the parameter sets before each keyframe."""
    packets: list[RawPacket] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        sets, size = split_record(codec, stream.codec_context.extradata)
        for packet in container.demux(stream):
            if packet.size:
                nals = split_lengths(bytes(packet), size)
                number = len(packets)
                packets.append(
                    RawPacket(
                        [*sets, *nals] if packet.is_keyframe else nals, number * 3600, number * 3600, 3600
                    )
                )
    return Description(codec, sets), packets


def reader() -> tuple[Reader, ReaderCounters]:
    counters = ReaderCounters()
    return Reader(Timeline(), SystemClock(), counters), counters


@pytest.mark.parametrize("film", ["small", "hevc"])
def test_parameter_sets_leave_the_samples_and_describe_the_stream(films, film):
    description, packets = raw_film(films(film))
    one, counters = reader()
    one.begin(description)
    made = [packet for raw in packets for packet in one.read(raw)]
    assert len(made) == len(packets)
    assert counters.formats == 1
    assert counters.damaged == counters.unusable == 0
    kinds = {one._codec.kind(nal) for packet in made for nal in split_lengths(packet.sample, 4)}
    assert not kinds & one._codec.sets
    assert made[0].is_key


@pytest.mark.parametrize("film", ["small", "hevc"])
def test_a_damaged_parameter_set_keeps_the_stream_that_was_known(films, film):
    description, packets = raw_film(films(film))
    one, counters = reader()
    one.begin(description)
    list(one.read(packets[0]))
    known = one.info
    broken = [nal[:3] if one._codec.kind(nal) in one._codec.sets else nal for nal in packets[0].nals]
    assert list(one.read(packets[0]._replace(nals=broken)))
    assert one.info is known
    assert counters.damaged == 1
    list(one.read(packets[0]))
    assert one.info == known


def test_a_stream_that_never_describes_itself_is_refused_after_some_keyframes(films):
    _, packets = raw_film(films("small"))
    one, counters = reader()
    key = packets[0]._replace(nals=[nal for nal in packets[0].nals if nal[0] & 0x1F == 5])
    for _ in range(BAD_STARTS - 1):
        assert list(one.read(key)) == []
    with pytest.raises(RefusedError):
        list(one.read(key))
    assert counters.damaged == BAD_STARTS


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["small", "hevc"]))
def test_any_damage_is_survived(films, seed, film):
    description, packets = raw_film(films(film))
    rng = random.Random(seed)
    one, counters = reader()
    one.begin(description)
    last = next(one.read(packets[0])).ticks
    for raw in packets[1:]:
        nals = [bytearray(nal) for nal in raw.nals]
        for nal in nals:
            if rng.random() < 0.3:
                for _ in range(rng.randrange(1, 5)):
                    nal[rng.randrange(min(len(nal), 40))] = rng.randrange(256)
        for packet in one.read(raw._replace(nals=[bytes(nal) for nal in nals])):
            assert packet.ticks > last
            assert packet.sample
            last = packet.ticks
    assert one.info is not None
    assert counters.unusable <= len(packets)


@given(st.binary(max_size=300), st.sampled_from(sorted(CODECS)), st.integers(1, 4))
def test_no_bytes_break_the_parsers(data, codec, size):
    assert all(split_nals(data))
    assert all(split_lengths(data, size))
    for extradata in (data, b"\x01" + data):
        sets, length_size = split_record(codec, extradata)
        assert all(sets)
        assert 0 <= length_size <= 4


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=2, max_size=40), min_size=1, max_size=4), st.sampled_from(sorted(CODECS)))
def test_parameter_sets_that_describe_nothing_are_invalid_and_never_worse(sets, codec):
    try:
        info = describe(CODECS[codec], tuple(sets), sets)
    except Invalid:
        return
    assert info.width > 0


def test_pictures_that_need_what_was_before_we_came_in_are_left_out(tmp_path):
    path = tmp_path / "open.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        parameters = "keyint=12:min-keyint=12:open-gop=1:bframes=3:scenecut=0:log-level=none:pools=1"
        stream.options = {"preset": "ultrafast", "x265-params": parameters}
        rng = np.random.default_rng(1)
        for number in range(48):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (360, 320), np.uint8), format="yuv420p")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    description, packets = raw_film(path)
    codec = CODECS["hevc"]
    kinds = [{codec.kind(nal) for nal in raw.nals} for raw in packets]
    assert any(kind & codec.skipped for kind in kinds)
    second = [number for number, kind in enumerate(kinds) if kind & codec.keys][1]
    one, counters = reader()
    one.begin(description)
    made = [packet for raw in packets[second:] for packet in one.read(raw)]
    leading = next(n for n in range(second + 1, len(kinds)) if not kinds[n] & codec.leading) - second - 1
    assert counters.unusable == leading > 0
    assert len(made) == len(packets) - second - leading


def test_sound_is_placed_beside_the_pictures(films):
    description, packets = raw_film(films("small"))
    one, _ = reader()
    sound = RawSound(b"\x21\x10", 10 * 3600 + 1000, 1920)
    assert one.read_sound(sound) is None
    one.begin(description)
    made = [packet for raw in packets[:11] for packet in one.read(raw)]
    placed = one.read_sound(sound)
    assert placed is not None
    assert placed.ticks == made[10].ticks + 1000
    assert one.read_sound(sound) is None
    assert one.read_sound(sound._replace(pts_ticks=10**9)) is None
