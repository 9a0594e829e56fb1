"""Odd streams, odd clocks, odd disks: each has its gap and its reason, and no file is lost or overwritten."""

import errno
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from safecity.clock import ManualClock
from safecity.model.video import RetentionPolicy
from safecity.video.recording import index
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.custody import verify
from safecity.video.recording.index import DeletedEntry, DeletionReason, FileEntry, GapEntry, OutageEntry
from safecity.video.recording.naming import moment_of
from safecity.video.recording.recorder import (
    CLOCK_SET,
    FRAGMENT_LIMIT_BYTES,
    NO_PICTURE,
    Recorder,
    StorageState,
    open_new,
)
from safecity.video.recording.recovery import NOT_RUNNING, recover

from .entries import IndexWriter
from .test_recorder import EVERYTHING, START, Bench, count_pictures, record, shift


def gaps(bench: Bench) -> list[GapEntry]:
    return [entry for entry in bench.told if isinstance(entry, GapEntry)]


def begin(directory: Path, film, **options) -> tuple[Bench, list]:
    info, packets = film
    bench = Bench(directory, **options)
    bench.recorder.begin(info)
    return bench, packets


def end(bench: Bench, reason: str = "the program was stopped") -> list[FileEntry]:
    bench.recorder.end(reason)
    assert bench.archive.stop(10)
    assert verify("cam", bench.folder).is_whole
    return bench.files()


def test_a_stream_that_stands_still_has_a_gap_inside_its_file(tmp_path, film):
    bench, packets = begin(tmp_path, film, segment_s=60.0)
    for packet in packets[:25]:
        bench.recorder.add(packet)
    for packet in shift(packets[25:50], 5.0):
        bench.recorder.add(packet)
    (file,) = end(bench)
    (gap,) = gaps(bench)
    assert (gap.start, gap.end) == (START + timedelta(seconds=2.5), START + timedelta(seconds=7.5))
    assert gap.reason == NO_PICTURE
    assert (file.start, file.end) == (START, START + timedelta(seconds=10))
    assert count_pictures(bench.folder / file.path) == 50
    # The file itself says it too: after the hole its fragments go on at the true time.
    assert next(e.start for e in bench.told if isinstance(e, OutageEntry)) == gap.start


def test_a_clock_set_back_overwrites_nothing_and_makes_no_gap(tmp_path, film):
    bench, packets = begin(tmp_path, film)
    for packet in packets[:60]:
        bench.recorder.add(packet)
    for packet in packets[60:]:
        bench.recorder.add(packet._replace(time_s=packet.time_s - 6.0 - 3600.0))
    files = end(bench)
    assert not gaps(bench)
    early = [file for file in files if file.start < START]
    assert early
    assert early[0].start == START - timedelta(hours=1)
    assert sum(count_pictures(bench.folder / file.path) for file in files) == 120
    assert all(file.start < file.end for file in files)


def test_a_clock_set_back_on_to_old_names_finds_free_ones(tmp_path, film):
    first = record(tmp_path, film)
    again = record(tmp_path, film)
    names = [entry.path for entry in (*first.files(), *again.files())]
    assert len(set(names)) == len(names)
    assert verify("cam", again.folder).is_whole
    assert again.recorder.counters.lost_packets == 0


def test_a_clock_set_forward_leaves_a_gap_that_says_so(tmp_path, film):
    bench, packets = begin(tmp_path, film)
    for packet in packets[:60]:
        bench.recorder.add(packet)
    for packet in packets[60:]:
        bench.recorder.add(packet._replace(time_s=packet.time_s + 3600.0))
    files = end(bench)
    (gap,) = gaps(bench)
    assert gap.reason == CLOCK_SET
    assert (gap.end - gap.start) == timedelta(hours=1)
    assert sum(count_pictures(bench.folder / file.path) for file in files) == 120


def test_a_late_burst_at_the_beginning_is_dated_by_what_comes_in_time(tmp_path, film):
    bench, packets = begin(tmp_path, film, segment_s=60.0)
    for packet in packets[:20]:
        bench.recorder.add(packet._replace(time_s=START.timestamp() + 2.0))
    for packet in packets[20:40]:
        bench.recorder.add(packet)
    (file,) = end(bench)
    assert (file.start, file.end) == (START, START + timedelta(seconds=4))


def test_an_outage_keeps_its_reason_over_a_restart(tmp_path, film):
    bench, packets = begin(tmp_path, film)
    for packet in packets[:40]:
        bench.recorder.add(packet)
    end(bench, "the camera closed the connection")
    again, _ = begin(tmp_path, film)
    for packet in shift(packets[:40], 600.0):
        again.recorder.add(packet)
    end(again)
    (gap,) = gaps(again)
    assert gap.reason == "the camera closed the connection"
    assert (gap.start, gap.end) == (START + timedelta(seconds=4), START + timedelta(seconds=600))
    outages = [e for e in index.read(bench.folder) if isinstance(e, OutageEntry)]
    assert [e.reason for e in outages] == ["the camera closed the connection", "the program was stopped"]


