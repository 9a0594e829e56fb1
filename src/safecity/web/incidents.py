"""Incidents: their detail, advice, and the commands on them."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import JSONBody

from safecity.access.policy import Action
from safecity.bus.connection import Bus
from safecity.bus.subjects import RECOMMEND
from safecity.errors import Unavailable
from safecity.model.base import Noun, Priority
from safecity.model.incident import Disposition
from safecity.model.unit import Recommendation
from safecity.operations import incidents, views
from safecity.operations.incidents import IncidentAnswer
from safecity.operations.views import IncidentDetail
from safecity.web.answers import documented, json_answer, kind_of
from safecity.web.gate import needs
from safecity.web.provide import Deps, PathId, TheOrder

RECOMMEND_WITHIN_S = 2.0
"""The room answers in milliseconds; past this a dispatcher decides without it."""


class DispatchOrder(Noun, frozen=True, forbid_unknown_fields=True):
    """Which units to send; a unit that was not recommended needs a reason."""

    unit_ids: list[str]
    override_reason: str = ""


class Closing(Noun, frozen=True, forbid_unknown_fields=True):
    """What the incident turned out to be."""

    disposition: Disposition
    note: str = ""


class NewPriority(Noun, frozen=True, forbid_unknown_fields=True):
    """A priority set by hand, and why."""

    priority: Priority
    reason: str = ""


class NewNote(Noun, frozen=True, forbid_unknown_fields=True):
    """Words for the incident's history."""

    text: str


class _Question(Noun, frozen=True):
    incident_id: str


class _Advice(Noun, frozen=True):
    """Either a recommendation or the reason why there is none."""

    code: str = ""
    message: str = ""


def _on_incident(action: Action) -> dict[str, Any]:
    return needs(action, "incident", "incident_id")


@get(
    "/api/incidents/{incident_id:str}",
    opt=_on_incident(Action.SEE_INCIDENTS),
    responses=documented(IncidentDetail, "The incident with all that belongs to it."),
)
async def detail(incident_id: PathId, deps: Deps) -> Response[bytes]:
    """Return an incident with its alarms, calls, assignments, history and nearest cameras."""
    return json_answer(await views.incident_detail(deps.db, incident_id))


@get("/api/incidents/{incident_id:str}/recommendation", opt=_on_incident(Action.RECOMMEND))
async def recommendation(incident_id: PathId, deps: Deps) -> Recommendation:
    """Return which units the dispatch room advises to send, with travel times and reasons."""
    return await recommended(deps.bus, incident_id)


@post(
    "/api/incidents/{incident_id:str}/acknowledge",
    opt=_on_incident(Action.ACKNOWLEDGE),
    status_code=200,
    responses=documented(IncidentAnswer, "The incident after the command."),
)
async def acknowledge(incident_id: PathId, deps: Deps, order: TheOrder) -> Response[bytes]:
    """Say that somebody looks after the incident."""
    return json_answer(await incidents.acknowledge(deps.db, order, incident_id))


@post(
    "/api/incidents/{incident_id:str}/dispatch",
    opt=_on_incident(Action.DISPATCH),
    status_code=200,
    responses=documented(IncidentAnswer, "The incident and its new assignments."),
)
async def dispatch(
    incident_id: PathId, data: JSONBody[DispatchOrder], deps: Deps, order: TheOrder
) -> Response[bytes]:
    """Send units to the incident."""
    try:
        advice = await recommended(deps.bus, incident_id)
    except Unavailable:
        # Help must go out while the dispatch room restarts; the order then carries no advice.
        advice = None
    return json_answer(
        await incidents.dispatch(deps.db, order, incident_id, data.unit_ids, advice, data.override_reason)
    )


@post(
    "/api/incidents/{incident_id:str}/units/{unit_id:str}/cancel",
    opt=_on_incident(Action.CANCEL_UNIT),
    status_code=200,
    responses=documented(IncidentAnswer, "The incident after the command."),
)
async def cancel_unit(incident_id: PathId, unit_id: PathId, deps: Deps, order: TheOrder) -> Response[bytes]:
    """Call a unit back."""
    return json_answer(await incidents.cancel_unit(deps.db, order, incident_id, unit_id))


@post(
    "/api/incidents/{incident_id:str}/close",
    opt=_on_incident(Action.CLOSE_INCIDENT),
    status_code=200,
    responses=documented(IncidentAnswer, "The closed incident."),
)
async def close(incident_id: PathId, data: JSONBody[Closing], deps: Deps, order: TheOrder) -> Response[bytes]:
    """Close the incident with its disposition."""
    return json_answer(await incidents.close(deps.db, order, incident_id, data.disposition, data.note))


@post(
    "/api/incidents/{incident_id:str}/reopen",
    opt=_on_incident(Action.REOPEN),
    status_code=200,
    responses=documented(IncidentAnswer, "The incident, open again."),
)
async def reopen(incident_id: PathId, deps: Deps, order: TheOrder) -> Response[bytes]:
    """Open a closed incident again."""
    return json_answer(await incidents.reopen(deps.db, order, incident_id))


@post(
    "/api/incidents/{incident_id:str}/priority",
    opt=_on_incident(Action.PRIORITISE),
    status_code=200,
    responses=documented(IncidentAnswer, "The incident after the command."),
)
async def prioritise(
    incident_id: PathId, data: JSONBody[NewPriority], deps: Deps, order: TheOrder
) -> Response[bytes]:
    """Set the priority by hand."""
    return json_answer(await incidents.prioritise(deps.db, order, incident_id, data.priority, data.reason))


@post(
    "/api/incidents/{incident_id:str}/note",
    opt=_on_incident(Action.NOTE),
    status_code=200,
    responses=documented(IncidentAnswer, "The incident after the command."),
)
async def note(incident_id: PathId, data: JSONBody[NewNote], deps: Deps, order: TheOrder) -> Response[bytes]:
    """Add words to the incident's history."""
    return json_answer(await incidents.note(deps.db, order, incident_id, data.text))


async def recommended(bus: Bus, incident_id: str) -> Recommendation:
    """Return the dispatch room's advice; raises what it refused with, Unavailable when it is away."""
    question = msgspec.json.encode(_Question(incident_id=incident_id))
    answer = await bus.request(RECOMMEND, question, RECOMMEND_WITHIN_S)
    refusal = msgspec.json.decode(answer, type=_Advice)
    if refusal.code:
        raise kind_of(refusal.code)(refusal.message)
    return msgspec.json.decode(answer, type=Recommendation)


HANDLERS = (
    detail,
    recommendation,
    acknowledge,
    dispatch,
    cancel_unit,
    close,
    reopen,
    prioritise,
    note,
)
