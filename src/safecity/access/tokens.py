"""Secrets that are shown once: only their hashes are kept. Bearer tokens of machines."""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Final

from safecity.access.policy import Actor, ActorKind, Role
from safecity.errors import Invalid
from safecity.store.database import Database, translated

TOKEN_BYTES: Final = 32
MAX_TOKEN: Final = 256
"""Characters of the longest token that is looked at."""

MIN_MACHINE_TOKEN: Final = 20
"""Characters: 20 of base64 hold 120 bits, beyond guessing."""

NAME_LOCK: Final = 0x5AFEC173
"""Advisory lock under which names are given: people and machines share one list, since both are actors."""

ACTOR: Final = "system:access"
"""Actor of entries that the installation itself causes."""


def new_token() -> str:
    """Return a new secret of 256 random bits, safe in URLs and headers."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    """Return what is stored of a token: SHA-256, enough for random secrets that cannot be guessed."""
    return hashlib.sha256(token.encode()).digest()


async def ensure_machine_token(database: Database, name: str, roles: Iterable[Role], token: str) -> None:
    """Let the machine `name` in with this bearer token and these roles; a former token of it stops working.

    Nothing is written when all is so already. Raises Invalid when the token could be guessed
    or a person has this name.
    """
    if len(token) < MIN_MACHINE_TOKEN:
        raise Invalid(f"the token of '{name}' needs at least {MIN_MACHINE_TOKEN} random characters")
    wanted = sorted({Role(role).value for role in roles})
    hashed = token_hash(token)
    async with database.writing() as tx:
        await tx.connection.execute("SELECT pg_advisory_xact_lock($1)", NAME_LOCK)
        if await tx.connection.fetchval("SELECT true FROM account WHERE lower(name) = lower($1)", name):
            raise Invalid(f"a person is called '{name}'; choose another name for the machine")
        row = await tx.connection.fetchrow(
            "SELECT token_hash, roles, disabled_at FROM machine_token WHERE name = $1 FOR UPDATE", name
        )
        if row and (bytes(row["token_hash"]), row["roles"], row["disabled_at"]) == (hashed, wanted, None):
            return
        await tx.connection.execute(
            "INSERT INTO machine_token (token_hash, name, roles, created_at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (name) DO UPDATE SET token_hash = excluded.token_hash, roles = excluded.roles, "
            "created_at = excluded.created_at, disabled_at = NULL",
            hashed,
            name,
            wanted,
            tx.now,
        )
        await tx.journal(
            actor=ACTOR,
            action="access.token",
            object_kind="machine",
            object_id=name,
            text=f"bearer token of {name} set, roles: {', '.join(wanted)}",
        )


async def disable_machine_token(database: Database, actor_id: str, name: str) -> bool:
    """Let the machine `name` in no longer; return whether it could come in before."""
    async with database.writing() as tx:
        done = await tx.connection.fetchval(
            "UPDATE machine_token SET disabled_at = $2 WHERE name = $1 AND disabled_at IS NULL "
            "RETURNING name",
            name,
            tx.now,
        )
        if done is None:
            return False
        await tx.journal(
            actor=actor_id,
            action="access.token_disabled",
            object_kind="machine",
            object_id=name,
            text=f"bearer token of {name} disabled",
        )
        return True


async def machine_of(database: Database, token: str) -> Actor | None:
    """Return the machine that this bearer token belongs to, or None."""
    if not MIN_MACHINE_TOKEN <= len(token) <= MAX_TOKEN:
        return None
    with translated():
        row = await database.pool.fetchrow(
            "SELECT name, roles FROM machine_token WHERE token_hash = $1 AND disabled_at IS NULL",
            token_hash(token),
        )
    return None if row is None else _machine(row["name"], row["roles"])


async def machine_by_name(database: Database, name: str) -> Actor | None:
    """Return the machine of this name as it may come in now, or None."""
    async with database.reading() as tx:
        stored = await tx.connection.fetchval(
            "SELECT roles FROM machine_token WHERE name = $1 AND disabled_at IS NULL", name
        )
    return None if stored is None else _machine(name, stored)


def _machine(name: str, stored: Iterable[str]) -> Actor:
    return Actor(id=name, name=name, roles=roles_from(stored), kind=ActorKind.MACHINE)


def roles_from(stored: Iterable[str]) -> frozenset[Role]:
    """Return the stored roles; one that this version does not know grants nothing."""
    known = {role.value for role in Role}
    return frozenset(Role(name) for name in stored if name in known)
