"""Looks through cameras: each for an incident, with a purpose, in the journal before the first picture."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
import structlog
from litestar import Response, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.params import QueryParameter, SkipValidation
from nats.aio.msg import Msg

from safecity.access.policy import Action, Purpose
from safecity.bus.subjects import live as live_subject
from safecity.bus.subjects import live_start
from safecity.bus.subjects import still as still_subject
from safecity.errors import NotFound, SafeCityError, Unavailable
from safecity.model.base import Noun
from safecity.model.incident import Incident
from safecity.model.source import Camera
from safecity.model.video import StreamRole
from safecity.web.answers import kind_of
from safecity.web.deps import WebDeps
from safecity.web.gate import Gate, Identity, needs
from safecity.web.metrics import Metrics
from safecity.web.provide import Deps, PathId, Who

log = structlog.get_logger()

START_WITHIN_S: Final = 6.0
STILL_WITHIN_S: Final = 5.0
RENEW_S: Final = 5.0
"""The video role goes on for 10 s after each request, so that a lost one does no harm."""

MAX_WAITING: Final = 150
"""Fragments that wait for a slow viewer; past this the picture jumps to the next keyframe."""

CLOSE_RESTART: Final = 1012
CLOSE_TRY_AGAIN: Final = 1013
CLOSE_SIGNED_OUT: Final = 4401

PurposeText = Annotated[str, QueryParameter(name="purpose", max_length=500, description="Why, in words.")]
IncidentId = Annotated[
    str, QueryParameter(name="incident_id", max_length=64, description="The incident that the look is for.")
]


class StreamStart(Noun, frozen=True):
    """What the video role answers when a picture is asked for: how to decode it, and where to begin.

    Or, with `code` and `message`, why there is none.
    """

    mime: str = ""
    width: int = 0
    height: int = 0
    init: bytes = b""
    fragments: tuple[bytes, ...] = ()
    code: str = ""
    message: str = ""


class Look(Noun, frozen=True):
    """A look that is asked for: through which camera, on what ground."""

    action: Action
    camera: Camera
    ground: Purpose


class InitMessage(Noun, frozen=True, tag_field="type", tag="init"):
    """The first frame of a live picture."""

    mime: str
    width: int
    height: int


class _Ended(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Viewer:
    """Fragments on their way to one viewer. A slow one loses whole groups of pictures, never parts of one."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        """Keep at most `limit` fragments."""
        self._limit = limit
        self._waiting: deque[bytes] = deque()
        self._skipping = False
        self._floor: int | None = None
        self._newest = 0
        self._wake = asyncio.Event()
        self.restarted = asyncio.Event()

    async def on_message(self, message: Msg) -> None:
        """Take what the video role publishes."""
        kind = (message.headers or {}).get("Kind", "fragment")
        if kind == "init":
            self.restarted.set()
            return
        self.offer(message.data, keyframe=kind == "keyframe")

    def offer(self, fragment: bytes, *, keyframe: bool) -> None:
        """Queue a fragment, or drop it until the next keyframe when the viewer is behind."""
        number = sequence_number(fragment)
        if number < self._newest:
            self.restarted.set()
            return
        self._newest = number
        if len(self._waiting) >= self._limit:
            self._waiting.clear()
            self._skipping = True
        if self._skipping and not keyframe:
            return
        self._skipping = False
        self._waiting.append(fragment)
        self._wake.set()

    def begin_with(self, fragments: Iterable[bytes]) -> None:
        """Say what is sent as the beginning: what it holds came over the subscription too and is left out."""
        self._floor = max((sequence_number(fragment) for fragment in fragments), default=0)

    async def next(self) -> bytes:
        """Return the next fragment to send."""
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            fragment = self._waiting.popleft()
            if self._floor is None or sequence_number(fragment) > self._floor:
                self._floor = None
                return fragment


def sequence_number(fragment: bytes) -> int:
    """Return the number of a movie fragment (ISO/IEC 14496-12 section 8.8.5), 0 when it is none."""
    if fragment[4:8] != b"moof" or fragment[12:16] != b"mfhd":
        return 0
    return int.from_bytes(fragment[20:24], "big")


@websocket("/api/cameras/{camera_id:str}/live", opt=needs(Action.LOOK_LIVE, "camera", "camera_id"))
async def live(
    socket: WebSocket[Any, Any, Any],
    camera_id: PathId,
    purpose: PurposeText,
    incident_id: IncidentId,
    deps: Deps,
    who: Who,
    gate: NamedDependency[SkipValidation[Gate]],
    figures: NamedDependency[SkipValidation[Metrics]],
) -> None:
    """Send the live picture as fragmented MP4."""
    await socket.accept()
    figures.video_clients.inc()
    try:
        ground = Purpose(text=purpose, incident_id=incident_id)
        look = await _asked_look(deps, Action.LOOK_LIVE, camera_id, ground)
        await _show(socket, deps, gate, who, look)
    except WebSocketDisconnect:
        return
    except _Ended as ended:
        await _close(socket, ended.code, ended.reason)
    except SafeCityError as error:
        code = CLOSE_TRY_AGAIN if isinstance(error, Unavailable) else 4000 + int(error.status)
        await _close(socket, code, str(error))
    finally:
        figures.video_clients.dec()


@get(
    "/api/cameras/{camera_id:str}/still",
    opt=needs(Action.LOOK_STILL, "camera", "camera_id"),
    media_type="image/jpeg",
)
async def still(
    camera_id: PathId, purpose: PurposeText, incident_id: IncidentId, deps: Deps, who: Who
) -> Response[bytes]:
    """Return the newest still picture (JPEG)."""
    ground = Purpose(text=purpose, incident_id=incident_id)
    look = await _asked_look(deps, Action.LOOK_STILL, camera_id, ground)
    data = await deps.bus.request(still_subject(camera_id), b"", STILL_WITHIN_S)
    if not data:
        raise Unavailable("the camera has no picture now; its state says why")
    await _write_down(deps, who, look)
    return Response(data, headers={"Cache-Control": "no-store"}, media_type="image/jpeg")


async def _asked_look(deps: WebDeps, action: Action, camera_id: str, ground: Purpose) -> Look:
    """Return the look that is asked for; raises NotFound when camera or incident are not known."""
    async with deps.db.reading() as tx:
        camera = await tx.get(Camera, camera_id)
        if await tx.find(Incident, ground.incident_id) is None:
            raise NotFound(f"there is no incident with the id '{ground.incident_id}' to look for")
    return Look(action=action, camera=camera, ground=ground)


async def _write_down(deps: WebDeps, who: Identity, look: Look) -> None:
    """Write the look down when there is a picture, before it is shown; a dead camera shows nothing."""
    async with deps.db.writing() as tx:
        await tx.journal(
            actor=who.actor.id,
            action=look.action,
            object_kind="camera",
            object_id=look.camera.id,
            text=f"{who.actor.name} looked through {look.camera.name}",
            purpose=look.ground.text,
            touched=(f"incident/{look.ground.incident_id}",),
        )


async def _show(
    socket: WebSocket[Any, Any, Any], deps: WebDeps, gate: Gate, who: Identity, look: Look
) -> None:
    camera_id = look.camera.id
    viewer = Viewer()
    subscription = await deps.bus.client.subscribe(
        live_subject(camera_id, StreamRole.MAIN), cb=viewer.on_message
    )
    try:
        start = await _start(deps, camera_id)
        viewer.begin_with(start.fragments)
        await _write_down(deps, who, look)
        message = InitMessage(mime=start.mime, width=start.width, height=start.height)
        await socket.send_text(msgspec.json.encode(message).decode())
        for part in (start.init, *start.fragments):
            await socket.send_bytes(part)
        await _pass_on(socket, deps, gate, who, camera_id, viewer)
    finally:
        if not deps.bus.client.is_closed:
            await subscription.unsubscribe()


async def _start(deps: WebDeps, camera_id: str) -> StreamStart:
    answer = await deps.bus.request(live_start(camera_id, StreamRole.MAIN), b"", START_WITHIN_S)
    start = msgspec.msgpack.decode(answer, type=StreamStart)
    if start.code:
        raise kind_of(start.code)(start.message)
    return start


async def _pass_on(
    socket: WebSocket[Any, Any, Any],
    deps: WebDeps,
    gate: Gate,
    who: Identity,
    camera_id: str,
    viewer: Viewer,
) -> None:
    tasks = [
        asyncio.create_task(work)
        for work in (
            _send(socket, viewer),
            _drain(socket),
            _renew(deps, camera_id),
            _stay_valid(gate, who),
            _until_restart(viewer),
        )
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(socket: WebSocket[Any, Any, Any], viewer: Viewer) -> None:
    while True:
        await socket.send_bytes(await viewer.next())


async def _drain(socket: WebSocket[Any, Any, Any]) -> None:
    while True:
        await socket.receive_data(mode="text")


async def _renew(deps: WebDeps, camera_id: str) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            await _start(deps, camera_id)
        except Unavailable as error:
            raise _Ended(CLOSE_TRY_AGAIN, str(error)) from error


async def _stay_valid(gate: Gate, who: Identity) -> None:
    await gate.until_over(who)
    raise _Ended(CLOSE_SIGNED_OUT, "the session is over")


async def _until_restart(viewer: Viewer) -> None:
    await viewer.restarted.wait()
    raise _Ended(CLOSE_RESTART, "the camera's stream began anew")


async def _close(socket: WebSocket[Any, Any, Any], code: int, reason: str) -> None:
    try:
        await socket.close(code=code, reason=reason[:120])
    except (WebSocketDisconnect, RuntimeError, OSError) as error:
        log.debug("the viewer was gone already", error=repr(error))


HANDLERS = (live, still)
