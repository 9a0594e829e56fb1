"""Files and folders as cameras: real time, name order, no end, and only inside the allowed folder."""

import itertools
import os
import shutil
import threading
from pathlib import Path

import av
import pytest

from safecity.clock import SystemClock
from safecity.model.source import CameraState
from safecity.model.video import CameraSetup
from safecity.video.camera import CameraConfig
from safecity.video.stream.film import FilmSource
from safecity.video.stream.source import RefusedError

from .conftest import PLACE, wait_for
from .recording import Taker


@pytest.fixture
def root(tmp_path, films) -> Path:
    """Return the allowed folder with a few films in it."""
    allowed = tmp_path / "films"
    (allowed / "street").mkdir(parents=True)
    shutil.copy(films("small"), allowed / "small.mp4")
    shutil.copy(films("hevc"), allowed / "street" / "1 first.mp4")
    shutil.copy(films("sub"), allowed / "street" / "2.mp4")
    (allowed / "street" / "notes.txt").write_text("no film")
    return allowed


def camera(path: Path) -> CameraConfig:
    return CameraConfig(setup=CameraSetup(id="film", name="Film", url=path.as_uri(), place=PLACE))


def test_a_file_is_recorded_in_real_time_without_end(root, recording):
    one = recording(camera(root / "small.mp4"), files_dir=root)
    wait_for(lambda: one.session.counters.packets >= 60, "more than one round of 50 pictures")
    one.close()
    assert one.states == [(CameraState.LIVE, "")]
    assert one.session.counters.discontinuities == 0
    ((codec, width, height, pictures),) = one.played()
    assert (codec, width, height) == ("h264", 320, 240)
    assert pictures >= 50
    assert one.gaps() == []


def test_real_time_means_real_time(root):
    with Taker(camera(root / "small.mp4"), files_dir=root) as taker:
        wait_for(lambda: len(taker.packets) > 60, "pictures")
    ticks = [packet.ticks for packet in taker.packets]
    assert {b - a for a, b in itertools.pairwise(ticks)} == {3600}
    times = [packet.time_s for packet in taker.packets]
    assert abs((times[-1] - times[0]) - (ticks[-1] - ticks[0]) / 90_000) < 0.5


def test_a_folder_is_played_in_name_order_again_and_again(root):
    with Taker(camera(root / "street"), files_dir=root) as taker:
        wait_for(lambda: len(taker.infos) >= 3, "the second round")
    assert [info.codec for info in taker.infos][:3] == ["hevc", "h264", "hevc"]
    assert [info.width for info in taker.infos][:3] == [640, 192, 640]
    ticks = [packet.ticks for packet in taker.packets]
    assert ticks == sorted(set(ticks))
    assert taker.session.counters.discontinuities == 0
    assert [state for state, _ in taker.states] == [CameraState.LIVE]


def test_a_film_with_b_frames_keeps_their_times(root, films):
    shutil.copy(films("bidirectional"), root / "b.mp4")
    with Taker(camera(root / "b.mp4"), files_dir=root) as taker:
        wait_for(lambda: len(taker.packets) > 70, "pictures")
    shown = sorted(packet.ticks + packet.shift_ticks for packet in taker.packets)
    assert {b - a for a, b in itertools.pairwise(shown[:-4])} == {3600}
    assert taker.session.counters.discontinuities == 0


def test_other_containers_are_films_too(root, films):
    for suffix in (".mkv", ".ts"):
        path = root / f"other{suffix}"
        with av.open(str(films("small"))) as source, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
        with Taker(camera(path), files_dir=root) as taker:
            wait_for(lambda: len(taker.packets) > 15, suffix)
        assert (taker.infos[0].codec, taker.infos[0].width) == ("h264", 320)


def _reason(url: str, files_dir: Path | None) -> str:
    source = FilmSource(url, files_dir, SystemClock(), threading.Event())
    with pytest.raises(RefusedError) as raised:
        next(source.parts())
    return str(raised.value)


def test_what_is_not_allowed_or_no_film_is_refused_without_naming_the_path(root, tmp_path, films):
    outside = tmp_path / "outside.mp4"
    shutil.copy(films("small"), outside)
    (root / "link.mp4").symlink_to(outside)
    (root / "empty").mkdir()
    (root / "links").mkdir()
    (root / "links" / "a.mp4").symlink_to(outside)
    (root / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{outside}\n#EXT-X-ENDLIST\n")
    (root / "script.mp4").write_text(f"ffconcat version 1.0\nfile {outside}\n")
    (root / "noise.mp4").write_bytes(os.urandom(5000))
    expected = {
        "small.mp4": ("switched off", None),
        "link.mp4": ("outside video.files_dir", root),
        "../outside.mp4": ("outside video.files_dir", root),
        "missing.mp4": ("no such file", root),
        "empty": ("holds no film", root),
        "links": ("holds no film", root),
        "list.mp4": ("no film here can be played", root),
        "script.mp4": ("no film here can be played", root),
        "noise.mp4": ("no film here can be played", root),
    }
    for name, (words, files_dir) in expected.items():
        reason = _reason((root / name).as_uri(), files_dir)
        assert words in reason
        assert str(tmp_path) not in reason


def test_another_codec_is_named(root):
    path = root / "old.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        out.mux(stream.encode(None))
    assert _reason(path.as_uri(), root) == (
        "no film here can be played: the film holds mpeg4; convert it to H.264 or H.265"
    )


def test_a_damaged_film_in_a_folder_is_passed_over(root):
    torn = (root / "small.mp4").read_bytes()
    (root / "street" / "1 z torn.mp4").write_bytes(torn[: len(torn) // 2])
    with Taker(camera(root / "street"), files_dir=root) as taker:
        wait_for(lambda: len(taker.infos) >= 2, "the film after it")
    assert [info.width for info in taker.infos][:2] == [640, 192]


def test_films_that_go_away_are_a_loss(root):
    with Taker(camera(root / "small.mp4"), files_dir=root) as taker:
        wait_for(lambda: taker.packets, "pictures")
        (root / "small.mp4").unlink()
        wait_for(lambda: taker.session.state[0] is not CameraState.LIVE, "the end of the round")
    assert taker.states[1] == (CameraState.LOST, "the file or folder is gone")
    assert taker.ends[0] == "the file or folder is gone"
