"""A viewer who joins at any moment decodes every picture from the last keyframe on."""

import io
from datetime import UTC, datetime

import av
import pytest

from safecity.clock import ManualClock
from safecity.errors import Unavailable
from safecity.model.video import StreamRole
from safecity.video.live import LOOK_S, FragmentKind, LiveView
from safecity.video.picture import PictureDecoder, jpeg
from safecity.video.stream.bitstream import TICKS_PER_S


class Viewer:
    """A live view fed by hand, and what it sent."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.sent: list[tuple[FragmentKind, bytes]] = []
        self.live = LiveView("cam", self.clock, lambda _, name, kind, data: self.sent.append((kind, data)))


def decode(data: bytes) -> list[int]:
    """Return the times of all pictures in an MP4, in 1/90000 s as they stand in the file."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.time_base.denominator == TICKS_PER_S
        return [frame.pts for frame in container.decode(stream)]


@pytest.mark.parametrize("joined", [1, 20, 33])
def test_header_cached_group_and_fragments_decode_together(film, joined):
    info, packets = film
    viewer = Viewer()
    viewer.live.begin(info)
    for packet in packets[:joined]:
        viewer.live.add(packet)
    assert viewer.sent == []
    start = viewer.live.start(StreamRole.MAIN)
    assert (start.mime, start.width, start.height) == (info.mime, 768, 576)
    for packet in packets[joined:60]:
        viewer.live.add(packet)
    data = start.init + b"".join(start.fragments) + b"".join(piece for _, piece in viewer.sent)
    first = (joined - 1) // 20 * 20
    assert decode(data) == [packet.ticks for packet in packets[first:60]]
    kinds = [kind for kind, _ in viewer.sent]
    keys = [n for n in range(joined, 60) if n % 20 == 0]
    assert [n + joined for n, kind in enumerate(kinds) if kind is FragmentKind.KEYFRAME] == keys


def test_joining_at_a_later_keyframe_needs_only_header_and_what_follows(film):
    info, packets = film
    viewer = Viewer()
    viewer.live.begin(info)
    viewer.live.add(packets[0])
    init = viewer.live.start(StreamRole.MAIN).init
    for packet in packets[1:50]:
        viewer.live.add(packet)
    kinds = [kind for kind, _ in viewer.sent]
    key = kinds.index(FragmentKind.KEYFRAME)
    assert len(decode(init + b"".join(data for _, data in viewer.sent[key:]))) == 30


def test_nothing_is_made_when_nobody_looks_any_more(film):
    info, packets = film
    viewer = Viewer()
    viewer.live.begin(info)
    viewer.live.add(packets[0])
    viewer.live.start(StreamRole.MAIN)
    viewer.live.add(packets[1])
    viewer.clock.advance(LOOK_S + 1)
    viewer.live.add(packets[2])
    assert len(viewer.sent) == 1


def test_a_lost_camera_cannot_be_joined_until_its_next_keyframe_and_a_new_header_is_sent(film):
    info, packets = film
    viewer = Viewer()
    with pytest.raises(Unavailable):
        viewer.live.start(StreamRole.MAIN)
    viewer.live.begin(info)
    for packet in packets[:5]:
        viewer.live.add(packet)
    assert viewer.live.start(StreamRole.MAIN).taken_at_s == packets[4].time_s
    viewer.live.end("the camera closed the connection")
    with pytest.raises(Unavailable):
        viewer.live.start(StreamRole.MAIN)
    old = viewer.live.start(StreamRole.MAIN, keep=False)
    assert old.taken_at_s == packets[0].time_s
    assert len(decode(old.init + b"".join(old.fragments))) == 1
    viewer.live.begin(info)
    assert viewer.sent == []
    viewer.live.begin(info._replace(width=640))
    assert viewer.sent == [(FragmentKind.INIT, info.init)]
    with pytest.raises(Unavailable):
        viewer.live.start(StreamRole.MAIN)


def test_a_keyframe_alone_becomes_a_jpeg_of_the_whole_picture(film):
    info, packets = film
    data = jpeg(PictureDecoder(info).decode_alone(packets[20]))
    assert data[:2] == b"\xff\xd8"
    with av.open(io.BytesIO(data), format="mjpeg") as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (768, 576)
    damaged = packets[20]._replace(sample=b"\x00\x00\x00\x04\x65\x88\x80\x00")
    assert PictureDecoder(info).decode_alone(damaged) is None


def test_a_look_at_what_is_there_keeps_nothing_coming(film):
    info, packets = film
    viewer = Viewer()
    viewer.live.begin(info)
    viewer.live.add(packets[0])
    assert viewer.live.start(StreamRole.MAIN, keep=False).init == info.init
    viewer.live.add(packets[1])
    assert viewer.sent == []


def test_each_name_has_its_viewers_and_they_move_to_another_stream_with_its_header(film):
    info, packets = film
    sent: list[tuple[str, StreamRole, FragmentKind]] = []
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    small, large = (
        LiveView(stream, clock, lambda stream, name, kind, _: sent.append((stream, name, kind)))
        for stream in ("small", "large")
    )
    for view in (small, large):
        view.begin(info)
        view.add(packets[0])
    small.start(StreamRole.SUB)
    large.start(StreamRole.MAIN)
    small.hand_over(StreamRole.SUB, large)
    small.add(packets[1])
    large.add(packets[1])
    assert sent == [
        ("large", StreamRole.SUB, FragmentKind.INIT),
        ("large", StreamRole.MAIN, FragmentKind.FRAGMENT),
        ("large", StreamRole.SUB, FragmentKind.FRAGMENT),
    ]
    clock.advance(LOOK_S + 1)
    large.hand_over(StreamRole.SUB, small)
    small.add(packets[2])
    assert len(sent) == 3
