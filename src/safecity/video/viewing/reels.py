"""Recordings as films to be shown: which there are of a camera, what is missing between them, their parts.

Read only, beside a running recorder: of a file that is still being written, all whole fragments count.
"""

import bisect
import mmap
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from safecity.errors import NotFound
from safecity.model.base import Noun
from safecity.video.recording import index
from safecity.video.recording.fmp4 import Fragment, scan
from safecity.video.recording.index import DeletedEntry, FileOutline, GapEntry, OutageEntry
from safecity.video.recording.naming import moment_of
from safecity.video.recording.sound import sound_of
from safecity.video.stream.bitstream import StreamInfo, described_by
from safecity.video.viewing.fragments import outline_of, timescales

TOUCH_S: Final = 0.5
"""Two files so close to each other are one film: their times are known to some tenths of a second."""
KEPT_REELS: Final = 32
"""Opened films that are remembered; past it the one that was used least recently is forgotten."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Gap(Noun, frozen=True):
    """A time of which there is no recording, and why."""

    start: datetime
    end: datetime
    reason: str


class Film(NamedTuple):
    """One recorded file. `end` is None while it is being written."""

    path: Path
    start: datetime
    end: datetime | None


class Part(NamedTuple):
    """One fragment of a file: bytes, times in 1/90000 s from its beginning, whether a keyframe begins it.

    shown_at: when each of its pictures is shown, in decoding order.
    """

    offset: int
    size: int
    start_ticks: int
    end_ticks: int
    is_key: bool
    shown_at: tuple[int, ...]


class Reel:
    """One file opened: how to decode it and where its fragments are."""

    def __init__(self, film: Film) -> None:
        """Read the file's structure. Raises NotFound when it is gone or holds nothing whole, Invalid."""
        try:
            found = scan(film.path)
            with film.path.open("rb") as file:
                self.init = file.read(found.init_size)
            self.parts = _parts(film.path, found.fragments) if found.fragments else ()
        except (OSError, ValueError) as error:
            raise NotFound("this recording is no longer there") from error
        if not self.parts or not any(part.is_key for part in self.parts):
            raise NotFound("nothing of this recording can be shown yet; try again in some seconds")
        self.film = film
        self.info: StreamInfo = described_by(self.init)
        self.sound = sound_of(self.init)
        self.scales = timescales(self.init)
        self.keys = [number for number, part in enumerate(self.parts) if part.is_key]
        shown = sorted(ticks for part in self.parts[self.keys[0] :] for ticks in part.shown_at)
        # Where pictures come out of order all are shown later than decoded; the film begins with its first.
        self.lead_ticks = shown[0] - self.parts[self.keys[0]].start_ticks
        self.times = [ticks - self.lead_ticks for ticks in shown]

    @property
    def end_ticks(self) -> int:
        """Return where the last whole fragment ends."""
        return self.parts[-1].end_ticks

    def key_before(self, ticks: int) -> int:
        """Return which fragment a decoder begins with to show `ticks`."""
        starts = [self.parts[key].start_ticks for key in self.keys]
        return self.keys[max(bisect.bisect_right(starts, ticks) - 1, 0)]

    def read(self, first: int, end: int) -> bytes:
        """Return the bytes of fragments `first` to `end` - 1. Raises NotFound when the file is gone."""
        try:
            with self.film.path.open("rb") as file:
                file.seek(self.parts[first].offset)
                return b"".join(self._whole(file.read(part.size), part) for part in self.parts[first:end])
        except OSError as error:
            raise NotFound("this recording is no longer there") from error

    def moment(self, ticks: int) -> datetime:
        """Return when `ticks` of this film was."""
        return self.film.start + timedelta(microseconds=(ticks * 100 + 4) // 9)

    def ticks(self, at: datetime) -> int:
        """Return where `at` is in this film; `moment` of it is `at` again, to the microsecond."""
        return ((at - self.film.start) // _MICROSECOND * 9 + 50) // 100

    @staticmethod
    def _whole(data: bytes, part: Part) -> bytes:
        if len(data) != part.size:
            raise NotFound("this recording is no longer whole")
        return data


class Shelf:
    """The films of one camera, oldest first, and the known gaps."""

    def __init__(self, films: Sequence[Film], gaps: Sequence[Gap]) -> None:
        """Hold them; both are in the order of time."""
        self.films = films
        self._gaps = gaps
        self._starts = [film.start for film in films]

    def number_at(self, at: datetime) -> int:
        """Return which film is the last that began at `at` or before, -1 when none did."""
        return bisect.bisect_right(self._starts, at) - 1

    def gap(self, start: datetime, end: datetime) -> Gap | None:
        """Return what is missing between two moments of which nothing is recorded, None when they touch."""
        if end - start <= timedelta(seconds=TOUCH_S):
            return None
        reasons = dict.fromkeys(gap.reason for gap in self._gaps if gap.start < end and gap.end > start)
        return Gap(start=start, end=end, reason="; ".join(reasons) or "there is no recording of this time")


class Library:
    """The recordings of all cameras; remembers what it read until the files change. Used by many threads."""

    def __init__(self, directory: Path) -> None:
        """Read below `directory`."""
        self._directory = directory
        self._shelves: dict[str, tuple[object, list[Film], list[Gap], set[str]]] = {}
        self._lock = threading.Lock()
        self._reels: OrderedDict[tuple[Path, int], Reel] = OrderedDict()

    def shelf(self, camera_id: str) -> Shelf:
        """Return what is recorded of a camera. Raises NotFound when nothing is."""
        folder = self._directory / camera_id
        films, gaps, known = self._entered(camera_id, folder)
        films = films + _open_films(folder, films[-1].path if films else None, known)
        if not films:
            raise NotFound("there is no recording of this camera")
        return Shelf(films, gaps)

    def reel(self, film: Film) -> Reel:
        """Return a film opened. Raises NotFound when it is gone."""
        try:
            key = (film.path, film.path.stat().st_size)
        except OSError as error:
            raise NotFound("this recording is no longer there") from error
        with self._lock:
            reel = self._reels.get(key)
        if reel is None or reel.film != film:
            # Opened outside the lock: a large film must not hold up those who play others.
            reel = Reel(film)
        with self._lock:
            self._reels[key] = reel
            self._reels.move_to_end(key)
            while len(self._reels) > KEPT_REELS:
                self._reels.popitem(last=False)
        return reel

    def _entered(self, camera_id: str, folder: Path) -> tuple[list[Film], list[Gap], set[str]]:
        try:
            status = (folder / index.INDEX_NAME).stat()
        except OSError:
            return [], [], set()
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        kept = self._shelves.get(camera_id)
        if kept is None or kept[0] != state:
            kept = (state, *_read_index(folder))
            self._shelves[camera_id] = kept
        return kept[1], kept[2], kept[3]


def _read_index(folder: Path) -> tuple[list[Film], list[Gap], set[str]]:
    films: dict[str, Film] = {}
    gaps: dict[datetime, Gap] = {}
    known: set[str] = set()
    for _, entry in index.outline(folder):
        match entry:
            case FileOutline():
                films[entry.path] = Film(folder / entry.path, entry.start, entry.end)
                known.add(entry.path)
            case DeletedEntry():
                films.pop(entry.path, None)
            case OutageEntry():
                gaps[entry.start] = Gap(start=entry.start, end=_NEVER, reason=entry.reason)
            case GapEntry():
                gaps[entry.start] = Gap(start=entry.start, end=entry.end, reason=entry.reason)
            case _:
                pass
    return (
        sorted(films.values(), key=lambda film: film.start),
        sorted(gaps.values(), key=lambda gap: gap.start),
        known,
    )


def _open_films(folder: Path, last: Path | None, known: set[str]) -> list[Film]:
    """Return the files later than the index's last one: being written, or on their way into the index."""
    last_name = f"{last.parent.name}/{last.name}" if last is not None else ""
    found = []
    for day in sorted(folder.glob("????-??-??")):
        if last is not None and day.name < last.parent.name:
            continue
        for path in sorted(day.glob("*.mp4")):
            name = f"{day.name}/{path.name}"
            start = moment_of(name)
            if start is not None and name > last_name and name not in known:
                found.append(Film(path, start, None))
    return found


def _parts(path: Path, fragments: Sequence[Fragment]) -> tuple[Part, ...]:
    parts = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for piece in fragments:
            size = int.from_bytes(data[piece.offset : piece.offset + 4], "big")
            moof = data[piece.offset : piece.offset + size]
            end = piece.start_ticks + piece.duration_ticks
            told = outline_of(moof)
            parts.append(Part(piece.offset, piece.size, piece.start_ticks, end, told.is_key, told.shown_at))
    return tuple(parts)
