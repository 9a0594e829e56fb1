"""An index stays small, keeps its numbers and its chain, and is whole whenever the machine dies."""

import itertools
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safecity.clock import ManualClock
from safecity.video.recording import index, pruning
from safecity.video.recording.custody import verify
from safecity.video.recording.index import GapEntry, OutageEntry, PrunedEntry
from safecity.video.recording.pruning import prune
from safecity.video.recording.recovery import recover

from .entries import CAMERA, START, IndexWriter

DAY = timedelta(days=1)
LATER = START + 30 * DAY


def aged(folder: Path, files: int = 8, deleted: int = 5) -> IndexWriter:
    """Return an index of so many files with a gap among them, the first of them deleted after a day."""
    writer = IndexWriter(folder)
    made = writer.record(2)
    gap = {"camera_id": CAMERA, "start": made[-1].end, "reason": "the camera was away"}
    writer.append(OutageEntry(**gap))
    writer.pause(3)
    writer.append(GapEntry(**gap, end=made[-1].end + timedelta(minutes=3)))
    made += writer.record(files - 2)
    for file in made[:deleted]:
        writer.delete(file, START + DAY)
    return writer


def test_old_entries_become_one_and_all_others_keep_their_numbers(tmp_path: Path) -> None:
    writer = aged(tmp_path)
    before = dict(index.entries(tmp_path))
    entry = prune(CAMERA, tmp_path, LATER, LATER, least=1)
    assert entry is not None
    assert (entry.entries, entry.files, entry.gaps, entry.size_bytes) == (7, 5, 1, 50)
    assert (entry.start, entry.end) == (START, START + timedelta(minutes=8))
    after = dict(index.entries(tmp_path))
    assert after.pop(7) == entry
    assert after == {number: found for number, found in before.items() if number > 7}
    report = verify(CAMERA, tmp_path)
    assert report.is_whole
    assert (report.files, report.pruned, report.deleted) == (3, 5, 0)
    assert index.read(tmp_path)[0] == entry
    # And again, later: the pruned line is taken into the next one.
    writer.record(2)
    for file in [found for found in writer.written if isinstance(found, index.FileEntry)][5:8]:
        writer.delete(file, LATER)
    assert prune(CAMERA, tmp_path, LATER, LATER, least=1) is None
    again = prune(CAMERA, tmp_path, LATER + DAY, LATER + DAY, least=1)
    assert again is not None
    assert (again.entries, again.files) == (10, 8)
    assert again.chain_before == index.genesis(CAMERA).hex()
    writer.record(1)
    assert verify(CAMERA, tmp_path).is_whole
    assert recover(CAMERA, tmp_path, ManualClock(LATER)).link.hex() == writer.written[-1].chain_after


def test_what_was_deleted_lately_is_there_or_holds_files_is_not_pruned(tmp_path: Path) -> None:
    aged(tmp_path)
    assert prune(CAMERA, tmp_path, START, LATER, least=1) is None
    assert prune(CAMERA, tmp_path, LATER, LATER, least=100) is None
    first = next(entry for _, entry in index.entries(tmp_path))
    (tmp_path / first.path).write_bytes(b"its deletion was not finished")
    assert prune(CAMERA, tmp_path, LATER, LATER, least=1) is None


def test_a_broken_chain_is_kept_as_evidence(tmp_path: Path) -> None:
    aged(tmp_path)
    path = tmp_path / index.INDEX_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    assert prune(CAMERA, tmp_path, LATER, LATER, least=2) is None
    assert not verify(CAMERA, tmp_path).is_whole


def test_a_forged_pruned_line_breaks_the_chain(tmp_path: Path) -> None:
    aged(tmp_path)
    entry = prune(CAMERA, tmp_path, LATER, LATER, least=1)
    path = tmp_path / index.INDEX_NAME
    text = path.read_text()
    for link in (entry.chain_before, entry.chain_after):
        path.write_text(text.replace(link, "0" * 64, 1))
        assert not verify(CAMERA, tmp_path).is_whole
    path.write_text(text.replace(CAMERA, "cam-9"))
    assert not verify("cam-9", tmp_path).is_whole


class Died(BaseException):
    """The machine dies here."""


@pytest.mark.parametrize("step", ["write", "fsync", "rename", "sync"])
@pytest.mark.parametrize("after", [False, True])
def test_a_machine_that_dies_at_any_step_leaves_the_old_index_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    aged(tmp_path)
    before = index.read(tmp_path)

    def dying(real):
        def call(*arguments, **options):
            if after:
                real(*arguments, **options)
            raise Died

        return call

    owner, name = {
        "write": (pruning.shutil, "copyfileobj"),
        "fsync": (pruning.os, "fsync"),
        "rename": (Path, "rename"),
        "sync": (index, "sync_folder"),
    }[step]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying(getattr(owner, name)))
        with pytest.raises(Died):
            prune(CAMERA, tmp_path, LATER, LATER, least=1)
    renamed = step == "sync" or (step == "rename" and after)
    assert (index.read(tmp_path) == before) is not renamed
    found = recover(CAMERA, tmp_path, ManualClock(LATER))
    assert not (tmp_path / index.NEW_NAME).exists()
    assert len(found.files) == 3
    assert verify(CAMERA, tmp_path).is_whole
    assert isinstance(index.read(tmp_path)[0], PrunedEntry) is renamed


def test_a_full_disk_leaves_the_index_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aged(tmp_path)
    before = index.read(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pruning.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        prune(CAMERA, tmp_path, LATER, LATER, least=1)
    assert index.read(tmp_path) == before
    assert not (tmp_path / index.NEW_NAME).exists()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["record", "delete", "gap", "prune", "recover"]), max_size=40))
def test_any_history_keeps_numbers_files_and_chain(tmp_path_factory, steps: list[str]) -> None:
    folder = Path(tmp_path_factory.mktemp("history"))
    writer = IndexWriter(folder)
    present = list(writer.record(1))
    days = itertools.count(1)
    for step in steps:
        now = START + DAY * next(days)
        before = dict(index.entries(folder))
        match step:
            case "record":
                present += writer.record(1)
            case "delete" if len(present) > 1:
                writer.delete(present.pop(0), now)
            case "gap":
                writer.append(GapEntry(camera_id=CAMERA, start=now, end=now, reason="x"))
            case "prune":
                prune(CAMERA, folder, now, now, least=1)
            case "recover":
                found = recover(CAMERA, folder, ManualClock(now))
                assert [file.path for file in found.files] == [entry.path for entry in present]
        after = dict(index.entries(folder))
        kept = [number for number in before if number in after]
        assert [after[n] for n in kept[1:]] == [before[n] for n in kept[1:]]
        assert max(after) >= max(before)
        report = verify(CAMERA, folder)
        assert report.is_whole
        assert report.files - report.deleted == len(present)


def test_a_torn_line_is_cut_by_the_writer_and_left_alone_by_readers(tmp_path: Path) -> None:
    writer = IndexWriter(tmp_path)
    writer.record(3)
    path = tmp_path / index.INDEX_NAME
    whole = path.read_bytes()
    for cut in (1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        entries = index.read(tmp_path)
        assert path.stat().st_size == cut
        index.repair(tmp_path)
        assert path.read_bytes() == whole[: whole.rfind(b"\n", 0, cut) + 1]
        assert index.read(tmp_path) == entries
