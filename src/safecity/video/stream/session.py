"""One camera's stream: connect, read, hand on, notice the end, try again."""

import contextlib
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import structlog

from safecity.clock import Clock
from safecity.errors import Invalid
from safecity.model.source import CameraState
from safecity.model.video import StreamRole
from safecity.video.camera import CameraConfig
from safecity.video.stream.admission import Admission, account_key
from safecity.video.stream.backoff import Backoff
from safecity.video.stream.bitstream import StreamInfo, VideoPacket
from safecity.video.stream.film import FilmSource
from safecity.video.stream.reader import Reader, ReaderCounters
from safecity.video.stream.rtsp import RtspSource
from safecity.video.stream.source import (
    Description,
    LostError,
    RawPacket,
    RawSound,
    RefusedError,
    SoundInfo,
    SoundSink,
    Source,
)
from safecity.video.stream.timeline import Timeline

__all__ = ["Backoff", "PacketSink", "SessionCounters", "StreamSession"]

log = structlog.get_logger()

STALL_AFTER_S: Final = 1.5
"""Without a packet for so long a live stream counts as stalled; slower picture rates are no video."""
KEYFRAME_LIMIT_S: Final = 20.0
"""A stream in which no keyframe came for so long after it began is given up; cameras send one every few s."""

StateListener = Callable[[CameraState, str], None]


class PacketSink(Protocol):
    """Who gets the stream. Called only in the stream's own thread."""

    def begin(self, info: StreamInfo) -> None:
        """Expect packets of `info` from now on, the first a keyframe; called anew when the stream changes."""
        ...

    def add(self, packet: VideoPacket) -> None:
        """Take the next packet."""
        ...

    def end(self, reason: str) -> None:
        """Know that the stream has ended, and why."""
        ...


class SessionCounters(ReaderCounters):
    """What a stream has seen since the program started; written by its thread, read by anyone."""

    packets: int = 0
    octets: int = 0
    connects: int = 0
    outages: int = 0


