"""The bus's plan in one place: every stream, every durable consumer, every subject."""

import zlib
from enum import StrEnum
from typing import Final

from safecity.model.base import Noun
from safecity.model.observation import ObservationKind
from safecity.model.video import StreamRole

PARTITIONS: Final = 4
"""Into how many partitions telemetry is split by its source; part of the wire contract of a city."""

MQTT_ROOT: Final = "sensors"
"""First level of every MQTT topic that devices may publish to: sensors/<device>/<property>."""


class Stream(StrEnum):
    """The JetStream streams. MQTT is the broker's own, made by it when the first client connects."""

    TELEMETRY = "TELEMETRY"
    EVENTS = "EVENTS"
    ALARMS = "ALARMS"
    CHANGES = "CHANGES"
    DEAD = "DEAD"
    PROBE = "PROBE"
    MQTT = "$MQTT_msgs"


class Durable(Noun, frozen=True):
    """A durable consumer: which role reads which subjects of which stream."""

    name: str
    stream: Stream
    subject: str
    max_pending: int = 2000


STREAM_SUBJECTS: Final = {
    Stream.TELEMETRY: "obs.>",
    Stream.EVENTS: "event.>",
    Stream.ALARMS: "alarm.>",
    Stream.CHANGES: "change.>",
    Stream.DEAD: "dead.>",
    Stream.PROBE: "probe.>",
}

WRITE_TELEMETRY: Final = Durable(name="write-telemetry", stream=Stream.TELEMETRY, subject="obs.>")
WRITE_EVENTS: Final = Durable(name="write-events", stream=Stream.EVENTS, subject="event.>")
FUSE_TELEMETRY: Final = Durable(name="fuse-telemetry", stream=Stream.TELEMETRY, subject="obs.*.reading")
FUSE_EVENTS: Final = Durable(name="fuse-events", stream=Stream.EVENTS, subject="event.>")
OPERATE_ALARMS: Final = Durable(name="operate-alarms", stream=Stream.ALARMS, subject="alarm.>")
OPERATE_DEVICES: Final = Durable(name="operate-devices", stream=Stream.EVENTS, subject="event.device")
INTAKE_MQTT: Final = Durable(name="intake-mqtt", stream=Stream.MQTT, subject=f"$MQTT.msgs.{MQTT_ROOT}.>")

DURABLES: Final = (
    WRITE_TELEMETRY,
    WRITE_EVENTS,
    FUSE_TELEMETRY,
    FUSE_EVENTS,
    OPERATE_ALARMS,
    OPERATE_DEVICES,
    INTAKE_MQTT,
)
"""All are created before anything is published: a stream keeps a message until each has acknowledged it."""


def partition(source_id: str) -> int:
    """Return the partition of a source: CRC-32 (ISO 3309) of its id, modulo PARTITIONS."""
    return zlib.crc32(source_id.encode()) % PARTITIONS


def telemetry(part: int, kind: ObservationKind) -> str:
    """Return the subject for packed telemetry of one partition."""
    return f"obs.{part}.{kind}"


def event(kind: ObservationKind) -> str:
    """Return the subject for single observations that must not wait behind telemetry."""
    return f"event.{kind}"


def alarm(priority: int) -> str:
    """Return the subject for alarms of one priority."""
    return f"alarm.{priority}"


def dead(way: str) -> str:
    """Return the subject for what could not be read, by the way it came in."""
    return f"dead.{way}"


def live(camera_id: str, stream: StreamRole) -> str:
    """Return the core subject on which the live fragments of a camera's stream go."""
    return f"live.{camera_id}.{stream}"


def live_start(camera_id: str, stream: StreamRole) -> str:
    """Return the request subject for what a new viewer of a camera's stream needs.

    The request keeps the fragments coming for a while; one that says PEEK does not.
    """
    return f"live.{camera_id}.{stream}.start"


PEEK: Final = b"peek"
"""What a request for a live stream says when the fragments after it are not wanted."""


def still(camera_id: str) -> str:
    """Return the request subject for a camera's last picture."""
    return f"still.{camera_id}"


def view(camera_id: str) -> str:
    """Return the core subject on which a camera's masked live fragments go."""
    return f"view.{camera_id}"


def view_start(camera_id: str) -> str:
    """Return the request subject for what a new viewer of a camera's masked picture needs."""
    return f"view.{camera_id}.start"


def playback(camera_id: str) -> str:
    """Return the request subject for pieces and pictures of a camera's recordings."""
    return f"playback.{camera_id}"


def snapshot(camera_id: str) -> str:
    """Return the request subject for the pictures of a camera's events."""
    return f"snapshot.{camera_id}"


EVERY: Final = "*"
"""In place of a camera's id: all of them."""

PROBE: Final = "probe.store"
"""Subject of the message that tells whether JetStream can store; its stream keeps one that nobody reads."""

RECOMMEND: Final = "dispatch.recommend"
POSITIONS: Final = "fixes"
ROLE_STATUS: Final = "status"
