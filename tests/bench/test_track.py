"""The tracker's benchmark gives the promised figures, and the goal is met on the named film."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from safecity.bench import track
from safecity.bench.mot import read_film, score
from safecity.errors import Invalid

TUD = Path(__file__).parents[2] / ".." / "shared" / "data" / "mot" / "TUD-Stadtmitte"


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    track.add_options(parser)
    return parser.parse_args(words)


def write_walks(folder: Path, frames: int = 60) -> None:
    """Two people pass each other in the distance of a body; one detection in ten is missing."""
    (folder / "det").mkdir()
    random = np.random.default_rng(3)
    truth, found = [], []
    for frame in range(1, frames + 1):
        for number, left in ((1, 50 + 4 * frame), (2, 290 - 4 * frame)):
            box = f"{left},{100 + 60 * number},40,90"
            truth.append(f"{frame},{number},{box},1,-1,-1,-1")
            if random.random() > 0.1:
                found.append(f"{frame},-1,{box},0.8,-1,-1,-1")
    (folder / "gt.txt").write_text("\n".join(truth))
    (folder / "det" / "det.txt").write_text("\n".join(found))


def test_figures_of_a_film_that_is_easy(tmp_path):
    write_walks(tmp_path)
    figures = track.measure(options("--data", str(tmp_path), "--out", str(tmp_path / "out.txt")))
    assert figures["switches"] == figures["false_positives"] == 0
    assert 80 < figures["mota"] < 100
    assert figures["idf1"] > 90
    assert figures["objects"] == 120
    assert figures["ms_at_20_objects"] > 0
    written = score(read_film(tmp_path / "gt.txt"), read_film(tmp_path / "out.txt"))
    assert round(100 * written.mota, 1) == figures["mota"]


@pytest.mark.parametrize(("every", "mota", "idf1"), [(1, 70, 75), (5, 65, 70)])
def test_a_street_is_followed_better_than_a_published_tracker_does(monkeypatch, every, mota, idf1):
    if not TUD.exists():
        pytest.skip("the sequence ../shared/data/mot/TUD-Stadtmitte is not here")
    monkeypatch.setattr(track, "UPDATES", 10)
    figures = track.measure(options("--data", str(TUD), "--every", str(every)))
    assert figures["mota"] > mota > 56.4
    assert figures["idf1"] > idf1 > 64.5


def test_what_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(Invalid, match="cannot be read"):
        track.measure(options("--data", str(tmp_path)))
    with pytest.raises(Invalid, match="--every"):
        track.measure(options("--every", "0"))
