"""A camera's folder is written by one process; what a removed camera left is still kept by its own policy."""

from datetime import timedelta
from pathlib import Path

from safecity.clock import ManualClock
from safecity.model.video import RetentionPolicy
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.claims import Claims, read_policy, write_policy
from safecity.video.recording.custody import verify

from .conftest import wait_for
from .entries import CAMERA, START, IndexWriter
from .test_retention import NOW, Shelf, hold, paths


def test_a_folder_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    one, other = Claims(tmp_path), Claims(tmp_path)
    IndexWriter(tmp_path / CAMERA).record(1)
    IndexWriter(tmp_path / "cam-2", "cam-2").record(1)
    assert one.take(CAMERA)
    assert one.take(CAMERA)
    assert not other.take(CAMERA, patience_s=0.0)
    with other.rest() as rest:
        assert rest == ["cam-2"]
        assert not one.take("cam-2", patience_s=0.0)
    with other.rest(may_be=False) as rest:
        assert rest == []
    assert one.take("cam-2")
    one.give_back_all()
    assert other.take(CAMERA, patience_s=0.0)
    other.give_back_all()


def test_the_policy_lies_beside_the_recordings(tmp_path: Path) -> None:
    assert read_policy(tmp_path) == RetentionPolicy()
    policy = RetentionPolicy(max_age_days=3.0, max_gb=2.5)
    write_policy(tmp_path, policy)
    assert read_policy(tmp_path) == policy
    (tmp_path / "retention.json").write_bytes(b"torn")
    assert read_policy(tmp_path) == RetentionPolicy()
    write_policy(tmp_path / "absent", policy)
    assert not (tmp_path / "absent").exists()


def removed_camera(directory: Path) -> IndexWriter:
    """Return a camera that was recorded with a policy of its own and then taken out, in another process."""
    writer = IndexWriter(directory / CAMERA)
    writer.record(5)
    write_policy(writer.folder, RetentionPolicy(max_age_days=2.0 - 2.5 / 1440))
    return writer


def test_what_a_removed_camera_left_goes_by_its_age_and_stays_when_held(tmp_path: Path) -> None:
    writer = removed_camera(tmp_path)
    shelf = Shelf(tmp_path, knows_holds=False, tidy_period_s=1.0)
    shelf.archive.start()
    shelf.clock.advance(2.0)
    shelf.archive.make_room()  # nothing may go before it is known what is held
    shelf.archive.set_holds([hold(0.2, 0.8)])
    shelf.clock.advance(2.0)
    wait_for(shelf.deleted, "the old one that isn't held to go")
    assert shelf.archive.stop(10)
    assert shelf.deleted() == paths(writer)[1:2]
    assert verify(CAMERA, writer.folder).is_whole


def test_for_space_it_goes_first_when_it_is_the_oldest(tmp_path: Path) -> None:
    gone = removed_camera(tmp_path)
    here = IndexWriter(tmp_path / "cam-2", "cam-2")
    here.pause(3)
    here.record(5)
    free = [0]
    shelf = Shelf(tmp_path, Retention(max_age_s=1e9, min_free_bytes=25), free_bytes=lambda _: free[0])
    shelf.archive.set_holds([])
    shelf.archive.add_camera("cam-2", RetentionPolicy())
    shelf.archive.start()
    wait_for(lambda: len(shelf.deleted()) >= 3, "three to go")
    free[0] = 1000
    assert shelf.archive.stop(10)
    assert shelf.deleted()[:3] == paths(gone)[:3]


def test_a_policy_is_noted_by_the_archive_and_never_by_who_asks(tmp_path: Path) -> None:
    writer = removed_camera(tmp_path)
    before = read_policy(writer.folder)
    shelf = Shelf(tmp_path)
    shelf.archive.set_policy(CAMERA, RetentionPolicy(max_age_days=9.0))
    assert read_policy(writer.folder) == before, "the disk isn't touched where it was asked"
    shelf.archive.start()
    wait_for(lambda: read_policy(writer.folder).max_age_days == 9.0, "the archive to note it")
    assert shelf.archive.stop(10)


def test_a_camera_moves_to_another_process(tmp_path: Path) -> None:
    first = Shelf(tmp_path)
    first.archive.add_camera(CAMERA, RetentionPolicy())
    first.archive.start()
    first.archive.remove_camera(CAMERA)
    second = Archive(tmp_path, Retention(), ManualClock(NOW), lambda _: None)
    second.start()
    found = second.add_camera(CAMERA, RetentionPolicy(max_age_days=9.0))
    assert found.files == ()
    assert read_policy(tmp_path / CAMERA) == RetentionPolicy(max_age_days=9.0)
    assert first.archive.stop(10)
    assert second.stop(10)
    assert START + timedelta(days=2) == NOW
