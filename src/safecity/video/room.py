"""One shard of cameras: streams, recordings, analysis, live view; asyncio outside and threads inside."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity.clock import Clock
from safecity.config import VideoSection
from safecity.errors import Configuration, NotFound
from safecity.model.observation import Observation
from safecity.model.source import Camera, CameraState
from safecity.video.analysis import Analysis
from safecity.video.archive import Archive, EntryListener, Retention
from safecity.video.bitstream import StreamInfo, VideoPacket
from safecity.video.camera import CameraConfig
from safecity.video.detector import Detector
from safecity.video.live import FragmentKind, FragmentListener, LiveStart, LiveView
from safecity.video.picture import still
from safecity.video.recorder import Recorder
from safecity.video.recovery import Recovered
from safecity.video.reports import CameraFigures, intrusion_observation, state_observation
from safecity.video.rules import Intrusion
from safecity.video.session import Backoff, StreamSession

log = structlog.get_logger()

MAX_CAMERAS: Final = 16
"""Cameras of one process: a crash in a native library costs one shard."""
TICK_S: Final = 0.5
OUTBOX_LIMIT: Final = 1000
"""Observations that wait for the bus at most; then the oldest go, counted."""
RETRY_S: Final = 1.0
REMIND_S: Final = 5.0
"""How often a camera without a picture says so again: rules wait how long it lasts."""

Publish = Callable[[Observation], Awaitable[None]]


class VideoRoom:
    """Records, watches and shows the cameras it is given, and publishes what they see and how they are."""

    def __init__(
        self,
        configs: Sequence[CameraConfig],
        directory: Path,
        publish: Publish,
        clock: Clock,
        *,
        settings: VideoSection | None = None,
        on_entry: EntryListener | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Prepare; nothing runs before `start`.

        directory: where recordings go. publish: takes an observation to the bus; it is tried again until it
        succeeds. on_entry: told of each index entry (file, gap, deletion) once it is on disk, in the
        archive's thread. Raises Configuration for more than 16 cameras or an id that is given twice.
        """
        if len(configs) > MAX_CAMERAS:
            raise Configuration(f"one video process takes {MAX_CAMERAS} cameras; start another for the rest")
        if len({config.id for config in configs}) != len(configs):
            raise Configuration("two cameras have the same id; give each its own")
        self._settings = settings or VideoSection()
        self._directory = directory
        self._publish = publish
        self._clock = clock
        self._backoff = backoff
        self._configs = list(configs)
        retention = Retention(
            max_age_s=self._settings.retention_days * 86_400,
            min_free_bytes=self._settings.min_free_mb * 1024 * 1024,
        )
        self._archive = Archive(directory, retention, clock, on_entry or _tell_nobody)
        self._analysis = Analysis(self._configs, self._make_detector, self._on_event, clock)
        self._units: dict[str, _Unit] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outbox: asyncio.Queue[Observation] = asyncio.Queue(OUTBOX_LIMIT)
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: list[FragmentListener] = []
        self.outbox_dropped = 0

    async def start(self) -> None:
        """Repair the recordings, then connect to all cameras; states tell how that goes.

        Raises Configuration when the directory cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        try:
            for config in self._configs:
                found = await asyncio.to_thread(self._archive.open_camera, config.id)
                self._units[config.id] = self._make_unit(config, found)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise Configuration(f"recordings cannot be kept in {self._directory}: {reason}") from error
        self._archive.start()
        self._analysis.start()
        for unit in self._units.values():
            unit.session.start()
        self._tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._send())]

    async def stop(self) -> None:
        """Close all connections and files, and enter them in the index."""
        for unit in self._units.values():
            unit.session.stop()
        await asyncio.to_thread(self._join_sessions)
        await asyncio.to_thread(self._analysis.stop, 2.0)
        await asyncio.to_thread(self._archive.stop, 5.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _join_sessions(self) -> None:
        """Wait for all streams together, at most as long as one silent camera may hold its thread."""
        end_s = self._clock.monotonic_s() + self._settings.rtsp_timeout_s + 0.5
        for unit in self._units.values():
            if not unit.session.join(max(end_s - self._clock.monotonic_s(), 0.0)):
                log.warning("a stream does not end", camera=unit.config.id)

    def cameras(self) -> list[Camera]:
        """Return all cameras as people may see them, with their present states."""
        return [unit.camera() for unit in self._units.values()]

    def figures(self) -> list[CameraFigures]:
        """Return the counters of all cameras."""
        return [unit.figures() for unit in self._units.values()]

    def on_fragment(self, listener: FragmentListener) -> None:
        """Call `listener(camera_id, kind, data)` in the event loop for each fragment that is looked at."""
        self._listeners.append(listener)

    async def live_start(self, camera_id: str) -> LiveStart:
        """Return what a new viewer of a camera needs, and keep its fragments coming for 15 s.

        Raises NotFound for a camera that isn't of this room, Unavailable while it has no picture.
        """
        return self._unit(camera_id).live.start()

    async def still(self, camera_id: str) -> bytes:
        """Return a camera's last keyframe as JPEG. Raises NotFound and Unavailable as `live_start`."""
        info, packet = self._unit(camera_id).live.last_key()
        return await asyncio.to_thread(still, info, packet)

    def _unit(self, camera_id: str) -> "_Unit":
        if camera_id not in self._units:
            raise NotFound(f"camera {camera_id} is not here")
        return self._units[camera_id]

    def _make_detector(self) -> Detector:
        return Detector(
            confidence=self._settings.detector_confidence, threads=self._settings.detector_threads
        )

    def _make_unit(self, config: CameraConfig, found: Recovered) -> "_Unit":
        recorder = Recorder(
            config.id,
            self._archive.folder(config.id),
            self._archive,
            self._clock,
            link=found.link,
            last_end=found.last_end,
            segment_s=self._settings.segment_s,
        )
        live = LiveView(config.id, self._clock, self._on_live)
        sink = _Fan(config.id, recorder, live, self._analysis)

        def on_state(state: CameraState, reason: str) -> None:
            self._in_loop(self._report, config.id)

        session = StreamSession(
            config,
            sink,
            on_state,
            self._clock,
            timeout_s=self._settings.rtsp_timeout_s,
            backoff=self._backoff,
        )
        return _Unit(config, session, recorder, live, self._analysis, self._clock.now())

    def _in_loop(self, call: Callable[..., None], *values: object) -> None:
        """Run `call` in the event loop; called by the threads."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before this thread
                self._loop.call_soon_threadsafe(call, *values)

    def _on_live(self, camera_id: str, kind: FragmentKind, data: bytes) -> None:
        self._in_loop(self._fan_out, camera_id, kind, data)

    def _fan_out(self, camera_id: str, kind: FragmentKind, data: bytes) -> None:
        for listener in self._listeners:
            listener(camera_id, kind, data)

    def _on_event(self, camera_id: str, event: Intrusion) -> None:
        self._in_loop(self._put, intrusion_observation(self._units[camera_id].config, event, self._clock))

    def _report(self, camera_id: str) -> None:
        """Publish how a camera is, if that has changed since it was last said."""
        observation = self._units[camera_id].state_change(self._clock)
        if observation is not None:
            self._put(observation)

    def _put(self, observation: Observation) -> None:
        if self._outbox.full():
            self._outbox.get_nowait()
            self.outbox_dropped += 1
        self._outbox.put_nowait(observation)

    async def _tick(self) -> None:
        while True:
            for camera_id, unit in self._units.items():
                unit.session.watch()
                self._report(camera_id)
            await asyncio.sleep(TICK_S)

    async def _send(self) -> None:
        while True:
            observation = await self._outbox.get()
            while True:
                try:
                    await self._publish(observation)
                    break
                except Exception as error:
                    log.warning("the bus takes no video events now", error=type(error).__name__)
                    await asyncio.sleep(RETRY_S)


class _Fan:
    """Hands one camera's stream to the recorder first, then to those who may never hold it up."""

    def __init__(self, camera_id: str, recorder: Recorder, live: LiveView, analysis: Analysis) -> None:
        self._camera_id = camera_id
        self._recorder = recorder
        self._live = live
        self._analysis = analysis
        self._info: StreamInfo | None = None

    def begin(self, info: StreamInfo) -> None:
        self._info = info
        self._recorder.begin(info)
        self._live.begin(info)

    def add(self, packet: VideoPacket) -> None:
        self._recorder.add(packet)
        self._live.add(packet)
        if self._info is not None:
            self._analysis.offer(self._camera_id, self._info, packet)

    def end(self, reason: str) -> None:
        self._recorder.end(reason)
        self._live.end(reason)
        self._analysis.restart(self._camera_id)


