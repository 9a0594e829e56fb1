"""Signing in and out."""

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation

from safecity.access import sessions
from safecity.access.accounts import Door
from safecity.access.policy import Action, Actor
from safecity.access.sessions import NewSession
from safecity.errors import Forbidden
from safecity.model.base import Noun
from safecity.web.city import CityFacts
from safecity.web.deps import WebDeps
from safecity.web.gate import COOKIE, needs, open_to_all, session_cookie
from safecity.web.provide import Deps, Who

_DOOR = open_to_all("nobody has a session before signing in")
TheDoor = NamedDependency[SkipValidation[Door]]


class Credentials(Noun, frozen=True):
    """Name and password."""

    name: str
    password: str


class LinkToken(Noun, frozen=True):
    """The token of a one-time link."""

    token: str


class NewAccount(Noun, frozen=True):
    """The token of a one-time link, with the name and password that its user chose."""

    token: str
    name: str
    password: str


class LinkState(Noun, frozen=True):
    """Whether a one-time link can still be used."""

    valid: bool


class Person(Noun, frozen=True):
    """Who is signed in."""

    id: str
    name: str
    roles: tuple[str, ...]


class SessionFacts(Noun, frozen=True):
    """The session; csrf_token goes into the X-CSRF-Token header of every command."""

    actor: Person
    csrf_token: str
    simulated: bool
    city: CityFacts


@post("/api/sign-in", opt=_DOOR, status_code=200)
async def sign_in(
    request: Request[Any, Any, Any], data: JSONBody[Credentials], deps: Deps, door: TheDoor
) -> Response[SessionFacts]:
    """Begin a session; the answer sets its cookie."""
    return _begun(deps, await door.sign_in(data.name, data.password, address_of(request)))


@post("/api/sign-in/link", opt=_DOOR, status_code=200)
async def use_link(
    request: Request[Any, Any, Any], data: JSONBody[NewAccount], deps: Deps, door: TheDoor
) -> Response[SessionFacts]:
    """Make the account that a one-time link allows, and begin its first session."""
    begun = await door.use_link(data.token, data.name, data.password, address_of(request))
    return _begun(deps, begun)


@post("/api/sign-in/link/check", opt=_DOOR, status_code=200)
async def check_link(request: Request[Any, Any, Any], data: JSONBody[LinkToken], door: TheDoor) -> LinkState:
    """Say whether a one-time link can still be used."""
    return LinkState(valid=await door.link_is_valid(data.token, address_of(request)))


@get("/api/session", opt=needs(Action.OWN_SESSION, "session"))
async def session(deps: Deps, who: Who) -> SessionFacts:
    """Return who is signed in, and what the console needs to begin."""
    if who.session is None:
        raise Forbidden("a machine has no session")
    return _facts(deps, who.session.actor, who.session.csrf_token)


@delete("/api/session", opt=needs(Action.OWN_SESSION, "session"), status_code=204)
async def sign_out(deps: Deps, who: Who) -> Response[None]:
    """End the session."""
    if who.session is not None:
        await sessions.end(deps.db, who.session)
    answer = Response(None, status_code=204)
    answer.delete_cookie(COOKIE, path="/")
    return answer


def address_of(request: Request[Any, Any, Any]) -> str:
    """Return the address that a request came from."""
    return request.client.host if request.client else "unknown"


def door_of(deps: WebDeps) -> Door:
    """Return the door of a web process; there is one, since it counts attempts."""
    return Door(deps.db, deps.clock)


def _facts(deps: WebDeps, actor: Actor, csrf_token: str) -> SessionFacts:
    city = deps.city
    return SessionFacts(
        actor=Person(id=actor.id, name=actor.name, roles=tuple(sorted(actor.roles))),
        csrf_token=csrf_token,
        simulated=deps.simulated,
        city=CityFacts(name=city.name, bbox=city.bbox, center=city.center),
    )


def _begun(deps: WebDeps, begun: NewSession) -> Response[SessionFacts]:
    cookie = session_cookie(begun.token, secure=deps.settings.web.secure_cookies)
    facts = _facts(deps, begun.session.actor, begun.session.csrf_token)
    return Response(facts, cookies=[cookie])


HANDLERS = (sign_in, use_link, check_link, session, sign_out)
