"""What the video rooms tell the others: events and states as observations, counters as figures."""

from datetime import UTC, datetime, timedelta

import msgspec

from safecity.clock import Clock
from safecity.model.observation import Observation, ObservationKind
from safecity.model.source import CameraState
from safecity.video.camera import CameraConfig
from safecity.video.rules import Intrusion


class CameraFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A camera's counters since the program started, for metrics."""

    camera_id: str
    state: CameraState
    recording: bool
    watched: bool
    packets: int
    octets: int
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
    frames_looked_at: int
    detections: int
    events: int


def intrusion_observation(config: CameraConfig, event: Intrusion, clock: Clock) -> Observation:
    """Return a zone intrusion as the bus knows it."""
    # Entries into two zones in the same picture are two facts; a fact is named by source and moment.
    order = next((i for i, zone in enumerate(config.setup.rules) if zone.name == event.zone), 0)
    moment = datetime.fromtimestamp(event.time_s, UTC) + timedelta(microseconds=order)
    left, top, right, bottom = event.box
    return Observation(
        source_id=config.id,
        kind=ObservationKind.VIDEO,
        event_time=moment,
        receive_time=clock.now(),
        property="zone_intrusion",
        value=event.score,
        lon=config.setup.place.lon,
        lat=config.setup.place.lat,
        uncertainty_m=config.setup.place.uncertainty_m or None,
        detail={
            "why": event.why,
            "zone": event.zone,
            "class": event.object_class.value,
            "track": event.track,
            "left": left,
            "top": top,
            "right": right,
            "bottom": bottom,
        },
    )


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
