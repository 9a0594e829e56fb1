"""Accounts are not tried so often that a camera locks them."""

import itertools
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from safecity.clock import ManualClock
from safecity.model.video import CameraSetup
from safecity.video.camera import CameraConfig
from safecity.video.stream.admission import Admission, account_key

from .conftest import PLACE

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_one_tries_while_the_others_wait_and_all_follow_when_it_was_let_in():
    admission = Admission(ManualClock(START))
    assert admission.enter(b"a") == 0.0
    assert admission.enter(b"a") > 0.0
    assert admission.enter(b"b") == 0.0
    admission.accepted(b"a")
    assert [admission.enter(b"a") for _ in range(3)] == [0.0] * 3


def test_an_attempt_without_an_answer_lets_the_next_one_try():
    clock = ManualClock(START)
    admission = Admission(clock)
    admission.enter(b"a")
    admission.left(b"a")
    assert admission.enter(b"a") == 0.0
    clock.advance(20.0)
    assert admission.enter(b"a") == 0.0


@given(st.lists(st.floats(0.01, 20.0), min_size=1, max_size=80))
def test_a_refused_account_is_tried_once_in_thirty_seconds_by_however_many(steps):
    clock = ManualClock(START)
    admission = Admission(clock)
    tries: list[float] = []
    for step_s in steps:
        clock.advance(step_s)
        for _ in range(5):
            if admission.enter(b"a") == 0.0:
                tries.append(clock.monotonic_s())
                admission.refused(b"a", 30.0)
                assert admission.is_shut(b"a")
    assert all(b - a >= 30.0 - 1e-6 for a, b in itertools.pairwise(tries))


def test_another_password_is_another_account_and_none_is_told():
    setup = CameraSetup(id="a", name="A", url="rtsp://device:554/1", place=PLACE)
    keys = {
        account_key(CameraConfig(setup=setup, user=user, password=password), setup.url)
        for user, password in (("u", "one"), ("u", "two"), ("v", "one"))
    }
    assert len(keys) == 3
    same = account_key(CameraConfig(setup=setup, user="u", password="one"), "rtsp://device:554/2?x=1")
    assert same in keys
    assert all(len(key) == 32 for key in keys)
