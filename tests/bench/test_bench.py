"""Benchmarks run, lose nothing, and end with one JSON object of the promised figures."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.engines


def test_ingest_measures_on_its_own_engines_and_loses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "safecity.cli", "bench", "ingest", "--rate", "2000", "--seconds", "1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["bench"] == "ingest"
    figures = told["figures"]
    assert figures["lost"] == 0
    assert figures["sent"] > 1000
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["sustained_per_s"] > 0
