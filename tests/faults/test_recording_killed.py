"""kill -9 at any moment of recording, deleting and pruning: what was said to be done is done."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import msgspec
import pytest

from safecity.clock import SystemClock
from safecity.video.recording import index
from safecity.video.recording.custody import verify
from safecity.video.recording.index import DeletedEntry, Entry, FileEntry, PrunedEntry
from safecity.video.recording.recovery import recover

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

CHILD = Path(__file__).with_name("recording_child.py")
CAMERA = "cam"
ROUNDS = 8


def killed_after(directory: Path, delay_s: float) -> list[str]:
    """Run the recorder and kill it so long after its first file; return the whole lines that it said."""
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(directory)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    said: list[bytes] = []
    begun = threading.Event()

    def listen() -> None:
        for line in process.stdout:
            said.append(line)
            begun.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert begun.wait(60), "the recorder did not begin"
        time.sleep(delay_s)  # the moment of the kill is the input of this test
    finally:
        process.kill()
        process.wait()
        listener.join()
    return [line.decode().strip() for line in said if line.endswith(b"\n")]


def check_entries(told: list[Entry], folder: Path) -> None:
    """Everything that was told is in the index, or before its beginning."""
    present = list(index.entries(folder))
    pruned = present[0][1] if isinstance(present[0][1], PrunedEntry) else None
    encoded = {msgspec.json.encode(entry) for _, entry in present}
    for entry in told:
        if msgspec.json.encode(entry) in encoded:
            continue
        assert pruned is not None, entry
        if isinstance(entry, FileEntry):
            assert entry.end <= pruned.end, entry


def check_written(lines: list[str], folder: Path) -> None:
    """Each file holds at least what was said to be written, unless it was deleted."""
    files = {entry.path: entry for entry in index.read(folder) if isinstance(entry, FileEntry)}
    sizes: dict[str, int] = {}
    for line in lines:
        if line.startswith("file "):
            _, size, path = line.split(" ")
            sizes[path] = int(size)
    for path, size in sizes.items():
        if path in files:
            assert files[path].size_bytes >= size
        else:
            assert not (folder / path).exists()


def check_readable(folder: Path) -> None:
    """Each file that is there can be decoded to its end."""
    for path in sorted(folder.glob("*/*.mp4")):
        with av.open(str(path)) as container:
            pictures = sum(1 for _ in container.decode(video=0))
        assert pictures > 0


def test_a_killed_recorder_loses_nothing_that_it_had_said(tmp_path: Path) -> None:
    moments = random.Random(112)
    folder = tmp_path / CAMERA
    told: list[Entry] = []
    kinds: set[str] = set()
    for _ in range(ROUNDS):
        lines = killed_after(tmp_path, moments.uniform(0.0, 0.4))
        told = [msgspec.json.decode(line, type=Entry) for line in lines if not line.startswith("file ")]
        kinds |= {type(entry).__name__ for entry in told}
        found = recover(CAMERA, folder, SystemClock())
        assert found.missing == 0
        check_entries(told, folder)
        check_written(lines, folder)
        report = verify(CAMERA, folder)
        assert report.is_whole, report.broken
    check_readable(folder)
    assert {"FileEntry", "DeletedEntry", "PrunedEntry"} <= kinds
    gone = {entry.path for entry in told if isinstance(entry, DeletedEntry)}
    assert not [path for path in gone if (folder / path).exists()]
