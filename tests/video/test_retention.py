"""What may go goes in order, what is held stays, and a disk full of holds stops recording loudly."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.clock import ManualClock
from safecity.errors import Invalid
from safecity.model.video import Hold, RetentionPolicy
from safecity.video.recording import index
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.custody import verify
from safecity.video.recording.index import DeletedEntry, DeletionReason, Entry, FileEntry
from safecity.video.recording.naming import millis_of, name_of
from safecity.video.recording.pictures import Pictures
from safecity.video.recording.recorder import STORAGE_WORDS, Recorder, StorageState
from safecity.video.recording.retention import Holds, Kept, Ledger

from .conftest import wait_for
from .entries import CAMERA, START, IndexWriter

NOW = START + timedelta(days=2)
NEVER = Retention(max_age_s=1e9, min_free_bytes=0)


def hold(start_min: float, end_min: float, camera_id: str = CAMERA, **more: object) -> Hold:
    return Hold(
        id=f"hold-{camera_id}-{start_min}",
        camera_id=camera_id,
        start=START + timedelta(minutes=start_min),
        end=START + timedelta(minutes=end_min),
        reason="evidence",
        by="Malika",
        at=NOW,
        **more,
    )


class Shelf:
    """An archive at work on recordings that are there already."""

    def __init__(
        self, directory: Path, retention: Retention = NEVER, *, knows_holds: bool = True, **options: object
    ) -> None:
        self.told: list[Entry] = []
        self.clock = ManualClock(NOW)
        self.archive = Archive(directory, retention, self.clock, self.told.append, **options)
        if knows_holds:
            self.archive.set_holds(())

    def deleted(self, reason: DeletionReason | None = None) -> list[str]:
        return [
            f"{e.camera_id}/{e.path}"
            for e in self.told
            if isinstance(e, DeletedEntry) and (reason is None or e.reason is reason)
        ]


@pytest.fixture
def two_cameras(tmp_path: Path) -> tuple[IndexWriter, IndexWriter]:
    """Return two cameras of five minutes each, the second three minutes later than the first."""
    first, second = IndexWriter(tmp_path / CAMERA), IndexWriter(tmp_path / "cam-2", "cam-2")
    first.record(5)
    second.pause(3)
    second.record(5)
    return first, second


def paths(writer: IndexWriter) -> list[str]:
    return [f"{writer.camera_id}/{entry.path}" for entry in writer.written if isinstance(entry, FileEntry)]


def test_each_camera_has_its_own_age(tmp_path: Path, two_cameras) -> None:
    first, second = two_cameras
    shelf = Shelf(tmp_path)
    shelf.archive.add_camera(CAMERA, RetentionPolicy(max_age_days=2.0 - 2.5 / 1440))
    shelf.archive.add_camera("cam-2", RetentionPolicy())
    shelf.archive.start()
    wait_for(lambda: len(shelf.deleted()) == 2, "two to be too old")
    shelf.archive.set_policy("cam-2", RetentionPolicy(max_age_days=1.0))
    wait_for(lambda: len(shelf.deleted()) == 7, "the other camera's policy to count")
    assert shelf.archive.stop(10)
    assert shelf.deleted(DeletionReason.AGE) == [*paths(first)[:2], *paths(second)]
    assert shelf.archive.counters.deleted_by_age == 7
    for writer in two_cameras:
        assert verify(writer.camera_id, writer.folder).is_whole


def test_each_camera_has_its_share_of_the_disk(tmp_path: Path, two_cameras) -> None:
    first, _ = two_cameras
    shelf = Shelf(tmp_path)
    shelf.archive.set_holds([hold(0, 1.5)])
    shelf.archive.add_camera(CAMERA, RetentionPolicy(max_gb=30e-9))
    shelf.archive.add_camera("cam-2", RetentionPolicy())
    shelf.archive.start()
    wait_for(lambda: shelf.archive.counters.deleted_by_share == 2, "the share to be kept")
    assert shelf.archive.stop(10)
    assert shelf.deleted(DeletionReason.SHARE) == paths(first)[2:4]


def test_what_is_held_goes_neither_by_age_nor_for_space_until_it_is_released(
    tmp_path: Path, two_cameras
) -> None:
    first, second = two_cameras
    free = [1000]
    shelf = Shelf(tmp_path, Retention(max_age_s=1e9, min_free_bytes=20), free_bytes=lambda _: free[0])
    shelf.archive.set_holds([hold(0.5, 1.5), hold(3, 9, "cam-2")])
    for writer in two_cameras:
        shelf.archive.add_camera(writer.camera_id, RetentionPolicy(max_age_days=1.0))
    shelf.archive.start()
    wait_for(lambda: len(shelf.deleted()) == 3, "all that is not held to be too old")
    assert shelf.deleted() == paths(first)[2:]
    free[0] = 0
    shelf.archive.make_room()
    wait_for(lambda: shelf.archive.is_exhausted, "the archive to know that all is held")
    assert len(shelf.deleted()) == 3
    shelf.archive.set_holds([hold(0.5, 1.5, released_at=NOW), hold(3, 9, "cam-2")])
    wait_for(lambda: len(shelf.deleted()) == 5, "the released ones to go")
    free[0] = 1000
    shelf.archive.set_holds([hold(3, 9, "cam-2")])
    wait_for(lambda: not shelf.archive.is_exhausted, "room again")
    assert shelf.archive.stop(10)
    assert len(list(second.folder.glob("*/*.mp4"))) == 5


def test_for_space_the_oldest_of_all_cameras_goes_first(tmp_path: Path, two_cameras) -> None:
    first, second = two_cameras
    free = [0]
    shelf = Shelf(tmp_path, Retention(max_age_s=1e9, min_free_bytes=45), free_bytes=lambda _: free[0])
    shelf.archive.set_holds([hold(1.2, 1.8)])
    for writer in two_cameras:
        shelf.archive.add_camera(writer.camera_id, RetentionPolicy())
    shelf.archive.start()
    wait_for(lambda: len(shelf.deleted()) >= 5, "five files to go")
    free[0] = 1000
    assert shelf.archive.stop(10)
    one, two = paths(first), paths(second)
    assert shelf.deleted(DeletionReason.SPACE)[:5] == [one[0], one[2], *sorted([one[3], two[0]]), one[4]]
    assert shelf.archive.counters.deleted_for_space >= 5


def test_as_long_as_nobody_says_what_is_held_nothing_goes(tmp_path: Path, two_cameras) -> None:
    shelf = Shelf(
        tmp_path,
        Retention(max_age_s=60.0, min_free_bytes=100),
        free_bytes=lambda _: 0,
        knows_holds=False,
        tidy_period_s=0.0,
    )
    shelf.archive.add_camera(CAMERA, RetentionPolicy(max_gb=1e-9))
    shelf.archive.start()
    wait_for(lambda: shelf.archive.is_exhausted, "the archive to know that it may delete nothing")
    shelf.archive.set_holds([])
    wait_for(lambda: len(shelf.deleted()) == 10, "all to go once it is known that nothing is held")
    shelf.archive.set_holds(None)
    second = IndexWriter(tmp_path / "cam-3", "cam-3")
    second.record(2)
    shelf.archive.add_camera("cam-3", RetentionPolicy())
    shelf.archive.make_room()
    assert shelf.archive.stop(10)
    assert len(shelf.deleted()) == 10


def test_a_hold_that_comes_in_the_middle_of_a_sweep_counts(tmp_path: Path, two_cameras) -> None:
    shelf = Shelf(tmp_path, Retention(max_age_s=60.0, min_free_bytes=0))
    told = shelf.told.append

    class Listener(list):
        def append(self, entry: Entry) -> None:
            told(entry)
            shelf.archive.set_holds([hold(0, 9), hold(0, 9, "cam-2")])

    archive = Archive(tmp_path, Retention(max_age_s=60.0, min_free_bytes=0), shelf.clock, Listener().append)
    archive.set_holds(())
    archive.add_camera(CAMERA, RetentionPolicy())
    shelf.archive = archive
    archive.start()
    wait_for(shelf.deleted, "the first to go")
    assert archive.stop(10)
    assert len(shelf.deleted()) == 1


def test_recording_stops_and_says_so_when_all_that_is_left_is_held(tmp_path: Path, film) -> None:
    info, packets = film
    free = [0]
    shelf = Shelf(tmp_path, Retention(max_age_s=1e12, min_free_bytes=100), free_bytes=lambda _: free[0])
    writer = IndexWriter(tmp_path / CAMERA)
    held = writer.record(2)
    shelf.archive.set_holds([hold(0, 2)])
    found = shelf.archive.add_camera(CAMERA, RetentionPolicy())
    shelf.archive.start()
    recorder = Recorder(
        CAMERA, shelf.archive.folder(CAMERA), shelf.archive, shelf.clock, link=found.link, outage=found.outage
    )
    recorder.begin(info)
    wait_for(lambda: shelf.archive.is_exhausted, "the archive to know that all is held")
    for packet in packets[:30]:
        recorder.add(packet)
    assert recorder.storage is StorageState.HELD
    assert recorder.storage_reason == STORAGE_WORDS[StorageState.HELD]
    assert not recorder.is_recording
    assert recorder.counters.lost_packets == 30
    free[0] = 1000
    shelf.archive.set_holds([hold(0, 2)])
    wait_for(lambda: not shelf.archive.is_exhausted, "room again")
    shelf.clock.advance(6)
    for packet in packets[40:60]:
        recorder.add(packet)
    assert recorder.storage is StorageState.OK
    recorder.end("the program was stopped")
    assert shelf.archive.stop(10)
    assert not shelf.deleted()
    assert all((writer.folder / entry.path).exists() for entry in held)
    assert verify(CAMERA, writer.folder).is_whole


def picture(folder: Path, minutes: float, size_bytes: int = 2) -> Path:
    """Return a snapshot made so many minutes after START."""
    made = START + timedelta(minutes=minutes)
    path = folder / "snapshots" / f"{made:%Y-%m-%d}" / f"event-{minutes}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size_bytes))
    os.utime(path, (made.timestamp(), made.timestamp()))
    return path


def test_snapshots_go_with_their_age_and_stay_when_held(tmp_path: Path) -> None:
    old, held, young, ancient = (picture(tmp_path, minutes) for minutes in (1, 5, 30, -3000))
    holds = [Holds([hold(4, 6)])]
    pictures = Pictures(tmp_path, lambda: holds[0])
    pictures.count()
    assert pictures.total_bytes == 8
    before_s = (START + timedelta(minutes=20)).timestamp()
    assert pictures.delete_before(before_s, 1) == 1
    assert pictures.delete_before(before_s) == 1
    assert [p.exists() for p in (old, held, young, ancient)] == [False, True, True, False]
    assert not ancient.parent.exists()
    holds[0] = Holds()
    assert pictures.delete_before(before_s) == 1
    assert pictures.total_bytes == 2


def test_pictures_count_towards_a_camera_s_share_and_go_with_the_recordings_of_their_time(
    tmp_path: Path, two_cameras
) -> None:
    first, second = two_cameras
    made = [picture(first.folder, minutes, 10) for minutes in (-600, 1.5, 2.5, 4.5)]
    other = picture(second.folder, -600, 10)
    shelf = Shelf(tmp_path)
    shelf.archive.add_camera(CAMERA, RetentionPolicy(max_gb=50e-9))
    shelf.archive.add_camera("cam-2", RetentionPolicy())
    shelf.archive.start()
    wait_for(lambda: len(shelf.deleted()) == 2, "the share to be kept")
    assert shelf.archive.stop(10)
    assert shelf.deleted(DeletionReason.SHARE) == paths(first)[:2]
    assert [path.exists() for path in made] == [False, False, True, True]
    assert other.exists()


def test_for_space_old_pictures_go_and_at_the_last_those_beside_held_recordings(
    tmp_path: Path, two_cameras
) -> None:
    first, _ = two_cameras
    made = [picture(first.folder, minutes, 10) for minutes in (-600, 3.5, 100)]

    def free_bytes(folder: Path) -> int:
        return 200 - sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in {".mp4", ".jpg"})

    def run(min_free_bytes: int) -> Shelf:
        shelf = Shelf(
            tmp_path, Retention(max_age_s=1e9, min_free_bytes=min_free_bytes), free_bytes=free_bytes
        )
        shelf.archive.set_holds([hold(0, 5), hold(0, 30, "cam-2")])
        shelf.archive.add_camera(CAMERA, RetentionPolicy())
        shelf.archive.add_camera("cam-2", RetentionPolicy())
        shelf.archive.start()
        wait_for(shelf.archive._jobs.empty, "the sweep")
        assert shelf.archive.stop(10)
        return shelf

    assert not run(75).archive.is_exhausted
    assert [path.exists() for path in made] == [False, True, True]
    assert not run(85).archive.is_exhausted
    assert [path.exists() for path in made] == [False, True, False], "the held moment's picture stays"
    assert run(95).archive.is_exhausted
    assert made[1].exists()


def test_the_archive_tidies_each_camera_in_its_turn(tmp_path: Path, two_cameras) -> None:
    for writer in two_cameras:
        for entry in list(writer.written)[:4]:
            writer.delete(entry, START + timedelta(hours=1))
        picture = writer.folder / "snapshots" / f"{START:%Y-%m-%d}" / "event.jpg"
        picture.parent.mkdir(parents=True)
        picture.write_bytes(b"\xff\xd8")
        os.utime(picture, (START.timestamp(), START.timestamp()))
    shelf = Shelf(
        tmp_path,
        Retention(max_age_s=1.9 * 86_400, min_free_bytes=0),
        prune_after=timedelta(days=1),
        prune_least=4,
        tidy_period_s=1.0,
    )
    for writer in two_cameras:
        shelf.archive.add_camera(writer.camera_id, RetentionPolicy(max_age_days=1.999))
    shelf.archive.start()
    for _ in range(2):
        shelf.clock.advance(2.0)
        done = shelf.archive.counters.deleted_snapshots
        wait_for(lambda done=done: shelf.archive.counters.deleted_snapshots > done, "a camera to be tidied")
    assert shelf.archive.stop(10)
    assert shelf.archive.counters.prunings == 2
    for writer in two_cameras:
        report = verify(writer.camera_id, writer.folder)
        assert report.is_whole
        assert report.pruned == 4


def test_a_camera_comes_and_goes_while_the_archive_works(tmp_path: Path, film) -> None:
    info, packets = film
    shelf = Shelf(tmp_path)
    shelf.archive.start()
    for round_ in range(3):
        found = shelf.archive.add_camera(CAMERA, RetentionPolicy())
        recorder = Recorder(
            CAMERA,
            shelf.archive.folder(CAMERA),
            shelf.archive,
            shelf.clock,
            link=found.link,
            last_end=found.last_end,
            outage=found.outage,
        )
        recorder.begin(info)
        for packet in packets[:40]:
            late_s = 100.0 * round_
            recorder.add(
                packet._replace(ticks=packet.ticks + round(late_s * 90_000), time_s=packet.time_s + late_s)
            )
        recorder.end("the camera was taken out")
        shelf.archive.remove_camera(CAMERA)
        assert found.repaired == found.missing == 0
    assert shelf.archive.stop(10)
    report = verify(CAMERA, shelf.archive.folder(CAMERA))
    assert report.is_whole
    assert report.files == 3
    gaps = [entry for entry in index.read(shelf.archive.folder(CAMERA)) if isinstance(entry, index.GapEntry)]
    assert [gap.reason for gap in gaps] == ["the camera was taken out"] * 2


def test_a_month_of_one_camera_is_kept_in_order() -> None:
    month = [Kept(name_of(n * 60_000), n * 60.0, n * 60.0 + 60, 30_000_000) for n in range(43_200)]
    ledger = Ledger(month)
    assert ledger.oldest() == month[0]
    assert ledger.expired(600.0 * 60) == month[:599]
    for file in month[:100]:
        ledger.remove(file)
    assert len(ledger) == 43_100
    assert ledger.total_bytes == 43_100 * 30_000_000


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 50)), max_size=12), st.integers(0, 600))
def test_holds_cover_what_any_of_them_covers(spans, at) -> None:
    holds = Holds(hold(start, start + length) for start, length in spans)
    second = (START + timedelta(minutes=at)).timestamp()
    covered = any(start <= at <= start + length for start, length in spans)
    assert holds.cover(second, second) == covered


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 9)), unique_by=lambda t: t[0], max_size=30))
def test_the_ledger_is_a_sorted_list_of_what_is_there(files) -> None:
    kept = [Kept(name_of(ms), ms / 1000, ms / 1000 + length, length) for ms, length in files]
    ledger = Ledger(kept)
    in_order = sorted(kept, key=lambda file: file.start_s)
    while in_order:
        assert ledger.oldest() == in_order[0]
        assert ledger.total_bytes == sum(file.size_bytes for file in in_order)
        ledger.remove(in_order.pop(0))
    assert ledger.oldest() is None


@given(st.integers(0, 4_000_000_000_000))
def test_names_say_their_moment(millis: int) -> None:
    assert millis_of(name_of(millis)) == millis


@pytest.mark.parametrize(
    "name", ["2026-11-22/080000.mp4", "2026-13-22/080000.000Z.mp4", "x.mp4", "../080000.000Z.mp4"]
)
def test_other_names_are_not_ours(name: str) -> None:
    assert millis_of(name) is None
    with pytest.raises(Invalid):
        Ledger([Kept(name, 0.0, 1.0, 1)])
