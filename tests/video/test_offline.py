"""A film and the detections recorded of it give the same events, and what is neither is refused."""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.analysing import Order, analyse, lines
from safecity.errors import Invalid
from safecity.model.video_rule import ObjectClass, VideoEventKind
from safecity.video.detector import Detections
from safecity.video.offline import (
    analyse_film,
    event_line,
    read_recording,
    read_setup,
    replay,
    rules_that_need_pictures,
    table,
)

from .conftest import CLIP_PATH

RECORDED = Path(__file__).parent / "data" / "pedestrians.jsonl"
"""What NanoDet sees in the demo film, five pictures a second."""
JUNCTION = """
[[rule]]
kind = "zone_intrusion"
name = "junction"
polygon = [[0.3, 0.3], [0.7, 0.3], [0.7, 0.8], [0.3, 0.8]]
"""
LINE = '[[rule]]\nkind = "line_crossing"\nname = "path"\nstart = [0.0, 0.5]\nend = [1.0, 0.5]\n'
HEAD = '{"film":"x.mp4","width_px":100,"height_px":80,"classes":["person"]}\n'


def written(folder: Path, text: str, name: str = "rules.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def short_film(path: Path, packets: int = 45) -> Path:
    """Write the first packets of the demo film, a tenth of a second each."""
    with av.open(str(CLIP_PATH)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number == packets or packet.dts is None:
                break
            packet.stream = stream
            target.mux(packet)
    return path


def test_recorded_detections_of_the_demo_film_give_its_events_at_once(tmp_path):
    setup = read_setup(written(tmp_path, JUNCTION + LINE))
    report = replay(read_recording(RECORDED), setup)
    assert report.looked_at > 300
    kinds = {event.kind for event in report.events}
    assert kinds == {VideoEventKind.ZONE_INTRUSION, VideoEventKind.LINE_CROSSING}
    assert all(0 <= event.time_s <= report.film_s < 80 for event in report.events)
    assert 19 <= report.objects["person"] <= 32, "19 people walk through the film"
    assert report.by_rule()["junction"]["person"] == sum(e.rule == "junction" for e in report.events)
    assert replay(read_recording(RECORDED), setup) == report


def test_a_film_and_its_recorded_detections_give_the_same(tmp_path):
    from safecity.video.detector import Detector

    film = short_film(tmp_path / "short.mp4")
    setup = read_setup(written(tmp_path, JUNCTION))
    saved, progress = tmp_path / "seen.jsonl", []
    report = analyse_film(
        film, setup, Detector(), save=saved, on_progress=lambda at, length: progress.append((at, length))
    )
    again = replay(read_recording(saved), setup)
    assert report.events == again.events
    assert len(report.events) == 1
    assert report.objects == again.objects
    assert report.pictures == 23
    assert progress[-1][1] == pytest.approx(4.5, abs=0.2)
    assert report.damaged == 0


def test_a_film_goes_through_the_watch_of_a_camera_whatever_its_codec(tmp_path):
    """MPEG-4 in AVI, with pictures that are shown in another order than they are decoded."""
    path = tmp_path / "old.avi"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("mpeg4", rate=10, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for n in range(80):
            luma = np.full((240, 320, 3), 130, dtype=np.uint8)
            if n >= 30:
                luma[100:160, 40 + 3 * (n - 30) : 70 + 3 * (n - 30)] = 20
            for packet in stream.encode(av.VideoFrame.from_ndarray(luma, format="rgb24")):
                target.mux(packet)
        for packet in stream.encode(None):
            target.mux(packet)

    class Walker:
        looks_s: ClassVar[list[float]] = []

        def detect(self, frame):
            self.looks_s.append(frame.pts / 90_000)
            left = 40 + 3 * max(round(frame.pts / 9000) - 30, 0)
            box = np.array([[left, 100, left + 30, 160]], dtype=np.float32)
            return Detections(box, np.array([0.8], dtype=np.float32), np.array([0]))

    gate = LINE.replace("[0.0, 0.5]", "[0.35, 0.0]").replace("[1.0, 0.5]", "[0.35, 1.0]")
    report = analyse_film(path, read_setup(written(tmp_path, gate)), Walker())
    assert [event.kind for event in report.events] == [VideoEventKind.LINE_CROSSING]
    assert 4.5 <= report.events[0].time_s <= 6.5
    assert Walker.looks_s[0] > 1.5, "nothing moves before"
    assert sorted(Walker.looks_s) == Walker.looks_s
    assert (report.film_s, report.damaged) == (pytest.approx(7.9, abs=0.15), 0)


def test_the_command_prints_lines_of_json_and_progress_apart(tmp_path):
    film = short_film(tmp_path / "short.mp4", 200)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "safecity.cli", "analyse", str(film), "--json", "--progress"),
            *("--every-s", "1", "--rules", str(written(tmp_path, JUNCTION))),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    summary = told[-1]["summary"]
    assert summary["events"] == len(told) - 1
    assert summary["pictures"] == 100
    assert summary["looked_at"] <= 21
    assert summary["film_s"] == pytest.approx(19.9)
    assert "10 s of 20 s" in done.stderr


def test_events_are_told_in_lines_and_in_a_table(tmp_path):
    report = analyse(Order(rules=written(tmp_path, JUNCTION), detections=RECORDED), pytest.fail)
    first = json.loads(event_line(report.events[0]))
    assert first["kind"] == "zone_intrusion"
    assert first["class"] == ObjectClass.PERSON
    assert len(first["box"]) == 4
    text = table(report)
    assert report.events[0].why in text
    assert "counted by 'junction': entries" in text
    assert list(lines(report, as_json=False)) == [text]


def test_rules_that_need_the_film_are_named(tmp_path):
    text = JUNCTION + '[[rule]]\nkind = "camera_health"\nname = "eye"\n'
    assert rules_that_need_pictures(read_setup(written(tmp_path, text))) == ["eye"]
    said: list[str] = []
    analyse(Order(rules=written(tmp_path, text), detections=RECORDED), said.append)
    assert "'eye'" in said[0]


def test_a_calibration_places_the_events(tmp_path):
    text = JUNCTION + (
        "[calibration]\npicture = [[0.1, 0.9], [0.9, 0.9], [0.6, 0.3], [0.4, 0.3]]\n"
        "ground = [[13.26, 53.55], [13.2603, 53.55], [13.2603, 53.5504], [13.26, 53.5504]]\n"
    )
    event = replay(read_recording(RECORDED), read_setup(written(tmp_path, text))).events[0]
    assert event.ground is not None
    assert event.ground == pytest.approx((13.26, 53.55), abs=0.002)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "hold no"),
        ("[[rule", "not valid TOML"),
        ('[[rule]]\nkind = "face"\nname = "x"', "face"),
        (
            '[[rule]]\nkind = "zone_intrusion"\nname = "x"\npolygon = [[0, 0], [2, 0], [1, 1]]',
            "from 0,0 to 1,1",
        ),
        (JUNCTION + JUNCTION, "give each its own name"),
        (JUNCTION + "shade = 3\n[other]\na = 1", "other"),
        ('rule = "all"', "as a table"),
    ],
)
def test_wrong_rules_are_refused_in_a_sentence(tmp_path, text, words):
    with pytest.raises(Invalid, match=words):
        read_setup(written(tmp_path, text))


