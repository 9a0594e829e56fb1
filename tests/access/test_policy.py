"""The policy, held against a second writing of it: every role with every action."""

import itertools

import pytest

from safecity.access.policy import (
    LOOKS,
    MACHINE_ROLES,
    NO_PURPOSE,
    OWN_UNIT_ACTIONS,
    Action,
    Actor,
    ActorKind,
    Object,
    Purpose,
    Role,
    authorize,
    may,
)
from safecity.errors import Forbidden

TABLE = """
action                administrator duty_officer dispatcher call_taker field auditor telephony gateway field_machine simulator monitor
session.own           x             x            x          x          x     x       .         .       .             .         .
live.follow           x             x            x          x          x     .       .         .       x             x         .
incident.see          .             x            x          x          x     x       .         .       .             x         .
call.see              .             x            x          x          .     .       .         .       .             x         .
unit.see              x             x            x          x          x     .       .         .       x             x         .
camera.see            x             x            x          x          .     .       .         .       .             .         .
source.see            x             x            x          x          .     .       .         .       .             .         .
map.see               x             x            x          x          x     .       .         .       .             x         .
place.search          x             x            x          x          x     .       .         .       .             x         .
video.live            .             x            x          .          .     -       .         .       .             .         .
video.still           .             x            x          .          .     -       .         .       .             .         .
video.playback        .             x            x          .          .     -       .         .       .             .         .
video.snapshot        .             x            x          .          .     -       .         .       .             .         .
video.unmask          .             x            .          .          .     -       .         .       .             .         .
video.setup           x             .            .          .          .     -       .         .       .             .         .
camera.setup.see      x             x            .          .          .     x       .         .       .             .         .
camera.configure      x             .            .          .          .     -       .         .       .             .         .
recording.hold        .             x            .          .          .     -       .         .       .             .         .
incident.recommend    .             x            x          .          .     .       .         .       .             .         .
incident.acknowledge  .             x            x          .          .     -       .         .       .             .         .
incident.dispatch     .             x            x          .          .     -       .         .       .             .         .
incident.cancel_unit  .             x            x          .          .     -       .         .       .             .         .
incident.close        .             x            x          .          .     -       .         .       .             .         .
incident.reopen       .             x            .          .          .     -       .         .       .             .         .
incident.prioritise   .             x            x          .          .     -       .         .       .             .         .
incident.note         .             x            x          x          x     -       .         .       .             .         .
unit.command          .             x            x          .          x     -       .         .       x             x         .
call.receive          .             .            .          .          .     -       x         .       .             x         .
call.abandon          .             x            .          x          .     -       x         .       .             x         .
call.handle           .             x            .          x          .     -       .         .       .             x         .
call.type             .             x            x          x          .     -       .         .       .             .         .
telemetry.send        .             .            .          .          .     -       .         x       x             x         .
journal.read          x             .            .          .          .     x       .         .       .             .         .
journal.check         x             .            .          .          .     x       .         .       .             .         .
metrics.read          x             .            .          .          .     x       .         .       .             .         x
schema.read           x             x            x          x          x     x       .         .       .             .         .
"""  # noqa: E501 - a table is read by its columns

GROUND = Purpose(text="smoke reported at the gate", incident_id="01JD")
OWN = Object("unit", "engine-1")


def _table() -> dict[tuple[Action, Role], str]:
    head, *lines = (line.split() for line in TABLE.strip().splitlines())
    return {
        (Action(action), Role(role)): cell
        for action, *cells in lines
        for role, cell in zip(head[1:], cells, strict=True)
    }


def _actor(*roles: Role, kind: ActorKind | None = None) -> Actor:
    machine = bool(roles) and MACHINE_ROLES.issuperset(roles)
    fitting = ActorKind.MACHINE if machine else ActorKind.PERSON
    return Actor(id="x", name="engine-1", roles=frozenset(roles), kind=kind or fitting)


def test_table_names_every_role_and_action() -> None:
    assert set(_table()) == set(itertools.product(Action, Role))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_every_role_with_every_action(role: Role, action: Action) -> None:
    assert may(_actor(role), action, OWN, GROUND) == (_table()[action, role] == "x")


@pytest.mark.parametrize("action", Action)
def test_denial_wins_over_every_grant(action: Action) -> None:
    for role in Role:
        both = _actor(role, Role.AUDITOR, kind=ActorKind.PERSON)
        if _table()[action, Role.AUDITOR] == "-":
            assert not may(both, action, OWN, GROUND)


@pytest.mark.parametrize("action", Action)
def test_nobody_without_a_role_may_anything(action: Action) -> None:
    assert not may(_actor(), action, OWN, GROUND)


@pytest.mark.parametrize(("role", "action"), sorted(itertools.product(MACHINE_ROLES, Action)))
def test_machine_roles_count_for_nothing_on_a_person(role: Role, action: Action) -> None:
    assert not may(_actor(role, kind=ActorKind.PERSON), action, OWN, GROUND)


@pytest.mark.parametrize("action", sorted(LOOKS))
@pytest.mark.parametrize(
    "purpose",
    [
        NO_PURPOSE,
        Purpose(text="a reason"),
        Purpose(incident_id="01JD"),
        Purpose(text="  ", incident_id="01JD"),
        Purpose(text="a reason", incident_id=" "),
    ],
)
def test_no_look_without_purpose_and_incident(action: Action, purpose: Purpose) -> None:
    with pytest.raises(Forbidden, match="purpose"):
        authorize(_actor(Role.DUTY_OFFICER), action, Object("camera", "c1"), purpose)


@pytest.mark.parametrize("action", sorted(LOOKS))
def test_no_machine_looks_at_video(action: Action) -> None:
    with pytest.raises(Forbidden, match="people only"):
        authorize(_actor(Role.DUTY_OFFICER, kind=ActorKind.MACHINE), action, Object("camera", "c1"), GROUND)


@pytest.mark.parametrize("action", sorted(OWN_UNIT_ACTIONS))
@pytest.mark.parametrize("role", [Role.FIELD, Role.FIELD_MACHINE])
def test_field_acts_for_its_own_unit_only(role: Role, action: Action) -> None:
    assert not may(_actor(role), action, Object("unit", "engine-2"), GROUND)


def test_a_dispatcher_who_is_also_in_the_field_commands_every_unit() -> None:
    actor = _actor(Role.FIELD, Role.DISPATCHER)
    assert may(actor, Action.COMMAND_UNIT, Object("unit", "engine-2"))


def test_refusal_says_which_role_is_needed() -> None:
    with pytest.raises(Forbidden, match="duty_officer, dispatcher"):
        authorize(_actor(Role.CALL_TAKER), Action.DISPATCH, Object("incident", "i"), NO_PURPOSE)


def test_a_setup_look_needs_a_purpose_and_no_incident() -> None:
    camera, actor = Object("camera", "c1"), _actor(Role.ADMINISTRATOR)
    assert may(actor, Action.LOOK_SETUP, camera, Purpose(text="drawing a zone"))
    with pytest.raises(Forbidden, match="purpose"):
        authorize(actor, Action.LOOK_SETUP, camera, Purpose(text=" "))
    machine = _actor(Role.ADMINISTRATOR, kind=ActorKind.MACHINE)
    assert not may(machine, Action.LOOK_SETUP, camera, Purpose(text="drawing a zone"))
