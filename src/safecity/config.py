"""Configuration: one typed TOML file plus environment variables; unknown keys are refused.

Environment: `SAFECITY_<SECTION>_<KEY>` overrides a key, for example `SAFECITY_WEB_PORT=8443`. `DATABASE_URL`
and `NATS_URL` put a system's own engines in place of the embedded ones.
"""

import os
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec

from safecity.errors import Configuration

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class DetectorFamily(StrEnum):
    """What a detector's network gives out.

    NANODET, YOLOX: raw heads at strides, as these networks are exported. COLUMNS: (1, 4 + classes, boxes)
    with centre and size. ROWS: (1, boxes, 6) finished boxes with score and class.
    """

    NANODET = "nanodet"
    YOLOX = "yolox"
    COLUMNS = "columns"
    ROWS = "rows"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a section of the file; `EXPLAIN` has a line for each key."""


class WebSection(Section, frozen=True):
    """The web server."""

    host: str = "127.0.0.1"
    port: Port = 8112
    session_idle_s: Seconds = 12 * 3600.0
    secure_cookies: bool = False
    looks_after_close_s: Annotated[float, msgspec.Meta(ge=0)] = 24 * 3600.0


class StoreSection(Section, frozen=True):
    """PostgreSQL."""

    url: str = ""
    pool_size: Count = 8
    observation_days: Count = 30


class BusSection(Section, frozen=True):
    """NATS JetStream and its MQTT listener."""

    url: str = ""
    port: Port = 4222
    mqtt_host: str = "127.0.0.1"
    mqtt_port: Port = 1883
    max_stream_mb: Count = 1024
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    batch_delay_s: Seconds = 0.010


class VideoSection(Section, frozen=True):
    """Recording and watching."""

    segment_s: Seconds = 60.0
    retention_days: Seconds = 5.0
    min_free_mb: Count = 512
    rtsp_timeout_s: Seconds = 3.0
    files_dir: str = ""
    audio_allowed: bool = False
    detector_threads: Count = 1
    detector_confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.35
    detector_model: str = ""
    detector_family: DetectorFamily = DetectorFamily.NANODET


class FusionSection(Section, frozen=True):
    """Observations to alarms to incidents."""

    link_distance_m: Seconds = 150.0
    link_time_s: Seconds = 900.0
    silence_factor: Annotated[float, msgspec.Meta(gt=1)] = 5.0


class DispatchSection(Section, frozen=True):
    """Recommendation of units."""

    stale_position_s: Seconds = 60.0
    turnout_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0


class SimulatorSection(Section, frozen=True):
    """The simulated city of the demo."""

    seed: int = 112
    sensors: Annotated[int, msgspec.Meta(ge=0)] = 200
    units: Annotated[int, msgspec.Meta(ge=0)] = 30
    cameras: Annotated[int, msgspec.Meta(ge=0)] = 2
    calls_per_hour: Seconds = 60.0
    call_takers: Annotated[int, msgspec.Meta(ge=0)] = 2
    rtsp_port: Port = 8554


class Settings(Section, frozen=True):
    """All of the configuration."""

    city: str = ""
    web: WebSection = WebSection()
    store: StoreSection = StoreSection()
    bus: BusSection = BusSection()
    video: VideoSection = VideoSection()
    fusion: FusionSection = FusionSection()
    dispatch: DispatchSection = DispatchSection()
    simulator: SimulatorSection = SimulatorSection()


EXPLAIN: Mapping[str, str] = {
    "city": "folder of an imported city; empty: the city that the program brings for the demo",
    "web.host": "address to listen on; put a TLS proxy in front before you open it to a network",
    "web.port": "port to listen on; 0 takes any free one",
    "web.session_idle_s": "seconds without use after which a session ends",
    "web.secure_cookies": "true as soon as the console is served over HTTPS",
    "web.looks_after_close_s": "seconds after its end for which an incident is ground to look at cameras",
    "store.url": "a PostgreSQL server of your own (or DATABASE_URL); empty: the embedded one",
    "store.pool_size": "connections for each role",
    "store.observation_days": "days that observations are kept; whole daily partitions are dropped after",
    "bus.url": "a NATS server of your own (or NATS_URL); empty: the embedded one",
    "bus.port": "port of the embedded NATS server",
    "bus.mqtt_host": "address of the sensor listener (MQTT 3.1.1)",
    "bus.mqtt_port": "port of the sensor listener",
    "bus.max_stream_mb": "megabytes a stream may hold before senders are refused (never: dropped)",
    "bus.batch_size": "observations in a bus message at the most",
    "bus.batch_delay_s": "seconds an observation waits at the most for company",
    "video.segment_s": "seconds of one recorded file",
    "video.retention_days": "days that recordings are kept",
    "video.min_free_mb": "megabytes of disk below which the oldest recordings go first",
    "video.rtsp_timeout_s": "seconds without data after which a stream counts as stalled",
    "video.files_dir": "folder that file:// cameras must lie in; empty: file cameras are refused",
    "video.audio_allowed": "true: sound (AAC) is kept of cameras whose setup asks for it; false: of none",
    "video.detector_threads": "processor threads of the detector",
    "video.detector_confidence": "score from which a detection counts (0 to 1)",
    "video.detector_model": "another network: .onnx, OpenVINO .xml, or its description .toml; empty: NanoDet",
    "video.detector_family": "what a network without description gives out: nanodet, yolox, columns, rows",
    "fusion.link_distance_m": "metres within which two reports may be the same incident",
    "fusion.link_time_s": "seconds within which two reports may be the same incident",
    "fusion.silence_factor": "missed beats of its own rhythm after which a source counts as silent",
    "dispatch.stale_position_s": "seconds after which a unit's position is called stale",
    "dispatch.turnout_s": "seconds from order to wheels rolling, added for a unit in its station",
    "simulator.seed": "seed of everything random in the simulated city",
    "simulator.sensors": "simulated sensors",
    "simulator.units": "simulated vehicles of three agencies",
    "simulator.cameras": "simulated cameras",
    "simulator.calls_per_hour": "simulated 112 calls per hour at speed 1",
    "simulator.call_takers": "simulated call-takers who answer when nobody else does; 0: all calls are yours",
    "simulator.rtsp_port": "port of the simulated cameras",
}


PREFIX = "SAFECITY_"


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings from a TOML file (or the defaults) with the environment laid over them.

    Raises Configuration with the file, the key and the reason when anything is unknown or out of range.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise Configuration(f"the configuration {path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Configuration(f"the configuration {path} is not valid TOML: {error}") from error
    _lay_environment_over(raw, environ)
    try:
        return msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise Configuration(
            f"{path or 'the environment'}: {error}; 'safecity config' prints every key with its meaning"
        ) from error


def _lay_environment_over(raw: dict[str, Any], environ: Mapping[str, str]) -> None:
    name_of = {PREFIX + name.upper().replace(".", "_"): name for name in EXPLAIN}
    for variable, value in environ.items():
        if variable in name_of:
            _put(raw, name_of[variable], value)
        elif variable.startswith(PREFIX):
            raise Configuration(
                f"the environment variable {variable} names no setting; 'safecity config' prints every key"
            )
    if "DATABASE_URL" in environ:
        _put(raw, "store.url", environ["DATABASE_URL"])
    if "NATS_URL" in environ:
        _put(raw, "bus.url", environ["NATS_URL"])


def _put(raw: dict[str, Any], name: str, value: str) -> None:
    section, _, key = name.rpartition(".")
    target = raw.setdefault(section, {}) if section else raw
    if not isinstance(target, dict):
        raise Configuration(f"'{section}' must be a table: write [{section}] on a line of its own")
    target[key] = value == "true" if value in {"true", "false"} else value


def keys() -> list[str]:
    """Return every key of the configuration, in the order of the file."""
    found: list[str] = []
    for name, type_ in get_type_hints(Settings).items():
        if isinstance(type_, type) and issubclass(type_, Section):
            found += [f"{name}.{key}" for key in type_.__struct_fields__]
        else:
            found.append(name)
    return found


def render(settings: Settings) -> str:
    """Return the settings as a TOML file with a comment above each key; passwords in URLs are hidden."""
    lines: list[str] = []
    section_open = ""
    for name in keys():
        section, _, key = name.rpartition(".")
        if section != section_open:
            lines += ["", f"[{section}]"]
            section_open = section
        holder = getattr(settings, section) if section else settings
        lines += [f"# {EXPLAIN[name]}", f"{key} = {as_toml(getattr(holder, key))}"]
    return "\n".join(lines).lstrip() + "\n"


def as_toml(value: object) -> str:
    """Return a value as it is written in TOML; passwords in URLs are hidden."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + hide_password(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def hide_password(url: str) -> str:
    """Return a URL with its password replaced by ***."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, login = head.partition("://")
    user, colon, _ = login.partition(":")
    return f"{scheme}{slashes}{user}:***{at}{tail}" if at and colon else url
