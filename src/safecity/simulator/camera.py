"""Simulated cameras: one small RTSP/1.0 server that plays films in endless loops.

Each camera is a path with its own account and its own place in the film; its sub-stream, when it has one, is
at `PATH/sub`. Media goes interleaved in the RTSP connection or over UDP, as the viewer asks. What is wrong
with a camera is set while it runs.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Mapping
from typing import Final

import msgspec

from safecity.clock import Clock
from safecity.errors import Invalid, NotFound
from safecity.simulator.camera_channel import Channel
from safecity.simulator.camera_fault import CameraClips, Fault
from safecity.simulator.camera_rtp import Clip
from safecity.simulator.camera_rtsp import HEADER_LIMIT_BYTES, Access, Connection

SUB_PATH: Final = "/sub"
"""What follows a camera's path in that of its sub-stream."""
TICK_S: Final = 0.005
"""Pictures of many cameras leave together when they are due within this: fewer wake-ups, no visible delay."""

__all__ = ["SUB_PATH", "CameraClips", "CameraServer", "Fault", "SimulatedCamera"]


class SimulatedCamera(msgspec.Struct, frozen=True, kw_only=True):
    """One camera: where it is found, who may look, and where in which film it starts.

    film: name of the films it shows, empty for the server's own. basic: it asks for basic authentication
    instead of digest. udp: it offers UDP besides TCP.
    """

    path: str
    user: str
    password: str
    offset_s: float = 0.0
    film: str = ""
    basic: bool = False
    udp: bool = True

    def __post_init__(self) -> None:
        """Refuse an open camera."""
        if not (self.user and self.password):
            raise Invalid(f"the simulated camera {self.path} needs a user and a password")

    def __repr__(self) -> str:
        """Leave the account out."""
        return f"SimulatedCamera(path={self.path!r}, offset_s={self.offset_s!r})"


class CameraServer:
    """All simulated cameras behind one port."""

    def __init__(
        self,
        cameras: list[SimulatedCamera],
        clip: Clip | CameraClips,
        clock: Clock,
        films: Mapping[str, CameraClips] | None = None,
    ) -> None:
        """Prepare `cameras`, playing `clip` or the one of `films` they name. Nothing listens before `start`.

        Raises NotFound when a camera names a film that isn't there.
        """
        own = clip if isinstance(clip, CameraClips) else CameraClips(main=clip)
        self._clock = clock
        self._accesses: dict[str, Access] = {}
        for camera in cameras:
            clips = (films or {}).get(camera.film) if camera.film else own
            if clips is None:
                raise NotFound(f"the simulated camera {camera.path} names a film that is not there")
            self._add(camera, clips)
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on `host`; return the port, a free one when `port` is 0."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=HEADER_LIMIT_BYTES)
        self._ticker = asyncio.create_task(self._tick())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every connection and the port."""
        if self._server is not None:
            self._server.close()
        tasks = [*self._connections, *([self._ticker] if self._ticker else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def set_fault(self, path: str, fault: Fault | None, amount: float | None = None) -> None:
        """Break the camera at `path`, or mend it with None.

        The path of a sub-stream breaks that one alone. amount: as the fault explains. Raises NotFound for an
        unknown path, Invalid when the camera has no film for the fault.
        """
        channel = self._channel(path)
        channel.set_fault(fault, amount)
        sub = self._accesses.get(path + SUB_PATH)
        if sub is not None:
            # A sub-stream has no films for these two: a camera changes its main stream alone.
            alike = fault not in {Fault.CODEC, Fault.RESOLUTION}
            sub.channel.set_fault(fault if alike else None, amount)

    def set_account(self, path: str, user: str, password: str) -> None:
        """Change the account of the camera at `path`; connections end. Raises NotFound for no such path."""
        self._channel(path).set_account(user, password)
        sub = self._accesses.get(path + SUB_PATH)
        if sub is not None:
            sub.channel.set_account(user, password)

    def viewers(self, path: str) -> int:
        """Return how many connections are being sent pictures of the stream at `path`."""
        return len(self._channel(path).viewers)

    def _add(self, camera: SimulatedCamera, clips: CameraClips) -> None:
        account = (camera.user, camera.password)
        streams = [(camera.path, clips.main)]
        if clips.sub is not None:
            streams.append((camera.path + SUB_PATH, clips.sub))
        for path, clip in streams:
            channel = Channel(path, account, clips, clip, camera.offset_s, self._clock)
            self._accesses[path] = Access(channel, camera.basic, camera.udp)

    def _channel(self, path: str) -> Channel:
        if path not in self._accesses:
            raise NotFound(f"no simulated camera is at {path}")
        return self._accesses[path].channel

    async def _tick(self) -> None:
        """Let each channel send its pictures at their times, for ever."""
        channels = [access.channel for access in self._accesses.values()]
        due = [(0.0, number) for number in range(len(channels))]
        while due:
            now_s = self._clock.monotonic_s()
            while due[0][0] <= now_s:
                _, number = due[0]
                heapq.heapreplace(due, (channels[number].tick(), number))
            await asyncio.sleep(max(due[0][0] - now_s, TICK_S))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        connection = Connection(self._accesses, reader, writer)
        try:
            with contextlib.suppress(
                OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError
            ):
                await connection.serve()
        finally:
            connection.close()
