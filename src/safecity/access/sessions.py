"""Signed-in browsers: begun, found, kept alive, ended."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from safecity.access.policy import Actor, ActorKind
from safecity.access.tokens import MAX_TOKEN, new_token, roles_from, token_hash
from safecity.model.base import Noun
from safecity.store.database import Database, translated
from safecity.store.transaction import Transaction

MAX_AGE: Final = timedelta(days=7)
"""A session ends then even when it was used all the time, so that a stolen one does too."""

SEEN_EVERY: Final = timedelta(minutes=1)
"""How often the last use is written at the most."""


class Session(Noun, frozen=True):
    """Who is signed in. `csrf_token` must come back with every command."""

    actor: Actor
    csrf_token: str
    token_hash: bytes


class NewSession(Noun, frozen=True):
    """A session just begun; `token` is the cookie's value and is not kept anywhere else."""

    session: Session
    token: str


async def begin(tx: Transaction, actor: Actor, account_id: str) -> NewSession:
    """Begin a session for a person inside a transaction that journals why."""
    token, csrf_token = new_token(), new_token()
    hashed = token_hash(token)
    await tx.connection.execute(
        "INSERT INTO session (token_hash, account_id, csrf_token, created_at, seen_at) "
        "VALUES ($1, $2, $3, $4, $4)",
        hashed,
        account_id,
        csrf_token,
        tx.now,
    )
    return NewSession(session=Session(actor=actor, csrf_token=csrf_token, token_hash=hashed), token=token)


def person(name: str, stored_roles: Iterable[str]) -> Actor:
    """Return the actor of an account. The journal names people by their names, which are unique for ever."""
    return Actor(id=name, name=name, roles=roles_from(stored_roles), kind=ActorKind.PERSON)


async def find(database: Database, token: str, idle_s: float) -> Session | None:
    """Return the living session of a cookie's value, or None; at most once a minute its use is noted."""
    if not 0 < len(token) <= MAX_TOKEN:
        return None
    return await find_by_hash(database, token_hash(token), idle_s, used=True)


async def find_by_hash(database: Database, hashed: bytes, idle_s: float, *, used: bool) -> Session | None:
    """Return the living session with this token hash, or None; `used` notes that it was used now."""
    now = database.clock.now()
    with translated():
        # One query sees one moment; a transaction would double the round trips of every request.
        row = await database.pool.fetchrow(
            "SELECT s.csrf_token, s.seen_at, a.name, a.roles FROM session s "
            "JOIN account a ON a.id = s.account_id WHERE s.token_hash = $1 AND s.ended_at IS NULL "
            "AND a.disabled_at IS NULL AND s.seen_at > $2 AND s.created_at > $3",
            hashed,
            now - timedelta(seconds=idle_s),
            now - MAX_AGE,
        )
    if row is None:
        return None
    if used and now - row["seen_at"] >= SEEN_EVERY:
        await _note_use(database, hashed, now)
    return Session(actor=person(row["name"], row["roles"]), csrf_token=row["csrf_token"], token_hash=hashed)


async def end(database: Database, session: Session) -> None:
    """Sign out: the session's cookie is worth nothing from now on."""
    async with database.writing() as tx:
        ended = await tx.connection.fetchval(
            "UPDATE session SET ended_at = $2 WHERE token_hash = $1 AND ended_at IS NULL "
            "RETURNING account_id",
            session.token_hash,
            tx.now,
        )
        if ended is not None:
            await tx.journal(
                actor=session.actor.id,
                action="access.sign_out",
                object_kind="account",
                object_id=session.actor.id,
                text=f"{session.actor.name} signed out",
            )


async def _note_use(database: Database, hashed: bytes, now: datetime) -> None:
    async with database.writing() as tx:
        await tx.connection.execute("UPDATE session SET seen_at = $2 WHERE token_hash = $1", hashed, now)
