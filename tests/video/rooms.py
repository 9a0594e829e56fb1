"""What the tests of a room share: settings, waiting, and what it published."""

import asyncio
import time

from safecity.config import VideoSection
from safecity.model.observation import Observation, ObservationKind, pack, unpack
from safecity.model.video_rule import ZoneIntrusion
from safecity.video.stream.session import Backoff

EVERYWHERE = ZoneIntrusion(name="everywhere", polygon=((0, 0), (1, 0), (1, 1), (0, 1)), min_dwell_s=0.4)
SETTINGS = VideoSection(min_free_mb=0, rtsp_timeout_s=1.0)
SOON = Backoff(first_s=0.05, limit_s=0.2, refused_s=0.2)


async def until(condition, what: str, limit_s: float = 25.0) -> None:
    """Return as soon as `condition` holds; fail after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {limit_s} s for {what}"
        await asyncio.sleep(0.05)


class Told:
    """What a room published; the first attempts fail, as a bus that is not up yet."""

    def __init__(self, failures: int = 0) -> None:
        self.observations: list[Observation] = []
        self._failures = failures

    async def publish(self, observation: Observation) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError("no bus")
        self.observations += unpack(pack([observation]))

    def states(self, camera_id: str) -> list[str]:
        return [str(o.detail["state"]) for o in self.about(camera_id)]

    def reasons(self, camera_id: str) -> list[str]:
        return [str(o.detail["reason"]) for o in self.about(camera_id)]

    def about(self, camera_id: str) -> list[Observation]:
        return [o for o in self.observations if o.kind is ObservationKind.DEVICE and o.source_id == camera_id]

    def events(self, property_: str = "zone_intrusion") -> list[Observation]:
        return [o for o in self.observations if o.kind is ObservationKind.VIDEO and o.property == property_]
