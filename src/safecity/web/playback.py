"""Playback of recordings: opened once on a ground, then asked for piece by piece with a token."""

import secrets
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter, SkipValidation

from safecity.access.policy import Action, Object, Purpose
from safecity.bus.subjects import playback as playback_subject
from safecity.clock import Clock
from safecity.errors import Invalid, NotFound
from safecity.model.base import Noun
from safecity.web.answers import kind_of
from safecity.web.deps import WebDeps
from safecity.web.gate import Gate, Identity, needs
from safecity.web.looks import NO_STORE, Look, asked_look, taken, write_down
from safecity.web.provide import Deps, PathId, Who

IDLE_S: Final = 15 * 60.0
"""A playback that nobody asks of for so long is over."""
MAX_OPEN: Final = 500
"""Playbacks at the same time; past it the one that was used least recently ends."""
WITHIN_S: Final = 20.0
"""A chunk of a 4K recording on a busy machine takes seconds to mask."""
FAR: Final = timedelta(hours=1)
"""Who goes so far from all that is written down looks at something else, which is written down too: a whole
day that is played is a row of entries, at most so far from each other."""
MOST_WRITTEN: Final = 200
"""Entries of one playback that are remembered; who comes back to an older one is written down anew."""

At = Annotated[datetime, QueryParameter(name="at", description="Moment, RFC 3339 with an offset.")]
Speed = Annotated[int, QueryParameter(name="speed", ge=1, le=16, description="How many times faster.")]
Step = Annotated[
    int, QueryParameter(name="step", ge=-1000, le=1000, description="So many pictures later, or earlier.")
]


class Opening(Noun, frozen=True, forbid_unknown_fields=True):
    """On what ground recordings are to be played, and whether without masks."""

    purpose: Annotated[str, msgspec.Meta(max_length=500)]
    incident_id: Annotated[str, msgspec.Meta(max_length=64)]
    unmasked: bool = False


class Opened(Noun, frozen=True):
    """The token to ask for pieces with. It ends when unused until `expires_at`; each use prolongs it."""

    token: str
    expires_at: datetime


class GapAnswer(Noun, frozen=True):
    """A time of which there is no recording, and why."""

    start: datetime
    end: datetime
    reason: str


