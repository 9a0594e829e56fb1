"""Telemetry over HTTP: a bare ASGI application beside the framework, since this is the busiest way in.

An observation is acknowledged (202) only when JetStream has it on disk. One that cannot be true is refused
with its index and reason, counted, and kept in the dead-letter stream; the others go through.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
import structlog
from litestar.exceptions import MethodNotAllowedException
from litestar.types import HTTPScope, Receive, Send

from safecity.access.policy import NO_PURPOSE, Action, Actor, Object, may
from safecity.bus.consumer import bury
from safecity.errors import Invalid, TooLarge, Unauthenticated, Unavailable
from safecity.intake import validation
from safecity.intake.validation import MAX_NAME, Untrue
from safecity.model.base import Noun
from safecity.model.observation import Observation, ObservationKind, Unit
from safecity.web.answers import Problem, problem_of
from safecity.web.deps import WebDeps
from safecity.web.gate import SIGN_IN, Gate, Identity
from safecity.web.metrics import Metrics

log = structlog.get_logger()

PATH: Final = "/api/telemetry"
WAY: Final = "http"
MAX_BODY: Final = 1024 * 1024
MAX_OBSERVATIONS: Final = 5000
MAX_AT_ONCE: Final = 256
"""Requests that may wait for the disk; more are told to come again, so that memory stays bounded."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises; the last when something is nested too deeply."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]


class Sent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One observation as a sender writes it."""

    source_id: Name
    kind: Literal["reading", "position"]
    event_time: datetime
    property: Name
    value: float | None = None
    unit: Unit = Unit.NONE
    lon: float | None = None
    lat: float | None = None
    uncertainty_m: float | None = None
    heading_deg: float | None = None


class Batch(msgspec.Struct, frozen=True):
    """What a request holds; each observation is read by itself, so that a bad one harms no other."""

    observations: list[msgspec.Raw]


class Telemetry(msgspec.Struct, frozen=True):
    """The same for the OpenAPI document."""

    observations: Annotated[list[Sent], msgspec.Meta(max_length=MAX_OBSERVATIONS)]


class Refused(Noun, frozen=True):
    """An observation that was not taken, by its index in the request, and why."""

    index: int
    reason: str


class Taken(Noun, frozen=True):
    """How many observations are on disk, and which were refused."""

    accepted: int
    refused: tuple[Refused, ...] = ()


class _Buried(Noun, frozen=True):
    reason: str
    observation: msgspec.Raw


class _Doubt(Exception):
    """Why an observation is refused; `category` is for counting."""

    def __init__(self, category: str, reason: str) -> None:
        super().__init__(reason)
        self.category = category


_decode_batch = msgspec.json.Decoder(Batch).decode
_decode_sent = msgspec.json.Decoder(Sent).decode
_encode = msgspec.json.encode


class TelemetryApp:
    """The ASGI application behind POST /api/telemetry."""

    def __init__(self, deps: WebDeps, gate: Gate, metrics: Metrics) -> None:
        """Take in what is inside of the city's box."""
        self._deps = deps
        self._gate = gate
        self._metrics = metrics
        self._limits = validation.Gate(deps.city.bbox)
        self._at_once = 0

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            body = _encode(await self._take(scope, receive))
        except Exception as error:
            status, problem, headers = problem_of(error)
            await _respond(send, status, _encode(problem), headers)
        else:
            await _respond(send, 202, body, {})

    async def _take(self, scope: HTTPScope, receive: Receive) -> Taken:
        who = await self._identify(scope)
        if scope["method"] != "POST":
            raise MethodNotAllowedException(headers={"Allow": "POST"})
        if self._at_once >= MAX_AT_ONCE:
            raise Unavailable("too many requests wait for the disk; send larger batches, fewer at once")
        self._at_once += 1
        try:
            data = await _body(receive)
            return await self._store(who.actor, data)
        finally:
            self._at_once -= 1

    async def _identify(self, scope: HTTPScope) -> Identity:
        headers = {name.lower(): value for name, value in scope["headers"]}
        bearer = headers.get(b"authorization")
        if bearer is None:
            # A browser never sends telemetry: without cookies there is nothing to forge.
            raise Unauthenticated(SIGN_IN)
        who = await self._gate.identify_machine(bearer.decode("latin-1"))
        if not who.actor.roles or not _may_send_any(who.actor):
            await self._gate.pass_or_note(
                who.actor, Action.SEND_TELEMETRY, Object(kind="telemetry"), NO_PURPOSE
            )
        return who

    async def _store(self, actor: Actor, data: bytes) -> Taken:
        if not self._deps.bus.client.is_connected:
            raise Unavailable("the bus is away; nothing was taken, send it again")
        try:
            raw = _decode_batch(data).observations
        except UNREADABLE as error:
            self._metrics.telemetry_refused.labels("malformed").inc()
            await self._bury(data, f"the body cannot be read: {error}", actor)
            raise Invalid(f"the body must be JSON with a list 'observations': {error}") from error
        if len(raw) > MAX_OBSERVATIONS:
            raise TooLarge(f"a request may hold {MAX_OBSERVATIONS} observations, not {len(raw)}")
        good, refused = self._sift(actor, raw)
        await self._deps.batcher.put(good)
        self._metrics.accepted(len(good))
        if refused:
            letters = [_Buried(reason=r.reason, observation=raw[r.index]) for r in refused]
            await self._bury(
                _encode(letters), f"{len(refused)} refused; the first: {refused[0].reason}", actor
            )
        return Taken(accepted=len(good), refused=tuple(refused))

    def _sift(self, actor: Actor, raw: list[msgspec.Raw]) -> tuple[list[Observation], list[Refused]]:
        good: list[Observation] = []
        refused: list[Refused] = []
        now = self._deps.clock.now()
        for index, item in enumerate(raw):
            try:
                good.append(self._checked(actor, item, now))
            except _Doubt as doubt:
                self._metrics.telemetry_refused.labels(doubt.category).inc()
                refused.append(Refused(index=index, reason=str(doubt)))
        return good, refused

    def _checked(self, actor: Actor, item: msgspec.Raw, now: datetime) -> Observation:
        try:
            sent = _decode_sent(item)
        except UNREADABLE as error:
            raise _Doubt("malformed", str(error)) from error
        if not may(actor, Action.SEND_TELEMETRY, Object(kind="source", id=sent.source_id)):
            raise _Doubt("forbidden", f"'{actor.name}' may not send for '{sent.source_id}'")
        if sent.kind == "reading" and sent.value is None:
            raise _Doubt("figure", "a reading needs a 'value'")
        observation = _observation(sent, now)
        try:
            self._limits.check(observation, now)
        except Untrue as error:
            raise _Doubt(error.matter, str(error)) from error
        return observation

    async def _bury(self, payload: bytes, reason: str, actor: Actor) -> None:
        try:
            await bury(self._deps.bus, WAY, payload, reason, f"{PATH} from {actor.name}")
        except Exception as error:
            # What could be read is on disk already: the sender must not send it all again for this.
            log.error("a dead letter was not kept", reason=reason, error=repr(error))