def test_a_kill_leaves_an_outage_that_is_known_at_the_start(tmp_path, film):
    bench, packets = begin(tmp_path, film)
    for packet in packets[:70]:
        bench.recorder.add(packet)
    assert bench.archive.stop(10)
    found = recover("cam", bench.folder, bench.clock)
    assert found.repaired == 1
    assert found.outage == OutageEntry(camera_id="cam", start=found.last_end, reason=NOT_RUNNING)
    assert recover("cam", bench.folder, bench.clock).outage == found.outage


def test_a_disk_that_is_full_from_the_first_packet_is_a_gap(tmp_path, film):
    full = {"now": True}

    def open_file(path: Path) -> int:
        if full["now"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open_new(path)

    bench, packets = begin(tmp_path, film, open_file=open_file)
    for packet in packets[:60]:
        bench.recorder.add(packet)
    assert bench.recorder.storage is StorageState.FULL
    full["now"] = False
    bench.clock.advance(6)
    for packet in packets[60:]:
        bench.recorder.add(packet)
    end(bench)
    (gap,) = gaps(bench)
    assert (gap.start, gap.end) == (START, START + timedelta(seconds=6))
    assert gap.reason == "the disk is full"


def test_a_4k_stream_waits_in_memory_for_its_bound_only(tmp_path, film):
    bench, packets = begin(tmp_path, film)
    big = [p._replace(sample=(400_000).to_bytes(4, "big") + bytes(400_000)) for p in packets[:40]]
    for packet in big:
        bench.recorder.add(packet)
        assert bench.recorder._pending_bytes <= FRAGMENT_LIMIT_BYTES + 400_004
    files = end(bench)
    largest = max(piece.size for file in files for piece in file.fragments)
    assert 400_000 < largest < FRAGMENT_LIMIT_BYTES + 500_000
    assert sum(file.size_bytes for file in files) > 40 * 400_000


def test_hevc_is_recorded_and_said(tmp_path, film):
    info, packets = film
    bench = Bench(tmp_path)
    bench.recorder.begin(info._replace(codec="hevc", init=info.init.replace(b"avcC", b"hvcC")))
    for packet in packets[:40]:
        bench.recorder.add(packet)
    files = end(bench)
    assert {file.codec for file in files} == {"hevc"}
    # A torn file says it by its header.
    last = bench.folder / files[-1].path
    torn = last.with_name("235900.000Z.mp4")
    shutil.copy(last, torn)
    assert recover("cam", bench.folder, bench.clock).repaired == 1
    entered = [entry for entry in index.read(bench.folder) if isinstance(entry, FileEntry)]
    assert (entered[-1].codec, entered[-1].recovered) == ("hevc", True)


def test_files_of_others_are_left_alone(tmp_path, film):
    bench = record(tmp_path, film)
    day = bench.folder / "2026-01-01"
    others = [
        bench.folder / "notes.txt",
        day / "export.mp4",
        day / "000000.mp4",
        bench.folder / "private" / "x.mp4",
        day / "120000.000Z.mp4",
    ]
    (bench.folder / "private").mkdir()
    for path in others:
        path.write_bytes(b"\x00\x00\x00\x10ftypisom0000" + b"\x00\x00\x10\x00mdat" + b"x" * 100)
    snapshot = bench.folder / "snapshots" / "2026-01-01" / "event.jpg"
    snapshot.parent.mkdir(parents=True)
    snapshot.write_bytes(b"\xff\xd8")
    found = recover("cam", bench.folder, bench.clock)
    assert all(path.exists() for path in (*others, snapshot))
    assert len(found.files) == len(bench.files())
    assert verify("cam", bench.folder).is_whole


def test_a_deletion_that_a_kill_interrupted_is_finished_and_a_new_file_of_that_name_is_kept(tmp_path, film):
    bench = record(tmp_path, film)
    first, second = bench.files()[:2]
    for entry in (first, second):
        tombstone = DeletedEntry(
            camera_id="cam", path=entry.path, at=START + timedelta(days=9), reason=DeletionReason.AGE
        )
        index.append(bench.folder, tombstone)
    shutil.copy(bench.folder / bench.files()[2].path, bench.folder / second.path)
    found = recover("cam", bench.folder, bench.clock)
    assert not (bench.folder / first.path).exists()
    assert (bench.folder / second.path).exists()
    assert found.repaired == 1
    assert second.path in {file.path for file in found.files}
    assert verify("cam", bench.folder).is_whole


def test_a_damaged_line_is_found_and_the_rest_goes_on(tmp_path):
    writer = IndexWriter(tmp_path / "cam", "cam")
    writer.record(4)
    path = writer.folder / index.INDEX_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"x" * 50 + b"\n", *lines[2:]]))
    assert [number for number, _ in index.entries(writer.folder)] == [1, 3, 4]
    assert not verify("cam", writer.folder).is_whole
    found = recover("cam", writer.folder, ManualClock(START))
    # The file whose line is gone is entered again, from its own content; it holds no fragment here.
    assert len(found.files) == 3


