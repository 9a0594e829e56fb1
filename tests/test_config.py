"""Configuration: typed, commented, unknown keys refused, secrets hidden."""

import tomllib
from pathlib import Path

import pytest

from safecity import config
from safecity.errors import Configuration


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    assert set(config.keys()) == set(config.EXPLAIN)


def test_what_is_printed_can_be_read_back(tmp_path: Path) -> None:
    printed = config.render(config.load(None, {}))
    file = tmp_path / "safecity.toml"
    file.write_text(printed)
    assert config.load(file, {}) == config.load(None, {})
    assert printed.count("\n# ") + 1 == len(config.keys())
    tomllib.loads(printed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[web]\nprot = 1\n", "prot"),
        ("[wep]\nport = 1\n", "wep"),
        ("[web]\nport = 99999\n", r"\$.web.port"),
        ("[web]\nport = 'many'\n", r"\$.web.port"),
        ("web = 3\n", r"\$.web"),
        ("[bus]\nbatch_size = 0\n", "batch_size"),
        ("[web\n", "not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "safecity.toml"
    file.write_text(text)
    with pytest.raises(Configuration, match=says):
        config.load(file, {})


def test_unknown_variables_of_the_environment_are_refused() -> None:
    with pytest.raises(Configuration, match="SAFECITY_WEB_PROT names no setting"):
        config.load(None, {"SAFECITY_WEB_PROT": "1"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Configuration, match="cannot be read"):
        config.load(tmp_path / "none.toml", {})


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "safecity.toml"
    file.write_text("[web]\nport = 1000\n")
    found = config.load(file, {"SAFECITY_WEB_PORT": "2000", "SAFECITY_WEB_SECURE_COOKIES": "true"})
    assert (found.web.port, found.web.secure_cookies) == (2000, True)
    engines = config.load(None, {"DATABASE_URL": "postgresql://me:secret@db/x", "NATS_URL": "nats://n:4222"})
    assert (engines.store.url, engines.bus.url) == ("postgresql://me:secret@db/x", "nats://n:4222")
    assert "secret" not in config.render(engines)
    assert "postgresql://me:***@db/x" in config.render(engines)