def _may_send_any(actor: Actor) -> bool:
    return may(actor, Action.SEND_TELEMETRY, Object(kind="unit", id=actor.name))


def _observation(sent: Sent, now: datetime) -> Observation:
    heading_deg = sent.heading_deg
    if heading_deg is not None and 0.0 <= heading_deg <= 360.0:
        # float4 in the store rounds 359.99999 up to 360, which is 0.
        heading_deg = round(heading_deg, 2) % 360.0
    return Observation(
        source_id=sent.source_id,
        kind=ObservationKind(sent.kind),
        event_time=sent.event_time,
        receive_time=now,
        property=sent.property,
        value=sent.value,
        unit=sent.unit,
        lon=sent.lon,
        lat=sent.lat,
        uncertainty_m=sent.uncertainty_m,
        heading_deg=heading_deg,
    )


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        event: Any = await receive()
        if event["type"] == "http.disconnect":
            raise Invalid("the sender left before the end of the body")
        part = event.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            raise TooLarge(f"the body may have {MAX_BODY} bytes; send smaller batches")
        parts.append(part)
        if not event.get("more_body", False):
            return b"".join(parts)


async def _respond(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    fields += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def openapi_path() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the OpenAPI path item and component schemas of this route, which the framework cannot see."""
    (body, answer, problem), schemas = msgspec.json.schema_components(
        [Telemetry, Taken, Problem], ref_template="#/components/schemas/{name}"
    )
    refusal = {"description": "Nothing was taken.", "content": {"application/json": {"schema": problem}}}
    operation = {
        "summary": "Send telemetry",
        "operationId": "TelemetrySend",
        "description": "Take in readings and positions; answered when they are on disk.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "202": {
                "description": "Accepted observations are on disk; refused ones are named.",
                "content": {"application/json": {"schema": answer}},
            },
            **dict.fromkeys(("400", "401", "403", "413", "503"), refusal),
        },
        "deprecated": False,
    }
    return {PATH: {"post": operation}}, schemas
