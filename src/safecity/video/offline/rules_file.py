"""The rules of a film: a file as cameras have it, read as strictly."""

from pathlib import Path
from typing import Final

from safecity.errors import Invalid
from safecity.model.base import Place
from safecity.model.video import CameraSetup
from safecity.rules.camera_rules import load_camera_rules

_NOWHERE: Final = Place(lon=0.0, lat=0.0)
"""A film has no place; a calibration gives its events theirs."""


def read_setup(path: Path) -> CameraSetup:
    """Return a setup with the rules in the TOML file `path`.

    Raises Invalid when it cannot be read, with the rule or key that is wrong.
    """
    read = load_camera_rules(path)
    if not read.rules:
        raise Invalid(f"the rules {path} hold no [[rule]]; give one or more")
    return CameraSetup(
        id="film",
        name="film",
        place=_NOWHERE,
        url="file:///film",
        rules=read.rules,
        masks=read.masks or (),
        calibration=read.calibration,
    )
