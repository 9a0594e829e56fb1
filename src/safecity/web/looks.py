"""Looks at pictures: each on a ground that still counts, and in the journal before the first picture."""

from datetime import timedelta
from typing import Annotated, Final

from litestar.params import QueryParameter

from safecity.access.policy import Action, Object, Purpose, may
from safecity.errors import Forbidden, NotFound
from safecity.model.base import Noun
from safecity.model.incident import Incident
from safecity.model.source import Camera
from safecity.web.deps import WebDeps
from safecity.web.gate import Gate, Identity

PurposeText = Annotated[str, QueryParameter(name="purpose", max_length=500, description="Why, in words.")]
IncidentId = Annotated[
    str, QueryParameter(name="incident_id", max_length=64, description="The incident that the look is for.")
]
Unmasked = Annotated[
    bool,
    QueryParameter(name="unmasked", description="1: without masks and blur, which is a right of its own."),
]

NO_STORE: Final = {"Cache-Control": "no-store"}
"""A picture that was looked at is in nobody's cache."""
PAST_LOOKS: Final = frozenset({Action.LOOK_PLAYBACK, Action.LOOK_SNAPSHOT})
"""Looks at what was, which those who lead the room need for an incident that ended long ago."""

_WORDS: Final = {
    Action.LOOK_LIVE: "looked through {camera}",
    Action.LOOK_STILL: "looked at a still of {camera}",
    Action.LOOK_SETUP: "looked at a still of {camera} to set it up",
    Action.LOOK_PLAYBACK: "played recordings of {camera}",
    Action.LOOK_SNAPSHOT: "looked at the picture of an event of {camera}",
}


class Look(Noun, frozen=True):
    """A look that is asked for: through which camera, on what ground, with or without masks."""

    action: Action
    camera_id: str
    camera_name: str
    ground: Purpose
    unmasked: bool = False


async def asked_look(
    deps: WebDeps,
    gate: Gate,
    who: Identity,
    action: Action,
    camera_id: str,
    ground: Purpose,
    *,
    unmasked: bool = False,
) -> Look:
    """Return the look that is asked for, when everything about it is right.

    Raises Forbidden when masks may not be taken off or the incident ended too long ago, NotFound when camera
    or incident are not known.
    """
    if unmasked:
        await gate.pass_or_note(who.actor, Action.UNMASK, Object(kind="camera", id=camera_id), ground)
    async with deps.db.reading() as tx:
        # Recordings outlive their camera.
        past = action in PAST_LOOKS
        camera = await tx.find(Camera, camera_id) if past else await tx.get(Camera, camera_id)
        incident = await tx.find(Incident, ground.incident_id) if ground.incident_id else None
    if action is not Action.LOOK_SETUP:
        _check_incident(deps, who, action, ground, incident)
    name = camera.name if camera is not None else camera_id
    return Look(action=action, camera_id=camera_id, camera_name=name, ground=ground, unmasked=unmasked)


def _check_incident(
    deps: WebDeps, who: Identity, action: Action, ground: Purpose, incident: Incident | None
) -> None:
    """Return when one may look for `incident` now.

    A look serves the work on an incident, so it ends some time after the work. Who may reopen an incident
    reviews it, and may play and look up what was recorded of it at any later time.
    """
    if incident is None:
        raise NotFound(f"there is no incident with the id '{ground.incident_id}' to look for")
    limit = timedelta(seconds=deps.settings.web.looks_after_close_s)
    if incident.is_open or incident.closed_at is None or deps.clock.now() - incident.closed_at <= limit:
        return
    if action in PAST_LOOKS and may(who.actor, Action.REOPEN, Object(kind="incident", id=incident.id)):
        return
    raise Forbidden(
        "that incident was closed too long ago to look for it now; name the incident that you work on, or "
        "ask a duty officer to reopen it"
    )


async def write_down(deps: WebDeps, who: Identity, look: Look, more: str = "") -> None:
    """Write the look down when there is a picture, before it is shown; a dead camera shows nothing."""
    what = _WORDS[look.action].format(camera=look.camera_name)
    masks = " without masks" if look.unmasked else ""
    incident_id = look.ground.incident_id
    async with deps.db.writing() as tx:
        await tx.journal(
            actor=who.actor.id,
            action=Action.UNMASK if look.unmasked else look.action,
            object_kind="camera",
            object_id=look.camera_id,
            text=f"{who.actor.name} {what}{masks}{more}",
            purpose=look.ground.text,
            touched=(f"incident/{incident_id}",) if incident_id else (),
        )
