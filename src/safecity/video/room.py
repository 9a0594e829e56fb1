"""One shard of cameras: streams, recordings, analysis, live view; asyncio outside and threads inside."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from safecity.clock import Clock
from safecity.config import VideoSection
from safecity.errors import Configuration, NotFound
from safecity.model.observation import Observation
from safecity.model.source import Camera
from safecity.model.video import CAMERAS_PER_SHARD, CameraSetup, Hold, StreamRole
from safecity.video.camera import CameraConfig
from safecity.video.detector import Detections, Detector, make_detector
from safecity.video.live import FragmentKind, FragmentListener, LiveStart
from safecity.video.masking.hidden import CONFIDENCE
from safecity.video.recording.archive import Archive, EntryListener, Retention
from safecity.video.recording.index import Entry
from safecity.video.recording.recorder import Recorder
from safecity.video.reports import CameraFigures, event_observation, with_snapshot
from safecity.video.stream.admission import Admission
from safecity.video.stream.session import Backoff
from safecity.video.unit import CameraUnit, Surroundings
from safecity.video.watching.analysis import Analysis
from safecity.video.watching.sighting import Seen
from safecity.video.watching.snapshots import Snapshot, Snapshots

log = structlog.get_logger()

TICK_S: Final = 0.5
OUTBOX_LIMIT: Final = 1000
"""Observations that wait for the bus at most; then the oldest go, counted."""
RETRY_S: Final = 1.0
OPEN_AGAIN_S: Final = 5.0
"""How long a camera waits whose recordings the disk refused to open, or another process still writes."""
HANDING_OVER_S: Final = 2.0
"""So much longer than the end of a silent stream another process may take to hand a camera over."""

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
        backoff: Backoff | None = None,
        watching: bool = True,
    ) -> None:
        """Prepare; nothing runs before `start`.

        configs: the cameras to begin with; `apply` changes them. directory: where recordings go. publish:
        takes an observation to the bus; it is tried again until it succeeds. watching: false only records and
        shows. Raises Configuration for more than 16 cameras or an id that is given twice.
        """
        _check(configs)
        self._settings = settings or VideoSection()
        self._directory = directory
        self._publish = publish
        self._clock = clock
        self._first = tuple(configs)
        retention = Retention(
            max_age_s=self._settings.retention_days * 86_400,
            min_free_bytes=self._settings.min_free_mb * 1024 * 1024,
        )
        # Another process that gives a camera up ends its stream first.
        patience_s = self._settings.rtsp_timeout_s + HANDING_OVER_S
        self._archive = Archive(directory, retention, clock, self._tell_entry, patience_s=patience_s)
        self._detector: Detector | None = None
        self._snapshots = Snapshots(directory, self._search)
        self._analysis = Analysis(self._make_detector, self._on_event, clock)
        self._watching = watching
        self._shared = Surroundings(
            analysis=self._analysis,
            clock=clock,
            on_fragment=self._on_live,
            on_state=lambda camera_id: self._in_loop(self._report, camera_id),
            admission=Admission(clock),
            files_dir=Path(self._settings.files_dir) if self._settings.files_dir else None,
            sound_allowed=self._settings.audio_allowed,
            timeout_s=self._settings.rtsp_timeout_s,
            backoff=backoff,
            watching=watching,
        )
        self._units: dict[str, CameraUnit] = {}
        self._wanted: dict[str, CameraConfig] = {}
        self._last_event: dict[str, datetime] = {}
        self._applying = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outbox: asyncio.Queue[Observation] = asyncio.Queue(OUTBOX_LIMIT)
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: list[FragmentListener] = []
        self._entry_listeners: list[EntryListener] = []
        self.outbox_dropped = 0

    async def start(self) -> None:
        """Repair the recordings, then connect to all cameras; states tell how that goes.

        Raises Configuration when the directory cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            opened = [await asyncio.to_thread(self._open, config) for config in self._first]
        except OSError as error:
            reason = error.strerror or "it takes too long"
            raise Configuration(f"recordings cannot be kept in {self._directory}: {reason}") from error
        self._archive.start()
        self._snapshots.start()
        if self._watching:
            self._analysis.start()
        for unit in opened:
            self._admit(unit)
        self._tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._send())]

    async def stop(self) -> None:
        """Close all connections and files, and enter them in the index."""
        units, self._units = self._units, {}
        await asyncio.to_thread(self._end, list(units.values()), "the program was stopped")
        await asyncio.to_thread(self._analysis.stop, 2.0)
        await asyncio.to_thread(self._snapshots.stop, 1.0)
        await asyncio.to_thread(self._archive.stop, 5.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def apply(
        self,
        configs: Sequence[CameraConfig],
        holds: Sequence[Hold] | None = None,
        resting: Sequence[CameraSetup] = (),
    ) -> None:
        """Have exactly these cameras from now on; those whose decisions are the same notice nothing.

        A change of rules or masks interrupts nothing; one of address or account begins that stream anew.
        holds: what must not be deleted; None: that isn't known, and nothing is. resting: cameras that are
        switched off, whose recordings stay by their policy.
        Raises Configuration for more cameras than one process takes; then nothing changes.
        """
        _check(configs)
        async with self._applying:
            # First what must not be deleted, then who might.
            self._archive.set_holds(holds)
            wanted = self._wanted = {config.id: config for config in configs if config.setup.enabled}
            for setup in (*resting, *(config.setup for config in configs)):
                self._archive.set_policy(setup.id, setup.retention)
            await self._dismiss([unit for id_, unit in self._units.items() if id_ not in wanted])
            for config in wanted.values():
                unit = self._units.get(config.id)
                if unit is None:
                    await self._add(config)
                elif unit.config != config:
                    await asyncio.to_thread(unit.apply, config)

    async def _add(self, config: CameraConfig) -> None:
        """Take over a camera. One whose recordings the disk refuses is tried again; the others go on."""
        try:
            self._admit(await asyncio.to_thread(self._open, config))
        except OSError as error:
            reason = error.strerror or "it takes too long"
            log.error("a camera's recordings cannot be opened", camera=config.id, reason=reason)
            task = asyncio.create_task(self._add_later(config))
            self._tasks.append(task)
            task.add_done_callback(self._tasks.remove)

    async def _add_later(self, config: CameraConfig) -> None:
        await asyncio.sleep(OPEN_AGAIN_S)
        async with self._applying:
            if config.id not in self._units and config.id in self._wanted:
                await self._add(self._wanted[config.id])

    def _admit(self, unit: CameraUnit) -> None:
        self._units = {**self._units, unit.config.id: unit}
        unit.start()

    async def _dismiss(self, units: list[CameraUnit]) -> None:
        gone = {unit.config.id for unit in units}
        self._units = {id_: unit for id_, unit in self._units.items() if id_ not in gone}
        if units:
            await asyncio.to_thread(self._end, units, "the camera was removed or switched off")
        for camera_id in gone:
            self._archive.remove_camera(camera_id)

    def _end(self, units: list[CameraUnit], reason: str) -> None:
        """End streams together: their files at once, their threads as soon as a silent camera lets them."""
        for unit in units:
            unit.stop()
        for unit in units:
            unit.shut(reason)
        end_s = self._clock.monotonic_s() + self._settings.rtsp_timeout_s + 0.5
        for unit in units:
            if not unit.join(max(end_s - self._clock.monotonic_s(), 0.0)):
                log.warning("a stream's thread does not end; it is cut off", camera=unit.config.id)

    def _open(self, config: CameraConfig) -> CameraUnit:
        """Repair a camera's recordings and prepare all that belongs to it. Raises OSError."""
        found = self._archive.add_camera(config.id, config.setup.retention)
        recorder = Recorder(
            config.id,
            self._archive.folder(config.id),
            self._archive,
            self._clock,
            link=found.link,
            last_end=found.last_end,
            outage=found.outage,
            segment_s=self._settings.segment_s,
        )
        return CameraUnit(config, recorder, self._shared)

    def cameras(self) -> list[Camera]:
        """Return all cameras as people may see them, with their present states."""
        return [unit.camera() for unit in self._units.values()]

    def recording_since(self) -> dict[str, datetime | None]:
        """Return for each camera when the file began that is being written, None without one."""
        return {camera_id: unit.recording_since for camera_id, unit in self._units.items()}

    def figures(self) -> list[CameraFigures]:
        """Return the counters of all cameras."""
        return [unit.figures() for unit in self._units.values()]

    def counters(self) -> dict[str, float]:
        """Return what concerns no single camera: analysis, snapshots, recordings, what waits for the bus."""
        snapshots, archive = self._snapshots.counters, self._archive.counters
        return {
            "watching": float(self._analysis.is_watching),
            "analysis_restarts_total": float(self._analysis.counters.restarts),
            "snapshots_total": float(snapshots.written),
            "snapshots_missing_total": float(snapshots.dropped + snapshots.failed),
            "recordings_deleted_for_space_total": float(archive.deleted_for_space),
            "archive_disk_errors_total": float(archive.disk_errors),
            "recordings_unsynced_total": float(archive.unsynced),
            "archive_clock_doubts_total": float(archive.clock_doubts),
            "observations_dropped_total": float(self.outbox_dropped),
        }

    def on_entry(self, listener: EntryListener) -> None:
        """Call `listener(entry)` for each index entry (file, gap, deletion) that is on disk.

        It is called in the archive's thread. Say so before `start`.
        """
        self._entry_listeners.append(listener)

    def on_fragment(self, listener: FragmentListener) -> None:
        """Call `listener(camera_id, name, kind, data)` in the event loop for each fragment looked at."""
        self._listeners.append(listener)

    async def live_start(
        self, camera_id: str, role: StreamRole = StreamRole.MAIN, *, keep: bool = True
    ) -> LiveStart:
        """Return what a new viewer of a camera's stream needs, and keep its fragments coming for 15 s.

        keep: false only to look at what is there. Raises NotFound for a camera that isn't of this room,
        Unavailable while it has no picture.
        """
        return self._unit(camera_id).view(role).start(role, keep=keep)

    def _make_detector(self) -> Detector:
        """Return the detector; called in the analysis thread, once."""
        self._detector = make_detector(self._settings)
        return self._detector

    def _search(self, small: Any) -> Detections | None:
        """Look for people with care, for a snapshot; called in the thread that writes them."""
        return self._detector.detect(small, CONFIDENCE) if self._detector is not None else None

    def _unit(self, camera_id: str) -> CameraUnit:
        if camera_id not in self._units:
            raise NotFound(f"camera {camera_id} is not here")
        return self._units[camera_id]

    def _in_loop(self, call: Callable[..., None], *values: object) -> None:
        """Run `call` in the event loop; called by the threads."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before this thread
                self._loop.call_soon_threadsafe(call, *values)

    def _on_live(self, camera_id: str, name: StreamRole, kind: FragmentKind, data: bytes) -> None:
        self._in_loop(self._fan_out, camera_id, name, kind, data)

    def _fan_out(self, camera_id: str, name: StreamRole, kind: FragmentKind, data: bytes) -> None:
        for listener in self._listeners:
            listener(camera_id, name, kind, data)

    def _tell_entry(self, entry: Entry) -> None:
        for listener in self._entry_listeners:
            listener(entry)

    def _on_event(self, camera_id: str, seen: Seen) -> None:
        """Tell of an event and keep its picture; called in the analysis thread."""
        unit = self._units.get(camera_id)
        if unit is None:
            return
        moment = self._own_moment(camera_id, datetime.fromtimestamp(seen.event.time_s, UTC))
        told = event_observation(unit.config, seen.event, moment, self._clock)
        if self._snapshots.take(Snapshot(told.id, moment, seen.frame, seen.persons, seen.setup)):
            told = with_snapshot(told)
        self._in_loop(self._put, told)

    def _own_moment(self, camera_id: str, moment: datetime) -> datetime:
        """Return a moment that no event of the camera has: two in the same picture are two facts."""
        last = self._last_event.get(camera_id)
        if last is not None and abs(moment - last) < timedelta(milliseconds=1):
            moment = last + timedelta(microseconds=1)
        self._last_event[camera_id] = moment
        return moment

    def _report(self, camera_id: str) -> None:
        """Publish how a camera is, if that has changed since it was last said."""
        unit = self._units.get(camera_id)
        observation = unit.state_change() if unit is not None else None
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
                unit.watch()
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


def _check(configs: Sequence[CameraConfig]) -> None:
    if len(configs) > CAMERAS_PER_SHARD:
        raise Configuration(
            f"one video process takes {CAMERAS_PER_SHARD} cameras; start another for the rest"
        )
    if len({config.id for config in configs}) != len(configs):
        raise Configuration("two cameras have the same id; give each its own")
