"""Telemetry over HTTP: a bare ASGI application beside the framework, since this is the busiest way in.

An observation is acknowledged (202) only when JetStream has it on disk. One that cannot be true is refused
with its index and reason, counted, and kept in the dead-letter stream; the others go through.
"""

import math
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
import structlog
from litestar.exceptions import MethodNotAllowedException
from litestar.types import HTTPScope, Receive, Send

from safecity.access.policy import NO_PURPOSE, Action, Actor, Object, may
from safecity.bus.consumer import bury
from safecity.errors import Invalid, TooLarge, Unauthenticated, Unavailable
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

AHEAD: Final = timedelta(minutes=5)
"""How far a source's clock may run ahead."""

BEHIND: Final = timedelta(hours=24)
"""How late an observation may come: as long as an edge site may be cut off and still deliver."""

MARGIN_DEG: Final = 0.5
"""How far outside of the city's box something may be: the neighbours' units help too."""

MAX_SPEED_MPS: Final = 150.0
"""Faster than any helicopter of an agency flies (about 90 m/s)."""

Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]
Property = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Sent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One observation as a sender writes it."""

    source_id: Id
    kind: Literal["reading", "position"]
    event_time: datetime
    property: Property
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
        west, south, east, north = deps.city.bbox
        self._box = (west - MARGIN_DEG, south - MARGIN_DEG, east + MARGIN_DEG, north + MARGIN_DEG)
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
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
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
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _Doubt("malformed", str(error)) from error
        if not may(actor, Action.SEND_TELEMETRY, Object(kind="source", id=sent.source_id)):
            raise _Doubt("forbidden", f"'{actor.name}' may not send for '{sent.source_id}'")
        _check_time(sent, now)
        self._check_place(sent)
        _check_figures(sent)
        # float4 in the store rounds 359.99999 up to 360, which is 0.
        heading_deg = None if sent.heading_deg is None else round(sent.heading_deg, 2) % 360.0
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

    def _check_place(self, sent: Sent) -> None:
        lon, lat = sent.lon, sent.lat
        if (lon is None) != (lat is None):
            raise _Doubt("place", "'lon' and 'lat' come together or not at all")
        if lon is None or lat is None:
            if sent.kind == "position":
                raise _Doubt("place", "a position needs 'lon' and 'lat'")
            return
        if not (-180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0):
            raise _Doubt("place", f"lon {lon} and lat {lat} are not on Earth")
        west, south, east, north = self._box
        if not (west <= lon <= east and south <= lat <= north):
            raise _Doubt("place", f"lon {lon} and lat {lat} are far outside of {self._deps.city.name}")

    async def _bury(self, payload: bytes, reason: str, actor: Actor) -> None:
        try:
            await bury(self._deps.bus, WAY, payload, reason, f"{PATH} from {actor.name}")
        except Exception as error:
            # What could be read is on disk already: the sender must not send it all again for this.
            log.error("a dead letter was not kept", reason=reason, error=repr(error))


def _may_send_any(actor: Actor) -> bool:
    return may(actor, Action.SEND_TELEMETRY, Object(kind="unit", id=actor.name))


def _check_time(sent: Sent, now: datetime) -> None:
    if sent.event_time.tzinfo is None:
        raise _Doubt("time", "'event_time' needs a time zone, for example 2026-01-31T12:00:00Z")
    if sent.event_time > now + AHEAD:
        raise _Doubt("time", f"'event_time' is more than {AHEAD.seconds // 60} minutes ahead; set the clock")
    if sent.event_time < now - BEHIND:
        raise _Doubt("time", "'event_time' is more than 24 hours ago")


def _check_figures(sent: Sent) -> None:
    for name in ("value", "uncertainty_m", "heading_deg"):
        figure = getattr(sent, name)
        if figure is not None and not math.isfinite(figure):
            raise _Doubt("figure", f"'{name}' must be a finite number")
    if sent.kind == "reading" and sent.value is None:
        raise _Doubt("figure", "a reading needs a 'value'")
    if sent.kind == "position" and not 0.0 <= (sent.value or 0.0) <= MAX_SPEED_MPS:
        raise _Doubt("figure", f"'value' of a position is a speed of 0 to {MAX_SPEED_MPS:g} m/s")
    if sent.heading_deg is not None and not 0.0 <= sent.heading_deg <= 360.0:
        raise _Doubt("figure", "'heading_deg' is 0 to 360 degrees clockwise from north")
    if sent.uncertainty_m is not None and not 0.0 <= sent.uncertainty_m <= 1e7:
        raise _Doubt("figure", "'uncertainty_m' is 0 or more metres")


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
