"""The detector's benchmark gives the promised figures, of one network or of two side by side."""

import argparse
from pathlib import Path

import pytest

from safecity.bench import detect
from safecity.errors import Configuration, Invalid

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    detect.add_options(parser)
    return parser.parse_args(words)


def test_people_are_found_and_the_time_is_told():
    reference = DATA / "mot" / "PETS09-S2L1-cem.txt"
    if not reference.exists():
        pytest.skip("the reference boxes ../shared/data/mot/PETS09-S2L1-cem.txt are not here")
    figures = detect.measure(options("--reference", str(reference), "--every", "100"))
    assert figures["frames"] == 8
    assert figures["recall"] > 0.85
    assert figures["precision"] > 0.8
    assert figures["ms_per_frame"] > 0


def test_another_network_is_measured_side_by_side():
    model = DATA / "models" / "yolox_nano.onnx"
    if not model.exists():
        pytest.skip("the network ../shared/data/models/yolox_nano.onnx is not here")
    figures = detect.measure(options("--model", str(model), "--every", "300"))
    assert figures["frames"] == figures["compared_frames"] == 3
    assert figures["compared_ms_per_frame"] > 0
    assert "recall" not in figures


def test_what_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(Invalid, match="--every"):
        detect.measure(options("--every", "0"))
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(Invalid, match="no film"):
        detect.measure(options("--film", str(tmp_path / "film.mp4")))
    with pytest.raises(Configuration, match="no file"):
        detect.measure(options("--model", str(tmp_path / "none.onnx")))
