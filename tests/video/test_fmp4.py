"""What we write is an MP4 that FFmpeg reads, and what is torn is found."""

import io
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safecity.errors import Invalid
from safecity.video.recording.fmp4 import boxes, fragment, scan
from safecity.video.stream.bitstream import CODECS, describe, join_sample, split_nals


def test_header_and_fragments_decode_to_every_picture(film):
    info, packets = film
    assert (info.width, info.height) == (768, 576)
    assert info.mime == 'video/mp4; codecs="avc1.640028"'
    data = info.init + b"".join(
        fragment(n, packets[i].ticks, packets[i : i + 20], packets[i].ticks + 180_000)
        for n, i in enumerate(range(0, 40, 20))
    )
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 40
    assert [frame.pts for frame in frames] == [n * 9000 for n in range(40)]


@settings(max_examples=40)
@given(st.integers(0, 200_000))
def test_a_file_cut_anywhere_scans_to_its_whole_fragments(film, tmp_path_factory, cut):
    info, packets = film
    pieces = [fragment(n, p.ticks, [p], p.ticks + 9000) for n, p in enumerate(packets[:10])]
    whole = info.init + b"".join(pieces)
    path = Path(tmp_path_factory.mktemp("cut")) / "a.mp4"
    path.write_bytes(whole[:cut])
    found = scan(path)
    assert found.end <= min(cut, len(whole))
    sizes = [piece.size for piece in found.fragments]
    assert sizes == [len(piece) for piece in pieces[: len(sizes)]]
    ends = [len(info.init) + sum(map(len, pieces[: n + 1])) for n in range(10)]
    assert len(sizes) == sum(end <= cut for end in ends)
    assert all(piece.duration_ticks == 9000 for piece in found.fragments)


@given(st.binary(max_size=300))
def test_garbage_has_no_more_boxes_than_bytes(data):
    assert sum(box.size for box in boxes(data)) <= len(data)


@given(st.lists(st.binary(min_size=1, max_size=50).filter(lambda b: b"\0" not in b), max_size=6))
def test_nals_survive_both_forms(nals):
    stream = b"".join(b"\0\0\0\1" + nal for nal in nals)
    assert split_nals(stream) == nals
    assert len(join_sample(nals)) == sum(4 + len(nal) for nal in nals)


def test_parameter_sets_without_a_picture_are_refused():
    with pytest.raises(Invalid):
        describe(CODECS["h264"], (b"\x67\x00", b"\x68\x00"), [b"\x65\x00"])


def test_hevc_has_a_mime_that_browsers_know(tmp_path):
    source = tmp_path / "a.h265"
    with av.open(str(source), "w", format="hevc") as out:
        stream = out.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        out.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(stream.encode(None))
    codec = CODECS["hevc"]
    nals = split_nals(source.read_bytes())
    sets = tuple(nal for nal in nals if codec.kind(nal) in codec.sets)
    info = describe(codec, sets, [nal for nal in nals if codec.kind(nal) in codec.keys])
    assert (info.width, info.height) == (64, 64)
    assert info.mime.startswith('video/mp4; codecs="h')
    assert ".L" in info.mime