class StreamSession:
    """Pulls one stream of a camera in its own thread, for ever, and says how that goes.

    A camera is an RTSP address, or a file or folder that is played as if a camera sent it.
    """

    def __init__(
        self,
        config: CameraConfig,
        sink: PacketSink,
        on_state: StateListener,
        clock: Clock,
        *,
        role: StreamRole = StreamRole.MAIN,
        timeout_s: float = 3.0,
        backoff: Backoff | None = None,
        files_dir: Path | None = None,
        admission: Admission | None = None,
        sound: SoundSink | None = None,
    ) -> None:
        """Prepare the session of the stream `role`; `start` connects.

        on_state is called in the stream's thread or in `watch`, once per change, with the reason in words.
        timeout_s: without data for so long the connection counts as dead. files_dir: where file cameras may
        be; None refuses them. admission: shared by all sessions of the process, so that streams of one device
        do not lock its account together. sound: takes the sound too, where an RTSP camera sends AAC; the
        reason of the live state says where it doesn't. Raises
        Invalid for a stream that the camera doesn't have.
        """
        if not config.has_stream(role):
            raise Invalid(f"camera {config.id} has no sub-stream; name its address first")
        self.config = config
        self.role = role
        self.counters = SessionCounters()
        self._sink = sink
        self._on_state = on_state
        self._clock = clock
        self._timeout_s = timeout_s
        self._backoff = backoff or Backoff()
        self._files_dir = files_dir
        self._admission = admission or Admission(clock)
        self._sound = sound
        self._about_sound = ""
        self._url = config.setup.url if role is StreamRole.MAIN else config.setup.sub_url
        # Only an account can be locked.
        self._account = account_key(config, self._url) if config.user else None
        self._timeline = Timeline()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._state = CameraState.CONNECTING
        self._reason = ""
        self._last_packet_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"stream-{config.id}", daemon=True)

    @property
    def state(self) -> tuple[CameraState, str]:
        """Return the state and its reason."""
        with self._lock:
            return self._state, self._reason

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it closes its own connection."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; return whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def watch(self) -> None:
        """Notice that a live stream has stopped coming. Called about twice a second, from any thread."""
        silent_s = self._clock.monotonic_s() - self._last_packet_s
        if silent_s > STALL_AFTER_S and self.state[0] is CameraState.LIVE:
            self._set_state(CameraState.STALLED, "no picture is coming", only_from=CameraState.LIVE)

    def _run(self) -> None:
        failures = 0
        while self._wait_for_turn():
            started_s = self._clock.monotonic_s()
            state, reason = self._attempt()
            if self._stop.is_set():
                break
            if self._clock.monotonic_s() - started_s > self._backoff.settled_s:
                failures = 0
            failures += 1
            self._set_state(state, reason)
            refused = state is CameraState.REFUSED
            self._stop.wait(self._backoff.wait_s(failures, refused=refused))

    def _wait_for_turn(self) -> bool:
        """Wait until the account may be tried; return False when the session has to end."""
        while not self._stop.is_set():
            wait_s = self._admission.enter(self._account) if self._account else 0.0
            if wait_s <= 0.0:
                return True
            if self._account and self._admission.is_shut(self._account):
                self._set_state(CameraState.REFUSED, "wrong user or password")
            self._stop.wait(wait_s)
        return False

    def _attempt(self) -> tuple[CameraState, str]:
        """Connect and read until it ends; return the state and reason that follow."""
        self.counters.connects += 1
        self._about_sound = ""
        reader = Reader(self._timeline, self._clock, self.counters)
        try:
            self._read(reader)
            outcome = (CameraState.LOST, "the camera closed the connection")
        except RefusedError as error:
            outcome = (CameraState.REFUSED, str(error))
            if error.of_account and self._account:
                self._admission.refused(self._account, self._backoff.refused_s)
        except LostError as error:
            outcome = (CameraState.LOST, str(error))
        except Exception:
            # A defect in one camera's handling must not end its recording for good.
            # The trace is written out here: loggers may add local variables, and FFmpeg's show the account.
            trace = traceback.format_exc()
            log.error("a stream failed in our own code", camera=self.config.id, trace=trace)
            outcome = (CameraState.LOST, "internal error; see the log")
        if self._account:
            self._admission.left(self._account)
        if reader.info is not None:
            self.counters.outages += not self._stop.is_set()
            self._sink.end("the program was stopped" if self._stop.is_set() else outcome[1])
        return outcome

    def _source(self) -> Source:
        if self._url.startswith("file:"):
            return FilmSource(self._url, self._files_dir, self._clock, self._stop)
        return RtspSource(self.config, self.role, self._timeout_s, self._clock, sound=self._sound is not None)

    def _read(self, reader: Reader) -> None:
        begun_s = self._clock.monotonic_s()
        with contextlib.closing(self._source().parts()) as parts:
            for part in parts:
                if self._stop.is_set():
                    return
                if isinstance(part, RawPacket):
                    self._take(reader, part)
                    if reader.info is None and self._last_packet_s - begun_s > KEYFRAME_LIMIT_S:
                        raise LostError("the camera sends no keyframe that can be used")
                elif isinstance(part, Description):
                    if self._account:
                        self._admission.accepted(self._account)
                    reader.begin(part)
                else:
                    self._take_sound(reader, part)

    def _take(self, reader: Reader, raw: RawPacket) -> None:
        self._last_packet_s = self._clock.monotonic_s()
        self.counters.packets += 1
        self.counters.octets += sum(map(len, raw.nals))
        known = reader.info
        for packet in reader.read(raw):
            if reader.info is not None and reader.info is not known:
                known = reader.info
                self._sink.begin(known)
            self._sink.add(packet)
            if self._state is not CameraState.LIVE:
                self._set_state(CameraState.LIVE, self._about_sound)

    def _take_sound(self, reader: Reader, part: SoundInfo | RawSound) -> None:
        if self._sound is None:
            return
        if isinstance(part, SoundInfo):
            if part.can_be_kept:
                self._sound.begin_sound(part)
                return
            self._about_sound = f"no sound is recorded: the camera sends {part.codec or 'none'}, not AAC"
            log.warning("a camera's sound is not recorded", camera=self.config.id, codec=part.codec)
        elif (packet := reader.read_sound(part)) is not None:
            self._sound.add_sound(packet)

    def _set_state(self, state: CameraState, reason: str, only_from: CameraState | None = None) -> None:
        with self._lock:
            if (state, reason) == (self._state, self._reason):
                return
            if only_from is not None and self._state is not only_from:
                return
            self._state, self._reason = state, reason
        self._on_state(state, reason)