class ChunkAnswer(Noun, frozen=True):
    """What the viewing role answers when a piece is asked for, or why there is none."""

    mime: str = ""
    width: int = 0
    height: int = 0
    init: bytes = b""
    fragments: tuple[bytes, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    next: datetime | None = None
    gap: GapAnswer | None = None
    skipped: GapAnswer | None = None
    coarse: str = ""
    code: str = ""
    message: str = ""


class ChunkHead(Noun, frozen=True):
    """What stands before the bytes of a piece.

    start, end: what it covers; media time begins with 0 at `start` and counts seconds of film at any speed.
    next: what to ask for afterwards, null where the recording ends. gap: what is missing between end and
    next; skipped: before start. coarse: why the picture is coarse all over. parts: sizes in bytes of the
    initialisation segment and of each fragment, which follow in this order.
    """

    mime: str
    width: int
    height: int
    start: datetime | None
    end: datetime | None
    next: datetime | None
    gap: GapAnswer | None
    skipped: GapAnswer | None
    masked: bool
    coarse: str
    parts: tuple[int, ...]


class FrameAnswer(Noun, frozen=True):
    """What the viewing role answers when a single picture is asked for, or why there is none."""

    jpeg: bytes = b""
    at: datetime | None = None
    coarse: str = ""
    code: str = ""
    message: str = ""


class Playback:
    """One opened playback: whose, of which camera, on what ground."""

    def __init__(self, who: Identity, look: Look, now_s: float) -> None:
        """Begin at `now_s` of the monotonic clock."""
        self.who = who
        self.look = look
        self.used_s = now_s
        self._written: list[datetime] = []

    def is_new(self, at: datetime) -> bool:
        """Return whether `at` is far from all that is written down."""
        return all(abs(at - written) > FAR for written in self._written)

    def wrote(self, at: datetime) -> None:
        """Know that looking at `at` is written down."""
        self._written = [*self._written[-MOST_WRITTEN:], at]


class Playbacks:
    """The opened playbacks, in memory: a restart of the web room ends them."""

    def __init__(self, clock: Clock) -> None:
        """Hold none."""
        self._clock = clock
        self._open: OrderedDict[str, Playback] = OrderedDict()

    def open(self, who: Identity, look: Look) -> str:
        """Return the token of a new playback."""
        self._forget()
        token = secrets.token_urlsafe(32)
        self._open[token] = Playback(who, look, self._clock.monotonic_s())
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return token

    def use(self, token: str, who: Identity) -> Playback:
        """Return an opened playback, prolonged. Raises NotFound when it is over or somebody else's."""
        self._forget()
        found = self._open.get(token)
        if found is None or not _same(found.who, who):
            raise NotFound("this playback is over; open it again")
        found.used_s = self._clock.monotonic_s()
        self._open.move_to_end(token)
        return found

    def _forget(self) -> None:
        limit_s = self._clock.monotonic_s() - IDLE_S
        while self._open and next(iter(self._open.values())).used_s < limit_s:
            self._open.popitem(last=False)


ThePlaybacks = NamedDependency[SkipValidation[Playbacks]]
TheGate = NamedDependency[SkipValidation[Gate]]


@post(
    "/api/cameras/{camera_id:str}/playback",
    opt=needs(Action.LOOK_PLAYBACK, "camera", "camera_id", asks_ground=True),
    status_code=200,
)
async def open_playback(
    camera_id: PathId,
    data: JSONBody[Opening],
    deps: Deps,
    who: Who,
    gate: TheGate,
    playbacks: ThePlaybacks,
) -> Opened:
    """Open the recordings of a camera for an incident; the first picture shown is written down."""
    if not (data.purpose + data.incident_id).isprintable():
        raise Invalid("'purpose' and 'incident_id' are one line of printable characters")
    ground = Purpose(text=data.purpose, incident_id=data.incident_id)
    await _authorise(gate, who, camera_id, ground)
    look = await asked_look(deps, gate, who, Action.LOOK_PLAYBACK, camera_id, ground, unmasked=data.unmasked)
    token = playbacks.open(who, look)
    return Opened(token=token, expires_at=deps.clock.now() + timedelta(seconds=IDLE_S))


@get(
    "/api/playback/{token:str}/chunk",
    opt=needs(Action.LOOK_PLAYBACK, "playback", asks_ground=True),
    media_type="application/octet-stream",
)
async def chunk(
    token: PathId, at: At, deps: Deps, who: Who, gate: TheGate, playbacks: ThePlaybacks, speed: Speed = 1
) -> Response[bytes]:
    """Return a piece of recording: 4 bytes big-endian length, a JSON head of that length, then its parts."""
    opened = await _use(playbacks, gate, token, who)
    question = {"op": "chunk", "at": _aware(at), "speed": speed, "masked": not opened.look.unmasked}
    answer = await _ask(deps, opened, question, ChunkAnswer)
    if answer.start is not None:
        await _write_down(deps, who, opened, answer.start)
    parts = (answer.init, *answer.fragments)
    given = {name: getattr(answer, name) for name in ChunkHead.__struct_fields__ if hasattr(answer, name)}
    masked = not opened.look.unmasked
    head = msgspec.json.encode(ChunkHead(**given, masked=masked, parts=tuple(map(len, parts))))
    body = b"".join((len(head).to_bytes(4, "big"), head, *parts))
    return Response(body, headers=NO_STORE, media_type="application/octet-stream")


@get(
    "/api/playback/{token:str}/frame",
    opt=needs(Action.LOOK_PLAYBACK, "playback", asks_ground=True),
    media_type="image/jpeg",
)
async def frame(
    token: PathId, at: At, deps: Deps, who: Who, gate: TheGate, playbacks: ThePlaybacks, step: Step = 0
) -> Response[bytes]:
    """Return the picture shown at a moment, or some steps from it (JPEG); X-Frame-Time says when it was."""
    opened = await _use(playbacks, gate, token, who)
    question = {"op": "frame", "at": _aware(at), "step": step, "masked": not opened.look.unmasked}
    answer = await _ask(deps, opened, question, FrameAnswer)
    if answer.at is None:
        raise NotFound("there is no such picture")
    await _write_down(deps, who, opened, answer.at)
    return Response(answer.jpeg, headers={**NO_STORE, **taken(answer.at)}, media_type="image/jpeg")


async def _use(playbacks: Playbacks, gate: Gate, token: str, who: Identity) -> Playback:
    """Return the playback behind a token; what was allowed when it was opened must be allowed still."""
    opened = playbacks.use(token, who)
    await _authorise(gate, who, opened.look.camera_id, opened.look.ground)
    if opened.look.unmasked:
        object_ = Object(kind="camera", id=opened.look.camera_id)
        await gate.pass_or_note(who.actor, Action.UNMASK, object_, opened.look.ground)
    return opened


async def _authorise(gate: Gate, who: Identity, camera_id: str, ground: Purpose) -> None:
    await gate.pass_or_note(who.actor, Action.LOOK_PLAYBACK, Object(kind="camera", id=camera_id), ground)


async def _ask(deps: WebDeps, opened: Playback, question: dict[str, Any], type_: Any) -> Any:
    data = await deps.bus.request(
        playback_subject(opened.look.camera_id), msgspec.msgpack.encode(question), WITHIN_S
    )
    answer = msgspec.msgpack.decode(data, type=type_)
    if answer.code:
        raise kind_of(answer.code)(answer.message)
    return answer


async def _write_down(deps: WebDeps, who: Identity, opened: Playback, at: datetime) -> None:
    """Write down what is played before it is shown: at first, and whenever it is far from what is."""
    if opened.is_new(at):
        await write_down(deps, who, opened.look, f", from {at:%Y-%m-%d %H:%M:%S} UTC")
        opened.wrote(at)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Invalid("'at' needs an offset, for example 2026-01-31T08:00:00Z")
    return at


def _same(one: Identity, other: Identity) -> bool:
    """Return whether both are the same account in the same session."""
    ours = one.session.token_hash if one.session is not None else None
    theirs = other.session.token_hash if other.session is not None else None
    return one.actor.id == other.actor.id and ours == theirs


HANDLERS = (open_playback, chunk, frame)
