"""Looks at pictures: each on a ground that still counts, and in the journal before the first picture."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Annotated, Final

from litestar.params import QueryParameter

from safecity.access.policy import Action, Object, Purpose, may
from safecity.clock import Clock
from safecity.errors import Forbidden, NotFound
from safecity.model.base import Noun
from safecity.model.incident import Incident
from safecity.model.source import Camera
from safecity.model.video import ID
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

REPEAT_S: Final = 600.0
"""Stills of one camera for one person, incident and purpose, masked or not, have one entry in so long."""
MOST_REPEATS: Final = 10_000
LIVE_END: Final = "video.live_end"
"""Action of the entry that ends a live look and says how long it was."""

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


class Repeats:
    """Which stills were written down lately: a wall asks for six a minute of each camera.

    In memory: after a restart of the web room the next still is written down anew.
    """

    def __init__(self, clock: Clock) -> None:
        """Know of none."""
        self._clock = clock
        self._written: OrderedDict[tuple[str, Look], float] = OrderedDict()

    def is_new(self, who: Identity, look: Look) -> bool:
        """Return whether this person's look, for this incident and purpose, has no entry of late."""
        written_s = self._written.get((who.actor.id, look))
        return written_s is None or self._clock.monotonic_s() - written_s >= REPEAT_S

    def wrote(self, who: Identity, look: Look) -> None:
        """Know that it has one now."""
        self._written[who.actor.id, look] = self._clock.monotonic_s()
        self._written.move_to_end((who.actor.id, look))
        while len(self._written) > MOST_REPEATS:
            self._written.popitem(last=False)


def taken(at: datetime | None) -> dict[str, str]:
    """Return the header that says when a picture was taken; none where that isn't known."""
    return {} if at is None else {"X-Frame-Time": at.isoformat().replace("+00:00", "Z")}


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
    if not ID.fullmatch(camera_id):
        # It becomes part of a subject on the bus, also where recordings outlive their camera.
        raise NotFound("there is no camera with that id")
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


async def write_end(deps: WebDeps, who: Identity, look: Look, lasted_s: float) -> None:
    """Write down that a live look is over, and how long it was."""
    minutes, seconds = divmod(round(lasted_s), 60)
    masks = " without masks" if look.unmasked else ""
    incident_id = look.ground.incident_id
    async with deps.db.writing() as tx:
        await tx.journal(
            actor=who.actor.id,
            action=LIVE_END,
            object_kind="camera",
            object_id=look.camera_id,
            text=f"{who.actor.name} looked through {look.camera_name}{masks} for {minutes} min {seconds} s",
            purpose=look.ground.text,
            touched=(f"incident/{incident_id}",) if incident_id else (),
        )
