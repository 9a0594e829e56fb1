"""One camera's stream: connect, read, hand on, notice the end, try again."""

import random
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final, Protocol

import av
import msgspec
import structlog

from safecity.clock import Clock
from safecity.errors import Invalid
from safecity.model.source import CameraState
from safecity.video.bitstream import (
    CODECS,
    TICKS_PER_S,
    Codec,
    StreamInfo,
    VideoPacket,
    describe,
    join_sample,
    split_nals,
)
from safecity.video.camera import CameraConfig
from safecity.video.timeline import Timeline

log = structlog.get_logger()

STALL_AFTER_S: Final = 1.5
"""Without a packet for so long a live stream counts as stalled; slower picture rates are no video."""

StateListener = Callable[[CameraState, str], None]


class PacketSink(Protocol):
    """Who gets the stream. Called only in the stream's own thread."""

    def begin(self, info: StreamInfo) -> None:
        """Expect packets of `info` from now on, the first of them a keyframe."""
        ...

    def add(self, packet: VideoPacket) -> None:
        """Take the next packet."""
        ...

    def end(self, reason: str) -> None:
        """Know that the stream has ended, and why."""
        ...


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait before trying again: doubled each time, with jitter so that cameras come apart.

    refused_s: the wait after a refusal; cameras lock accounts that are tried too often.
    settled_s: a stream that lasted so long starts again with `first_s`.
    """

    first_s: float = 0.5
    limit_s: float = 30.0
    refused_s: float = 30.0
    settled_s: float = 10.0

    def wait_s(self, failures: int, *, refused: bool) -> float:
        """Return the wait after `failures` in a row: between half and the whole of the nominal one."""
        nominal_s = (
            self.refused_s if refused else min(self.limit_s, self.first_s * 2 ** min(failures - 1, 16))
        )
        return nominal_s * random.uniform(0.5, 1.0)  # noqa: S311  jitter needs no secrecy


class SessionCounters(msgspec.Struct):
    """What a stream has seen since the program started; written by its thread, read by anyone."""

    packets: int = 0
    octets: int = 0
    connects: int = 0
    outages: int = 0
    discontinuities: int = 0
    unusable: int = 0


class _RefusedError(Exception):
    """The camera answered and doesn't give us a stream that can be used; the sentence says why."""


class StreamSession:
    """Pulls one camera by RTSP over TCP in its own thread, for ever, and says how that goes."""

    def __init__(
        self,
        config: CameraConfig,
        sink: PacketSink,
        on_state: StateListener,
        clock: Clock,
        *,
        timeout_s: float = 3.0,
        backoff: Backoff | None = None,
    ) -> None:
        """Prepare the session; `start` connects.

        on_state is called in the stream's thread or in `watch`, once per change, with the reason in words.
        timeout_s: without data for so long the connection counts as dead.
        """
        self.config = config
        self.counters = SessionCounters()
        self._sink = sink
        self._on_state = on_state
        self._clock = clock
        self._timeout_s = timeout_s
        self._backoff = backoff or Backoff()
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
        while not self._stop.is_set():
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

    def _attempt(self) -> tuple[CameraState, str]:
        """Connect and read until it ends; return the state and reason that follow."""
        self.counters.connects += 1
        reader = _Reader(self._timeline, self._clock)
        try:
            self._read(reader)
            outcome = (CameraState.LOST, "the camera ended the stream")
        except _RefusedError as error:
            outcome = (CameraState.REFUSED, str(error))
        except av.error.FFmpegError as error:
            outcome = _explain(error)
        except Exception:
            # A defect in one camera's handling must not end its recording for good.
            # The trace is written out here: loggers may add local variables, and FFmpeg's show the account.
            trace = traceback.format_exc()
            log.error("a stream failed in our own code", camera=self.config.id, trace=trace)
            outcome = (CameraState.LOST, "internal error; see the log")
        if reader.info is not None:
            self.counters.outages += not self._stop.is_set()
            self._sink.end("the program was stopped" if self._stop.is_set() else outcome[1])
        return outcome

    def _read(self, reader: "_Reader") -> None:
        with _open(self.config, self._timeout_s) as container:
            if not container.streams.video:
                raise _RefusedError("the camera sends no video")
            stream = container.streams.video[0]
            name = stream.codec_context.name
            if name not in CODECS:
                raise _RefusedError(f"the camera sends {name}; set it to H.264 or H.265")
            reader.begin(CODECS[name], stream.codec_context.extradata or b"", float(stream.time_base or 0))
            for packet in container.demux(stream):
                if self._stop.is_set():
                    return
                if packet.size:
                    self._take(reader, packet)

    def _take(self, reader: "_Reader", packet: Any) -> None:
        self._last_packet_s = self._clock.monotonic_s()
        self.counters.packets += 1
        self.counters.octets += packet.size
        known = reader.info
        made = reader.read(packet)
        self.counters.discontinuities = self._timeline.discontinuities
        if made is None or reader.info is None:
            self.counters.unusable += 1
            return
        if reader.info is not known:
            self._sink.begin(reader.info)
        self._sink.add(made)
        if self._state is not CameraState.LIVE:
            self._set_state(CameraState.LIVE, "")

    def _set_state(self, state: CameraState, reason: str, only_from: CameraState | None = None) -> None:
        with self._lock:
            if (state, reason) == (self._state, self._reason):
                return
            if only_from is not None and self._state is not only_from:
                return
            self._state, self._reason = state, reason
        self._on_state(state, reason)


