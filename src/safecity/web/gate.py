"""The gate: every request and every socket is identified and authorised here, or explicitly open."""

import asyncio
import secrets
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler

from safecity.access import sessions
from safecity.access.policy import Action, Actor, Object, Purpose, authorize
from safecity.access.refusals import Refusals
from safecity.access.sessions import Session
from safecity.access.tokens import machine_by_name, machine_of
from safecity.clock import Clock
from safecity.errors import Forbidden, Invalid, NotFound, SafeCityError, Unauthenticated, Unavailable
from safecity.model.base import Noun
from safecity.store.database import Database

COOKIE: Final = "safecity_session"
CSRF_HEADER: Final = "x-csrf-token"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_ID: Final = 200
NUL: Final = b"\\u0000"
"""How JSON writes it; the bare byte is refused by the JSON decoder."""

ACCESS: Final = "access"
RECHECK_S: Final = 10.0
"""How soon a socket ends whose session ended elsewhere."""

TRUST_S: Final = 60.0
"""How long an open socket is trusted while the database cannot be asked."""

SIGN_IN: Final = "sign in first, or send a valid bearer token"

SOME_GROUND: Final = Purpose(text="to be said", incident_id="to be said")
"""Stands for the ground that a handler will ask for; nothing is shown or written with it."""

Connection = ASGIConnection[Any, Any, Any, Any]


class Access(Noun, frozen=True):
    """What a route demands: an action on an object whose id is the path parameter of that name.

    asks_ground: the handler itself authorises once it knows the purpose, which isn't in the address; the gate
    then lets pass who may do the action for some purpose.
    """

    action: Action
    kind: str = "system"
    parameter: str = ""
    asks_ground: bool = False


class Open(Noun, frozen=True):
    """Marks one of the few routes that answer without a session, and says why."""

    why: str


class Identity(Noun, frozen=True):
    """Who is at the other end; `session` only for people."""

    actor: Actor
    session: Session | None = None


def needs(
    action: Action, kind: str = "system", parameter: str = "", *, asks_ground: bool = False
) -> dict[str, Any]:
    """Return the options of a route that demands `action`; with `asks_ground` its handler authorises too."""
    return {ACCESS: Access(action=action, kind=kind, parameter=parameter, asks_ground=asks_ground)}


def open_to_all(why: str) -> dict[str, Any]:
    """Return the options of a route that anybody may ask."""
    return {ACCESS: Open(why=why)}