def test_a_full_disk_at_the_start_spares_what_is_held(tmp_path, film, monkeypatch):
    from safecity.model.video import Hold
    from safecity.video.recording import recovery

    bench = record(tmp_path, film)
    names = [entry.path for entry in bench.files()]
    (bench.folder / "2026-01-01" / "235900.000Z.mp4").write_bytes((bench.folder / names[-1]).read_bytes())
    real, refusals = index.append, [99]

    def append(folder: Path, entry: object) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(folder, entry)

    monkeypatch.setattr(recovery.index, "append", append)
    archive = Archive(tmp_path, EVERYTHING, bench.clock, bench.told.append)
    start = moment_of(names[0])
    hold = Hold(
        id="h",
        camera_id="cam",
        start=start,
        end=start + timedelta(seconds=1),
        reason="evidence",
        by="Malika",
        at=START,
    )
    archive.set_holds([hold])
    with pytest.raises(OSError, match="No space"):
        archive.add_camera("cam", RetentionPolicy())
    assert (bench.folder / names[0]).exists()


def test_on_a_disk_that_refuses_everything_recording_goes_on_when_it_does_not(tmp_path, film):
    broken = {"now": False}

    def open_file(path: Path) -> int:
        if broken["now"]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_new(path)

    bench, packets = begin(tmp_path, film, open_file=open_file)
    for packet in packets[:45]:
        bench.recorder.add(packet)
    broken["now"] = True
    for packet in packets[45:90]:
        bench.recorder.add(packet)
    assert bench.recorder.storage is StorageState.FAILING
    assert bench.recorder.storage_reason == "the disk refuses recordings"
    broken["now"] = False
    bench.clock.advance(6)
    for packet in packets[90:]:
        bench.recorder.add(packet)
    end(bench)
    (gap,) = gaps(bench)
    assert gap.reason == "the disk refuses recordings"
    assert bench.archive.counters.deleted_for_space == 0


def refuse_syncs(monkeypatch, suffixes: set[str], number: int = errno.EIO) -> list[str]:
    """Let the disk refuse to sync files of these endings; return the names as they are refused."""
    real, refused = os.fsync, []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.suffix in suffixes:
            refused.append(path.name)
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return refused


def test_a_file_whose_sync_is_refused_is_written_anew(tmp_path, film, monkeypatch):
    refused = refuse_syncs(monkeypatch, {".mp4"})
    bench = record(tmp_path, film)
    assert len(refused) == len(bench.files()) > 1
    assert bench.archive.counters.written_anew == len(refused)
    assert not any(entry.unsynced for entry in bench.files())
    assert sum(count_pictures(bench.folder / file.path) for file in bench.files()) == 120
    assert verify("cam", bench.folder).is_whole


def test_a_file_that_the_disk_never_took_is_entered_as_such(tmp_path, film, monkeypatch):
    refuse_syncs(monkeypatch, {".mp4", ".again"})
    bench = record(tmp_path, film)
    assert all(entry.unsynced for entry in bench.files())
    assert bench.archive.counters.unsynced == len(bench.files())
    assert next(e.unsynced for e in index.read(bench.folder) if isinstance(e, FileEntry))
    assert not list(bench.folder.glob("*/*.again"))


def test_a_file_that_comes_back_otherwise_is_not_written_anew(tmp_path, film, monkeypatch):
    refuse_syncs(monkeypatch, {".mp4"})
    real = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: real(path)[:-1] + b"x" if path.suffix == ".mp4" else real(path)
    )
    bench = record(tmp_path, film)
    assert all(entry.unsynced for entry in bench.files())
    assert bench.archive.counters.written_anew == 0


def test_what_was_being_written_anew_at_a_kill_is_removed(tmp_path, film):
    bench = record(tmp_path, film)
    torn = bench.folder / (bench.files()[0].path + ".again")
    torn.write_bytes(b"half")
    assert len(recover("cam", bench.folder, bench.clock).files) == len(bench.files())
    assert not torn.exists()


def test_recorders_can_be_made_from_what_was_found(tmp_path):
    archive = Archive(tmp_path, Retention(), ManualClock(START), lambda _: None)
    found = archive.add_camera("cam", RetentionPolicy())
    assert (found.outage, found.last_end) == (None, None)
    recorder = Recorder("cam", archive.folder("cam"), archive, ManualClock(START), link=found.link)
    assert recorder.recording_since is None
