"""Emergency calls: from the telephony system, and what call-takers do with them."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, RawBody, SkipValidation

from safecity.access.policy import Action
from safecity.errors import Invalid
from safecity.intake.validation import Gate
from safecity.model.base import Noun
from safecity.operations import calls
from safecity.operations.calls import CallAnswer, CallCard, TypedCall
from safecity.operations.command import Order
from safecity.store.database import Database
from safecity.web import ringing
from safecity.web.answers import documented, json_answer
from safecity.web.gate import needs
from safecity.web.metrics import Metrics
from safecity.web.provide import Deps, PathId, TheOrder, Who

PATH = "/api/calls"
_AFTER = documented(CallAnswer, "The call after the command.")


class Received(Noun, frozen=True):
    """That a call is on disk."""

    call_id: str


class ClosingReason(Noun, frozen=True, forbid_unknown_fields=True):
    """Why a call leads to no incident."""

    reason: str


def _on_call(action: Action) -> dict[str, Any]:
    return needs(action, "call", "call_id")


async def _any_body(_: Request[Any, Any, Any]) -> None:
    """Let every body come to the handler, which keeps those that it cannot read."""


@post(PATH, opt=needs(Action.RECEIVE_CALL, "call"), status_code=202, before_request=_any_body)
async def receive(
    body: RawBody, deps: Deps, who: Who, figures: NamedDependency[SkipValidation[Metrics]]
) -> Received:
    """Take in a ringing call from the telephony system; the same call_id again changes nothing.

    A call is taken without a caller_place that cannot be, and as of now when received_at is in the future.
    """
    try:
        call = ringing.read(body, Gate(deps.city.bbox), deps.clock.now(), figures)
        await calls.receive(deps.db, Order(actor=who.actor.id), call)
    except Invalid as error:
        await ringing.keep_unread(deps, figures, body, str(error), f"{PATH} from {who.actor.name}")
        raise
    return Received(call_id=call.call_id)


@post("/api/calls/typed", opt=needs(Action.TYPE_CALL, "call"), status_code=200, responses=_AFTER)
async def typed(data: JSONBody[TypedCall], deps: Deps, order: TheOrder) -> Response[bytes]:
    """Take in a call that came by another way and that a person typed in."""
    Gate(deps.city.bbox).check_stated_place(data.place)
    return json_answer(await calls.typed(deps.db, order, data))


@post("/api/calls/{call_id:str}/submit", opt=_on_call(Action.HANDLE_CALL), status_code=200, responses=_AFTER)
async def submit(call_id: PathId, data: JSONBody[CallCard], deps: Deps, order: TheOrder) -> Response[bytes]:
    """Finish the card of a call; it becomes an observation."""
    Gate(deps.city.bbox).check_stated_place(data.place)
    return json_answer(await calls.submit(deps.db, order, call_id, data))


@post("/api/calls/{call_id:str}/close", opt=_on_call(Action.HANDLE_CALL), status_code=200, responses=_AFTER)
async def close(
    call_id: PathId, data: JSONBody[ClosingReason], deps: Deps, order: TheOrder
) -> Response[bytes]:
    """End a call that leads to no incident."""
    return json_answer(await calls.close(deps.db, order, call_id, data.reason))


def _simple(
    word: str, action: Action, command: Callable[[Database, Order, str], Awaitable[bytes]]
) -> HTTPRouteHandler:
    async def handler(call_id: PathId, deps: Deps, order: TheOrder) -> Response[bytes]:
        return json_answer(await command(deps.db, order, call_id))

    handler.__name__ = f"{word}_call"
    handler.__doc__ = command.__doc__
    route = post(
        f"/api/calls/{{call_id:str}}/{word}", opt=_on_call(action), status_code=200, responses=_AFTER
    )
    return route(handler)


HANDLERS = (
    receive,
    typed,
    submit,
    close,
    _simple("claim", Action.HANDLE_CALL, calls.claim),
    _simple("release", Action.HANDLE_CALL, calls.release),
    _simple("take", Action.HANDLE_CALL, calls.take),
    _simple("abandon", Action.ABANDON_CALL, calls.abandon),
    _simple("call_back", Action.HANDLE_CALL, calls.call_back),
)
