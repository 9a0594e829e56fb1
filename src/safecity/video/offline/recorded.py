"""What the detector saw in a film, as lines of JSON, to try rules without film and detector.

The first line says the film's name, its size and the classes. Each further line is one picture that was
looked at: its time, and for each object the number of its class, its score, and left, top, right, bottom in
pixels.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, NamedTuple, TextIO, TypeVar

import msgspec
import numpy as np

from safecity.errors import Invalid, StorageFull
from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import Detections

_LINE_LIMIT_BYTES: Final = 1_000_000
"""A picture with ten thousand objects stays below."""
_PX_DECIMALS: Final = 1
_SCORE_DECIMALS: Final = 3

Struct = TypeVar("Struct", bound=msgspec.Struct)
Pixels = Annotated[float, msgspec.Meta(ge=-100_000, le=100_000)]
Score = Annotated[float, msgspec.Meta(ge=0, le=1)]
Row = tuple[Annotated[int, msgspec.Meta(ge=0)], Score, Pixels, Pixels, Pixels, Pixels]
Side = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class _Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    film: str
    width_px: Side
    height_px: Side
    classes: tuple[ObjectClass, ...]


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    s: Annotated[float, msgspec.Meta(ge=0)]
    objects: list[Row]


class Look(NamedTuple):
    """One picture that was looked at closely."""

    film_s: float
    found: Detections


class Recording(NamedTuple):
    """What was seen in a film of this size, in the order of time."""

    film: str
    width_px: int
    height_px: int
    looks: tuple[Look, ...]


def rounded(found: Detections) -> Detections:
    """Return detections as exact as they are written, so that a replay sees just the same."""
    return Detections(
        found.boxes.round(_PX_DECIMALS).astype(np.float32),
        found.scores.round(_SCORE_DECIMALS).astype(np.float32),
        found.classes,
    )


class DetectionsWriter:
    """Writes a recording while a film is analysed."""

    def __init__(self, path: Path) -> None:
        """Open `path` to write. Raises Invalid when that cannot be."""
        self._path = path
        self._has_head = False
        try:
            self._file: TextIO = path.open("w", encoding="utf-8")
        except OSError as error:
            raise Invalid(f"{path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> "DetectionsWriter":
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._write_end()

    def add(self, look: Look, film: str, width_px: int, height_px: int) -> None:
        """Write one picture. Raises StorageFull when the disk takes no more."""
        if not self._has_head:
            self._has_head = True
            head = _Head(film=film, width_px=width_px, height_px=height_px, classes=CLASSES)
            self._put(msgspec.json.encode(head))
        found = look.found
        rows = [
            (int(kind), round(float(score), _SCORE_DECIMALS), *(round(float(x), _PX_DECIMALS) for x in box))
            for box, score, kind in zip(*found, strict=True)
        ]
        self._put(msgspec.json.encode({"s": round(look.film_s, 6), "objects": rows}))

    def _put(self, line: bytes) -> None:
        try:
            self._file.write(line.decode() + "\n")
        except OSError as error:
            raise StorageFull(f"{self._path} cannot be written: {error.strerror}") from error

    def _write_end(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise StorageFull(f"{self._path} cannot be written: {error.strerror}") from error


def read_recording(path: Path) -> Recording:
    """Return the recorded detections in `path`. Raises Invalid with the line that is wrong."""
    try:
        with path.open("rb") as file:
            lines = _lines(path, file.readline)
            head = _decode(path, 1, next(lines, b""), _Head)
            looks = tuple(_looks(path, head, lines))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
    return Recording(head.film, head.width_px, head.height_px, looks)


def _lines(path: Path, readline: Callable[[int], bytes]) -> Iterator[bytes]:
    number = 0
    while line := readline(_LINE_LIMIT_BYTES):
        number += 1
        if len(line) == _LINE_LIMIT_BYTES:
            raise Invalid(f"{path}, line {number} is too long for recorded detections")
        yield line


def _looks(path: Path, head: _Head, lines: Iterator[bytes]) -> Iterator[Look]:
    numbers = np.array([CLASSES.index(kind) for kind in head.classes], dtype=np.intp)
    before_s = 0.0
    for number, line in enumerate(lines, 2):
        read = _decode(path, number, line, _Line)
        if read.s < before_s:
            raise Invalid(f"{path}, line {number}: the time runs backwards")
        before_s = read.s
        rows = np.array(read.objects, dtype=np.float64).reshape(-1, 6)
        kinds = rows[:, 0].astype(np.intp)
        if (kinds >= len(numbers)).any():
            raise Invalid(f"{path}, line {number} names a class that the first line doesn't")
        yield Look(
            read.s, Detections(rows[:, 2:].astype(np.float32), rows[:, 1].astype(np.float32), numbers[kinds])
        )


def _decode(path: Path, number: int, line: bytes, kind: type[Struct]) -> Struct:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise Invalid(f"{path}, line {number} is no line of recorded detections: {error}") from error