class _Unit:
    """One camera with all that belongs to it."""

    def __init__(
        self,
        config: CameraConfig,
        session: StreamSession,
        recorder: Recorder,
        live: LiveView,
        analysis: Analysis,
        now: datetime,
    ) -> None:
        self.config = config
        self.session = session
        self.live = live
        self._recorder = recorder
        self._analysis = analysis
        self._watch = analysis.watches[config.id]
        self._said: tuple[CameraState, str, bool] | None = None
        self._said_at = now
        self._since = now

    def camera(self) -> Camera:
        state, reason, recording = self._now()
        return msgspec.structs.replace(
            self.config.setup.public(),
            state=state,
            state_since=self._since,
            state_reason=reason,
            recording=recording,
        )

    def state_change(self, clock: Clock) -> Observation | None:
        now = self._now()
        if now == self._said and not self._remind(now[0], clock.now()):
            return None
        self._said_at = clock.now()
        if self._said is None or now[0] is not self._said[0]:
            self._since = clock.now()
        self._said = now
        return state_observation(self.config, *now, clock)

    def _remind(self, state: CameraState, now: datetime) -> bool:
        away = state in (CameraState.LOST, CameraState.REFUSED, CameraState.STALLED)
        return away and (now - self._said_at).total_seconds() >= REMIND_S

    def figures(self) -> CameraFigures:
        stream, recorder, watch = self.session.counters, self._recorder.counters, self._watch.counters
        return CameraFigures(
            camera_id=self.config.id,
            state=self.session.state[0],
            recording=self._recorder.is_recording,
            watched=self._analysis.is_watching,
            packets=stream.packets,
            octets=stream.octets,
            outages=stream.outages,
            discontinuities=stream.discontinuities,
            recorded_octets=recorder.octets,
            files=recorder.files,
            gaps=recorder.gaps,
            lost_packets=recorder.lost_packets,
            disk_errors=recorder.disk_errors,
            frames_dropped=watch.dropped,
            frames_skipped=watch.skipped,
            frames_decoded=watch.decoded,
            frames_looked_at=watch.looked_at,
            detections=watch.detections,
            events=watch.events,
        )

    def _now(self) -> tuple[CameraState, str, bool]:
        state, reason = self.session.state
        storage = self._recorder.storage_reason
        if state is CameraState.LIVE and storage:
            reason = storage
        return state, reason, self._recorder.is_recording


def _tell_nobody(entry: object) -> None:
    """Ignore an index entry: the index itself is on disk."""
