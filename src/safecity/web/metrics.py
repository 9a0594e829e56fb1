"""Figures of the web process and of the roles it hears from, for Prometheus."""

from collections.abc import Iterator, Sequence
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from safecity.access.policy import Action
from safecity.model.source import CameraState
from safecity.web.gate import needs
from safecity.web.roles import CameraBeat, RoleWatch

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

CAMERA_FIGURES: Final = {
    "recording": "1 while it is recorded",
    "lost_packets": "Pictures that came and are in no file, since its process started",
    "gaps": "Times without a recording, since its process started",
    "frames_dropped": "Pictures that analysis had no time for, since its process started",
    "clock_error_s": "How far the camera's clock is ahead of ours",
}


class Metrics:
    """The figures of one web process, in a registry of their own."""

    def __init__(self, roles: RoleWatch) -> None:
        """Begin at zero; what `roles` heard is read when somebody asks."""
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "safecity_http_requests", "Answered requests", ["method", "path", "status"], registry=registry
        )
        self.latency_s = Histogram(
            "safecity_http_request_seconds",
            "Time to the end of the answer",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.live_clients = Gauge("safecity_live_clients", "Open live sockets", registry=registry)
        self.live_dropped = Counter(
            "safecity_live_dropped", "Live sockets closed since they were too slow", registry=registry
        )
        self.video_clients = Gauge("safecity_video_clients", "Open live pictures", registry=registry)
        self.feed_lag_s = Histogram(
            "safecity_feed_lag_seconds",
            "From the bus storing a change to this process having it",
            buckets=SECONDS,
            registry=registry,
        )
        self.telemetry_accepted = Counter(
            "safecity_telemetry_accepted", "Observations acknowledged over HTTP", registry=registry
        )
        self.telemetry_refused = Counter(
            "safecity_telemetry_refused", "Observations refused over HTTP", ["reason"], registry=registry
        )
        self.calls_corrected = Counter(
            "safecity_calls_corrected",
            "Calls taken without a place, or as of now, since what was sent cannot be",
            ["what"],
            registry=registry,
        )
        self.calls_refused = Counter(
            "safecity_calls_refused", "Bodies of the telephony that held no call", registry=registry
        )
        registry.register(_Roles(roles))
        self._accepted = 0

    def accepted(self, count: int) -> None:
        """Count observations that are on disk."""
        self._accepted += count
        self.telemetry_accepted.inc(count)

    def counters(self) -> dict[str, float]:
        """Return what the web role's own heartbeat tells the others."""
        return {"readings_total": self._accepted}


class _Roles(Collector):
    def __init__(self, roles: RoleWatch) -> None:
        self._roles = roles

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("safecity_role_up", "1 while the role's heartbeat is heard", labels=["role"])
        for role, state in self._roles.states().items():
            up.add_metric([role], float(state == "running"))
        told = GaugeMetricFamily("safecity_role_counter", "What a role counts", labels=["role", "name"])
        for role, counters in self._roles.counters().items():
            for name, value in sorted(counters.items()):
                told.add_metric([role, name], value)
        yield from (up, told, *_of_cameras(self._roles.cameras()))


def _of_cameras(cameras: Sequence[CameraBeat]) -> Iterator[Metric]:
    state = GaugeMetricFamily("safecity_camera_state", "1 for the state it is in", labels=["camera", "state"])
    for camera in cameras:
        for one in CameraState:
            state.add_metric([camera.id, one], float(camera.state is one))
    yield state
    for name, words in CAMERA_FIGURES.items():
        family = GaugeMetricFamily(f"safecity_camera_{name}", words, labels=["camera"])
        for camera in cameras:
            value = getattr(camera, name)
            if value is not None:
                family.add_metric([camera.id], float(value))
        yield family


@get("/metrics", opt=needs(Action.READ_METRICS, "metrics"), media_type="text/plain")
async def metrics(figures: NamedDependency[SkipValidation[Metrics]]) -> Response[bytes]:
    """Return the figures in the text format of Prometheus."""
    return Response(generate_latest(figures.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


HANDLERS = (metrics,)
