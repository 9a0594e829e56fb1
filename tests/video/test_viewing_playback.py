"""Playback: chunks in a chain cover a recording once, frame by frame exactly, over files and gaps."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safecity.errors import Invalid, NotFound, Unavailable
from safecity.video.masking.planes import layers
from safecity.video.viewing import reels
from safecity.video.viewing.fragments import packets_in
from safecity.video.viewing.playback import LIMIT_BYTES, Chunk, chunk
from safecity.video.viewing.reels import Library
from safecity.video.viewing.steps import picture
from safecity.video.viewing.veil import NO_SETUP, Veil

from .viewing_parts import TICKS, Found, Recording, at, decoded, detail, mask, setup, shifted

BOX = (0.3, 0.3, 0.6, 0.8)


@pytest.fixture
def recorded(tmp_path, film) -> Path:
    """Twelve seconds in three files, five seconds of nothing, eight seconds in two more."""
    info, packets = film
    recording = Recording(tmp_path)
    recording.feed(info, packets, "the camera ended the stream")
    recording.feed(info, shifted(packets[:80], 17.0), "the camera ended the stream")
    recording.close()
    return tmp_path


def chain(library: Library, begin, speed: int, veil: Veil | None) -> list[Chunk]:
    """Return all chunks from a moment on, as a player asks for them."""
    found: list[Chunk] = []
    following = begin
    while following is not None:
        found.append(chunk(library, "cam", following, speed, veil))
        following = found[-1].next
        assert len(found) < 100
    return found


def shown(one: Chunk) -> list[float]:
    """Return when a chunk's pictures are, in seconds of the recording."""
    ticks = [frame.pts for frame in decoded(one.init, one.fragments)]
    return [round((one.start - at(0)).total_seconds() + t / TICKS, 3) for t in ticks]


ALL = [n / 10 for n in range(120)] + [17 + n / 10 for n in range(80)]


def test_films_are_forgotten_in_the_order_of_their_use_whoever_plays_them(recorded, monkeypatch):
    monkeypatch.setattr(reels, "KEPT_REELS", 2)
    library = Library(recorded)
    films = library.shelf("cam").films
    first, second, third = films[:3]
    kept = library.reel(first)
    library.reel(second)
    assert library.reel(first) is kept
    library.reel(third)
    assert library.reel(first) is kept
    with ThreadPoolExecutor(4) as threads:
        played = list(threads.map(library.reel, [first, second, third] * 40))
    assert all(reel.film in films for reel in played)
    assert len(library._reels) == 2


@pytest.mark.parametrize("speed", [1, 2, 4])
def test_unmasked_chunks_hold_every_picture_once(recorded, speed):
    chunks = chain(Library(recorded), at(0), speed, None)
    assert [t for one in chunks for t in shown(one)] == ALL
    for one, following in itertools.pairwise(chunks):
        assert one.end <= following.start == one.next
        assert (one.gap is None) == (one.end == following.start)
    (gap,) = [one.gap for one in chunks if one.gap]
    assert (gap.start, gap.end, gap.reason) == (at(12), at(17), "the camera ended the stream")


def test_masked_chunks_show_ten_pictures_a_second_of_watching(recorded):
    for speed, expected in ((1, ALL), (2, ALL[::2])):
        times = [
            t for one in chain(Library(recorded), at(0), speed, Veil(setup(), Found())) for t in shown(one)
        ]
        assert times == expected


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("speed", [8, 16])
def test_at_high_speed_only_keyframes_are_shown(recorded, speed, masked):
    veil = Veil(setup(), Found()) if masked else None
    times = [t for one in chain(Library(recorded), at(0), speed, veil) for t in shown(one)]
    assert times == ALL[::20]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begin=st.floats(-3, 24.9), speed=st.sampled_from([1, 2, 3, 4, 8, 16]))
