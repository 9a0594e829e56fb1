"""Pictures out of interleaved RTP: whatever the size of the pieces, the marker and the losses."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.video.stream.rtp import PICTURE_LIMIT, SLACK_BYTES, UNIT_LIMIT_BYTES, Depacketizer
from safecity.video.stream.sdp import video_track

KEY = b"\x65\x80" + bytes(range(1, 200)) * 5
PICTURE = b"\x41\x80" + bytes(range(1, 100))
SECOND_SLICE = b"\x41\x40" + bytes(range(1, 100))
SETS = [b"\x67\x42\x00\x1e\xaa", b"\x68\xce\x3c\x80"]


def rtp(sequence, stamp, payload, *, marker=False, channel=0):
    head = struct.pack(">BBHII", 0x80, 96 | marker << 7, sequence & 0xFFFF, stamp & 0xFFFFFFFF, 7)
    return b"$" + bytes([channel]) + struct.pack(">H", len(head + payload)) + head + payload


def fragments(nal, size):
    pieces = [nal[1:][at : at + size] for at in range(0, len(nal) - 1, size)]
    for number, piece in enumerate(pieces):
        flags = (number == 0) << 7 | (number == len(pieces) - 1) << 6
        yield bytes([nal[0] & 0xE0 | 28, flags | nal[0] & 0x1F]) + piece


def stream(pictures, *, start=0, stamp=0, size=100, marker=True):
    """Return the frames of pictures, each a list of NAL units, 3600 ticks apart."""
    frames, sequence = [], start
    for nals in pictures:
        parts = [part for nal in nals for part in ([nal] if len(nal) <= size else fragments(nal, size))]
        for number, part in enumerate(parts):
            frames.append(rtp(sequence, stamp, part, marker=marker and number == len(parts) - 1))
            sequence += 1
        stamp += 3600
    return frames


def read(data, cuts=(), codec="h264"):
    """Return what comes of `data` that arrives in pieces."""
    depacketizer = Depacketizer(codec, 0)
    held, found = b"", []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        held += data[begin:end]
        taken = depacketizer.take(memoryview(held + bytes(SLACK_BYTES)), 0, len(held))
        held = held[taken:]
        found += depacketizer.done
        depacketizer.done = []
    assert not held
    return found


@given(st.data())
def test_pictures_come_out_as_they_went_in_however_they_are_cut(data):
    pictures = [[*SETS, KEY], [PICTURE], [PICTURE, SECOND_SLICE]]
    start = data.draw(st.sampled_from([0, 65_530]))
    sent = b"".join(stream(pictures, start=start, stamp=2**32 - 3600))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    found = read(sent, cuts)
    assert [raw.nals for raw in found] == pictures
    assert [b.pts_ticks - a.pts_ticks for a, b in itertools.pairwise(found)] == [3600, 3600]
    assert not any(raw.is_damaged for raw in found)


def test_without_markers_a_picture_ends_where_the_next_begins():
    sent = b"".join(stream([[*SETS, KEY], [PICTURE], [PICTURE]], marker=False))
    assert [raw.nals for raw in read(sent)] == [[*SETS, KEY], [PICTURE]]


def test_a_camera_that_marks_every_packet_is_understood_after_its_first_picture():
    frames = [
        rtp(number, number // 2 * 3600, part, marker=True)
        for number, part in enumerate([PICTURE, SECOND_SLICE] * 3)
    ]
    assert [raw.nals for raw in read(b"".join(frames))][-1] == [PICTURE, SECOND_SLICE]


def test_a_camera_whose_time_stands_still_gives_pictures():
    frames = [rtp(number, 0, PICTURE, marker=True) for number in range(4)]
    assert len(read(b"".join(frames))) == 4


def test_a_lost_packet_damages_its_picture_alone():
    frames = stream([[KEY], [PICTURE], [PICTURE]])
    found = read(b"".join(frames[:3] + frames[4:]))
    assert [raw.nals for raw in found] == [[PICTURE], [PICTURE]]
    assert [raw.is_damaged for raw in found] == [True, False]


def test_several_units_in_one_packet_and_padding_and_extension():
    both = b"\x18" + b"".join(struct.pack(">H", len(nal)) + nal for nal in [*SETS, PICTURE])
    head = struct.pack(">BBHII", 0xB1, 0xE0, 1, 0, 7) + b"\0\0\0\1" + struct.pack(">HH", 1, 1) + b"\0\0\0\0"
    packet = head + both + b"\0\0\3"
    found = read(b"$\0" + struct.pack(">H", len(packet)) + packet)
    assert found[0].nals == [*SETS, PICTURE]


def test_h265_units_and_the_camera_s_clock():
    key = b"\x26\x01\x80" + bytes(range(1, 100))
    cut = 50
    parts = [b"\x62\x01" + bytes([0x80 | 19]) + key[2:cut], b"\x62\x01" + bytes([0x40 | 19]) + key[cut:]]
    report = struct.pack(">BBHIIII", 0x80, 200, 6, 7, 2_208_988_800 + 1000, 2**31, 0) + bytes(8)
    frames = [b"$\x01" + struct.pack(">H", len(report)) + report]
    frames += [rtp(number, 90_000, part, marker=number == 1) for number, part in enumerate(parts)]
    (raw,) = read(b"".join(frames), codec="hevc")
    assert raw.nals == [key]
    assert raw.taken_s == pytest.approx(1001.5)


@given(st.binary(max_size=400))
def test_nonsense_harms_nothing(payload):
    data = rtp(1, 0, payload, marker=True) + rtp(2, 3600, PICTURE, marker=True)
    assert read(data)[-1].nals[-1] == PICTURE
    Depacketizer("hevc", 0).take(memoryview(payload + bytes(SLACK_BYTES)), 0, len(payload))


SDP = (
    "v=0\r\na=control:*\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 {0}\r\n"
    "a=fmtp:96 packetization-mode={1};sprop-parameter-sets=Z0IAHqo=,aM48gA==\r\na=control:trackID=1\r\n"
)


def test_fragments_without_an_end_are_given_up():
    depacketizer = Depacketizer("h264", 0)
    middle = b"\x7c\x05" + bytes(60_000)
    frames = [rtp(0, 0, b"\x7c\x85" + bytes(1000))]
    frames += [rtp(number, 0, middle) for number in range(1, UNIT_LIMIT_BYTES // 60_000 + 10)]
    for frame in frames:
        assert depacketizer.take(memoryview(frame + bytes(SLACK_BYTES)), 0, len(frame)) == len(frame)
    assert depacketizer._unit is None


def test_a_picture_without_an_end_is_handed_on_as_damaged():
    slices = [rtp(number, 0, SECOND_SLICE) for number in range(PICTURE_LIMIT + 10)]
    pictures = read(b"".join(slices))
    assert len(pictures) == 1
    assert pictures[0].is_damaged


def test_a_description_tells_codec_sets_and_where_to_go():
    track = video_track(SDP.format("H264/90000", 1))
    assert track == ("h264", "trackID=1", "*", tuple(SETS))


@pytest.mark.parametrize(("kind", "mode"), [("JPEG/90000", 1), ("H264/90000", 2), ("H264/48000", 1)])
def test_what_is_unusual_is_left_to_others(kind, mode):
    assert video_track(SDP.format(kind, mode)) is None
