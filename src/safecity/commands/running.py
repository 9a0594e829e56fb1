"""What commands on a running installation share: folder, database, who orders, secrets from people."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safecity.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from safecity.deployment import Folder
    from safecity.operations.command import Order
    from safecity.store.database import Database

DATA: Final = Path("var")
PATIENCE_S: Final = 5.0

Work = Callable[[argparse.Namespace], Coroutine[Any, Any, None]]


def add_data(command: argparse.ArgumentParser) -> None:
    """Let a command name the data folder."""
    command.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="data folder; default: ./var")


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    words: str,
    example: str,
    work: Work,
) -> argparse.ArgumentParser:
    """Add a command that acts on a running installation, with an example in its help."""
    command = commands.add_parser(
        name,
        help=words,
        description=words[:1].upper() + words[1:] + ".",
        epilog=f"example:\n  safecity {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data(command)

    def call(given: argparse.Namespace) -> int:
        asyncio.run(work(given))
        return 0

    command.set_defaults(call=call)
    return command


def add_group(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, words: str, examples: str
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """Add a command that only has commands of its own; return where they go."""
    group = commands.add_parser(
        name,
        help=words,
        description=words[:1].upper() + words[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return group.add_subparsers(dest=f"{name}_command", required=True, metavar="COMMAND")


def folder_of(given: argparse.Namespace) -> "Folder":
    """Return the folder that a command names."""
    from safecity.deployment import Folder

    return Folder(given.data)


@asynccontextmanager
async def database_of(given: argparse.Namespace) -> AsyncIterator["Database"]:
    """Give the database of the running installation.

    Raises Configuration when nothing runs there, Unavailable while it is still starting.
    """
    import asyncpg

    from safecity.clock import SystemClock
    from safecity.store.database import open_database

    run = folder_of(given).read_run()
    database = await open_database(run.database_url, SystemClock(), size=2, patience_s=PATIENCE_S)
    try:
        yield database
    except asyncpg.UndefinedTableError as error:
        raise Unavailable("the installation is still starting; try again when the city runs") from error
    finally:
        await database.close()


def operator() -> "Order":
    """Return the order of whoever sits at this machine: the journal names the system's user."""
    from safecity.operations.command import Order

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return Order(actor=f"system:cli/{user}")


def secret_from(path: Path | None, prompt: str) -> str:
    """Return a secret from a file, from standard input when it is no terminal, or from a prompt.

    Never from the arguments: every user of the machine can read those. Raises Invalid when there is none.
    """
    try:
        if path is not None:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        if sys.stdin.isatty():
            return getpass.getpass(f"{prompt}: ")
        return sys.stdin.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Invalid(f"the file {path} cannot be read: {why}") from error


def say(words: str) -> None:
    """Print a line."""
    sys.stdout.write(words + "\n")


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows with aligned columns, the first row being the heads."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
