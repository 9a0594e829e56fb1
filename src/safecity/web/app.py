"""The web application: all routes, each behind the gate."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from safecity.errors import Configuration
from safecity.web import (
    calls,
    camera_setups,
    cameras,
    city,
    health,
    incidents,
    journal,
    live,
    metrics,
    playback,
    schema,
    session,
    shell,
    snapshots,
    timeline,
    units,
)
from safecity.web.answers import on_error
from safecity.web.channels import Channels
from safecity.web.deps import WebDeps
from safecity.web.front import Front
from safecity.web.gate import ACCESS, Access, Gate, Open, refuse_nul
from safecity.web.health import Health
from safecity.web.hub import Hub
from safecity.web.looks import Repeats
from safecity.web.metrics import Metrics
from safecity.web.provide import order_of, who_of
from safecity.web.roles import RoleWatch
from safecity.web.telemetry import TelemetryApp

MAX_BODY = 64 * 1024
"""Bytes of any body but telemetry's."""

HANDLERS: tuple[BaseRouteHandler, ...] = (
    *session.HANDLERS,
    *incidents.HANDLERS,
    *calls.HANDLERS,
    *units.HANDLERS,
    *cameras.HANDLERS,
    *playback.HANDLERS,
    *snapshots.HANDLERS,
    *camera_setups.HANDLERS,
    *timeline.HANDLERS,
    *city.HANDLERS,
    *journal.HANDLERS,
    *live.HANDLERS,
    *metrics.HANDLERS,
    *health.HANDLERS,
    *shell.HANDLERS,
)


def create_app(deps: WebDeps, handlers: Iterable[BaseRouteHandler] = HANDLERS) -> Front:
    """Return the ASGI application.

    Raises Configuration when a route says neither which action it demands nor that it is open, so that no
    route can be served beside the gate.
    """
    roles = RoleWatch(deps.clock, deps.roles)
    figures = Metrics(roles)
    hub = Hub(deps, figures, roles, Health(deps, roles))
    gate = Gate(deps.db, deps.clock, deps.settings.web.session_idle_s)
    door = session.door_of(deps)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with hub.running():
            yield

    given = {
        "deps": deps,
        "gate": gate,
        "hub": hub,
        "door": door,
        "figures": figures,
        "health": hub.health,
        "channels": Channels(deps.bus),
        "playbacks": playback.Playbacks(deps.clock),
        "repeats": Repeats(deps.clock),
        "trials": camera_setups.Trials(deps.clock),
    }
    framework = Litestar(
        route_handlers=list(handlers),
        guards=[gate.admit],
        before_request=refuse_nul,
        dependencies={
            **{name: _always(value) for name, value in given.items()},
            "who": Provide(who_of, sync_to_thread=False),
            "order": Provide(order_of, sync_to_thread=False),
        },
        exception_handlers={Exception: on_error},
        lifespan=[lifespan],
        openapi_config=schema.openapi(),
        request_max_body_size=MAX_BODY,
        logging_config=None,
    )
    _check_all_guarded(framework)
    return Front(framework, TelemetryApp(deps, gate, figures), hub, figures)


def _always(value: object) -> Provide:
    def given() -> object:
        return value

    return Provide(given, sync_to_thread=False)


def demands(framework: Litestar) -> Iterator[tuple[str, str, Access | Open | None]]:
    """Yield method (SOCKET for sockets), path and demand of everything that the framework serves.

    Only OPTIONS, which the framework adds by itself, has no demand: the gate refuses it to everybody.
    """
    for route in framework.routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in handlers:
            methods = handler.http_methods if isinstance(handler, HTTPRouteHandler) else {"SOCKET"}
            for method in sorted(methods):
                found = handler.opt.get(ACCESS)
                yield method, route.path, found if isinstance(found, Access | Open) else None


def _check_all_guarded(framework: Litestar) -> None:
    for method, path, demand in demands(framework):
        if demand is None and method != "OPTIONS":
            raise Configuration(
                f"the route {method} {path} says neither which action it needs nor that it is open"
            )
