"""The command line."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from safecity import __version__
from safecity.commands.access import add_access_commands
from safecity.commands.camera import add_camera_commands
from safecity.errors import SafeCityError
from safecity.logging import configure

DATA = Path("var")

EXAMPLES = """examples:
  safecity demo                          the simulated city; the console's address is printed
  safecity demo --headless --for 120 --speed 10 --json
  safecity up --data /srv/safecity       the same without simulation, for your own city
  safecity city import tashkent.osm.pbf --out /srv/cities/tashkent
  safecity camera add gate --name Gate --lon 69.24 --lat 41.31 --url rtsp://10.0.0.7/main --user viewer
  safecity check                         verify the journal and the tables of what runs
  safecity config > safecity.toml        every setting with its meaning
  safecity analyse film.mp4 --rules rules.toml --json
  safecity bench ingest --rate 20000 --seconds 20
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(
        prog="safecity",
        description="Safe City: a city's public-safety operations centre.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"safecity {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = _command(commands, "demo", "start the simulated city", _demo)
    _add_start_options(demo)
    demo.add_argument("--headless", action="store_true", help="with a scripted operator, without a console")
    demo.add_argument(
        "--for", dest="for_s", type=_positive, metavar="SECONDS", help="end by itself after this"
    )
    demo.add_argument(
        "--speed", type=_positive, default=1.0, help="how fast simulated people and vehicles act"
    )
    demo.add_argument("--json", action="store_true", help="end with one line of JSON that sums up")

    up = _command(commands, "up", "start all roles for your own city, nothing simulated", _up)
    _add_start_options(up)

    run = _command(commands, "run", "run one role beside others", _run)
    run.add_argument("role", help="intake, fusion, operations, dispatch, video, web or simulator")
    run.add_argument(
        "--shard",
        type=int,
        default=0,
        metavar="K",
        help="of video: which cameras, by the shard in their setup",
    )
    _add_data(run)

    city = commands.add_parser("city", help="import a city's map")
    cities = city.add_subparsers(dest="city_command", required=True, metavar="COMMAND")
    import_ = _command(cities, "import", "read an OpenStreetMap extract", _city_import)
    import_.add_argument("file", type=Path, metavar="FILE.osm.pbf")
    import_.add_argument("--name", help="name of the city; default: its largest place")
    import_.add_argument("--out", type=Path, help="folder to write; default: the file's name beside it")

    check = _command(commands, "check", "verify the journal and the tables", _check)
    _add_data(check)
    check.add_argument("--recordings", action="store_true", help="also read every recorded file again")
    check.add_argument("--json", action="store_true", help="print the report as JSON")

    analyse = _command(commands, "analyse", "find the events in a film or in recorded detections", _analyse)
    analyse.add_argument("film", nargs="?", type=Path, metavar="FILE", help="a film")
    analyse.add_argument("--rules", type=Path, required=True, metavar="RULES.toml", help="[[rule]] tables")
    analyse.add_argument("--json", action="store_true", help="print each event and the sum as lines of JSON")
    analyse.add_argument("--save-detections", type=Path, metavar="FILE.jsonl", help="keep what was detected")
    analyse.add_argument("--detections", type=Path, metavar="FILE.jsonl", help="use these instead of a film")
    analyse.add_argument("--every-s", type=_positive, default=0.2, help="seconds between looks; default: 0.2")
    analyse.add_argument("--progress", action="store_true", help="say on the error output how far it is")
    analyse.add_argument("--config", type=Path, help="a TOML file, for another detector")

    link = _command(commands, "link", "make a one-time link with which a new person signs in", _link)
    link.add_argument("--role", default="administrator", help="role of the new account")
    _add_data(link)

    add_camera_commands(commands)
    add_access_commands(commands)

    config = _command(commands, "config", "print every setting with its value and meaning", _config)
    config.add_argument("--config", type=Path, help="a TOML file")

    bench = _command(commands, "bench", "measure; the last line is one JSON object", _bench)
    bench.add_argument("name", nargs="?", help="which; without a name all are listed")
    bench.add_argument(
        "rest", nargs=argparse.REMAINDER, help="options of the benchmark; try --help after its name"
    )

    for name, words in (("prepare", _prepare), ("seed", _seed)):
        step = commands.add_parser(name)
        step.set_defaults(call=words)
        _add_data(step)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 after an error told in one sentence, or 2 for wrong usage."""
    given = parser().parse_args(arguments)
    call: Callable[[argparse.Namespace], int] = given.call
    try:
        code = call(given)
    except SafeCityError as error:
        print(f"safecity: {error}", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    words: str,
    call: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=words, description=words.capitalize() + ".")
    command.set_defaults(call=call)
    return command


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="data folder; default: ./var")


def _add_start_options(command: argparse.ArgumentParser) -> None:
    _add_data(command)
    command.add_argument("--config", type=Path, help="a TOML file; 'safecity config' prints all settings")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"'{text}' must be a number above 0")
    return value


def _demo(given: argparse.Namespace) -> int:
    from safecity import demo
    from safecity.app import Plan
    from safecity.deployment import Folder

    configure(json=False)
    plan = Plan(
        folder=Folder(given.data),
        config_path=given.config,
        simulated=True,
        speed=given.speed,
        scripted_operator=given.headless,
    )
    return asyncio.run(demo.run(plan, for_s=given.for_s, headless=given.headless, as_json=given.json))


def _up(given: argparse.Namespace) -> int:
    from safecity import demo
    from safecity.app import Plan
    from safecity.deployment import Folder

    configure(json=False)
    plan = Plan(folder=Folder(given.data), config_path=given.config)
    return asyncio.run(demo.run(plan, for_s=None, headless=False, as_json=False))


def _run(given: argparse.Namespace) -> int:
    import uvloop

    from safecity.deployment import Folder
    from safecity.errors import Invalid
    from safecity.roles import Role, process_name, run_role

    if given.role not in list(Role):
        raise Invalid(f"there is no role '{given.role}'; the roles are {', '.join(Role)}")
    configure(json=True, role=process_name(given.role, given.shard))
    uvloop.run(run_role(Role(given.role), Folder(given.data), given.shard))
    # Everything is closed by now. Taking the compilers' and detectors' memory apart one by one costs seconds.
    sys.stderr.flush()
    os._exit(0)


def _city_import(given: argparse.Namespace) -> int:
    from safecity.city.importer import import_city

    out = given.out or given.file.with_name(given.file.name.split(".")[0])
    city = import_city(given.file, out, name=given.name, progress=lambda words: print(words, flush=True))
    print(f'{city.name} is in {out}; use it with city = "{out.absolute()}" in the configuration')
    return 0


def _check(given: argparse.Namespace) -> int:
    from safecity import checking
    from safecity.deployment import Folder

    return asyncio.run(checking.run(Folder(given.data), as_json=given.json, recordings=given.recordings))


def _analyse(given: argparse.Namespace) -> int:
    from safecity.analysing import Order, analyse, lines

    configure(json=False)
    order = Order(
        rules=given.rules,
        film=given.film,
        detections=given.detections,
        save_detections=given.save_detections,
        config=given.config,
        every_s=given.every_s,
        progress=given.progress,
    )
    for line in lines(analyse(order, lambda words: print(words, file=sys.stderr)), as_json=given.json):
        print(line)
    return 0


def _link(given: argparse.Namespace) -> int:
    from safecity import demo
    from safecity.deployment import Folder

    print(asyncio.run(demo.new_link(Folder(given.data), given.role)))
    return 0


def _config(given: argparse.Namespace) -> int:
    from safecity.config import load, render

    print(render(load(given.config)), end="")
    return 0


def _bench(given: argparse.Namespace) -> int:
    from safecity.bench import run

    return run(given.name, given.rest)


def _prepare(given: argparse.Namespace) -> int:
    from safecity.deployment import Folder
    from safecity.preparation import prepare

    configure(json=True, role="prepare")
    prepare(Folder(given.data))
    return 0


def _seed(given: argparse.Namespace) -> int:
    from safecity.deployment import Folder
    from safecity.seeding import seed

    configure(json=True, role="seed")
    asyncio.run(seed(Folder(given.data)))
    return 0


if __name__ == "__main__":
    main()
