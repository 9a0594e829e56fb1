"""Build hook: sdist and wheel carry the built operator console; an editable install builds it later."""

import runpy
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = "src/safecity/web/static"


class ConsoleHook(BuildHookInterface[Any]):
    """Builds the console before files are collected."""

    PLUGIN_NAME = "console"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the console and add it, although git ignores it."""
        if version == "editable":
            return
        root = Path(self.root)
        sys.path.insert(0, str(root / "src"))
        try:
            console_build = runpy.run_path(str(root / "src/safecity/web/console_build.py"))
        finally:
            sys.path.pop(0)
        console_build["ensure_built"](self.app.display_info, root / "console", root / STATIC)
        build_data["artifacts"].append(f"/{STATIC}/**")
