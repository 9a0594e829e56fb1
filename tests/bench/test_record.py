"""The recording benchmark records real streams in real processes, and what it says was recorded was."""

import json
import subprocess
import sys
from pathlib import Path

from safecity.video.recording.custody import verify


def test_record_measures_and_its_files_are_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "safecity.cli", "bench", "record"),
            *("--cameras", "2", "--seconds", "1", "--keep", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert figures["cameras"] == 2
    assert figures["cpu_percent_per_camera"] > 0
    assert figures["mb_per_camera"] > 0
    assert figures["broken"] == figures["disk_errors"] == 0
    assert figures["pictures"] > 2 * 25
    assert figures["files"] >= 2
    assert all(verify(path.name, path).is_whole for path in tmp_path.iterdir() if path.is_dir())
