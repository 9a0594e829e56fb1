"""Live pictures and stills: masked unless somebody may see more, for an incident, with a purpose."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import structlog
from litestar import Response, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.params import QueryParameter, SkipValidation

from safecity.access.policy import Action, Purpose
from safecity.bus.subjects import live as live_subject
from safecity.bus.subjects import live_start, view, view_start
from safecity.bus.subjects import still as still_subject
from safecity.errors import Forbidden, NotFound, SafeCityError, Unavailable
from safecity.model.base import Noun
from safecity.model.video import StreamRole
from safecity.web.answers import kind_of
from safecity.web.channels import Channels, StreamStart, Viewer
from safecity.web.deps import WebDeps
from safecity.web.gate import Gate, Identity, needs
from safecity.web.looks import (
    NO_STORE,
    IncidentId,
    Look,
    PurposeText,
    Repeats,
    Unmasked,
    asked_look,
    taken,
    write_down,
    write_end,
)
from safecity.web.metrics import Metrics
from safecity.web.provide import Deps, PathId, Who
from safecity.web.sockets import Ended, Socket, close_for, first_of, stay_valid

STILL_WITHIN_S: Final = 8.0
"""The first masked still waits for the detector to be loaded."""

GROUND_EVERY_S: Final = 60.0
"""How soon a live picture ends whose incident has ended, or whose camera is gone."""

Stream = Annotated[
    StreamRole,
    QueryParameter(name="stream", description="Which stream, without masks; masked pictures are small."),
]
TheGate = NamedDependency[SkipValidation[Gate]]
TheRepeats = NamedDependency[SkipValidation[Repeats]]

log = structlog.get_logger()


class InitMessage(Noun, frozen=True, tag_field="type", tag="init"):
    """The first frame of a live picture. coarse: why it is coarse all over, empty when it isn't."""

    mime: str
    width: int
    height: int
    masked: bool
    coarse: str = ""


class StillAnswer(Noun, frozen=True):
    """What the viewing role answers: a picture and when it was taken, or why there is none."""

    jpeg: bytes = b""
    coarse: str = ""
    at: datetime | None = None
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
    begun_s = deps.clock.monotonic_s()
    try:
        await first_of(
            _send(socket, viewer),
            _drain(socket),
            stay_valid(gate, who),
            _stay_grounded(deps, gate, who, look),
        )
    finally:
        await _note_end(deps, who, look, deps.clock.monotonic_s() - begun_s)


async def _stay_grounded(deps: WebDeps, gate: Gate, who: Identity, look: Look) -> None:
    """Raise Ended when one may no longer look on this ground; while nobody can say, the picture stays."""
    while True:
        await asyncio.sleep(GROUND_EVERY_S)
        try:
            await asked_look(
                deps, gate, who, look.action, look.camera_id, look.ground, unmasked=look.unmasked
            )
        except (Forbidden, NotFound) as error:
            raise Ended(4000 + int(error.status), str(error)) from error
        except Unavailable as error:
            log.info("whether a live look may go on cannot be told now", error=str(error))


async def _note_end(deps: WebDeps, who: Identity, look: Look, lasted_s: float) -> None:
    try:
        await write_end(deps, who, look, lasted_s)
    except SafeCityError as error:
        # That somebody looked is written down; only how long is lost.
        log.warning("the end of a live look was not written down", camera=look.camera_id, error=str(error))


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
    repeats: TheRepeats,
    unmasked: Unmasked = False,
) -> Response[bytes]:
    """Return the newest still picture (JPEG); X-Frame-Time says when it was taken."""
    ground = Purpose(text=purpose, incident_id=incident_id)
    look = await asked_look(deps, gate, who, Action.LOOK_STILL, camera_id, ground, unmasked=unmasked)
    return await _still(deps, who, look, repeats)


@get(
    "/api/cameras/{camera_id:str}/setup-still",
    opt=needs(Action.LOOK_SETUP, "camera", "camera_id"),
    media_type="image/jpeg",
)
async def setup_still(
    camera_id: PathId, purpose: PurposeText, deps: Deps, who: Who, gate: TheGate, repeats: TheRepeats
) -> Response[bytes]:
    """Return the newest still picture (JPEG) to draw rules and masks on, for no incident.

    It is always masked, and people are hidden in it whatever the setup says.
    """
    look = await asked_look(deps, gate, who, Action.LOOK_SETUP, camera_id, Purpose(text=purpose))
    return await _still(deps, who, look, repeats, strict=True)


async def _still(
    deps: WebDeps, who: Identity, look: Look, repeats: Repeats, *, strict: bool = False
) -> Response[bytes]:
    question = msgspec.msgpack.encode({"masked": not look.unmasked, "strict": strict})
    data = await deps.bus.request(still_subject(look.camera_id), question, STILL_WITHIN_S)
    answer = msgspec.msgpack.decode(data, type=StillAnswer)
    if answer.code:
        raise kind_of(answer.code)(answer.message)
    if repeats.is_new(who, look):
        await write_down(deps, who, look)
        repeats.wrote(who, look)
    return Response(answer.jpeg, headers={**NO_STORE, **taken(answer.at)}, media_type="image/jpeg")


HANDLERS = (live, still, setup_still)
