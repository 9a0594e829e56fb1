"""Live pictures and stills: masked unless somebody may see more, for an incident, with a purpose."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Response, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.params import QueryParameter, SkipValidation

from safecity.access.policy import Action, Purpose
from safecity.bus.subjects import live as live_subject
from safecity.bus.subjects import live_start, view, view_start
from safecity.bus.subjects import still as still_subject
from safecity.errors import SafeCityError
from safecity.model.base import Noun
from safecity.model.video import StreamRole
from safecity.web.answers import kind_of
from safecity.web.channels import Channels, StreamStart, Viewer
from safecity.web.deps import WebDeps
from safecity.web.gate import Gate, Identity, needs
from safecity.web.looks import NO_STORE, IncidentId, Look, PurposeText, Unmasked, asked_look, write_down
from safecity.web.metrics import Metrics
from safecity.web.provide import Deps, PathId, Who
from safecity.web.sockets import Ended, Socket, close_for, first_of, stay_valid

STILL_WITHIN_S: Final = 8.0
"""The first masked still waits for the detector to be loaded."""

Stream = Annotated[
    StreamRole,
    QueryParameter(name="stream", description="Which stream, without masks; masked pictures are small."),
]
TheGate = NamedDependency[SkipValidation[Gate]]


class InitMessage(Noun, frozen=True, tag_field="type", tag="init"):
    """The first frame of a live picture. coarse: why it is coarse all over, empty when it isn't."""

    mime: str
    width: int
    height: int
    masked: bool
    coarse: str = ""


class StillAnswer(Noun, frozen=True):
    """What the viewing role answers: a picture, or why there is none."""

    jpeg: bytes = b""
    coarse: str = ""
    code: str = ""
    message: str = ""


@websocket("/api/cameras/{camera_id:str}/live", opt=needs(Action.LOOK_LIVE, "camera", "camera_id"))
async def live(
    socket: WebSocket[Any, Any, Any],
    camera_id: PathId,
    purpose: PurposeText,
    incident_id: IncidentId,
    deps: Deps,
    who: Who,
    gate: TheGate,
    channels: NamedDependency[SkipValidation[Channels]],
    figures: NamedDependency[SkipValidation[Metrics]],
    unmasked: Unmasked = False,
    stream: Stream = StreamRole.MAIN,
) -> None:
    """Send the live picture as fragmented MP4."""
    await socket.accept()
    figures.video_clients.inc()
    try:
        ground = Purpose(text=purpose, incident_id=incident_id)
        look = await asked_look(deps, gate, who, Action.LOOK_LIVE, camera_id, ground, unmasked=unmasked)
        subjects = (view(camera_id), view_start(camera_id))
        if unmasked:
            subjects = (live_subject(camera_id, stream), live_start(camera_id, stream))
        async with channels.looking(*subjects) as (start, viewer):
            await _show(socket, deps, gate, who, look, start, viewer)
    except WebSocketDisconnect:
        return
    except (SafeCityError, Ended) as error:
        await close_for(socket, error)
    finally:
        figures.video_clients.dec()


async def _show(
    socket: Socket,
    deps: WebDeps,
    gate: Gate,
    who: Identity,
    look: Look,
    start: StreamStart,
    viewer: Viewer,
) -> None:
    await write_down(deps, who, look)
    message = InitMessage(
        mime=start.mime,
        width=start.width,
        height=start.height,
        masked=not look.unmasked,
        coarse=start.coarse,
    )
    await socket.send_text(msgspec.json.encode(message).decode())
    for part in (start.init, *start.fragments):
        await socket.send_bytes(part)
    await first_of(_send(socket, viewer), _drain(socket), stay_valid(gate, who))


async def _send(socket: Socket, viewer: Viewer) -> None:
    while True:
        await socket.send_bytes(await viewer.next())


async def _drain(socket: Socket) -> None:
    while True:
        await socket.receive_data(mode="text")


@get(
    "/api/cameras/{camera_id:str}/still",
    opt=needs(Action.LOOK_STILL, "camera", "camera_id"),
    media_type="image/jpeg",
)
async def still(
    camera_id: PathId,
    purpose: PurposeText,
    incident_id: IncidentId,
    deps: Deps,
    who: Who,
    gate: TheGate,
    unmasked: Unmasked = False,
) -> Response[bytes]:
    """Return the newest still picture (JPEG)."""
    ground = Purpose(text=purpose, incident_id=incident_id)
    look = await asked_look(deps, gate, who, Action.LOOK_STILL, camera_id, ground, unmasked=unmasked)
    return await _still(deps, who, look)


@get(
    "/api/cameras/{camera_id:str}/setup-still",
    opt=needs(Action.LOOK_SETUP, "camera", "camera_id"),
    media_type="image/jpeg",
)
async def setup_still(
    camera_id: PathId, purpose: PurposeText, deps: Deps, who: Who, gate: TheGate
) -> Response[bytes]:
    """Return the newest still picture (JPEG) to draw rules and masks on, for no incident.

    It is always masked, and people are hidden in it whatever the setup says.
    """
    look = await asked_look(deps, gate, who, Action.LOOK_SETUP, camera_id, Purpose(text=purpose))
    return await _still(deps, who, look, strict=True)


async def _still(deps: WebDeps, who: Identity, look: Look, *, strict: bool = False) -> Response[bytes]:
    question = msgspec.msgpack.encode({"masked": not look.unmasked, "strict": strict})
    data = await deps.bus.request(still_subject(look.camera_id), question, STILL_WITHIN_S)
    answer = msgspec.msgpack.decode(data, type=StillAnswer)
    if answer.code:
        raise kind_of(answer.code)(answer.message)
    await write_down(deps, who, look)
    return Response(answer.jpeg, headers=NO_STORE, media_type="image/jpeg")


HANDLERS = (live, still, setup_still)
