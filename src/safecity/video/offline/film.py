"""The pipeline of the cameras on a film: its packets go to a camera's watch, as fast as it can look."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from safecity.clock import ManualClock
from safecity.errors import Invalid
from safecity.model.video import CameraSetup, StreamRole
from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.camera import CameraConfig
from safecity.video.detector import Detections
from safecity.video.event import VideoEvent
from safecity.video.offline.recorded import DetectionsWriter, Look, rounded
from safecity.video.offline.report import Report
from safecity.video.stream.bitstream import TICKS_PER_S, StreamInfo, VideoPacket
from safecity.video.watching.mailbox import Waiting
from safecity.video.watching.sighting import Finder
from safecity.video.watching.tracker import Tracks
from safecity.video.watching.watch import CameraWatch

_OPTIONS: Final = {
    # A play list that calls itself a film could otherwise read any file or address.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,h264,hevc,mjpeg,ogg",
}
_DAY_ONE: Final = datetime(1970, 1, 1, tzinfo=UTC)

Coded = tuple[StreamInfo, VideoPacket]
Progress = Callable[[float, float | None], None]


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

    every_s: seconds of film between two close looks. save: write the detections there. on_progress: called
    with the film's time, and its length if it is known, after each packet.
    Raises Invalid when the file is no film, or none of its pictures can be decoded.
    """
    with Film(path) as film:
        analysis = FilmAnalysis(path.name, setup, finder, every_s=every_s)
        if save is None:
            _run(film, analysis, on_progress)
        else:
            with DetectionsWriter(save) as analysis.writer:
                _run(film, analysis, on_progress)
    report = analysis.report(film.last_s, film.damaged)
    if not report.pictures:
        raise Invalid(f"{path} holds no picture that can be decoded")
    return report


def _run(film: "Film", analysis: "FilmAnalysis", on_progress: Progress) -> None:
    for coded in film.packets():
        analysis.see(coded)
        on_progress(film.last_s, film.length_s)


class Film:
    """A file's packets, with times from 0 for the first picture that is shown.

    last_s: when the latest picture is shown. damaged: packets that the file itself calls damaged.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises Invalid when it is no film."""
        import av

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
        self._stream: Any = self._container.streams.video[0]
        duration = self._container.duration
        self.length_s = duration / av.time_base if duration else None
        coded = self._stream.codec_context
        self.info = StreamInfo(
            coded.name, (), coded.width, coded.height, b"", bytes(coded.extradata or b""), ""
        )

    def __enter__(self) -> "Film":
        """Return the film."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._container.close()

    def packets(self) -> Iterator[Coded]:
        """Yield the packets; the first is a keyframe, and decoding times never run backwards."""
        scale = float(self._stream.time_base) * TICKS_PER_S
        step = TICKS_PER_S / float(self._stream.average_rate or 25)
        first: int | None = None
        next_ticks = 0
        for packet in self._demuxed():
            if not packet.size or (first is None and not packet.is_keyframe):
                continue
            shown = packet.pts if packet.pts is not None else packet.dts
            first = shown if first is None and shown is not None else first or 0
            dts = next_ticks if packet.dts is None else round((packet.dts - first) * scale)
            ticks = dts if next_ticks == 0 else max(dts, next_ticks - round(step / 2))
            shift = 0 if shown is None else round((shown - first) * scale) - ticks
            duration = round((packet.duration or 0) * scale) or round(step)
            next_ticks = ticks + duration
            self.damaged += bool(packet.is_corrupt)
            self.last_s = max(self.last_s, (ticks + shift) / TICKS_PER_S)
            shown_s = (ticks + shift) / TICKS_PER_S
            yield self.info, VideoPacket(bytes(packet), ticks, shift, duration, packet.is_keyframe, shown_s)

    def _demuxed(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except self._errors:
            # The rest of the file cannot be read; what came before counts.
            self.damaged += 1


class FilmAnalysis:
    """A camera's watch over the packets of one film: nothing is late, so that nothing is left out."""

    def __init__(self, name: str, setup: CameraSetup, finder: Finder, *, every_s: float = 0.2) -> None:
        """Watch by the rules of `setup`; look closely at most every `every_s` of film."""
        self.writer: DetectionsWriter | None = None
        self.events: list[VideoEvent] = []
        self._name = name
        self._every_s = every_s
        self._finder = _Rounding(finder)
        self._watch = CameraWatch(CameraConfig(setup=setup), ManualClock(_DAY_ONE), self._note)
        self._info: StreamInfo | None = None
        self._classes: dict[int, ObjectClass] = {}

    def see_all(self, packets: Iterable[Coded]) -> list[VideoEvent]:
        """Take all packets of a film; return its events."""
        for coded in packets:
            self.see(coded)
        return self.events

    def see(self, coded: Coded) -> None:
        """Take the next packet, as a camera's small stream brings it: every picture is seen."""
        is_first = self._info is None
        self._info, packet = coded
        waiting = Waiting(self._info, packet, is_first, 0.0, StreamRole.SUB)
        seen = self._watch.process(waiting, self._finder, self._every_s)
        self.events += [msgspec.structs.replace(one.event, time_s=round(one.event.time_s, 3)) for one in seen]

    def _note(self, film_s: float, found: Detections, tracks: Tracks) -> None:
        note_classes(self._classes, tracks)
        if self.writer is not None and self._info is not None:
            self.writer.add(Look(film_s, found), self._name, self._info.width, self._info.height)

    def report(self, film_s: float, damaged: int) -> Report:
        """Return what was found."""
        counters = self._watch.counters
        return Report(
            film=self._name,
            film_s=film_s,
            pictures=counters.gated,
            looked_at=counters.looked_at,
            damaged=damaged + counters.damaged,
            events=tuple(self.events),
            objects=object_counts(self._classes),
            counted=self._watch.counts,
        )


class _Rounding:
    """Finds as exactly as detections are recorded, so that a replay sees just the same."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder

    def detect(self, frame: Any) -> Detections:
        return rounded(self._finder.detect(frame))


def note_classes(classes: dict[int, ObjectClass], tracks: Tracks) -> None:
    """Note of what class each track is that counts."""
    for row in np.flatnonzero(tracks.confirmed & tracks.seen):
        classes[int(tracks.ids[row])] = CLASSES[int(tracks.classes[row])]


def object_counts(classes: dict[int, ObjectClass]) -> dict[str, int]:
    """Return how many objects of each class were followed; one that was lost and found counts twice."""
    counts: defaultdict[str, int] = defaultdict(int)
    for kind in classes.values():
        counts[kind.value] += 1
    return dict(counts)
