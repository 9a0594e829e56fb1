"""Recordings last, prove themselves, and survive a full disk (architecture, what is always true: 1 and 5)."""

import contextlib
import errno
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from safecity.clock import ManualClock, SystemClock
from safecity.video.recording import index
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.custody import verify
from safecity.video.recording.index import DeletedEntry, DeletionReason, Entry, FileEntry, GapEntry
from safecity.video.recording.recorder import Recorder, StorageState, open_new
from safecity.video.recording.recovery import recover

from .conftest import wait_for

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = Retention(max_age_s=1e9, min_free_bytes=0)


class Bench:
    """A recorder with its archive in a directory, and all entries told."""

    def __init__(self, directory: Path, retention: Retention = EVERYTHING, segment_s: float = 4.0, **options):
        self.told: list[Entry] = []
        self.clock = ManualClock(START)
        archive_options = {k: options.pop(k) for k in ("free_bytes",) if k in options}
        self.archive = Archive(directory, retention, self.clock, self.told.append, **archive_options)
        self.archive.set_holds(())
        found = self.archive.open_camera("cam")
        self.archive.start()
        self.folder = self.archive.folder("cam")
        self.recorder = Recorder(
            "cam",
            self.folder,
            self.archive,
            self.clock,
            link=found.link,
            last_end=found.last_end,
            outage=found.outage,
            segment_s=segment_s,
            **options,
        )

    def files(self) -> list[FileEntry]:
        return [entry for entry in self.told if isinstance(entry, FileEntry)]


def shift(packets, by_s: float):
    return [p._replace(time_s=p.time_s + by_s, ticks=p.ticks + round(by_s * 90_000)) for p in packets]


def test_files_hold_every_picture_and_the_chain_is_whole(tmp_path, film):
    info, packets = film
    bench = Bench(tmp_path)
    bench.recorder.begin(info)
    for packet in packets:
        bench.recorder.add(packet)
    bench.recorder.end("the camera ended the stream")
    assert bench.archive.stop(10)
    files = bench.files()
    assert len(files) >= 3
    assert sum(count_pictures(bench.folder / entry.path) for entry in files) == len(packets)
    assert files[0].start == START
    assert all(a.end == b.start for a, b in itertools.pairwise(files))
    assert files[-1].end == START + timedelta(seconds=12)
    assert index.read(bench.folder) == bench.told
    report = verify("cam", bench.folder)
    assert report.is_whole
    assert report.fragments == sum(len(entry.fragments) for entry in files)


