"""Who may do what: one written table and the one function that every request and message passes.

The policy is `ALLOWED` minus `DENIED`. What no row allows is refused, and a denial wins over every grant.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from safecity.errors import Forbidden
from safecity.model.base import Noun


class Role(StrEnum):
    """What somebody is trusted with. The last five are for machines and count for nothing on a person."""

    ADMINISTRATOR = "administrator"
    DUTY_OFFICER = "duty_officer"
    DISPATCHER = "dispatcher"
    CALL_TAKER = "call_taker"
    FIELD = "field"
    AUDITOR = "auditor"
    TELEPHONY = "telephony"
    GATEWAY = "gateway"
    FIELD_MACHINE = "field_machine"
    SIMULATOR = "simulator"
    MONITOR = "monitor"


MACHINE_ROLES: Final = frozenset(
    {Role.TELEPHONY, Role.GATEWAY, Role.FIELD_MACHINE, Role.SIMULATOR, Role.MONITOR}
)

FIRST_ACCOUNT_ROLES: Final = (Role.ADMINISTRATOR, Role.DUTY_OFFICER)
"""What the first account of a new installation may do: set it up, and run the room until others are there."""


class Action(StrEnum):
    """Everything that can be asked of the system."""

    OWN_SESSION = "session.own"
    FOLLOW = "live.follow"
    SEE_INCIDENTS = "incident.see"
    SEE_CALLS = "call.see"
    SEE_UNITS = "unit.see"
    SEE_CAMERAS = "camera.see"
    SEE_SOURCES = "source.see"
    SEE_MAP = "map.see"
    SEARCH_PLACES = "place.search"
    LOOK_LIVE = "video.live"
    LOOK_STILL = "video.still"
    LOOK_PLAYBACK = "video.playback"
    LOOK_SNAPSHOT = "video.snapshot"
    UNMASK = "video.unmask"
    LOOK_SETUP = "video.setup"
    SEE_CAMERA_SETUP = "camera.setup.see"
    CONFIGURE_CAMERA = "camera.configure"
    HOLD_RECORDING = "recording.hold"
    RECOMMEND = "incident.recommend"
    ACKNOWLEDGE = "incident.acknowledge"
    DISPATCH = "incident.dispatch"
    CANCEL_UNIT = "incident.cancel_unit"
    CLOSE_INCIDENT = "incident.close"
    REOPEN = "incident.reopen"
    PRIORITISE = "incident.prioritise"
    NOTE = "incident.note"
    COMMAND_UNIT = "unit.command"
    RECEIVE_CALL = "call.receive"
    ABANDON_CALL = "call.abandon"
    HANDLE_CALL = "call.handle"
    TYPE_CALL = "call.type"
    SEND_TELEMETRY = "telemetry.send"
    READ_JOURNAL = "journal.read"
    CHECK_JOURNAL = "journal.check"
    READ_METRICS = "metrics.read"
    READ_SCHEMA = "schema.read"


MASKED_LOOKS: Final = frozenset(
    {Action.LOOK_LIVE, Action.LOOK_STILL, Action.LOOK_PLAYBACK, Action.LOOK_SNAPSHOT}
)
"""Looks at pictures in which masks are drawn and people are made unrecognisable."""
LOOKS: Final = MASKED_LOOKS | {Action.UNMASK}
"""Looks at protected data: each needs an incident and a purpose, and each is a journal entry. Who looks at a
picture without masks needs the right to look and the right to unmask."""
SETUP_LOOKS: Final = frozenset({Action.LOOK_SETUP})
"""Looks at a masked still to set a camera up: they need a purpose, and there is no incident yet."""

COMMANDS: Final = frozenset(
    {
        Action.ACKNOWLEDGE,
        Action.DISPATCH,
        Action.CANCEL_UNIT,
        Action.CLOSE_INCIDENT,
        Action.REOPEN,
        Action.PRIORITISE,
        Action.NOTE,
        Action.COMMAND_UNIT,
        Action.RECEIVE_CALL,
        Action.ABANDON_CALL,
        Action.HANDLE_CALL,
        Action.TYPE_CALL,
        Action.SEND_TELEMETRY,
        Action.CONFIGURE_CAMERA,
        Action.HOLD_RECORDING,
    }
)
"""Actions that change something."""

_A = Action
_SIGNED_IN = frozenset({_A.OWN_SESSION, _A.READ_SCHEMA})
_MAP = frozenset({_A.FOLLOW, _A.SEE_UNITS, _A.SEE_CAMERAS, _A.SEE_SOURCES, _A.SEE_MAP, _A.SEARCH_PLACES})
_INCIDENT_WORK = frozenset(
    {
        _A.SEE_INCIDENTS,
        _A.RECOMMEND,
        _A.ACKNOWLEDGE,
        _A.DISPATCH,
        _A.CANCEL_UNIT,
        _A.CLOSE_INCIDENT,
        _A.PRIORITISE,
        _A.NOTE,
        _A.COMMAND_UNIT,
    }
)
_CALL_WORK = frozenset({_A.SEE_CALLS, _A.ABANDON_CALL, _A.HANDLE_CALL, _A.TYPE_CALL})

ALLOWED: Final[Mapping[Role, frozenset[Action]]] = MappingProxyType(
    {
        Role.ADMINISTRATOR: _SIGNED_IN
        | _MAP
        | SETUP_LOOKS
        | {_A.READ_JOURNAL, _A.CHECK_JOURNAL, _A.READ_METRICS, _A.SEE_CAMERA_SETUP, _A.CONFIGURE_CAMERA},
        Role.DUTY_OFFICER: _SIGNED_IN
        | _MAP
        | _INCIDENT_WORK
        | _CALL_WORK
        | LOOKS
        | {_A.REOPEN, _A.SEE_CAMERA_SETUP, _A.HOLD_RECORDING},
        Role.DISPATCHER: _SIGNED_IN | _MAP | _INCIDENT_WORK | MASKED_LOOKS | {_A.SEE_CALLS, _A.TYPE_CALL},
        Role.CALL_TAKER: _SIGNED_IN | _MAP | _CALL_WORK | {_A.SEE_INCIDENTS, _A.NOTE},
        Role.FIELD: _SIGNED_IN
        | {_A.FOLLOW, _A.SEE_INCIDENTS, _A.SEE_UNITS, _A.SEE_MAP, _A.SEARCH_PLACES, _A.COMMAND_UNIT, _A.NOTE},
        Role.AUDITOR: _SIGNED_IN
        | {_A.READ_JOURNAL, _A.CHECK_JOURNAL, _A.READ_METRICS, _A.SEE_INCIDENTS, _A.SEE_CAMERA_SETUP},
        Role.TELEPHONY: frozenset({_A.RECEIVE_CALL, _A.ABANDON_CALL}),
        Role.GATEWAY: frozenset({_A.SEND_TELEMETRY}),
        Role.FIELD_MACHINE: frozenset({_A.SEND_TELEMETRY, _A.COMMAND_UNIT, _A.FOLLOW, _A.SEE_UNITS}),
        Role.SIMULATOR: frozenset(
            {
                _A.SEND_TELEMETRY,
                _A.COMMAND_UNIT,
                _A.RECEIVE_CALL,
                _A.ABANDON_CALL,
                _A.HANDLE_CALL,
                _A.FOLLOW,
                _A.SEE_UNITS,
                _A.SEE_CALLS,
                _A.SEE_INCIDENTS,
                _A.SEE_MAP,
                _A.SEARCH_PLACES,
            }
        ),
        Role.MONITOR: frozenset({_A.READ_METRICS}),
    }
)
"""What each role may do."""

DENIED: Final[Mapping[Role, frozenset[Action]]] = MappingProxyType(
    {Role.AUDITOR: COMMANDS | LOOKS | SETUP_LOOKS}
)
"""What a role takes away, whatever other roles somebody has: who audits does not act."""

OWN_UNIT_ROLES: Final = frozenset({Role.FIELD, Role.FIELD_MACHINE})
"""Roles that act for one unit: the account or token bears the unit's id as its name."""