class Gate:
    """Identifies and authorises; refusals of known actors are written down."""

    def __init__(self, database: Database, clock: Clock, idle_s: float, recheck_s: float = RECHECK_S) -> None:
        """Look identities up in `database`; sessions end after `idle_s` without use."""
        self._database = database
        self._clock = clock
        self._recheck_s = recheck_s
        self._idle_s = idle_s
        self._refusals = Refusals(database, clock)

    async def admit(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Let a request pass or raise; the guard of every route. Sockets are closed with 4000 + status."""
        try:
            await self._admit(connection, handler)
        except SafeCityError as error:
            if connection.scope["type"] != ScopeType.WEBSOCKET:
                raise
            raise WebSocketException(detail=str(error), code=4000 + int(error.status)) from error

    async def _admit(self, connection: Connection, handler: BaseRouteHandler) -> None:
        access = handler.opt.get(ACCESS)
        if isinstance(access, Open):
            _check_origin(connection)
            return
        identity = await self.identify(connection)
        if identity.session is not None:
            _check_same_site(connection, identity.session)
        if not isinstance(access, Access):
            raise Forbidden("this method is not offered here")
        _check_ids(connection)
        object_ = Object(kind=access.kind, id=str(connection.path_params.get(access.parameter, "")))
        ground = SOME_GROUND if access.asks_ground else _purpose(connection)
        await self.pass_or_note(identity.actor, access.action, object_, ground)
        connection.scope["user"] = identity

    async def pass_or_note(self, actor: Actor, action: Action, object_: Object, purpose: Purpose) -> None:
        """Authorise; a refusal is written to the journal and raised as Forbidden."""
        try:
            authorize(actor, action, object_, purpose)
        except Forbidden as error:
            await self.note_refusal(actor, action, object_, str(error))
            raise

    async def note_refusal(self, actor: Actor, action: Action, object_: Object, why: str) -> None:
        """Write down that `action` was refused for a reason that only its handler could see."""
        await self._refusals.note(actor, action, object_, why)

    async def identify(self, connection: Connection) -> Identity:
        """Return who asks; raises Unauthenticated when nobody known does."""
        bearer = connection.headers.get("authorization")
        if bearer is not None:
            return await self.identify_machine(bearer)
        cookie = connection.cookies.get(COOKIE)
        session = await sessions.find(self._database, cookie, self._idle_s) if cookie else None
        if session is None:
            raise Unauthenticated(SIGN_IN)
        return Identity(actor=session.actor, session=session)

    async def identify_machine(self, authorization: str) -> Identity:
        """Return the machine that an Authorization header names; raises Unauthenticated."""
        scheme, _, token = authorization.partition(" ")
        actor = await machine_of(self._database, token.strip()) if scheme.lower() == "bearer" else None
        if actor is None:
            raise Unauthenticated(SIGN_IN)
        return Identity(actor=actor)

    async def until_over(self, identity: Identity) -> None:
        """Return when the identity behind a long-lived socket is no longer what it was.

        While the database is away the socket stays: it shows the operator what still works, and nothing that
        was not allowed a moment ago. After `TRUST_S` without an answer it counts as over.
        """
        asked_s = self._clock.monotonic_s()
        while True:
            await asyncio.sleep(self._recheck_s)
            try:
                if not await self._still_valid(identity):
                    return
            except Unavailable:
                if self._clock.monotonic_s() - asked_s > TRUST_S:
                    return
            else:
                asked_s = self._clock.monotonic_s()

    async def _still_valid(self, identity: Identity) -> bool:
        if identity.session is None:
            return await machine_by_name(self._database, identity.actor.name) == identity.actor
        found = await sessions.find_by_hash(
            self._database, identity.session.token_hash, self._idle_s, used=False
        )
        return found is not None and found.actor == identity.actor


async def refuse_nul(request: Request[Any, Any, Any]) -> None:
    """Refuse a body with U+0000 before it is read: no text of people has it, and it cannot be stored."""
    if NUL in await request.body():
        raise Invalid("the body holds the character U+0000, which is not text")


def session_cookie(token: str, *, secure: bool) -> Cookie:
    """Return the cookie that carries a session; no script reads it and no other site sends it."""
    return Cookie(key=COOKIE, value=token, path="/", httponly=True, samesite="strict", secure=secure)


def _check_ids(connection: Connection) -> None:
    for given in connection.path_params.values():
        if len(str(given)) > MAX_ID or not str(given).isprintable():
            raise NotFound("nothing has an id like this one")


def _purpose(connection: Connection) -> Purpose:
    query = connection.query_params
    text, incident_id = str(query.get("purpose", "")), str(query.get("incident_id", ""))
    if not (text + incident_id).isprintable():
        raise Invalid("'purpose' and 'incident_id' are one line of printable characters")
    return Purpose(text=text[:500], incident_id=incident_id[:64])


def _check_same_site(connection: Connection, session: Session) -> None:
    if connection.scope["type"] == ScopeType.WEBSOCKET:
        if "origin" not in connection.headers:
            raise Forbidden("a socket with a session cookie must say its Origin")
        _check_origin(connection)
        return
    if connection.scope["method"] in SAFE_METHODS:
        return
    _check_origin(connection)
    given = connection.headers.get(CSRF_HEADER, "")
    if not secrets.compare_digest(given.encode(), session.csrf_token.encode()):
        raise Forbidden("the X-CSRF-Token header does not belong to this session; reload the page")


def _check_origin(connection: Connection) -> None:
    if connection.scope["type"] == ScopeType.HTTP and connection.scope["method"] in SAFE_METHODS:
        return
    origin = connection.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower():
        raise Forbidden("requests from another site are refused")
