"""The clips of the event table: which film, which rules are drawn on it, and what truly happens in it."""

import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from safecity.model.video_rule import ObjectLeft, SmokeFlame, VideoEventKind, VideoRule

Picture = NDArray[np.uint8]
"""Rows, columns, 3: red, green, blue."""
Film = Iterable[tuple[float, Picture]]
"""Film time in seconds, and the picture."""

EVERYWHERE: Final = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
WITHIN_S: Final = 1.5
WATCHED_EVERYWHERE: Final[tuple[VideoRule, ...]] = (
    ObjectLeft(name="anything left", polygon=EVERYWHERE, min_still_s=10.0),
    SmokeFlame(name="fire", polygon=EVERYWHERE),
)
"""Drawn on every clip besides its own rules, so that each is also a negative for these."""


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens. way: forward or backward, where that matters."""

    kind: VideoEventKind
    rule: str
    at_s: float
    within_s: float = WITHIN_S
    way: str = ""


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A film with rules and truth.

    change: makes the synthetic film of the real one; width_px: of it, 0: as it is; every_s: between two of
    its pictures. objects: whether persons and vehicles are looked for; rules on the camera itself need none.
    """

    name: str
    film: str
    rules: tuple[VideoRule, ...]
    truth: tuple[Truth, ...]
    change: Callable[[Film], Iterator[tuple[float, Picture]]] | None = None
    until_s: float = 1e9
    width_px: int = 0
    every_s: float = 0.2
    objects: bool = True


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    rule: str
    at_s: float
    way: str = ""
    within_s: float = WITHIN_S


class _Annotated(msgspec.Struct, forbid_unknown_fields=True):
    film: str
    rules: tuple[VideoRule, ...]
    events: tuple[_Event, ...] = ()


def annotated() -> list[Clip]:
    """Return the clips that were annotated by hand."""
    text = (resources.files("safecity.bench") / "data" / "events.toml").read_text(encoding="utf-8")
    return [_clip(msgspec.convert(raw, _Annotated)) for raw in tomllib.loads(text)["clip"]]


def _clip(raw: _Annotated) -> Clip:
    kinds = {rule.name: kind_of(rule) for rule in raw.rules}
    truth = tuple(
        Truth(
            kind=kinds[event.rule], rule=event.rule, at_s=event.at_s, within_s=event.within_s, way=event.way
        )
        for event in raw.events
    )
    return Clip(name=raw.film, film=raw.film, rules=(*raw.rules, *WATCHED_EVERYWHERE), truth=truth)


def kind_of(rule: VideoRule) -> VideoEventKind:
    """Return the kind of the events of a rule that has one kind only."""
    tag: Any = rule.__struct_config__.tag
    return VideoEventKind(tag)


def pictures(path: Path, clip: Clip) -> Iterator[tuple[float, Picture]]:
    """Yield the pictures of which a clip's synthetic film is made, with their time in it."""
    import av

    next_s = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is None or frame.time > clip.until_s:
                break
            if frame.time < next_s:
                continue
            next_s = max(next_s + clip.every_s, frame.time + clip.every_s / 2)
            if 0 < clip.width_px < frame.width:
                height = round(clip.width_px * frame.height / frame.width / 2) * 2
                small = frame.reformat(width=clip.width_px, height=height, interpolation="AREA")
            else:
                small = frame
            yield float(frame.time), np.asarray(small.to_ndarray(format="rgb24"), dtype=np.uint8)
