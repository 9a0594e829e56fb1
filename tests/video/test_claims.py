"""A camera's folder is written by one process; what a removed camera left is still kept by its own policy."""

import errno
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from safecity.clock import ManualClock
from safecity.model.video import RetentionPolicy
from safecity.video.recording import index
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.claims import Claims, Taken, read_policy, write_policy
from safecity.video.recording.custody import verify
from safecity.video.recording.index import INDEX_NAME, OutageEntry

from .conftest import wait_for
from .entries import CAMERA, START, IndexWriter
from .test_retention import NOW, Shelf, hold, paths


def test_a_folder_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    one, other = Claims(tmp_path), Claims(tmp_path)
    IndexWriter(tmp_path / CAMERA).record(1)
    IndexWriter(tmp_path / "cam-2", "cam-2").record(1)
    assert one.take(CAMERA)
    assert one.take(CAMERA)
    assert not other.take(CAMERA)
    with other.rest() as rest:
        assert rest == ["cam-2"]
        assert not one.take("cam-2")
    with other.rest(may_be=False) as rest:
        assert rest == []
    assert one.take("cam-2")
    one.give_back_all()
    assert other.take(CAMERA)
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


def test_what_another_process_writes_is_not_taken_over(tmp_path: Path) -> None:
    writer = removed_camera(tmp_path)
    other = Claims(tmp_path)
    assert other.take(CAMERA)
    before = (writer.folder / INDEX_NAME).read_bytes()
    shelf = Shelf(tmp_path, patience_s=0.0)
    with pytest.raises(Taken, match="another process writes"):
        shelf.archive.add_camera(CAMERA, RetentionPolicy())
    shelf.archive.start()
    with pytest.raises(Taken):
        shelf.archive.add_camera(CAMERA, RetentionPolicy())
    assert (writer.folder / INDEX_NAME).read_bytes() == before
    assert read_policy(writer.folder) != RetentionPolicy()
    other.give_back_all()
    assert len(shelf.archive.add_camera(CAMERA, RetentionPolicy()).files) == 5
    assert not other.take(CAMERA)
    assert shelf.archive.stop(10)
    assert other.take(CAMERA)
    other.give_back_all()


def test_it_is_waited_for_until_the_other_process_has_ended_its_stream(tmp_path: Path) -> None:
    other = Claims(tmp_path)
    assert other.take(CAMERA)
    shelf = Shelf(tmp_path, patience_s=20.0)
    shelf.archive.start()
    ending = threading.Timer(0.3, other.give_back_all)
    ending.start()
    assert shelf.archive.add_camera(CAMERA, RetentionPolicy()).files == ()
    ending.join()
    assert shelf.archive.stop(10)


def test_a_folder_is_kept_until_the_disk_took_what_a_removed_camera_recorded(
    tmp_path: Path, monkeypatch
) -> None:
    refuses = threading.Event()
    refuses.set()
    real = index.append

    def append(folder: Path, entry: object) -> None:
        if refuses.is_set():
            raise OSError(errno.EIO, "the disk refuses")
        real(folder, entry)

    monkeypatch.setattr(index, "append", append)
    shelf, other = Shelf(tmp_path), Claims(tmp_path)
    shelf.archive.add_camera(CAMERA, RetentionPolicy())
    shelf.archive.start()
    shelf.archive.enter(tmp_path / CAMERA, OutageEntry(camera_id=CAMERA, start=START, reason="off"))
    shelf.archive.remove_camera(CAMERA)
    wait_for(lambda: shelf.archive.counters.disk_errors, "the disk to refuse")
    wait_for(shelf.archive._jobs.empty, "the camera to be removed")
    assert not other.take(CAMERA)
    refuses.clear()
    wait_for(lambda: other.take(CAMERA), "the folder to be free")
    assert [entry.reason for entry in shelf.told] == ["off"]
    assert shelf.archive.stop(10)
    other.give_back_all()


def two_processes(tmp_path: Path, need_bytes: int) -> tuple[IndexWriter, IndexWriter, Shelf, Shelf]:
    """Return two cameras, the later one second, each with a process of its own, on one full disk."""
    first, second = IndexWriter(tmp_path / CAMERA), IndexWriter(tmp_path / "cam-2", "cam-2")
    first.record(5)
    second.pause(600)
    second.record(5)
    size = 1000

    def free_bytes(folder: Path) -> int:
        return size - 10 * len(list(folder.glob("*/*/*.mp4")))

    wanted = Retention(max_age_s=1e9, min_free_bytes=size - 100 + need_bytes)
    shelves = [Shelf(tmp_path, wanted, free_bytes=free_bytes) for _ in range(2)]
    for writer, shelf in zip((first, second), shelves, strict=True):
        shelf.archive.add_camera(writer.camera_id, RetentionPolicy())
    return first, second, *shelves


def test_for_space_the_oldest_goes_whosever_it_is_and_no_more_than_is_missing(tmp_path: Path) -> None:
    first, _, old, new = two_processes(tmp_path, need_bytes=15)
    new.archive.start()
    wait_for((tmp_path / ".room-wanted").exists, "the other process to be asked")
    old.archive.start()
    wait_for(lambda: len(old.deleted()) == 2, "the oldest to go")
    for shelf in (old, new):
        shelf.archive.make_room()  # the disk has refused a file, each says
    wait_for(lambda: len(old.deleted()) >= 3, "one more to go")
    assert new.archive.stop(10)
    assert old.archive.stop(10)
    assert old.deleted() == paths(first)[: len(old.deleted())]
    assert len(old.deleted()) <= 4
    assert new.deleted() == []
    assert not new.archive.is_exhausted


def test_when_the_other_process_deletes_nothing_our_own_oldest_goes(tmp_path: Path) -> None:
    _, second, old, new = two_processes(tmp_path, need_bytes=15)
    new.archive.start()
    wait_for((tmp_path / ".room-wanted").exists, "the other process to be asked")
    assert new.deleted() == []
    new.clock.advance(6.0)
    wait_for(lambda: len(new.deleted()) == 2, "our own to go")
    assert new.archive.stop(10)
    assert new.deleted() == paths(second)[:2]
    assert not (tmp_path / ".room-wanted").exists()
    assert old.archive.stop(10)


def test_the_disk_is_exhausted_only_when_all_that_all_processes_have_is_held(tmp_path: Path) -> None:
    _, _, _, new = two_processes(tmp_path, need_bytes=200)
    all_of_second = hold(0, 2000, "cam-2")
    new.archive.set_holds([all_of_second])
    new.archive.start()
    wait_for((tmp_path / ".room-wanted").exists, "the other process to be asked")
    assert not new.archive.is_exhausted
    new.archive.set_holds([all_of_second, hold(0, 2000)])
    wait_for(lambda: new.archive.is_exhausted, "the archive to know that all is held")
    assert new.archive.stop(10)
    assert new.deleted() == []


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
