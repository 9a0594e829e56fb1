"""The console is built when its sources changed, and only then; what is missing is said in a sentence."""

import re
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from safecity.errors import Configuration
from safecity.web import console_build
from safecity.web.console_build import CONSOLE, HASH_FILE, ensure_built, fetch_packages, source_hash


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A copy of the console's sources that uses the installed packages."""
    fetch_packages(lambda _: None)
    copy = tmp_path / "console"
    copytree(CONSOLE, copy, ignore=ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(CONSOLE / "node_modules", target_is_directory=True)
    return copy


def test_hash_follows_sources_and_lock_file_but_not_tests(tmp_path: Path) -> None:
    copy = tmp_path / "console"
    copytree(CONSOLE, copy, ignore=ignore_patterns("node_modules"))
    before = source_hash(copy)
    assert before == source_hash(CONSOLE)
    (copy / "tests" / "new.test.ts").write_text("export {};")
    assert source_hash(copy) == before
    (copy / "src" / "new.ts").write_text("export {};")
    with_file = source_hash(copy)
    assert with_file != before
    (copy / "package-lock.json").write_text("{}")
    assert source_hash(copy) != with_file


def test_builds_once_and_asks_nothing_of_other_hosts(console: Path, tmp_path: Path) -> None:
    static = tmp_path / "static"
    steps: list[str] = []
    assert ensure_built(steps.append, console, static) == static
    assert steps == ["building the operator console", "operator console built"]
    assert (static / HASH_FILE).read_text() == source_hash(console)
    page = (static / "index.html").read_text()
    assert re.findall(r'(?:src|href)="(?!/)', page) == []
    for asset in re.findall(r'(?:src|href)="/([^"]+)"', page):
        assert (static / asset).is_file()
    styles = "".join(path.read_text() for path in static.glob("assets/*.css"))
    assert re.findall(r"url\((?!['\"]?(?:data:|/assets/))", styles) == []

    steps.clear()
    ensure_built(steps.append, console, static)
    assert steps == []


def test_a_failed_build_is_told_and_leaves_the_old_console(console: Path, tmp_path: Path) -> None:
    static = tmp_path / "static"
    static.mkdir()
    (static / "index.html").write_text("the old one")
    (console / "src" / "main.ts").write_text("import nothing from './nowhere';\nnothing();\n")
    with pytest.raises(Configuration, match="cannot be built"):
        ensure_built(lambda _: None, console, static)
    assert (static / "index.html").read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".console-")] == []


def test_an_installed_program_serves_what_came_with_it(tmp_path: Path) -> None:
    static = tmp_path / "static"
    with pytest.raises(Configuration, match="neither"):
        ensure_built(lambda _: None, tmp_path / "nowhere", static)
    static.mkdir()
    (static / "index.html").write_text("built")
    assert ensure_built(lambda _: None, tmp_path / "nowhere", static) == static


def test_without_a_network_the_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "console"
    copytree(CONSOLE, copy, ignore=ignore_patterns("node_modules"))
    # Port 1 of the loopback refuses, as a missing network does; nothing may come from a cache.
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(Configuration, match="registry does not answer"):
        fetch_packages(lambda _: None, copy)


def test_an_unknown_task_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert console_build.main(["paint"]) == 2
    assert "there are: build, check, test" in capsys.readouterr().err
