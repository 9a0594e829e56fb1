"""The scores of followed objects, on cases that can be counted by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.bench.mot import Film, Picture, read_film, score
from safecity.errors import Invalid

TUD = Path(__file__).parents[2] / ".." / "shared" / "data" / "mot" / "TUD-Stadtmitte"


def film(*pictures: dict[int, float]) -> Film:
    """Return a film of boxes 10 x 10 px: for each picture the left side of each number's box."""
    return {
        frame: Picture(
            np.array(list(boxes), dtype=np.int64),
            np.array([(x, 0, x + 10, 10) for x in boxes.values()], dtype=np.float32).reshape(-1, 4),
            np.ones(len(boxes), dtype=np.float32),
        )
        for frame, boxes in enumerate(pictures, 1)
    }


def test_what_is_followed_without_fault_is_perfect():
    truth = film({1: 0, 2: 50}, {1: 5, 2: 55}, {1: 10})
    got = score(truth, film({7: 0, 3: 50}, {7: 5, 3: 55}, {7: 10}))
    assert (got.mota, got.idf1, got.recall, got.precision) == (1, 1, 1, 1)
    assert (got.switches, got.fragments, got.false_positives, got.misses, got.objects) == (0, 0, 0, 0, 5)


def test_misses_false_boxes_and_a_new_number_are_counted_once_each():
    truth = film({1: 0}, {1: 0}, {1: 0}, {1: 0})
    got = score(truth, film({1: 0}, {}, {2: 0}, {2: 0, 9: 80}))
    assert (got.misses, got.false_positives, got.switches, got.fragments) == (1, 1, 1, 1)
    assert got.mota == pytest.approx(1 - 3 / 4)
    # Number 2 is the object in two of four pictures; the object has 4 boxes, what is followed 4.
    assert got.idf1 == pytest.approx(2 * 2 / (4 + 4))


def test_two_that_exchange_numbers_are_two_switches_and_half_an_identity():
    truth = film(*[{1: 0, 2: 50}] * 4)
    got = score(truth, film(*[{1: 0, 2: 50}] * 2, *[{2: 0, 1: 50}] * 2))
    assert got.switches == 2
    assert got.mota == pytest.approx(1 - 2 / 8)
    assert got.idf1 == pytest.approx(0.5)


def test_what_was_matched_before_stays_while_it_overlaps_enough():
    # The other box is nearer in the second picture: a fresh assignment would call it a switch.
    got = score(film({1: 0}, {1: 2}), film({5: 0}, {5: 0, 6: 2}))
    assert got.switches == 0
    assert got.false_positives == 1


def test_too_little_overlap_is_a_miss_and_a_false_box():
    # 10 x 10 px, shifted by 4: 6 of 14 px, less than half.
    got = score(film({1: 0}), film({1: 4}))
    assert (got.misses, got.false_positives) == (1, 1)
    assert got.mota == -1


def test_pictures_that_only_one_side_has_count():
    got = score(film({1: 0}), {3: film({1: 0})[1]})
    assert (got.misses, got.false_positives, got.idf1) == (1, 1, 0)


@given(
    st.lists(st.dictionaries(st.integers(1, 4), st.integers(0, 60), max_size=4), min_size=1, max_size=8),
    st.lists(st.dictionaries(st.integers(1, 4), st.integers(0, 60), max_size=4), min_size=1, max_size=8),
)
def test_counts_add_up_whatever_is_compared(one, other):
    truth, followed = film(*one), film(*other)
    got = score(truth, followed)
    boxes = sum(len(picture.ids) for picture in followed.values())
    assert got.objects - got.misses == boxes - got.false_positives >= 0
    assert got.mota <= got.recall + 1e-9 or not got.objects
    assert 0 <= got.idf1 <= 1
    assert got.switches <= max(got.objects - got.misses - 1, 0)
    assert score(truth, truth).idf1 == (1 if got.objects else 0)


def test_a_published_tracker_scores_as_published():
    """56.4 and 64.5 are the figures of py-motmetrics for its own example, at an overlap of one half."""
    if not TUD.exists():
        pytest.skip("the sequence ../shared/data/mot/TUD-Stadtmitte is not here")
    got = score(read_film(TUD / "gt.txt"), read_film(TUD / "test.txt"))
    assert (round(got.mota, 6), round(got.idf1, 6)) == (0.564014, 0.644619)
    assert (got.switches, got.fragments, got.false_positives, got.misses) == (7, 6, 45, 452)


@pytest.mark.parametrize("text", ["", "1,2,3\n", "a,b,c,d,e,f,g\n", "1,1,0,0,9,nan,1\n"])
def test_a_file_of_another_form_is_refused(tmp_path, text):
    (tmp_path / "gt.txt").write_text(text)
    with pytest.raises(Invalid, match="frame,id,left,top"):
        read_film(tmp_path / "gt.txt")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Invalid, match="cannot be read"):
        read_film(tmp_path / "none.txt")