class _Reader:
    """Turns FFmpeg's packets of one connection into ours."""

    def __init__(self, timeline: Timeline, clock: Clock) -> None:
        self.info: StreamInfo | None = None
        self._timeline = timeline
        self._clock = clock
        self._codec = CODECS["h264"]
        self._sets: dict[int, list[bytes]] = {}
        self._scale = 1.0
        timeline.reconnect()

    def begin(self, codec: Codec, extradata: bytes, time_base_s: float) -> None:
        """Know codec and parameter sets as the session description gives them."""
        self._codec = codec
        self._scale = time_base_s * TICKS_PER_S
        self._learn(split_nals(extradata))

    def read(self, packet: Any) -> VideoPacket | None:
        """Return the packet in our form, or None while no keyframe has come or when it holds no picture."""
        nals = split_nals(bytes(packet))
        kinds = {self._codec.kind(nal) for nal in nals}
        is_key = bool(kinds & self._codec.keys)
        raw = packet.dts if packet.dts is not None else packet.pts
        arrival_s = self._clock.monotonic_s()
        moment = self._timeline.place(None if raw is None else round(raw * self._scale), arrival_s)
        if kinds & self._codec.sets:
            self._learn(nals)
        pictures = [nal for nal in nals if self._codec.kind(nal) not in self._codec.no_picture]
        if is_key:
            self._describe(pictures)
        if self.info is None or not pictures:
            return None
        shift = 0 if packet.pts is None or raw is None else round((packet.pts - raw) * self._scale)
        return VideoPacket(
            join_sample(pictures),
            moment.ticks,
            shift,
            moment.duration_ticks,
            is_key,
            self._clock.now().timestamp() - moment.lag_s,
        )

    def _learn(self, nals: list[bytes]) -> None:
        found: dict[int, list[bytes]] = {}
        for nal in nals:
            kind = self._codec.kind(nal)
            if kind in self._codec.sets and nal not in found.setdefault(kind, []):
                found[kind].append(nal)
        self._sets.update(found)

    def _describe(self, pictures: list[bytes]) -> None:
        sets = tuple(nal for kind in sorted(self._sets) for nal in self._sets[kind])
        if self.info is not None and self.info.parameter_sets == sets:
            return
        try:
            self.info = describe(self._codec, sets, pictures)
        except Invalid as error:
            raise _RefusedError(str(error)) from error


def _open(config: CameraConfig, timeout_s: float) -> Any:
    options = {
        "rtsp_transport": "tcp",
        "timeout": str(int(timeout_s * 1e6)),
        # Sound is not taken at all: keeping it would be a policy of its own.
        "allowed_media_types": "video",
        # The session description and the first keyframe tell what probing would find out slowly.
        "probesize": "32",
        "analyzeduration": "0",
    }
    return av.open(config.address(), options=options, timeout=(timeout_s * 2, timeout_s))


def _explain(error: av.error.FFmpegError) -> tuple[CameraState, str]:
    """Return what an error of FFmpeg means. Its own text is never used: it holds address and account."""
    refusals = (
        (av.error.HTTPUnauthorizedError, "wrong user or password"),
        (av.error.HTTPForbiddenError, "this account may not see the stream"),
        (av.error.HTTPNotFoundError, "the camera has no stream at this path"),
        (av.error.HTTPClientError, "the camera refuses the request"),
    )
    for kind, reason in refusals:
        if isinstance(error, kind):
            return CameraState.REFUSED, reason
    losses = (
        (ConnectionRefusedError, "nothing answers at the camera's address"),
        ((TimeoutError, av.error.ExitError), "the camera stopped sending"),
        ((av.error.EOFError, ConnectionError), "the camera closed the connection"),
        (av.error.InvalidDataError, "the camera's answer is not understood"),
    )
    for kinds, reason in losses:
        if isinstance(error, kinds):
            return CameraState.LOST, reason
    return CameraState.LOST, "the network to the camera failed"
