"""Rules, masks and calibration in a TOML file, as a camera's setup has them."""

import tomllib
from pathlib import Path
from typing import Final

import msgspec

from safecity.errors import Invalid
from safecity.model.base import Noun, Place
from safecity.model.video import Calibration, CameraSetup, Mask
from safecity.model.video_rule import VideoRule

_NOWHERE: Final = Place(lon=0.0, lat=0.0)
"""A film has no place; a calibration gives its events theirs."""
_LIMIT_BYTES: Final = 1_000_000


class _RuleFile(Noun, frozen=True, forbid_unknown_fields=True):
    """What the file says: [[rule]] and [[mask]] tables, one [calibration]."""

    rule: tuple[VideoRule, ...] = ()
    mask: tuple[Mask, ...] = ()
    calibration: Calibration | None = None


def read_setup(path: Path) -> CameraSetup:
    """Return a setup with the rules in the TOML file `path`.

    Raises Invalid when it cannot be read, with the rule or key that is wrong.
    """
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise Invalid(f"the rules {path} are larger than a megabyte; no camera has so many")
        read = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _RuleFile)
    except OSError as error:
        raise Invalid(f"the rules {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the rules {path} are not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise Invalid(f"the rules {path} are not valid: {error}") from error
    if not read.rule:
        raise Invalid(f"the rules {path} hold no [[rule]]; give one or more")
    return CameraSetup(
        id="film",
        name="film",
        place=_NOWHERE,
        url="file:///film",
        rules=read.rule,
        masks=read.mask,
        calibration=read.calibration,
    )
