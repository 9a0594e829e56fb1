"""What the video rooms tell the others: events and states as observations, counters as figures."""

from datetime import datetime

import msgspec

from safecity.clock import Clock
from safecity.model.observation import Observation, ObservationKind
from safecity.model.source import CameraState
from safecity.video.camera import CameraConfig
from safecity.video.event import VideoEvent


class CameraFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A camera's counters since the program started, for metrics.

    sub_state: of its small stream, None when it has none. watched: its pictures are analysed now.
    clock_error_s: how far the camera's clock is ahead of ours, None where it does not say.
    """

    camera_id: str
    state: CameraState
    sub_state: CameraState | None
    recording: bool
    watched: bool
    packets: int
    octets: int
    connects: int
    outages: int
    discontinuities: int
    recorded_octets: int
    files: int
    gaps: int
    lost_packets: int
    disk_errors: int
    frames_dropped: int
    frames_skipped: int
    frames_decoded: int
    frames_gated: int
    frames_looked_at: int
    detections: int
    events: int
    activations: int
    analysis_failures: int
    clock_error_s: float | None = None


def event_observation(config: CameraConfig, event: VideoEvent, moment: datetime, clock: Clock) -> Observation:
    """Return an event as the bus knows it.

    moment: when it happened, by a time that no other event of the camera has: it is part of the fact's name.
    """
    place = config.setup.place
    lon, lat = event.ground or (place.lon, place.lat)
    left, top, right, bottom = event.box or (None, None, None, None)
    return Observation(
        source_id=config.id,
        kind=ObservationKind.VIDEO,
        event_time=moment,
        receive_time=clock.now(),
        property=event.kind.value,
        value=event.score,
        lon=lon,
        lat=lat,
        uncertainty_m=None if event.ground else place.uncertainty_m or None,
        detail={
            "why": event.why,
            "rule": event.rule,
            "class": event.object_class.value if event.object_class else None,
            "track": event.track,
            "left": left,
            "top": top,
            "right": right,
            "bottom": bottom,
            "count": event.count,
            "speed_mps": event.speed_mps,
            "experimental": event.experimental,
        },
    )


def with_snapshot(observation: Observation) -> Observation:
    """Return the observation with the id of its snapshot, which is its own id."""
    detail = (observation.detail or {}) | {"snapshot": observation.id}
    return msgspec.structs.replace(observation, detail=detail)


def state_observation(
    config: CameraConfig, state: CameraState, reason: str, recording: bool, clock: Clock
) -> Observation:
    """Return how a camera is as the bus knows it."""
    now = clock.now()
    return Observation(
        source_id=config.id,
        kind=ObservationKind.DEVICE,
        event_time=now,
        receive_time=now,
        property="camera_state",
        lon=config.setup.place.lon,
        lat=config.setup.place.lat,
        detail={"state": state.value, "reason": reason, "recording": recording},
    )
