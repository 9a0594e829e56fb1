"""A real session that records into a real archive."""

import itertools
from pathlib import Path

import av

from safecity.clock import SystemClock
from safecity.model.source import CameraState
from safecity.video.camera import CameraConfig
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.index import Entry, FileEntry, GapEntry
from safecity.video.recording.recorder import Recorder
from safecity.video.stream.bitstream import StreamInfo, VideoPacket
from safecity.video.stream.session import Backoff, StreamSession

QUICK = Backoff(first_s=0.05, limit_s=0.2, refused_s=0.2)


class Recording:
    """A session that records into a directory, with everything it said."""

    def __init__(self, config: CameraConfig, directory: Path, **how) -> None:
        clock = SystemClock()
        self.told: list[Entry] = []
        self.states: list[tuple[CameraState, str]] = []
        self.archive = Archive(directory, Retention(min_free_bytes=0), clock, self.told.append)
        found = self.archive.open_camera(config.id)
        self.folder = self.archive.folder(config.id)
        self.recorder = Recorder(
            config.id, self.folder, self.archive, clock, link=found.link, last_end=found.last_end
        )
        options = {"timeout_s": 1.0, "backoff": QUICK, **how}
        self.session = StreamSession(config, self.recorder, self._hear, clock, **options)
        self.archive.start()
        self.session.start()

    def _hear(self, state: CameraState, reason: str) -> None:
        self.states.append((state, reason))

    def is_in(self, state: CameraState) -> bool:
        self.session.watch()
        return self.session.state[0] is state

    def has(self, fragments: int) -> bool:
        """Return whether so many fragments have been written."""
        return self.recorder.counters.fragments >= fragments

    def gaps(self) -> list[GapEntry]:
        """Return the gaps entered so far."""
        return [entry for entry in self.told if isinstance(entry, GapEntry)]

    def films(self) -> list[Path]:
        """Return the finished files in the order of the index."""
        return [self.folder / entry.path for entry in self.told if isinstance(entry, FileEntry)]

    def played(self, misplaced: int = 0) -> list[tuple[str, int, int, int]]:
        """Return codec, width, height and decoded pictures of each finished file.

        misplaced: pictures that may be shown at the time of another one.
        """
        return [_play(path, misplaced) for path in self.films()]

    def close(self) -> None:
        self.session.stop()
        assert self.session.join(5)
        assert self.archive.stop(5)


def _play(path: Path, misplaced: int) -> tuple[str, int, int, int]:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        shown = [frame.pts for frame in container.decode(video=0)]
        assert sum(b <= a for a, b in itertools.pairwise(shown)) <= misplaced
        return context.name, context.width, context.height, len(shown)


class Taker:
    """A session whose packets are only kept, while the `with` block runs."""

    def __init__(self, config: CameraConfig, *, lasting: bool = False, **how) -> None:
        """Prepare. lasting: wait after refusals as in real life."""
        self.infos: list[StreamInfo] = []
        self.packets: list[VideoPacket] = []
        self.ends: list[str] = []
        self.states: list[tuple[CameraState, str]] = []
        options = {"timeout_s": 1.0, "backoff": Backoff() if lasting else QUICK, **how}
        self.session = StreamSession(config, self, self._hear, SystemClock(), **options)

    def _hear(self, state: CameraState, reason: str) -> None:
        self.states.append((state, reason))

    def begin(self, info: StreamInfo) -> None:
        self.infos.append(info)

    def add(self, packet: VideoPacket) -> None:
        self.packets.append(packet)

    def end(self, reason: str) -> None:
        self.ends.append(reason)

    def __enter__(self) -> "Taker":
        self.session.start()
        return self

    def __exit__(self, *_) -> None:
        self.session.stop()
        assert self.session.join(8)