def test_missing_and_foreign_files_are_refused(tmp_path):
    rules = written(tmp_path, JUNCTION)
    silent = [].append
    with pytest.raises(Invalid, match="cannot be read"):
        read_setup(tmp_path / "none.toml")
    with pytest.raises(Invalid, match="no film"):
        analyse(Order(rules=rules, film=rules), silent)
    with pytest.raises(Invalid, match="no film"):
        analyse(Order(rules=rules, film=tmp_path / "none.mp4"), silent)
    with pytest.raises(Invalid, match="not both"):
        analyse(Order(rules=rules), silent)
    with pytest.raises(Invalid, match="not both"):
        analyse(Order(rules=rules, film=CLIP_PATH, detections=RECORDED), silent)
    with pytest.raises(Invalid, match="needs a film"):
        analyse(Order(rules=rules, detections=RECORDED, save_detections=tmp_path / "x"), silent)
    with pytest.raises(Invalid, match="cannot be written"):
        analyse_film(CLIP_PATH, read_setup(rules), None, save=tmp_path / "no" / "x.jsonl")  # type: ignore[arg-type]


def test_a_play_list_is_no_film(tmp_path):
    """FFmpeg would follow it to any file or address."""
    sneaky = written(tmp_path, f"ffconcat version 1.0\nfile '{CLIP_PATH}'\n", "film.mp4")
    with pytest.raises(Invalid, match="no film"):
        analyse_film(sneaky, read_setup(written(tmp_path, JUNCTION)), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "line 1 is no line"),
        ('{"film":"x"}\n', "line 1 is no line"),
        (HEAD + "nonsense\n", "line 2 is no line"),
        (HEAD + '{"s":1,"objects":[[0,2.0,1,1,2,2]]}\n', "line 2 is no line"),
        (HEAD + '{"s":1,"objects":[[3,0.5,1,1,2,2]]}\n', "line 2 names a class"),
        (HEAD + '{"s":1,"objects":[]}\n{"s":0.5,"objects":[]}\n', "line 3: the time runs backwards"),
        (HEAD + "[" * 100_000 + "\n", "line 2 is no line"),
        (HEAD + " " * 1_100_000, "too long"),
    ],
)
def test_wrong_recordings_are_refused_with_their_line(tmp_path, line, words):
    with pytest.raises(Invalid, match=words):
        read_recording(written(tmp_path, line, "seen.jsonl"))


@given(st.binary(max_size=200))
def test_whatever_stands_in_a_recording_it_is_read_or_refused(data):
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Invalid):
        path = Path(folder) / "seen.jsonl"
        path.write_bytes(HEAD.encode() + data)
        assert read_recording(path).width_px == 100
