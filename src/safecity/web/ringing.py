"""Reading what the telephony system says of a call: a call must not be lost for a wrong detail."""

from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from msgspec.structs import replace

from safecity.bus.consumer import bury
from safecity.errors import Invalid
from safecity.intake.validation import MAX_AHEAD, Gate, Untrue
from safecity.model.base import Noun, Place
from safecity.operations.calls import RingingCall
from safecity.web.answers import TOO_DEEP
from safecity.web.deps import WebDeps
from safecity.web.gate import NUL
from safecity.web.metrics import Metrics

log = structlog.get_logger()

WAY: Final = "calls"


class _Sent(Noun, frozen=True, forbid_unknown_fields=True):
    """A ringing call whose place is not judged yet."""

    call_id: str
    received_at: datetime
    line: str = "112"
    caller_number: str = ""
    language: str = ""
    caller_place: Any = None
    caller_words: str = ""
    simulated: bool = False


_decode = msgspec.json.Decoder(_Sent).decode


def read(body: bytes, gate: Gate, now: datetime, metrics: Metrics) -> RingingCall:
    """Return the call that the body holds, without a place that cannot be and with no time ahead of `now`.

    Raises Invalid when there is no call in it.
    """
    sent = _decoded(body)
    place = _place(sent.caller_place, gate)
    if place is None and sent.caller_place is not None:
        metrics.calls_corrected.labels("place").inc()
        log.warning("a call came with an impossible place and is taken without it", call=sent.call_id)
    fields = {name: getattr(sent, name) for name in RingingCall.__struct_fields__}
    call = RingingCall(**{**fields, "caller_place": place})
    if call.received_at.tzinfo is not None and call.received_at > now + MAX_AHEAD:
        metrics.calls_corrected.labels("time").inc()
        log.warning("a call came from the future and is taken as of now", call=sent.call_id)
        return replace(call, received_at=now)
    return call


async def keep_unread(deps: WebDeps, metrics: Metrics, body: bytes, reason: str, origin: str) -> None:
    """Count a body that holds no call and keep it in the dead-letter stream."""
    metrics.calls_refused.inc()
    try:
        await bury(deps.bus, WAY, body, reason, origin)
    except Exception as error:
        # The sender is told what is wrong with its call in any case; that matters more than the letter.
        log.error("a dead letter was not kept", reason=reason, error=repr(error))


def _decoded(body: bytes) -> _Sent:
    if NUL in body:
        raise Invalid("the body holds the character U+0000, which is not text")
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the body must be JSON of a ringing call: {error}") from error
    except RecursionError as error:
        raise Invalid(TOO_DEEP) from error


def _place(given: object, gate: Gate) -> Place | None:
    try:
        place = msgspec.convert(given, Place | None)
        if place is not None:
            gate.check_stated_place(place)
    except (msgspec.ValidationError, Untrue):
        return None
    return place


def openapi_body() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the OpenAPI request body and component schemas of a call, which is read beside the framework."""
    (schema,), schemas = msgspec.json.schema_components(
        [RingingCall], ref_template="#/components/schemas/{name}"
    )
    return {"required": True, "content": {"application/json": {"schema": schema}}}, schemas
