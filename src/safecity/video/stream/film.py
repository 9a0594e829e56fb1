"""Files and folders as cameras: played in real time, in name order, without end.

Only what lies in the folder that the configuration allows is opened, and only as a film: a play list or a
script of FFmpeg that calls itself a film could otherwise read any file or address.
"""

import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import av
import structlog

from safecity.clock import Clock
from safecity.video.stream.bitstream import CODECS, TICKS_PER_S, split_lengths, split_nals, split_record
from safecity.video.stream.reorder import NOMINAL_TICKS
from safecity.video.stream.source import Description, LostError, Part, RawPacket, RefusedError, in_ticks

log = structlog.get_logger()

SUFFIXES: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".avi", ".ts", ".h264", ".264", ".h265", ".hevc"}
)
_FORMATS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,h264,hevc"


class FilmSource:
    """One file again and again, or the files of one folder, as if a camera sent them now."""

    def __init__(self, url: str, files_dir: Path | None, clock: Clock, stop: threading.Event) -> None:
        """Play `url` (file:///FILE-OR-FOLDER), which must lie in `files_dir`, until `stop` is set."""
        self._path = Path(unquote(urlsplit(url).path))
        self._files_dir = files_dir
        self._clock = clock
        self._stop = stop
        self._start_s = 0.0
        self._ticks = 0

    def parts(self) -> Generator[Part]:
        """Yield the films' pictures when they are due.

        Raises RefusedError when there is no film that can be played, LostError when it went away meanwhile.
        """
        played = False
        self._start_s = self._clock.monotonic_s()
        while not self._stop.is_set():
            before = self._ticks
            reasons: list[str] = []
            for path in self._films(was_there=played):
                try:
                    yield from self._play(path)
                except av.error.FFmpegError:
                    reasons.append("it is no film or is damaged")
                except RefusedError as error:
                    reasons.append(str(error))
                if self._stop.is_set():
                    return
            if self._ticks == before:
                raise RefusedError(f"no film here can be played: {reasons[0] if reasons else 'it is empty'}")
            played = True

    def _films(self, *, was_there: bool) -> list[Path]:
        """Return the films in name order, each surely inside the allowed folder."""
        if self._files_dir is None:
            raise RefusedError("file cameras are switched off; name their folder in video.files_dir")
        try:
            root, path = self._files_dir.resolve(strict=True), self._path.resolve(strict=True)
            if not path.is_relative_to(root):
                raise RefusedError("this file lies outside video.files_dir")
            if path.is_file():
                return [path]
            inside = (child.resolve() for child in sorted(path.iterdir()) if child.suffix.lower() in SUFFIXES)
            films = [child for child in inside if child.is_file() and child.is_relative_to(root)]
        except OSError:
            if was_there:
                raise LostError("the file or folder is gone") from None
            raise RefusedError("there is no such file or folder in video.files_dir") from None
        if not films:
            raise RefusedError("the folder holds no film")
        return films

    def _play(self, path: Path) -> Iterator[Part]:
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        with av.open(f"file:{path}", options=options) as container:
            if not container.streams.video:
                raise RefusedError("the film has no picture")
            stream: Any = container.streams.video[0]
            codec = stream.codec_context.name
            if codec not in CODECS:
                raise RefusedError(f"the film holds {codec}; convert it to H.264 or H.265")
            sets, length_size = split_record(codec, stream.codec_context.extradata or b"")
            yield Description(codec, sets, stream.codec_context.reorder_depth)
            yield from self._packets(container, stream, length_size)

    def _packets(self, container: Any, stream: Any, length_size: int) -> Iterator[RawPacket]:
        """Yield each packet when it is due, dated on from the film before."""
        scale_s = float(stream.time_base or 0)
        base, end, first = self._ticks, self._ticks, None
        for packet in container.demux(stream):
            if not packet.size:
                continue
            step = in_ticks(packet.duration, scale_s) or NOMINAL_TICKS
            own = in_ticks(packet.dts, scale_s)
            if own is not None and first is None:
                first = own
            dts = end if own is None or first is None else max(base + own - first, end - step)
            shift = in_ticks(packet.pts - packet.dts, scale_s) if None not in {packet.pts, packet.dts} else 0
            end = self._ticks = dts + step
            if not self._wait_until(dts):
                return
            data = bytes(packet)
            nals = split_lengths(data, length_size) if length_size else split_nals(data)
            yield RawPacket(nals, dts + (shift or 0), dts, step, packet.is_corrupt)

    def _wait_until(self, ticks: int) -> bool:
        """Wait until `ticks` of the films is now; return False when playing has to end."""
        wait_s = self._start_s + ticks / TICKS_PER_S - self._clock.monotonic_s()
        if wait_s < -1.0:
            # We were held up: go on from here instead of hurrying through what was missed.
            self._start_s -= wait_s
        return not self._stop.wait(max(wait_s, 0.0))