def test_from_any_moment_the_chain_leaves_nothing_out(recorded, begin, speed):
    library = Library(recorded)
    chunks = chain(library, at(begin), speed, None)
    covered = [(one.start, one.end) for one in chunks]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(covered))
    holes = [(a[1], b[0]) for a, b in itertools.pairwise(covered) if a[1] < b[0]]
    assert holes == ([(at(12), at(17))] if begin < 12 else [])
    assert covered[-1][1] == at(25)
    first = chunks[0]
    if begin < 0 or 12 <= begin < 17:
        assert first.start == (at(0) if begin < 0 else at(17))
        assert (first.skipped is not None) == (first.start - at(begin) > timedelta(seconds=0.5))
    else:
        assert at(begin) - timedelta(seconds=2) < first.start <= at(begin)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.tuples(st.integers(1, 60), st.sampled_from([0.0, 0.3, 2.0, 9.0])), min_size=1, max_size=4
    ),
    segment_s=st.sampled_from([2.0, 4.0, 60.0]),
)
def test_any_recording_is_covered_once(tmp_path_factory, film, pieces, segment_s):
    """However long the pieces and the gaps between them are, in whatever files."""
    info, packets = film
    folder = tmp_path_factory.mktemp("recorded")
    recording = Recording(folder, segment_s)
    begin_s, expected = 0.0, []
    for count, pause_s in pieces:
        recording.feed(info, shifted(packets[:count], begin_s), "lost")
        expected += [round(begin_s + n / 10, 3) for n in range(count)]
        begin_s += count / 10 + pause_s
    recording.close()
    chunks = chain(Library(folder), at(0), 1, None)
    assert [t for one in chunks for t in shown(one)] == expected
    gaps = [one.gap for one in chunks if one.gap is not None]
    assert len(gaps) == sum(pause_s > 0.5 for _, pause_s in pieces[:-1])


def test_what_is_being_written_is_shown_to_its_last_whole_fragment(tmp_path, film):
    info, packets = film
    recording = Recording(tmp_path, 60.0)
    recording.feed(info, packets[:65])
    library = Library(tmp_path)
    chunks = chain_until_unavailable(library, at(0))
    assert [t for one in chunks for t in shown(one)] == [n / 10 for n in range(60)]
    following = chunks[-1].next
    assert following == at(6)
    for packet in packets[65:100]:
        recording.recorder.add(packet)
    recording.recorder.end("end")
    recording.close()
    rest = chain(Library(tmp_path), following, 1, None)
    assert [t for one in rest for t in shown(one)] == [n / 10 for n in range(60, 100)]


def chain_until_unavailable(library: Library, begin) -> list[Chunk]:
    found: list[Chunk] = []
    following = begin
    while True:
        try:
            found.append(chunk(library, "cam", following, 1, None))
        except Unavailable:
            return found
        following = found[-1].next


def test_a_torn_tail_is_left_out(tmp_path, film):
    info, packets = film
    recording = Recording(tmp_path, 60.0)
    recording.feed(info, packets[:45])
    (path,) = recording.folder.glob("*/*.mp4")
    with path.open("ab") as file:
        file.write(b"\x00\x00\x10\x00moof\x00torn")
    chunks = chain_until_unavailable(Library(tmp_path), at(0))
    assert [t for one in chunks for t in shown(one)] == [n / 10 for n in range(40)]


def test_nothing_recorded_is_said(tmp_path, recorded):
    with pytest.raises(NotFound):
        chunk(Library(tmp_path), "other", at(0), 1, None)
    with pytest.raises(NotFound):
        chunk(Library(recorded), "cam", at(1000), 1, None)


def test_a_deleted_file_is_not_there_and_the_rest_is(recorded):
    library = Library(recorded)
    chunk(library, "cam", at(0), 1, None)
    first = library.shelf("cam").films[0]
    first.path.unlink()
    with pytest.raises(NotFound):
        chunk(library, "cam", at(0), 1, None)
    assert chunk(library, "cam", at(4), 1, None).start == at(4)


def test_a_persons_detail_is_gone_and_the_rest_is_not(recorded):
    plain = chunk(Library(recorded), "cam", at(2), 1, None)
    hidden = chunk(Library(recorded), "cam", at(2), 1, Veil(setup(), Found(BOX)))
    for clear, masked in zip(
        decoded(plain.init, plain.fragments), decoded(hidden.init, hidden.fragments), strict=True
    ):
        assert (masked.width, masked.height) == (640, 480)
        small = clear.reformat(width=640, height=480, format="yuv420p")
        assert detail(masked, BOX) < 0.2 * detail(small, BOX)
        assert detail(masked, (0.7, 0.3, 1.0, 0.8)) > 0.3 * detail(small, (0.7, 0.3, 1.0, 0.8))


def test_masks_are_black_in_playback(recorded):
    veil = Veil(setup(masks=(mask(0.1, 0.1, 0.4, 0.5),), blur_persons=False), None)
    one = chunk(Library(recorded), "cam", at(5), 1, veil)
    for frame in decoded(one.init, one.fragments):
        rows = layers(frame)[0].samples[int(480 * 0.12) : int(480 * 0.48), int(640 * 0.12) : int(640 * 0.38)]
        assert rows.mean() < 20
        assert rows.max() < 48


