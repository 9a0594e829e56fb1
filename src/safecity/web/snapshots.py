"""Pictures of events, masked when they were written: for an incident, with a purpose, in the journal."""

from typing import Final

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from safecity.access.policy import Action, Purpose
from safecity.bus.subjects import snapshot as snapshot_subject
from safecity.errors import NotFound
from safecity.model.video import ID
from safecity.web.answers import kind_of
from safecity.web.cameras import StillAnswer
from safecity.web.gate import Gate, needs
from safecity.web.looks import NO_STORE, IncidentId, PurposeText, asked_look, write_down
from safecity.web.provide import Deps, PathId, Who

WITHIN_S: Final = 5.0


@get(
    "/api/snapshots/{camera_id:str}/{snapshot_id:str}",
    opt=needs(Action.LOOK_SNAPSHOT, "camera", "camera_id"),
    media_type="image/jpeg",
)
async def snapshot(
    camera_id: PathId,
    snapshot_id: PathId,
    purpose: PurposeText,
    incident_id: IncidentId,
    deps: Deps,
    who: Who,
    gate: NamedDependency[SkipValidation[Gate]],
) -> Response[bytes]:
    """Return the picture of an event (JPEG)."""
    if not (ID.fullmatch(camera_id) and ID.fullmatch(snapshot_id)):
        raise NotFound("there is no picture of this event")
    ground = Purpose(text=purpose, incident_id=incident_id)
    look = await asked_look(deps, gate, who, Action.LOOK_SNAPSHOT, camera_id, ground)
    question = msgspec.msgpack.encode({"id": snapshot_id})
    data = await deps.bus.request(snapshot_subject(camera_id), question, WITHIN_S)
    answer = msgspec.msgpack.decode(data, type=StillAnswer)
    if answer.code:
        raise kind_of(answer.code)(answer.message)
    await write_down(deps, who, look)
    return Response(answer.jpeg, headers=NO_STORE, media_type="image/jpeg")


HANDLERS = (snapshot,)