OWN_UNIT_ACTIONS: Final = frozenset({Action.COMMAND_UNIT, Action.SEND_TELEMETRY})
"""What such a role may do for its own unit only."""


class ActorKind(StrEnum):
    """Whether a person or another system acts."""

    PERSON = "person"
    MACHINE = "machine"


class Actor(Noun, frozen=True):
    """Who acts. `id` is what the journal names; `roles` as they were when the actor was identified."""

    id: str
    name: str
    roles: frozenset[Role]
    kind: ActorKind


class Object(Noun, frozen=True):
    """What is acted on: `kind` as in the journal, `id` empty when the action concerns all of them."""

    kind: str
    id: str = ""


class Purpose(Noun, frozen=True):
    """On what ground somebody looks at protected data."""

    text: str = ""
    incident_id: str = ""


NO_PURPOSE: Final = Purpose()


def authorize(actor: Actor, action: Action, object_: Object, purpose: Purpose) -> None:
    """Return when `actor` may do `action` to `object_` for `purpose`; everything the system does passes here.

    Raises Forbidden with a sentence that says what is missing.
    """
    counting = [r for r in actor.roles if r not in MACHINE_ROLES or actor.kind is ActorKind.MACHINE]
    granting = [role for role in counting if action in ALLOWED[role]]
    if any(action in DENIED.get(role, ()) for role in counting):
        raise Forbidden(f"'{actor.name}' has a role that excludes '{action}'; another person must do it")
    if not granting:
        needed = ", ".join(role for role in Role if action in ALLOWED[role])
        raise Forbidden(f"'{actor.name}' may not do '{action}'; it needs one of these roles: {needed}")
    if action in LOOKS | SETUP_LOOKS:
        _check_look(actor, action, purpose)
    if action in OWN_UNIT_ACTIONS and OWN_UNIT_ROLES.issuperset(granting) and object_.id != actor.name:
        raise Forbidden(f"'{actor.name}' acts for the unit of that name only, not for '{object_.id}'")


def may(actor: Actor, action: Action, object_: Object, purpose: Purpose = NO_PURPOSE) -> bool:
    """Return whether `authorize` lets it pass."""
    try:
        authorize(actor, action, object_, purpose)
    except Forbidden:
        return False
    return True


def _check_look(actor: Actor, action: Action, purpose: Purpose) -> None:
    if actor.kind is not ActorKind.PERSON:
        raise Forbidden(f"'{action}' is for people only; '{actor.name}' is a machine")
    if action in SETUP_LOOKS:
        if not purpose.text.strip():
            raise Forbidden(f"'{action}' needs a purpose in words")
        return
    if not purpose.incident_id.strip() or not purpose.text.strip():
        raise Forbidden(f"'{action}' needs the incident it is for and a purpose in words")
