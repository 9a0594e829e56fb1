"""One camera with all that belongs to it: its streams, recorder, live views and analysis."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from safecity.clock import Clock
from safecity.model.observation import Observation
from safecity.model.source import Camera, CameraState
from safecity.model.video import StreamRole
from safecity.video.camera import CameraConfig
from safecity.video.live import FragmentListener, LiveView
from safecity.video.recording.recorder import Recorder
from safecity.video.reports import CameraFigures, state_observation
from safecity.video.stream.admission import Admission
from safecity.video.stream.bitstream import StreamInfo, VideoPacket
from safecity.video.stream.session import Backoff, StreamSession
from safecity.video.stream.tap import Tap
from safecity.video.watching.analysis import Analysis

REMIND_S: Final = 5.0
"""How often a camera without a picture says so again: rules wait how long it lasts."""
_COUNTED: Final = ("packets", "octets", "connects", "outages", "discontinuities")

State = tuple[CameraState, str, bool]


class Surroundings(msgspec.Struct, frozen=True):
    """What all cameras of a room share.

    on_state: called with a camera's id, in any thread. admission: who may try to log in now. files_dir: where
    file cameras may be, None where there are none. sound_allowed: sound is kept where a
    setup asks for it. watching: pictures are analysed, not only recorded.
    """

    analysis: Analysis
    clock: Clock
    on_fragment: FragmentListener
    on_state: Callable[[str], None]
    admission: Admission
    files_dir: Path | None
    sound_allowed: bool
    timeout_s: float
    backoff: Backoff | None
    watching: bool = True


class _Line(msgspec.Struct):
    """One stream: its session, and the tap behind it."""

    session: StreamSession
    tap: Tap


class CameraUnit:
    """One camera. Its methods are for the room's thread; its streams work in threads of their own."""

    def __init__(self, config: CameraConfig, recorder: Recorder, shared: Surroundings) -> None:
        """Prepare; `start` connects."""
        self.config = config
        self._recorder = recorder
        self._shared = shared
        self._watch = shared.analysis.add(config)
        self._views = {role: LiveView(config.id, shared.clock, shared.on_fragment) for role in StreamRole}
        self._sub_flows = False
        self._lines: dict[StreamRole, _Line] = {}
        self._ended = dict.fromkeys(_COUNTED, 0)
        self._said: State | None = None
        self._said_at = self._since = shared.clock.now()
        for role in StreamRole:
            if config.has_stream(role):
                self._lines[role] = self._line(role)

    def start(self) -> None:
        """Begin to connect; what is not recorded from now on is a gap."""
        self._recorder.admit()
        for line in self._lines.values():
            line.session.start()

    def stop(self) -> None:
        """Ask the sessions to end; `shut` then closes what they fed."""
        for line in self._lines.values():
            line.session.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the sessions; return whether all have ended within `timeout_s`."""
        end_s = self._shared.clock.monotonic_s() + timeout_s
        return all(
            line.session.join(max(end_s - self._shared.clock.monotonic_s(), 0.0))
            for line in self._lines.values()
        )

    def shut(self, reason: str) -> None:
        """Let no session feed this camera any more, also one that hangs; its file is closed."""
        for line in self._lines.values():
            line.tap.shut(reason)
        self._shared.analysis.remove(self.config.id)

    def apply(self, config: CameraConfig) -> None:
        """Be this camera from now on. Only a stream whose address, account or way has changed begins anew.

        May wait for a disk, as closing a file does.
        """
        old, self.config = self.config, config
        self._shared.analysis.configure(config)
        for role in StreamRole:
            if self._connection(old, role) != self._connection(config, role):
                self._connect_anew(role)

    def _connect_anew(self, role: StreamRole) -> None:
        lines = dict(self._lines)
        old = lines.pop(role, None)
        if old is not None:
            old.session.stop()
            old.tap.shut("the camera's settings were changed")
            for name in _COUNTED:
                self._ended[name] += getattr(old.session.counters, name)
        if self.config.has_stream(role):
            lines[role] = self._line(role, old)
            lines[role].session.start()
        # Others read the table at any moment: they see the old one or the new one.
        self._lines = lines

    def _line(self, role: StreamRole, before: _Line | None = None) -> _Line:
        sink = _MainSink(self) if role is StreamRole.MAIN else _SubSink(self)
        heard = self._recorder if self._takes_sound(self.config, role) else None
        tap = Tap(sink, self._shared.clock, before.tap.position if before else None, heard)

        def on_state(state: CameraState, reason: str) -> None:
            self._shared.on_state(self.config.id)

        session = StreamSession(
            self.config,
            tap,
            on_state,
            self._shared.clock,
            role=role,
            admission=self._shared.admission,
            files_dir=self._shared.files_dir,
            timeout_s=self._shared.timeout_s,
            backoff=self._shared.backoff,
            sound=tap if heard is not None else None,
        )
        return _Line(session, tap)

    def _connection(self, config: CameraConfig, role: StreamRole) -> tuple[object, ...]:
        """Return all that a change of means another connection."""
        if not config.has_stream(role):
            return ()
        return (config.address(role), config.setup.transport, self._takes_sound(config, role))

    def _takes_sound(self, config: CameraConfig, role: StreamRole) -> bool:
        """Return whether sound is taken at all: by policy, by the camera's setup, and beside what is kept."""
        return self._shared.sound_allowed and config.setup.audio and role is StreamRole.MAIN

    def view(self, role: StreamRole) -> LiveView:
        """Return what shows a stream now; the large one takes the small one's place while that is away."""
        return self._views[role if self._sub_flows else StreamRole.MAIN]

    @property
    def recording_since(self) -> datetime | None:
        """Return when the file began that is being written and not yet in the index, None without one."""
        return self._recorder.recording_since

    def watch(self) -> None:
        """Notice streams that have stopped coming. Called about twice a second."""
        for line in self._lines.values():
            line.session.watch()

    def camera(self) -> Camera:
        """Return the camera as people may see it."""
        state, reason, recording = self._now()
        return msgspec.structs.replace(
            self.config.setup.public(),
            state=state,
            state_since=self._since,
            state_reason=reason,
            recording=recording,
        )

    def state_change(self) -> Observation | None:
        """Return how the camera is, when that changed since it was last said or has to be said again."""
        now, moment = self._now(), self._shared.clock.now()
        if now == self._said and not self._remind(now[0], moment):
            return None
        self._said_at = moment
        if self._said is None or now[0] is not self._said[0]:
            self._since = moment
        self._said = now
        return state_observation(self.config, *now, self._shared.clock)

    def figures(self) -> CameraFigures:
        """Return the camera's counters, of both its streams together."""
        recorder, watch = self._recorder.counters, self._watch.counters
        lines = self._lines.values()
        stream = {
            name: self._ended[name] + sum(getattr(line.session.counters, name) for line in lines)
            for name in _COUNTED
        }
        sub = self._lines.get(StreamRole.SUB)
        return CameraFigures(
            camera_id=self.config.id,
            state=self._main.state[0],
            sub_state=sub.session.state[0] if sub else None,
            recording=self._recorder.is_recording,
            watched=self._shared.analysis.is_watching,
            recorded_octets=recorder.octets,
            files=recorder.files,
            gaps=recorder.gaps,
            lost_packets=recorder.lost_packets,
            disk_errors=recorder.disk_errors,
            frames_dropped=watch.dropped,
            frames_skipped=watch.skipped,
            frames_decoded=watch.decoded,
            frames_gated=watch.gated,
            frames_looked_at=watch.looked_at,
            detections=watch.detections,
            events=watch.events,
            activations=watch.activations,
            analysis_failures=watch.failures,
            clock_error_s=self._main.counters.clock_error_s,
            **stream,
        )

    @property
    def _main(self) -> StreamSession:
        return self._lines[StreamRole.MAIN].session

    def _now(self) -> State:
        state, reason = self._main.state
        storage = self._recorder.storage_reason
        if state is CameraState.LIVE and storage:
            reason = storage
        elif state is CameraState.LIVE:
            reason = self._about_sub() or reason
        return state, reason, self._recorder.is_recording

    def _about_sub(self) -> str:
        line = self._lines.get(StreamRole.SUB)
        if line is None:
            return ""
        state, reason = line.session.state
        if state in (CameraState.LIVE, CameraState.CONNECTING):
            return ""
        return f"the sub-stream is {state}: {reason}; the main stream is watched instead"

    def _remind(self, state: CameraState, now: datetime) -> bool:
        away = state in (CameraState.LOST, CameraState.REFUSED, CameraState.STALLED)
        return away and (now - self._said_at).total_seconds() >= REMIND_S

    def _sub_began(self) -> None:
        """Watch and show the small stream from now on."""
        if not self._sub_flows:
            self._sub_flows = True
            self._shared.analysis.use(self.config.id, StreamRole.SUB)
            self._views[StreamRole.MAIN].hand_over(StreamRole.SUB, self._views[StreamRole.SUB])

    def _sub_ended(self) -> None:
        """Watch and show the large stream until the small one comes again."""
        if self._sub_flows:
            self._sub_flows = False
            self._shared.analysis.use(self.config.id, StreamRole.MAIN)
            self._views[StreamRole.SUB].hand_over(StreamRole.SUB, self._views[StreamRole.MAIN])


