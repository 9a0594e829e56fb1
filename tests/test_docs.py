"""What the docs list is what there is."""

import re
from pathlib import Path

from safecity import bench, cli, config
from safecity.access.policy import Role
from safecity.bus.subjects import DURABLES, STREAM_SUBJECTS
from safecity.model.video_rule import VideoEventKind
from safecity.roles import Role as ProcessRole

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ADMINISTRATORS = (DOCS / "guide" / "administrators.md").read_text()
ARCHITECTURE = (DOCS / "architecture.md").read_text()
BENCHMARKS = (DOCS / "benchmarks.md").read_text()


def test_every_setting_is_listed_with_its_default_and_meaning() -> None:
    defaults = config.load(None, {})
    for name in list(config.keys()):
        section, _, key = name.rpartition(".")
        value = getattr(getattr(defaults, section) if section else defaults, key)
        row = f"| `{name}` | `{config.as_toml(value)}` | {config.EXPLAIN[name]} |"
        assert row in ADMINISTRATORS, f"docs/guide/administrators.md must hold: {row}"


def test_every_command_is_listed() -> None:
    actions = list(cli.parser()._subparsers._group_actions)  # type: ignore[union-attr]
    commands = set(actions[0].choices or ()) - {"prepare", "seed"}
    for command in commands:
        assert f"`safecity {command}" in ADMINISTRATORS, command


def test_every_person_role_is_listed() -> None:
    people = {"administrator", "duty_officer", "dispatcher", "call_taker", "field", "auditor"}
    assert people <= set(Role)
    assert all(f"`{role}`" in ADMINISTRATORS for role in people)


def test_every_stream_and_consumer_is_in_the_picture() -> None:
    for stream in STREAM_SUBJECTS:
        assert f"| `{stream}` |" in ARCHITECTURE
    for durable in DURABLES:
        assert durable.name in ARCHITECTURE


def test_every_process_is_listed() -> None:
    for role in ProcessRole:
        assert f"\n| {role} |" in ARCHITECTURE


def test_every_room_is_on_a_floor_of_the_picture() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "safecity").glob("*/__init__.py")}
    assert all(f"`{room}/`" in ARCHITECTURE for room in rooms)


def test_every_benchmark_has_its_figures() -> None:
    for name in bench.names():
        rows = [line for line in BENCHMARKS.splitlines() if f"`safecity bench {name}" in line]
        assert any(re.search(r"\d", row.split("|")[3]) for row in rows), f"no figure of '{name}'"
    assert re.search(r"^## 20\d\d-\d\d-\d\d, ", BENCHMARKS, re.MULTILINE), "no date and machine"


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *DOCS.rglob("*.md"), ROOT / "tests" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_glossary_is_sorted_and_says_each_word_once() -> None:
    words = re.findall(r"^\| ([^|]+?) \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)[1:]
    words = [word for word in words if set(word) != {"-"}]
    assert words == sorted(words, key=str.casefold)
    assert len(words) == len(set(words))


def test_every_shortcut_is_listed() -> None:
    source = (ROOT / "console" / "src" / "state" / "shortcuts.svelte.ts").read_text()
    keys = set(re.findall(r'keys: "([^"]+)"', source)) | set(re.findall(r': "(g [a-z])"', source))
    assert len(keys) > 15
    guide = (DOCS / "guide" / "operators.md").read_text()
    assert [key for key in sorted(keys) if f"`{key}`" not in guide] == []


def test_every_video_event_is_in_the_table_of_what_events_are_worth() -> None:
    table = (DOCS / "video-events.md").read_text()
    for kind in VideoEventKind:
        assert re.search(rf"^\| `{kind.value}`[^|]*\| (real|synthetic) \| \d+ \|", table, re.MULTILINE), kind
