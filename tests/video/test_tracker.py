"""Tracks keep their number while their object is there, whatever else is in the picture."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import EMPTY, Detections
from safecity.video.watching.tracker import CONFIRM_HITS, FORGET_S, Tracker

PERSON, CAR, TRUCK = (
    CLASSES.index(kind) for kind in (ObjectClass.PERSON, ObjectClass.CAR, ObjectClass.TRUCK)
)


def seen(*boxes: tuple[float, float, float, float], kind: int = PERSON, score: float = 0.7) -> Detections:
    return Detections(
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.full(len(boxes), score, dtype=np.float32),
        np.full(len(boxes), kind, dtype=np.intp),
    )


def person_at(x: float, y: float = 200.0) -> tuple[float, float, float, float]:
    return (x - 18, y - 40, x + 18, y + 40)


def test_a_track_is_confirmed_after_three_sightings():
    tracker = Tracker()
    states = [tracker.update(seen(person_at(100 + 5 * n)), n * 0.4).confirmed.tolist() for n in range(4)]
    assert states == [[False], [False], [True], [True]]
    assert CONFIRM_HITS == 3


def test_two_who_cross_keep_their_numbers():
    tracker = Tracker()
    for n in range(30):
        left, right = person_at(100 + 12 * n, 200), person_at(460 - 12 * n, 260)
        tracks = tracker.update(seen(left, right) if n % 2 else seen(right, left), n * 0.2)
    middles = (tracks.boxes[:, 1] + tracks.boxes[:, 3]) / 2
    assert dict(zip(tracks.ids.tolist(), middles.round().tolist(), strict=True)) == {1: 260, 2: 200}


def test_a_short_gap_is_bridged_and_a_long_one_is_not():
    for missing, survives in ((5, True), (12, False)):
        tracker = Tracker()
        for n in range(10):
            tracker.update(seen(person_at(100 + 6 * n)), n * 0.2)
        for n in range(10, 10 + missing):
            tracks = tracker.update(EMPTY, n * 0.2)
            assert not tracks.seen.any()
        back = 10 + missing
        tracks = tracker.update(seen(person_at(100 + 6 * back)), back * 0.2)
        assert (tracks.ids.tolist() == [1]) is survives
        assert missing * 0.2 < FORGET_S or not survives


def test_a_van_that_is_called_a_truck_is_one_track_and_no_person():
    tracker = Tracker()
    for n in range(6):
        tracks = tracker.update(seen((100, 100, 200, 180), kind=CAR if n % 2 else TRUCK), n * 0.2)
    assert len(tracks.ids) == 1
    tracks = tracker.update(seen((100, 100, 200, 180), kind=PERSON), 1.2)
    assert len(tracks.ids) == 2


def test_travel_is_how_far_the_foot_point_went():
    tracker = Tracker()
    for n in range(20):
        tracks = tracker.update(seen(person_at(100 + 10 * n)), n * 0.2)
    assert abs(tracks.travel_px[0] - 190) < 10
    for n in range(20, 39):
        tracks = tracker.update(seen(person_at(290 - 10 * (n - 19))), n * 0.2)
    assert tracks.travel_px[0] > 180


def test_an_uncertain_detection_continues_a_track_and_begins_none():
    tracker = Tracker()
    assert len(tracker.update(seen(person_at(100), score=0.4), 0.0).ids) == 0
    for n in range(12):
        tracks = tracker.update(seen(person_at(100 + 5 * n), score=0.8 if n < 3 else 0.4), 0.2 + n * 0.2)
    assert tracks.ids.tolist() == [1]
    assert tracks.seen.all()
    assert tracks.travel_px[0] > 45


def test_at_any_rate_of_pictures_a_walk_is_one_track():
    for fps in (1.5, 2.5, 5, 10, 25, 50):
        tracker, random = Tracker(), np.random.default_rng(1)
        for n in range(int(8 * fps)):
            x = 100 + 55 * n / fps
            found = seen(person_at(x + random.normal(0, 2)), person_at(1000 - x + random.normal(0, 2), 330))
            tracks = tracker.update(found, n / fps)
        assert sorted(tracks.ids.tolist()) == [1, 2], fps


def test_who_is_hidden_by_another_keeps_the_number():
    """One stands, one walks past before; for a second only the one before is detected."""
    tracker = Tracker()
    for n in range(40):
        x = 100 + 9 * n
        behind, before = person_at(300, 205), (x - 25, 170, x + 25, 280)
        is_hidden = abs(x - 300) < 25
        tracks = tracker.update(seen(before) if is_hidden else seen(before, behind), n * 0.2)
    middles = (tracks.boxes[:, 0] + tracks.boxes[:, 2]) / 2
    assert dict(zip(tracks.ids.tolist(), middles.round(-1).tolist(), strict=True)) == {1: 450, 2: 300}


def test_a_vehicle_that_stands_is_remembered_while_another_hides_it():
    tracker = Tracker()
    parked = (400, 200, 520, 280)
    for n in range(30):
        tracker.update(seen(parked, kind=CAR), n * 0.2)
    for n in range(30, 55):
        tracker.update(EMPTY, n * 0.2)
    assert tracker.update(seen(parked, kind=CAR), 11.0).ids.tolist() == [1]
    for n in range(30):
        tracker.update(seen((100 + 30 * n, 400, 220 + 30 * n, 480), kind=CAR), 11.2 + n * 0.2)
    assert tracker.update(EMPTY, 20.0).ids.tolist() == [1], "what drove away is forgotten sooner"
    assert len(tracker.update(EMPTY, 23.0).ids) == 0


coordinates = st.floats(0, 700, width=32)
pictures = st.lists(
    st.lists(st.tuples(coordinates, coordinates, st.floats(1, 90), st.floats(1, 90)), max_size=8),
    min_size=1,
    max_size=15,
)


@settings(max_examples=30)
@given(pictures, st.lists(st.floats(0.01, 3.0), min_size=15, max_size=15))
def test_whatever_is_detected_rows_are_consistent(pictures_, steps_s):
    tracker, time_s, known = Tracker(), 0.0, set()
    for objects, step_s in zip(pictures_, steps_s, strict=False):
        time_s += step_s
        found = seen(*((x, y, x + w, y + h) for x, y, w, h in objects))
        tracks = tracker.update(found, time_s)
        ids = tracks.ids.tolist()
        assert len(set(ids)) == len(ids)
        assert {len(column) for column in tracks} == {len(ids)}
        # Every detection is in exactly one track of this picture, and only those are seen.
        assert int(tracks.seen.sum()) == len(objects)
        new = set(ids) - known
        assert not known or all(number > max(known) for number in new)
        known |= new
        assert np.isfinite(tracks.boxes).all()
        assert (tracks.boxes[:, 2] > tracks.boxes[:, 0]).all()
        assert (tracks.first_seen_s <= time_s).all()


@settings(max_examples=15)
@given(st.integers(1, 12), st.floats(-40, 40), st.integers(0, 2**31))
def test_people_apart_at_a_steady_walk_are_never_mixed_up(count, speed_px_s, seed):
    tracker, random = Tracker(), np.random.default_rng(seed)
    for n in range(20):
        boxes = [
            person_at(2000 + speed_px_s * n * 0.3 + random.normal(0, 1.5), 150 + 120 * i)
            for i in range(count)
        ]
        order = random.permutation(count)
        tracks = tracker.update(seen(*(boxes[i] for i in order)), n * 0.3)
    assert sorted(tracks.ids.tolist()) == list(range(1, count + 1))