class _MainSink:
    """Hands the main stream to the recorder first, then to those who may never hold it up."""

    def __init__(self, unit: CameraUnit) -> None:
        self._unit = unit
        self._camera_id = unit.config.id
        self._recorder = unit._recorder
        self._live = unit._views[StreamRole.MAIN]
        self._is_watched = unit._shared.watching
        self._analysis = unit._shared.analysis
        self._info: StreamInfo | None = None

    def begin(self, info: StreamInfo) -> None:
        self._info = info
        self._recorder.begin(info)
        self._live.begin(info)

    def add(self, packet: VideoPacket) -> None:
        self._recorder.add(packet)
        self._live.add(packet)
        # While the small stream flows, that one is watched.
        if self._is_watched and self._info is not None and not self._unit._sub_flows:
            self._analysis.offer(self._camera_id, StreamRole.MAIN, self._info, packet)

    def end(self, reason: str) -> None:
        self._recorder.end(reason)
        self._live.end(reason)
        self._analysis.restart(self._camera_id, StreamRole.MAIN)


class _SubSink:
    """Hands the small stream to analysis and viewers; it is not recorded."""

    def __init__(self, unit: CameraUnit) -> None:
        self._unit = unit
        self._live = unit._views[StreamRole.SUB]
        self._analysis = unit._shared.analysis
        self._info: StreamInfo | None = None

    def begin(self, info: StreamInfo) -> None:
        self._info = info
        self._live.begin(info)

    def add(self, packet: VideoPacket) -> None:
        self._live.add(packet)
        if self._info is not None:
            self._unit._sub_began()
            self._analysis.offer(self._unit.config.id, StreamRole.SUB, self._info, packet)

    def end(self, reason: str) -> None:
        self._live.end(reason)
        self._analysis.restart(self._unit.config.id, StreamRole.SUB)
        self._unit._sub_ended()
