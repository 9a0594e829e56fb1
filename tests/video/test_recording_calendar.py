"""A clock that was set forward deletes nothing, and one that is right again deletes what is too old."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from safecity.clock import ManualClock
from safecity.model.video import RetentionPolicy
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.calendar import ABSENCE_S, DOUBT_S, LEAP_S, Calendar
from safecity.video.recording.index import DeletedEntry, Entry
from safecity.video.recording.naming import name_of
from safecity.video.recording.retention import Kept, Ledger

from .conftest import wait_for
from .entries import CAMERA, START, IndexWriter

DAY_S = 86_400.0


class WallClock(ManualClock):
    """A clock that somebody may set."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.ahead_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)


def ledger(*spans: tuple[float, float]) -> Ledger:
    """Return files of a minute from A days to B days after START."""
    first_s, files = START.timestamp(), []
    for begin, end in spans:
        at_s = first_s + begin * DAY_S
        while at_s < first_s + end * DAY_S:
            files.append(Kept(name_of(round(at_s * 1000)), at_s, at_s + 3600, 10))
            at_s += 3600
    return Ledger(files)


def at(days: float) -> WallClock:
    return WallClock(START + timedelta(days=days))


def test_a_leap_while_running_is_doubted_for_a_day() -> None:
    clock = at(5)
    calendar, files = Calendar(clock), [ledger((0, 5))]
    assert calendar.is_believed(files)
    clock.ahead_s = 400 * DAY_S
    assert not calendar.is_believed(files)
    clock.advance(DOUBT_S - 1)
    assert not calendar.is_believed(files)
    clock.advance(2)
    assert calendar.is_believed(files)


def test_a_clock_that_is_put_right_is_believed_at_once() -> None:
    clock = at(5)
    calendar, files = Calendar(clock), [ledger((0, 5))]
    clock.ahead_s = 400 * DAY_S
    assert not calendar.is_believed(files)
    clock.advance(60)
    clock.ahead_s = 1.0
    assert calendar.is_believed(files)


def test_steps_of_a_time_server_and_of_the_past_are_believed() -> None:
    clock = at(5)
    calendar, files = Calendar(clock), [ledger((0, 5))]
    for ahead_s in (LEAP_S - 1, 0.0, -300 * DAY_S):
        clock.ahead_s = ahead_s
        assert calendar.is_believed(files)


@pytest.mark.parametrize(
    ("spans", "days", "believed"),
    [
        (((0, 5),), 5, True),
        (((0, 5),), 7, True),  # off over a weekend
        (((0, 5),), 5 + ABSENCE_S / DAY_S + 0.1, False),
        (((0, 5),), 405, False),
        (((0, 5), (405, 405.5)), 405.5, False),  # it went on recording, and was restarted
        (((0, 5), (405, 406.2)), 406.2, True),
        (((0, 5), (405, 405.5)), 5.2, True),  # put right
        (((404.9, 405),), 405, True),
        ((), 405, True),
    ],
)
def test_over_a_restart_the_recordings_say_it(spans, days: float, believed: bool) -> None:
    clock = at(days)
    calendar = Calendar(clock)
    assert calendar.is_believed([ledger(*spans), ledger()]) is believed
    clock.advance(DOUBT_S + 1)
    assert calendar.is_believed([ledger(*spans)])


def test_a_leap_of_the_clock_deletes_no_recording_and_no_snapshot(tmp_path: Path) -> None:
    IndexWriter(tmp_path / CAMERA).record(5)
    picture = tmp_path / CAMERA / "snapshots" / f"{START:%Y-%m-%d}" / "event.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"\xff\xd8")
    clock, told = at(1), list[Entry]()
    archive = Archive(
        tmp_path, Retention(max_age_s=5 * DAY_S, min_free_bytes=0), clock, told.append, tidy_period_s=0.0
    )
    archive.set_holds(())
    archive.add_camera(CAMERA, RetentionPolicy())
    archive.start()
    wait_for(archive._jobs.empty, "the first sweep")
    clock.ahead_s = 400 * DAY_S
    archive.set_holds(())
    wait_for(lambda: archive.counters.clock_doubts, "the archive to doubt the clock")
    wait_for(archive._jobs.empty, "it to be tidied")
    assert picture.exists()
    assert not told
    clock.advance(DOUBT_S + 1)
    archive.set_holds(())
    wait_for(lambda: len([e for e in told if isinstance(e, DeletedEntry)]) == 5, "the age to count again")
    assert archive.stop(10)
