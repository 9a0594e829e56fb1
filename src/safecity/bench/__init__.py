"""One file per benchmark behind 'safecity bench NAME'.

A benchmark module has `WORDS` (one line), `add_options(parser)` and `measure(options) -> figures`.
"""

import argparse
import importlib
import json
import pkgutil
from collections.abc import Sequence

from safecity.errors import Invalid


def names() -> list[str]:
    """Return the names of all benchmarks; a package here is a part of one."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def run(name: str | None, arguments: Sequence[str]) -> int:
    """Run one benchmark; its last line is {"bench": NAME, "figures": {...}}. Without a name list all.

    Raises Invalid for an unknown name.
    """
    if name is None:
        for known in names():
            print(f"{known:12} {importlib.import_module(f'{__name__}.{known}').WORDS}")
        return 0
    if name not in names():
        raise Invalid(f"there is no benchmark '{name}'; there are {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    parser = argparse.ArgumentParser(prog=f"safecity bench {name}", description=module.WORDS)
    module.add_options(parser)
    figures = module.measure(parser.parse_args(arguments))
    print(json.dumps({"bench": name, "figures": figures}), flush=True)
    return 0
