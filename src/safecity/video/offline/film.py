"""The pipeline on a film: each picture that is due goes through the gate, and where it moves, closely on."""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from safecity.errors import Invalid
from safecity.model.video import CameraSetup
from safecity.video.event import VideoEvent
from safecity.video.offline.recorded import DetectionsWriter, Look, rounded
from safecity.video.offline.replay import Follower
from safecity.video.offline.report import Report
from safecity.video.watching.gate import MotionGate
from safecity.video.watching.sighting import Finder

HOLD_S: Final = 5.0
"""How long pictures are looked at closely after the last motion, as for a camera."""
RETRO_S: Final = 2.0
"""How far back from the first motion pictures are looked at; a camera looks back to the last keyframe."""
RETRO_BYTES: Final = 128 * 1024 * 1024
_OPTIONS: Final = {
    # A play list that calls itself a film could otherwise read any file or address.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,h264,hevc,mjpeg,ogg",
}

Progress = Callable[[float, float | None], None]


class _Shot(NamedTuple):
    frame: Any
    film_s: float


def analyse_film(
    path: Path,
    setup: CameraSetup,
    finder: Finder,
    *,
    every_s: float = 0.2,
    save: Path | None = None,
    on_progress: Progress = lambda _at_s, _length_s: None,
) -> Report:
    """Return what the rules of `setup` say to the film at `path`.

    every_s: seconds of film between two pictures that are looked at. save: write the detections there.
    on_progress: called with the film's time, and its length if it is known, after each picture.
    Raises Invalid when the file is no film, or none of its pictures can be decoded.
    """
    film = _Film(path)
    with film:
        analysis = _Analysis(path.name, setup, finder)
        if save is None:
            _run(film, analysis, every_s, on_progress)
        else:
            with DetectionsWriter(save) as analysis.writer:
                _run(film, analysis, every_s, on_progress)
    if not analysis.pictures:
        raise Invalid(f"{path} holds no picture that can be decoded")
    return analysis.report(film.last_s, film.damaged)


def _run(film: "_Film", analysis: "_Analysis", every_s: float, on_progress: Progress) -> None:
    next_s = 0.0
    for shot in film.shots():
        if shot.film_s + 1e-6 < next_s:
            continue
        next_s = max(next_s + every_s, shot.film_s + every_s / 2)
        analysis.see(shot)
        on_progress(shot.film_s, film.length_s)


class _Film:
    """A file's pictures and their times, from 0."""

    def __init__(self, path: Path) -> None:
        import av

        self._path = path
        self._errors = av.error.FFmpegError
        self.damaged = 0
        self.last_s = 0.0
        try:
            self._container = av.open(str(path), options=dict(_OPTIONS))
        except (OSError, ValueError, av.error.FFmpegError) as error:
            raise Invalid(f"{path} is no film that can be read") from error
        if not self._container.streams.video:
            self._container.close()
            raise Invalid(f"{path} holds no pictures")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        duration = self._container.duration
        self.length_s = duration / av.time_base if duration else None

    def __enter__(self) -> "_Film":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def shots(self) -> Iterator[_Shot]:
        """Yield the pictures; what is damaged is counted and left out, and time never runs backwards."""
        rate = float(self._stream.average_rate or 25)
        first_s: float | None = None
        for number, frame in enumerate(self._frames()):
            shown_s = frame.time if frame.time is not None else number / rate
            first_s = shown_s if first_s is None else first_s
            self.last_s = max(self.last_s, shown_s - first_s)
            yield _Shot(frame, self.last_s)

    def _frames(self) -> Iterator[Any]:
        try:
            for packet in self._container.demux(self._stream):
                yield from self._decoded(packet)
        except self._errors:
            # The rest of the file cannot be read; what came before counts.
            self.damaged += 1

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return list(packet.decode())
        except self._errors:
            self.damaged += 1
            return []


class _Analysis:
    """Gate, detector, tracker and rules of one film."""

    def __init__(self, name: str, setup: CameraSetup, finder: Finder) -> None:
        self.writer: DetectionsWriter | None = None
        self.pictures = 0
        self._name = name
        self._finder = finder
        self._gate = MotionGate()
        self._follower = Follower(setup)
        self._events: list[VideoEvent] = []
        self._kept: deque[_Shot] = deque()
        self._active_until_s = -1.0

    def see(self, shot: _Shot) -> None:
        """Take the next picture that is due."""
        self.pictures += 1
        is_moving = self._gate.look(shot.frame, shot.film_s).active
        engine = self._follower.engine
        self._events += engine.look_at_picture(shot.frame, shot.film_s, is_moving)
        self._kept.append(shot)
        if is_moving:
            self._active_until_s = shot.film_s + HOLD_S
        if shot.film_s <= self._active_until_s:
            while self._kept:
                self._look(self._kept.popleft())
        elif engine.wants_look(shot.film_s):
            self._kept.clear()
            self._look(shot)
        else:
            self._drop_old(shot)

    def _drop_old(self, shot: _Shot) -> None:
        picture_bytes = max(shot.frame.width * shot.frame.height * 3 // 2, 1)
        limit = max(RETRO_BYTES // picture_bytes, 1)
        while len(self._kept) > limit or self._kept[0].film_s < shot.film_s - RETRO_S:
            self._kept.popleft()

    def _look(self, shot: _Shot) -> None:
        width_px, height_px = shot.frame.width, shot.frame.height
        look = Look(round(shot.film_s, 4), rounded(self._finder.detect(shot.frame)))
        if self.writer is not None:
            self.writer.add(look, self._name, width_px, height_px)
        self._events += self._follower.look(look, width_px, height_px)

    def report(self, film_s: float, damaged: int) -> Report:
        """Return what was found."""
        return Report(
            film=self._name,
            film_s=film_s,
            pictures=self.pictures,
            looked_at=self._follower.looked_at,
            damaged=damaged,
            events=tuple(self._events),
            objects=self._follower.objects(),
            counted=self._follower.engine.counts,
        )
