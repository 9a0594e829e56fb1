"""A camera's rules, masks and calibration as a file that people write: TOML, checked when it is read.

[[rule]]
kind = "zone_intrusion"
name = "lawn"
polygon = [[0.0, 0.6], [0.9, 0.6], [0.9, 1.0], [0.0, 1.0]]

[[mask]]
name = "window"
polygon = [[0.1, 0.1], [0.2, 0.1], [0.2, 0.2], [0.1, 0.2]]

[calibration]
picture = [[0.1, 0.9], [0.9, 0.9], [0.8, 0.5], [0.2, 0.5]]
ground = [[69.2401, 41.3111], [69.2404, 41.3111], [69.2404, 41.3114], [69.2401, 41.3114]]
"""

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from safecity.errors import Invalid
from safecity.model.base import Noun
from safecity.model.video import Calibration, Mask
from safecity.model.video_rule import VideoRule

KEYS: Final = ("rule", "mask", "calibration")
LIMIT_BYTES: Final = 1_000_000


class CameraRules(Noun, frozen=True):
    """What a file says about a camera's picture. None: the file says nothing of that sort."""

    rules: tuple[VideoRule, ...] | None = None
    masks: tuple[Mask, ...] | None = None
    calibration: Calibration | None = None


def load_camera_rules(path: Path) -> CameraRules:
    """Return what a file holds; raises Invalid with file, table, key and reason."""
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise Invalid(f"the camera rules {path} are larger than a megabyte; no camera has so many")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Invalid(f"the camera rules {path} cannot be read: {why}") from error
    try:
        return parse_camera_rules(text)
    except Invalid as error:
        raise Invalid(f"{path.name}: {error}") from error


def parse_camera_rules(text: str) -> CameraRules:
    """Return what TOML text holds; raises Invalid with table, key and reason."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Invalid(f"the camera rules are not valid TOML: {error}") from error
    unknown = sorted(raw.keys() - set(KEYS))
    if unknown:
        raise Invalid(f"'{unknown[0]}' is no key here; use [[rule]], [[mask]] and [calibration]")
    calibration = raw.get("calibration")
    found = CameraRules(
        rules=_each(raw, "rule", VideoRule),
        masks=_each(raw, "mask", Mask),
        calibration=None if calibration is None else _one("the calibration", calibration, Calibration),
    )
    for word, named in (("rules", found.rules), ("masks", found.masks)):
        names = [one.name for one in named or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Invalid(f"two {word} are called '{twice}'; give each its own name")
    return found


def _each(raw: dict[str, Any], key: str, type_: Any) -> tuple[Any, ...] | None:
    if key not in raw:
        return None
    tables = raw[key]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise Invalid(f"write each {key} as a table [[{key}]] of its own")
    return tuple(
        _one(f"{key} '{table['name']}'" if "name" in table else f"{key} number {number}", table, type_)
        for number, table in enumerate(tables, start=1)
    )


def _one(what: str, table: Any, type_: Any) -> Any:
    try:
        found = msgspec.convert(table, type_)
    except (msgspec.ValidationError, Invalid) as error:
        raise Invalid(f"{what}: {error}") from error
    # A word that is spelled wrong would otherwise be a default in silence.
    known = set(type(found).__struct_fields__) | {"kind"}
    unknown = sorted(table.keys() - known)
    if unknown:
        raise Invalid(f"{what} has an unknown key '{unknown[0]}'; known are {', '.join(sorted(known))}")
    return found