@pytest.mark.parametrize("veil", [Veil(None, Found()), Veil(setup(), None), Veil(setup(), Found(fails=True))])
def test_all_is_coarse_when_nobody_knows_where_people_are(recorded, veil):
    one = chunk(Library(recorded), "cam", at(2), 1, veil)
    for frame in decoded(one.init, one.fragments):
        luma = layers(frame)[0].samples.astype(int)
        inner = luma[10:70, 10:70]
        assert abs(inner - inner.mean()).max() < 12
    still = picture(Library(recorded), "cam", at(2), 0, veil)
    assert still.coarse == veil.coarse
    assert one.coarse == veil.coarse
    assert Veil(None, None).coarse == NO_SETUP


def test_somebody_who_is_missed_for_a_moment_stays_hidden(recorded):
    """Found in the chunk's last pictures only: they are hidden for a second before, too."""

    class Late(Found):
        def detect(self, frame):
            found = super().detect(frame)
            return found if self.asked > 7 else Found().detect(frame)

    one = chunk(Library(recorded), "cam", at(2), 1, Veil(setup(), Late(BOX)))
    energies = [detail(frame, BOX) for frame in decoded(one.init, one.fragments)]
    assert max(energies[6:]) < 0.3 * min(energies[:3])


@pytest.mark.parametrize("masked", [True, False])
def test_steps_are_exact_over_files_and_gaps(recorded, masked):
    library, veil = Library(recorded), Veil(setup(), Found()) if masked else None
    moment = at(3.75)
    one = picture(library, "cam", moment, 0, veil)
    assert one.at == at(3.7)
    seen = [one.at]
    for _ in range(6):
        one = picture(library, "cam", one.at, 1, veil)
        seen.append(one.at)
    assert seen == [at(3.7 + n / 10) for n in range(7)]
    assert picture(library, "cam", at(4), -1, veil).at == at(3.9)
    assert picture(library, "cam", at(11.9), 1, veil).at == at(17)
    assert picture(library, "cam", at(17), -1, veil).at == at(11.9)
    assert picture(library, "cam", at(14), 0, veil).at == at(17)
    with pytest.raises(NotFound):
        picture(library, "cam", at(24.9), 1, veil)
    with pytest.raises(NotFound):
        picture(library, "cam", at(0), -1, veil)
    assert picture(library, "cam", at(500), 0, veil).at == at(24.9)


def test_a_step_shows_the_very_picture(recorded, film):
    """The unmasked picture equals the one that the whole film's decoder gives at that place."""
    clip = chunk(Library(recorded), "cam", at(2), 1, None)
    frames = decoded(clip.init, clip.fragments)
    for number in (0, 7, 19):
        found = picture(Library(recorded), "cam", at(2), number, None)
        with av.open(io_of(found.jpeg)) as container:
            luma = layers(next(container.decode(video=0)))[0].samples.astype(int)
        wanted = layers(frames[number].reformat(format="yuvj420p"))[0].samples.astype(int)
        assert abs(luma - wanted).mean() < 2
    assert found.at == at(3.9)


def io_of(data: bytes):
    import io

    return io.BytesIO(data)


def test_a_long_group_of_pictures_is_passed_on_as_its_keyframe(tmp_path, film, monkeypatch):
    """A chunk must fit into one answer and still lead on."""
    info, packets = film
    recording = Recording(tmp_path, 60.0)
    recording.feed(info, packets, "end")
    recording.close()
    group = sum(len(p.sample) for p in packets[:20])
    monkeypatch.setattr("safecity.video.viewing.playback.LIMIT_BYTES", group // 2)
    chunks = chain(Library(tmp_path), at(0), 1, None)
    assert [t for one in chunks for t in shown(one)] == [n / 10 for n in range(0, 120, 20)]
    assert all(len(piece) < LIMIT_BYTES for one in chunks for piece in one.fragments)


def test_fragments_read_back_are_what_was_written(recorded, film):
    _, packets = film
    one = chunk(Library(recorded), "cam", at(0), 1, None)
    read = [packet for piece in one.fragments for packet in packets_in(piece)]
    assert [(p.sample, p.ticks, p.is_key) for p in read] == [
        (p.sample, p.ticks, p.is_key) for p in packets[: len(read)]
    ]


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data):
    for prefix in (b"", b"\x00\x00\x00\x60moof", b"\x00\x00\x00\x10moof\x00\x00\x00\x08traf"):
        try:
            packets_in(prefix + data)
        except Invalid:
            continue
