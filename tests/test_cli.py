"""The command line: examples in the help, one sentence for each mistake."""

from pathlib import Path

import pytest

from safecity import bench
from safecity.cli import main


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    output = capsys.readouterr()
    return int(ended.value.code or 0), output.out, output.err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "--help")
    assert code == 0
    assert "examples:" in out
    assert "safecity demo" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("check",), "nothing runs in"),
        (("run", "cook"), "there is no role 'cook'"),
        (("link",), "nothing runs in"),
        (("run", "web"), "nothing runs in"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, out, err = _run(capsys, *arguments, "--data", str(tmp_path))
    assert (code, out) == (1, "")
    assert says in err
    assert err.count("\n") == 1


def test_unknown_benchmark_and_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = _run(capsys, "bench", "nothing")
    assert code == 1
    assert "there is no benchmark 'nothing'" in err
    code, _, err = _run(capsys, "city", "import", str(tmp_path / "none.osm.pbf"))
    assert code == 1
    assert "none.osm.pbf" in err


def test_benchmarks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "bench")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == bench.names()
