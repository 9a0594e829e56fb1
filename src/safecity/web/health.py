"""Health: whether engines and roles live; open to all, so it says nothing else."""

import asyncio

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from safecity.bus.connection import can_store
from safecity.errors import SafeCityError
from safecity.model.base import Noun
from safecity.web.deps import WebDeps
from safecity.web.gate import open_to_all
from safecity.web.roles import RoleState, RoleWatch

KEPT_S = 2.0
"""How long an answer is kept: nobody can make the engines busy by asking."""

PING_WITHIN_S = 2.0
DATABASE = "database"
BUS = "bus"


class HealthReport(Noun, frozen=True):
    """ok when all roles and engines run, else degraded."""

    status: str
    roles: dict[str, RoleState]


class Health:
    """Asks the engines and remembers what the roles said."""

    def __init__(self, deps: WebDeps, roles: RoleWatch) -> None:
        """Ask the engines of `deps`."""
        self._deps = deps
        self._roles = roles
        self._asked_s = float("-inf")
        self._database_up = False
        self._bus_up = False
        self._one_at_a_time = asyncio.Lock()

    async def states(self) -> dict[str, RoleState]:
        """Return how each engine and role is."""
        async with self._one_at_a_time:
            now_s = asyncio.get_running_loop().time()
            if now_s - self._asked_s > KEPT_S:
                self._database_up, self._bus_up = await asyncio.gather(
                    self._ping(), can_store(self._deps.bus, PING_WITHIN_S)
                )
                self._asked_s = asyncio.get_running_loop().time()
        return {
            DATABASE: _up(self._database_up),
            BUS: _up(self._bus_up and self._deps.bus.client.is_connected),
            **self._roles.states(),
        }

    async def _ping(self) -> bool:
        try:
            async with asyncio.timeout(PING_WITHIN_S), self._deps.db.reading() as tx:
                return bool(await tx.connection.fetchval("SELECT true"))
        except (SafeCityError, TimeoutError):
            return False


def _up(yes: bool) -> RoleState:
    return RoleState.RUNNING if yes else RoleState.DOWN


@get("/health", opt=open_to_all("a load balancer or supervisor asks before anybody signs in"))
async def report(health: NamedDependency[SkipValidation[Health]]) -> Response[HealthReport]:
    """Say whether engines and roles run."""
    states = await health.states()
    ok = all(state is RoleState.RUNNING for state in states.values())
    answer = HealthReport(status="ok" if ok else "degraded", roles=states)
    return Response(answer, headers={"Cache-Control": "no-store"})


HANDLERS = (report,)
