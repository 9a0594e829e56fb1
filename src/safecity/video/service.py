"""The video role on the bus: observations out, live pictures and stills on request."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus
from safecity.bus.subjects import live, live_start, still
from safecity.errors import SafeCityError
from safecity.model.observation import Observation
from safecity.model.video import StreamRole
from safecity.video.camera import CameraConfig
from safecity.video.live import FragmentKind
from safecity.video.room import Publish, VideoRoom

log = structlog.get_logger()

SUMMED = ("packets", "lost_packets", "gaps", "frames_dropped", "frames_looked_at", "detections", "events")


class VideoService:
    """Connects one video room to the bus."""

    def __init__(self, room: VideoRoom, configs: Sequence[CameraConfig], bus: Bus) -> None:
        """Serve the cameras of `room` over `bus`."""
        self._room = room
        self._configs = configs
        self._bus = bus

    async def run(self) -> None:
        """Work until cancelled, then close every file."""
        self._room.on_fragment(self._on_fragment)
        for config in self._configs:
            await self._serve(config.id)
        await self._room.start()
        try:
            await asyncio.Event().wait()
        finally:
            await self._room.stop()

    def counters(self) -> dict[str, float]:
        """Return what all cameras together counted."""
        figures = self._room.figures()
        summed = {f"{name}_total": float(sum(getattr(f, name) for f in figures)) for name in SUMMED}
        return summed | {
            "cameras": float(len(figures)),
            "recording": float(sum(f.recording for f in figures)),
            "observations_dropped_total": float(self._room.outbox_dropped),
        }

    async def _serve(self, camera_id: str) -> None:
        async def on_live(_: bytes) -> bytes:
            try:
                return msgspec.msgpack.encode(await self._room.live_start(camera_id))
            except SafeCityError as error:
                return msgspec.msgpack.encode({"code": error.code, "message": str(error)})

        async def on_still(_: bytes) -> bytes:
            try:
                return await self._room.still(camera_id)
            except SafeCityError as error:
                log.info("no still", camera=camera_id, reason=str(error))
                return b""

        await self._bus.serve(live_start(camera_id, StreamRole.MAIN), on_live)
        await self._bus.serve(still(camera_id), on_still)

    def _on_fragment(self, camera_id: str, kind: FragmentKind, data: bytes) -> None:
        task = asyncio.ensure_future(
            self._bus.client.publish(live(camera_id, StreamRole.MAIN), data, headers={"Kind": kind.value})
        )
        task.add_done_callback(_note_failure)


def publisher(batcher: MicroBatcher) -> Publish:
    """Return the room's way to the bus: done when JetStream has the observation on disk."""

    async def publish(observation: Observation) -> None:
        await batcher.add(observation)

    return publish


def _note_failure(task: "asyncio.Future[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.info("a live fragment was not published", error=repr(task.exception()))
