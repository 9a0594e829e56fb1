"""Units: what their crews, or a dispatcher for them, say by status."""

from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from safecity.access.policy import Action
from safecity.model.unit import UnitCommand
from safecity.operations import units
from safecity.operations.units import ON_ASSIGNMENT, ON_DUTY, WORDS, UnitAnswer
from safecity.web.answers import documented, json_answer
from safecity.web.gate import needs
from safecity.web.provide import Deps, PathId, TheOrder


def _status(what: UnitCommand) -> HTTPRouteHandler:
    async def handler(unit_id: PathId, deps: Deps, order: TheOrder) -> Response[bytes]:
        return json_answer(await units.command(deps.db, order, unit_id, what))

    handler.__name__ = f"{what}_unit"
    handler.__doc__ = f"Say that the unit is {WORDS[what]}."
    route = post(
        f"/api/units/{{unit_id:str}}/{what}",
        opt=needs(Action.COMMAND_UNIT, "unit", "unit_id"),
        status_code=200,
        responses=documented(UnitAnswer, "The unit after the command, and its assignment."),
    )
    return route(handler)


HANDLERS = tuple(_status(what) for what in sorted(ON_ASSIGNMENT | ON_DUTY))