def count_pictures(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("where", [0, 300, -1])
def test_one_flipped_byte_is_found(tmp_path, film, where):
    bench = record(tmp_path, film)
    path = bench.folder / bench.files()[1].path
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    report = verify("cam", bench.folder)
    assert len(report.broken) == 1
    assert bench.files()[1].path in report.broken[0]


def test_a_changed_removed_or_swapped_entry_is_found(tmp_path, film):
    bench = record(tmp_path, film)
    path = bench.folder / index.INDEX_NAME
    lines = path.read_text().splitlines()
    for changed in (
        lines[1:],
        [lines[1], lines[0], *lines[2:]],
        [lines[0].replace(digest(lines[0]), "0" * 64)],
    ):
        path.write_text("\n".join(changed) + "\n")
        assert not verify("cam", bench.folder).is_whole
    path.write_text("\n".join(lines) + "\n")
    assert verify("cam", bench.folder).is_whole
    (bench.folder / bench.files()[0].path).unlink()
    assert "missing" in verify("cam", bench.folder).broken[0]


def digest(line: str) -> str:
    return json.loads(line)["fragments"][0][2]


def record(directory: Path, film, **options) -> Bench:
    info, packets = film
    bench = Bench(directory, **options)
    bench.recorder.begin(info)
    for packet in packets:
        bench.recorder.add(packet)
    bench.recorder.end("the program was stopped")
    assert bench.archive.stop(10)
    return bench


def test_an_outage_is_one_gap(tmp_path, film):
    info, packets = film
    bench = Bench(tmp_path)
    bench.recorder.begin(info)
    for packet in packets[:40]:
        bench.recorder.add(packet)
    bench.recorder.end("the camera closed the connection")
    bench.recorder.end("nothing answers at the camera's address")
    bench.recorder.begin(info)
    for packet in shift(packets[:40], 60.0):
        bench.recorder.add(packet)
    bench.recorder.end("the program was stopped")
    bench.archive.stop(10)
    gaps = [entry for entry in bench.told if isinstance(entry, GapEntry)]
    assert gaps == [
        GapEntry(
            camera_id="cam",
            start=START + timedelta(seconds=4),
            end=START + timedelta(seconds=60),
            reason="the camera closed the connection",
        )
    ]
    assert verify("cam", bench.folder).is_whole


def test_a_torn_file_is_cut_entered_and_the_chain_goes_on(tmp_path, film):
    info, packets = film
    bench = Bench(tmp_path)
    bench.recorder.begin(info)
    for packet in packets:
        bench.recorder.add(packet)
    # The program is killed here: the last file is open, its end torn, the index line half written.
    wait_for(lambda: len(bench.files()) == 2, "two finished files")
    assert bench.archive.stop(10)
    torn = max(bench.folder.glob("*/*.mp4"))
    with torn.open("ab") as file:
        file.write(b"\x00\x00\x40\x00moof" + b"x" * 100)
    with (bench.folder / index.INDEX_NAME).open("ab") as file:
        file.write(b'{"kind":"file","camera')
    empty = bench.folder / "2026-01-01" / "235959.000Z.mp4"
    empty.write_bytes(info.init[:50])
    found = recover("cam", bench.folder, bench.clock)
    assert (found.repaired, found.removed, found.missing) == (1, 1, 0)
    assert not empty.exists()
    entered = [entry for entry in index.read(bench.folder) if isinstance(entry, FileEntry)]
    assert entered[-1].recovered
    assert count_pictures(torn) == round((entered[-1].end - entered[-1].start).total_seconds() * 10)
    assert verify("cam", bench.folder).is_whole
    again = record_more(tmp_path, film)
    gap = next(entry for entry in again.told if isinstance(entry, GapEntry))
    assert gap.reason == "the program was not running"
    assert gap.start == found.last_end
    report = verify("cam", bench.folder)
    assert report.is_whole
    assert report.files == len(found.files) + len(again.files())


def record_more(directory: Path, film) -> Bench:
    info, packets = film
    return record(directory, (info, shift(packets, 600.0)))


def test_a_full_disk_is_said_counted_and_ends_by_deleting_the_oldest(tmp_path, film):
    info, packets = film
    full = {"now": False}

    def open_file(path: Path) -> int:
        return os.open("/dev/full", os.O_WRONLY) if full["now"] else open_new(path)

    bench = Bench(tmp_path, open_file=open_file)
    bench.recorder.begin(info)
    for packet in packets[:60]:
        bench.recorder.add(packet)
    wait_for(bench.files, "a finished file")
    full["now"] = True
    for packet in packets[60:]:
        bench.recorder.add(packet)
    assert bench.recorder.storage is StorageState.FULL
    assert bench.recorder.counters.disk_errors == 1
    wait_for(lambda: bench.archive.counters.deleted_for_space, "room to be made")
    full["now"] = False
    bench.clock.advance(6)
    for packet in shift(packets, 12):
        bench.recorder.add(packet)
    assert bench.recorder.storage is StorageState.OK
    bench.recorder.end("the program was stopped")
    bench.archive.stop(10)
    gap = next(entry for entry in bench.told if isinstance(entry, GapEntry))
    assert gap.reason == "the disk is full"
    assert gap.end == START + timedelta(seconds=12)
    assert verify("cam", bench.folder).is_whole


def test_a_disk_that_fills_inside_a_file_leaves_it_whole(tmp_path, film):
    info, packets = film
    bench = Bench(tmp_path, segment_s=60.0)
    bench.recorder.begin(info)
    for packet in packets[:50]:
        bench.recorder.add(packet)
    file = bench.recorder._file
    real = file.descriptor
    file.descriptor = os.open("/dev/full", os.O_WRONLY)
    before = file.size
    with pytest.raises(OSError, match="No space") as raised:
        file.write([b"x" * 100])
    assert raised.value.errno == errno.ENOSPC
    assert file.size == before
    os.close(file.descriptor)
    file.descriptor = real
    bench.recorder.end("the program was stopped")
    bench.archive.stop(10)
    assert verify("cam", bench.folder).is_whole


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """Yield a real disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_real_full_disk_recording_goes_on_over_the_oldest(small_disk, film):
    info, packets = film
    bench = Bench(small_disk)
    bench.recorder.begin(info)
    for loop in range(6):
        for packet in shift(packets, 12.0 * loop):
            bench.recorder.add(packet)
        bench.clock.advance(12)
        wait_for(
            lambda: bench.recorder.storage is StorageState.OK or bench.archive._jobs.empty(), "the archive"
        )
    bench.recorder.end("the program was stopped")
    assert bench.archive.stop(10)
    assert bench.recorder.counters.disk_errors > 0
    assert bench.archive.counters.deleted_for_space > 0
    assert verify("cam", bench.folder).is_whole
    last = max(entry.end for entry in bench.files())
    assert last > START + timedelta(seconds=48)
    # A start on a disk that is full to the last byte deletes what it must, and no more fails.
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    (bench.folder / "2026-01-01" / "000000.001Z.mp4").touch()
    torn = max(bench.folder.glob("*/*.mp4"))
    torn.rename(torn.with_name("235900.000Z.mp4"))
    again = Archive(small_disk, EVERYTHING, bench.clock, bench.told.append)
    again.set_holds(())
    found = again.open_camera("cam")
    assert found.repaired == 1


def test_the_oldest_go_by_age_and_by_space_with_a_tombstone(tmp_path, film):
    first = record(tmp_path, film)
    names = [entry.path for entry in first.files()]
    sizes = {entry.path: entry.size_bytes for entry in first.files()}
    free = [0]

    def free_bytes(_: Path) -> int:
        return free[0]

    retention = Retention(max_age_s=1e9, min_free_bytes=sizes[names[0]] + 1)
    bench = Bench(tmp_path, retention, free_bytes=free_bytes)
    bench.archive.make_room()
    wait_for(lambda: bench.archive.counters.deleted_for_space >= 2, "two files to go")
    free[0] = 2**40
    bench.archive.stop(10)
    gone = [entry.path for entry in bench.told if isinstance(entry, DeletedEntry)]
    assert gone[:2] == names[:2]
    assert all(not (bench.folder / name).exists() for name in gone)
    report = verify("cam", bench.folder)
    assert report.is_whole
    assert report.deleted == len(gone)
    old = Bench(tmp_path, Retention(max_age_s=60.0, min_free_bytes=0))
    old.clock.advance(3600)
    old.archive.make_room()
    wait_for(lambda: not list(old.folder.glob("*/*.mp4")), "all to be too old")
    old.archive.stop(10)
    assert {e.reason for e in old.told if isinstance(e, DeletedEntry)} <= {
        DeletionReason.AGE,
        DeletionReason.SPACE,
    }


def test_a_file_taken_away_gets_a_tombstone_at_the_next_start(tmp_path, film):
    bench = record(tmp_path, film)
    (bench.folder / bench.files()[0].path).unlink()
    assert recover("cam", bench.folder, SystemClock()).missing == 1
    assert recover("cam", bench.folder, SystemClock()).missing == 0
    last = index.read(bench.folder)[-1]
    assert isinstance(last, DeletedEntry)
    assert last.reason is DeletionReason.MISSING
