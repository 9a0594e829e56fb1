"""Who may say and hear what on the embedded bus: one login for each group of processes.

Pictures of cameras go over the bus, unmasked ones too. Only what records, shows or hands them out may have
them; a process with a fault, or in wrong hands, hears no more than its own work needs. A server of one's own
(`bus.url`) has the logins that its administrator gives it.
"""

from enum import StrEnum
from typing import Final

from safecity.bus.subjects import (
    EVERY,
    MQTT_ROOT,
    RECOMMEND,
    ROLE_STATUS,
    STREAM_SUBJECTS,
    Stream,
    playback,
    snapshot,
    still,
    view,
    view_start,
)
from safecity.model.base import Noun


class BusLogin(StrEnum):
    """The logins of our own processes; devices have one each. A dot keeps them apart from devices' names."""

    SETUP = "safecity"
    """Makes streams, watches over all roles, measures: may everything."""
    CORE = "safecity.core"
    """Intake, fusion, operations, dispatch."""
    VIDEO = "safecity.video"
    VIEWING = "safecity.viewing"
    WEB = "safecity.web"
    SIMULATOR = "safecity.simulator"

    @property
    def inbox(self) -> str:
        """Return the prefix of the subjects on which it gets its answers; nobody else hears them."""
        return f"_INBOX.{self.name.lower()}"

    @property
    def secret_name(self) -> str:
        """Return under which name its password is kept among the secrets."""
        return "nats" if self is BusLogin.SETUP else f"nats-{self.name.lower()}"


class Permission(Noun, frozen=True):
    """Subjects that a login may publish to and subscribe to, besides its inbox and answers to requests."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


_TELEMETRY: Final = STREAM_SUBJECTS[Stream.TELEMETRY]
_EVENTS: Final = STREAM_SUBJECTS[Stream.EVENTS]
_CHANGES: Final = STREAM_SUBJECTS[Stream.CHANGES]
_DEAD: Final = STREAM_SUBJECTS[Stream.DEAD]
_PROBE: Final = STREAM_SUBJECTS[Stream.PROBE]
_LIVE: Final = f"live.{EVERY}.{EVERY}"
_LIVE_START: Final = f"live.{EVERY}.{EVERY}.start"
_VIEW: Final = view(EVERY)
_PICTURES: Final = (still(EVERY), playback(EVERY), snapshot(EVERY))

PERMISSIONS: Final = {
    BusLogin.CORE: Permission(
        publish=(
            _TELEMETRY,
            _EVENTS,
            _CHANGES,
            _DEAD,
            _PROBE,
            STREAM_SUBJECTS[Stream.ALARMS],
            *(f"{ROLE_STATUS}.{role}" for role in ("intake", "fusion", "operations", "dispatch")),
            "$JS.ACK.>",
            "$JS.API.STREAM.INFO.*",
            "$JS.API.STREAM.MSG.GET.*",
            "$JS.API.CONSUMER.INFO.*.*",
            "$JS.API.CONSUMER.MSG.NEXT.*.*",
        ),
        subscribe=(_CHANGES, RECOMMEND, f"{MQTT_ROOT}.>"),
    ),
    BusLogin.VIDEO: Permission(
        publish=(_LIVE, _TELEMETRY, _EVENTS, f"{ROLE_STATUS}.video"), subscribe=(_LIVE_START,)
    ),
    BusLogin.VIEWING: Permission(
        publish=(_VIEW, _LIVE_START, f"{ROLE_STATUS}.viewing"),
        subscribe=(_LIVE, view_start(EVERY), *_PICTURES),
    ),
    BusLogin.WEB: Permission(
        publish=(
            _TELEMETRY,
            _EVENTS,
            _DEAD,
            _PROBE,
            _LIVE_START,
            view_start(EVERY),
            *_PICTURES,
            RECOMMEND,
            f"{ROLE_STATUS}.web",
            f"$JS.API.STREAM.INFO.{Stream.CHANGES}",
            f"$JS.API.CONSUMER.CREATE.{Stream.CHANGES}",
            f"$JS.API.CONSUMER.CREATE.{Stream.CHANGES}.>",
        ),
        subscribe=(_LIVE, _VIEW, f"{ROLE_STATUS}.{EVERY}", "obs.*.position"),
    ),
    BusLogin.SIMULATOR: Permission(publish=(f"{ROLE_STATUS}.simulator",), subscribe=()),
}
"""What each login may do; SETUP is not among them, since it may do everything."""


def permissions(login: BusLogin) -> str:
    """Return the rights of a login as nats-server's configuration has them, empty when there is no limit.

    `allow_responses` lets it answer each request once, to the subject that the request named, and no other.
    """
    if login not in PERMISSIONS:
        return ""
    may = PERMISSIONS[login]
    return (
        f"permissions: {{publish: [{_listed(may.publish)}], "
        f"subscribe: [{_listed((f'{login.inbox}.>', *may.subscribe))}], allow_responses: true}}"
    )


def _listed(subjects: tuple[str, ...]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)
