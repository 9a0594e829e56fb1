"""The network finds the people of the demo film where a published tracker saw them."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import Detections, Detector, iou, suppress
from safecity.video.detector.classes import Classes
from safecity.video.detector.description import COCO, SIDE_PX
from safecity.video.detector.nanodet import centres, decode_nanodet

from .conftest import CLIP_PATH

REFERENCE = Path(__file__).parents[2] / ".." / "shared" / "data" / "mot" / "PETS09-S2L1-cem.txt"
PERSON = CLASSES.index(ObjectClass.PERSON)
STRIDES_PX, BINS = (8, 16, 32), 11
STEP = 53
"""Frames between those that are compared: 15 of the film's 795, to be quick."""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(confidence=0.45)


def frames(step: int = STEP):
    with av.open(str(CLIP_PATH)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % step == 0:
                yield number + 1, frame


def reference() -> dict[int, np.ndarray]:
    if not REFERENCE.exists():
        pytest.skip("the reference boxes ../shared/data/mot/PETS09-S2L1-cem.txt are not here")
    rows = np.loadtxt(REFERENCE, delimiter=",")
    boxes = np.concatenate((rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]), axis=1).astype(np.float32)
    return {int(number): boxes[rows[:, 0] == number] for number in np.unique(rows[:, 0])}


def test_people_are_found_with_the_published_recall_and_precision(detector):
    truth = reference()
    hits = found = wanted = 0
    for number, frame in frames():
        seen = detector.detect(frame)
        people = seen.boxes[seen.classes == PERSON]
        known = truth.get(number, np.zeros((0, 4), dtype=np.float32))
        overlap = iou(people, known) >= 0.5
        for row in range(len(people)):
            free = np.flatnonzero(overlap[row])
            if free.size:
                hits += 1
                overlap[:, free[0]] = False
        found += len(people)
        wanted += len(known)
    assert wanted > 60
    assert hits / wanted >= 0.88
    assert hits / found >= 0.85


def test_boxes_lie_in_the_picture_and_scores_count(detector):
    _, frame = next(frames())
    seen = detector.detect(frame)
    assert len(seen.scores) == len(seen.boxes) == len(seen.classes) > 2
    assert seen.boxes.min() >= 0
    assert seen.boxes[:, 2].max() <= 768
    assert seen.boxes[:, 3].max() <= 576
    assert (seen.scores >= 0.45).all()
    again = detector.detect(frame)
    assert np.array_equal(seen.boxes, again.boxes)


def test_a_tall_picture_and_an_empty_one(detector):
    tall = av.VideoFrame.from_ndarray(np.full((900, 300, 3), 90, dtype=np.uint8), format="bgr24")
    assert len(detector.detect(tall).scores) == 0


def _cells(stride: int) -> np.ndarray:
    return centres(SIDE_PX, SIDE_PX, stride)


def decode(outputs: list[np.ndarray], levels: list[np.ndarray], confidence: float) -> Detections:
    return decode_nanodet(outputs, levels, Classes(COCO), confidence)


def outputs_with(level: int, cell: int, kind: int, score: float, bins: tuple[int, int, int, int]):
    """Return network outputs in which one cell has one object with sides at exact distances."""
    scores = [np.zeros((len(_cells(s)), 80), dtype=np.float32) for s in STRIDES_PX]
    sides = [np.zeros((len(_cells(s)), 4 * BINS), dtype=np.float32) for s in STRIDES_PX]
    scores[level][cell, kind] = score
    for side, distance in enumerate(bins):
        sides[level][cell, side * BINS + distance] = 100.0
    return scores + sides


def test_decoding_puts_a_box_around_its_cell():
    # Stride 16, row 3, column 5: centre (5 * 16 + 7.5, 3 * 16 + 7.5); a bus is COCO's class 5.
    outputs = outputs_with(1, 3 * (SIDE_PX // 16) + 5, 5, 0.9, (1, 2, 3, 4))
    found = decode(outputs, [_cells(stride) for stride in STRIDES_PX], 0.35)
    assert found.boxes == pytest.approx(np.array([[87.5 - 16, 55.5 - 32, 87.5 + 48, 55.5 + 64]]), abs=1e-3)
    assert CLASSES[found.classes[0]] is ObjectClass.BUS


def test_other_classes_and_low_scores_are_left_out():
    cells = [_cells(stride) for stride in STRIDES_PX]
    assert len(decode(outputs_with(0, 7, 16, 0.99, (1, 1, 1, 1)), cells, 0.35).scores) == 0
    assert len(decode(outputs_with(0, 7, 0, 0.34, (1, 1, 1, 1)), cells, 0.35).scores) == 0


boxes = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=st.floats(0, 400, width=32)
)


@given(boxes, st.data())
def test_suppression_leaves_no_two_that_overlap_and_always_the_best(corners, data):
    corners = np.concatenate((corners[:, :2], corners[:, :2] + corners[:, 2:] + 1), axis=1)
    kinds = np.array(
        data.draw(st.lists(st.integers(0, 2), min_size=len(corners), max_size=len(corners))), dtype=np.intp
    )
    keep = suppress(corners, kinds)
    assert len(corners) == 0 or keep[0] == 0
    overlap = iou(corners[keep], corners[keep]) > 0.5
    same = kinds[keep][:, None] == kinds[keep][None, :]
    np.fill_diagonal(overlap, val=False)
    assert not (overlap & same).any()
    for lost in set(range(len(corners))) - set(keep.tolist()):
        over = iou(corners[lost : lost + 1], corners[keep])[0] > 0.5
        assert (over & (kinds[keep] == kinds[lost])).any()
