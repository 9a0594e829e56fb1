"""The video role on the bus: observations out, live pictures and stills on request."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import structlog
from nats.aio.subscription import Subscription

from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus
from safecity.bus.subjects import PEEK, live, live_start
from safecity.errors import SafeCityError
from safecity.model.observation import Observation
from safecity.model.source import CameraState
from safecity.model.video import StreamRole
from safecity.video.live import FragmentKind
from safecity.video.onvif import Hearing
from safecity.video.recording.shipper import Shipper
from safecity.video.room import Publish, VideoRoom
from safecity.video.roster import Assignment

log = structlog.get_logger()

SHIP_AGAIN_S = 10.0
SUMMED = (
    "packets",
    "connects",
    "outages",
    "lost_packets",
    "recorded_octets",
    "gaps",
    "disk_errors",
    "frames_dropped",
    "frames_skipped",
    "frames_decoded",
    "frames_looked_at",
    "detections",
    "activations",
    "analysis_failures",
    "events",
)

OF_EACH = ("state", "recording", "lost_packets", "gaps", "frames_dropped", "clock_error_s")


class VideoService:
    """Connects one video room to the bus, and to who decides on its cameras."""

    def __init__(
        self, room: VideoRoom, bus: Bus, shipper: Shipper | None = None, hearing: Hearing | None = None
    ) -> None:
        """Serve the cameras of `room` over `bus`.

        shipper: copies what is known of their recordings. hearing: what the cameras notice by themselves.
        """
        self.shards: tuple[int, ...] = ()
        self._room = room
        self._bus = bus
        self._shipper = shipper
        self._hearing = hearing
        self._served: dict[str, list[Subscription]] = {}

    async def run(self, changes: AsyncIterator[Assignment]) -> None:
        """Work as `changes` say until cancelled, then close every file."""
        self._room.on_fragment(self._on_fragment)
        await self._room.start()
        shipping = None if self._shipper is None else asyncio.create_task(_keep_shipping(self._shipper))
        try:
            async for assignment in changes:
                await self._apply(assignment)
            await asyncio.Event().wait()
        finally:
            await self._room.stop()
            if self._hearing is not None:
                await self._hearing.stop()
            if shipping is not None:
                shipping.cancel()
                await asyncio.gather(shipping, return_exceptions=True)

    def counters(self) -> dict[str, float]:
        """Return what all cameras together counted."""
        figures = self._room.figures()
        summed = {f"{name}_total": float(sum(getattr(f, name) for f in figures)) for name in SUMMED}
        states = {f"cameras_{state}": float(sum(f.state is state for f in figures)) for state in CameraState}
        return {
            **summed,
            **states,
            **self._room.counters(),
            **(self._shipper.counters() if self._shipper else {}),
            **(self._hearing.counters() if self._hearing else {}),
            "cameras": float(len(figures)),
            "recording": float(sum(f.recording for f in figures)),
        }

    def camera_figures(self) -> list[dict[str, object]]:
        """Return what is told of each camera by itself: its id and what `OF_EACH` names."""
        return [
            {"id": figures.camera_id, **{name: getattr(figures, name) for name in OF_EACH}}
            for figures in self._room.figures()
        ]

    async def _apply(self, assignment: Assignment) -> None:
        try:
            await self._room.apply(assignment.cameras, assignment.holds, assignment.resting)
        except SafeCityError as error:
            log.error("the cameras stay as they were", reason=str(error))
        self.shards = assignment.shards
        if self._hearing is not None:
            await self._hearing.apply(assignment.cameras)
        wanted = {camera.id for camera in self._room.cameras()}
        for camera_id in self._served.keys() - wanted:
            for subscription in self._served.pop(camera_id):
                await subscription.unsubscribe()
        if self._shipper is not None:
            self._shipper.add_cameras(wanted | {setup.id for setup in assignment.resting})
        for camera_id in sorted(wanted - self._served.keys()):
            self._served[camera_id] = [await self._serve(camera_id, role) for role in StreamRole]

    async def _serve(self, camera_id: str, role: StreamRole) -> Subscription:
        async def on_live(request: bytes) -> bytes:
            try:
                start = await self._room.live_start(camera_id, role, keep=request != PEEK)
                return msgspec.msgpack.encode(start)
            except SafeCityError as error:
                return msgspec.msgpack.encode({"code": error.code, "message": str(error)})

        return await self._bus.serve(live_start(camera_id, role), on_live)

    def _on_fragment(self, camera_id: str, name: StreamRole, kind: FragmentKind, data: bytes) -> None:
        task = asyncio.ensure_future(
            self._bus.client.publish(live(camera_id, name), data, headers={"Kind": kind.value})
        )
        task.add_done_callback(_note_failure)


async def _keep_shipping(shipper: Shipper) -> None:
    while True:
        try:
            await shipper.run()
        except Exception:
            # What is on disk stays; recording must not end because its copy met a defect.
            log.exception("copying the recording index failed in our own code and begins anew")
            await asyncio.sleep(SHIP_AGAIN_S)


def publisher(batcher: MicroBatcher) -> Publish:
    """Return the room's way to the bus: done when JetStream has the observation on disk."""

    async def publish(observation: Observation) -> None:
        await batcher.add(observation)

    return publish


def _note_failure(task: "asyncio.Future[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.info("a live fragment was not published", error=repr(task.exception()))
