"""The house stands: imports go down the floors only, rooms stay small, the docs list what there is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "safecity"
FLOORS: list[set[str]] = [
    {"errors", "clock", "logging"},
    {"model", "config"},
    {"rules", "city"},
    {"bus", "store"},
    {"access"},
    {"intake", "video", "fusion", "dispatch", "evidence"},
    {"operations"},
    {"warning", "outputs", "oversight"},
    {"web", "simulator"},
    {"deployment", "supervisor", "memory"},
    {"roles", "preparation", "seeding"},
    {"app", "checking", "analysing"},
    {"summary"},
    {"demo"},
    {"bench", "commands"},
    {"cli"},
]
"""From the ground up; what stands beside each other on a floor does not import each other."""

ALLOWED_ACROSS = {
    ("simulator", "video"): "a simulated camera is described by the video room's own CameraConfig",
}
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MAX_LINES = 400


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        relative = path.relative_to(SOURCE)
        if relative.parts[0] != "__init__.py":
            yield relative.parts[0].removesuffix(".py"), path


def _imported_rooms(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name the whole way"
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "safecity" else [base]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "safecity" and len(parts) > 1 and not parts[1].startswith("__"):
                yield parts[1], node.lineno


MODULES = [pytest.param(room, path, id=str(path.relative_to(SOURCE))) for room, path in _modules()]


@pytest.mark.parametrize(("room", "path"), MODULES)
def test_imports_go_down_the_floors(room: str, path: Path) -> None:
    assert room in FLOOR_OF, f"the room '{room}' stands on no floor; give it one here and in the docs"
    for imported, line in _imported_rooms(path):
        if imported == room or (room, imported) in ALLOWED_ACROSS:
            continue
        assert FLOOR_OF[imported] < FLOOR_OF[room], f"{path}:{line}: {room} may not import {imported}"


def test_files_stay_small() -> None:
    long = {
        str(p.relative_to(SOURCE)): n for _, p in _modules() if (n := p.read_text().count("\n")) > MAX_LINES
    }
    assert long == {}


def test_no_room_is_called_utils() -> None:
    forbidden = {"utils", "util", "helpers", "misc", "common"}
    assert not [p for p in SOURCE.rglob("*") if p.stem in forbidden]


def test_domain_code_asks_the_injected_clock() -> None:
    reads = []
    for room, path in _modules():
        if room in {"clock", "bench", "logging"}:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if any(call in line for call in ("datetime.now(", "utcnow(", "time.time(", "date.today(")):
                reads.append(f"{path.relative_to(SOURCE)}:{number}")
    assert reads == []


def test_every_package_says_what_it_is_for() -> None:
    packages = [SOURCE, *(init.parent for init in SOURCE.glob("*/__init__.py"))]
    inits = {package.name: (package / "__init__.py").read_text() for package in packages}
    assert [name for name, text in inits.items() if not ast.get_docstring(ast.parse(text))] == []
