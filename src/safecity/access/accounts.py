"""People: the link that makes an account, and signing in."""

import unicodedata
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from safecity.access import sessions
from safecity.access.limiter import RateLimiter
from safecity.access.passwords import Hashing, checked_password
from safecity.access.policy import MACHINE_ROLES, Role
from safecity.access.sessions import NewSession
from safecity.access.tokens import ACTOR, MAX_TOKEN, NAME_LOCK, new_token, token_hash
from safecity.clock import Clock
from safecity.errors import Invalid, NotFound, Unauthenticated
from safecity.model.base import new_id
from safecity.store.database import Database
from safecity.store.transaction import Transaction

LINK_LIVES: Final = timedelta(hours=24)
TRIES_PER_NAME: Final = 10
TRIES_PER_ADDRESS: Final = 30
WINDOW_S: Final = 300.0
"""Failures within this time; NIST SP 800-63B-4 section 3.2.2 allows at most 100 in a row."""

RESERVED: Final = frozenset(":/")
"""Characters that only the names of the system's own parts have, such as system:fusion."""

WRONG: Final = "name and password do not match"
LINK_OVER: Final = "this link was used, has expired or never existed; ask for a new one"


async def has_accounts(database: Database) -> bool:
    """Return whether anybody can sign in yet."""
    async with database.reading() as tx:
        found = await tx.connection.fetchval("SELECT true FROM account WHERE disabled_at IS NULL LIMIT 1")
    return found is True


async def create_link(database: Database, roles: Iterable[Role], clock: Clock) -> str:
    """Return the token of a new one-time link whose user gets an account with these roles.

    It works once within 24 hours, and is shown only now. Raises Invalid for roles that people cannot have.
    """
    wanted = sorted({Role(role) for role in roles})
    if not wanted or MACHINE_ROLES & set(wanted):
        raise Invalid("a sign-in link gives at least one role, and no role of machines")
    token, now = new_token(), clock.now()
    async with database.writing() as tx:
        await tx.connection.execute(
            "INSERT INTO sign_in_link (token_hash, roles, created_at, expires_at) VALUES ($1, $2, $3, $4)",
            token_hash(token),
            wanted,
            now,
            now + LINK_LIVES,
        )
        await tx.journal(
            actor=ACTOR,
            action="access.link",
            object_kind="link",
            object_id=_link_name(token),
            text=f"one-time sign-in link made, roles: {', '.join(wanted)}",
        )
    return token


async def disable_account(database: Database, actor_id: str, name: str) -> bool:
    """Let a person in no longer, also where they are signed in; return whether they could come in before."""
    async with database.writing() as tx:
        account_id = await tx.connection.fetchval(
            "UPDATE account SET disabled_at = $2 WHERE lower(name) = lower($1) AND disabled_at IS NULL "
            "RETURNING id",
            name,
            tx.now,
        )
        if account_id is None:
            return False
        await tx.connection.execute(
            "UPDATE session SET ended_at = $2 WHERE account_id = $1 AND ended_at IS NULL", account_id, tx.now
        )
        await tx.journal(
            actor=actor_id,
            action="access.account_disabled",
            object_kind="account",
            object_id=name,
            text=f"account of {name} disabled, its sessions ended",
        )
        return True


class Door:
    """Where people come in: counts attempts, compares passwords, begins sessions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Keep accounts in `database`; count attempts by `clock`."""
        self._database = database
        self._clock = clock
        self._hashing = Hashing()
        self._by_name = RateLimiter(clock, TRIES_PER_NAME, WINDOW_S)
        self._by_address = RateLimiter(clock, TRIES_PER_ADDRESS, WINDOW_S)

    async def link_is_valid(self, token: str, address: str) -> bool:
        """Return whether a link can still be used; raises TryLater after too many questions."""
        self._by_address.count(address)
        async with self._database.reading() as tx:
            found = await tx.connection.fetchval(
                "SELECT true FROM sign_in_link WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2",
                token_hash(token[:MAX_TOKEN]),
                self._clock.now(),
            )
        return found is True

    async def use_link(self, token: str, name: str, password: str, address: str) -> NewSession:
        """Make the account that a link allows and sign it in; of two uses at the same moment one succeeds.

        Raises Invalid for an unusable name or password (the link stays good), NotFound for a link that is
        over, TryLater after too many attempts.
        """
        name = checked_name(name)
        checked_password(password, name)
        if not await self.link_is_valid(token, address):
            raise NotFound(LINK_OVER)
        hashed = await self._hashing.hash(password)
        async with self._database.writing() as tx:
            roles = await tx.connection.fetchval(
                "UPDATE sign_in_link SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL "
                "AND expires_at > $2 RETURNING roles",
                token_hash(token),
                tx.now,
            )
            if roles is None:
                raise NotFound(LINK_OVER)
            account_id = await _create(tx, name, hashed, roles, self._clock)
            actor = sessions.person(name, roles)
            begun = await sessions.begin(tx, actor, account_id)
            await tx.journal(
                actor=actor.id,
                action="access.account",
                object_kind="account",
                object_id=actor.id,
                text=f"{name} made the account by a one-time link from {address} and signed in, "
                f"roles: {', '.join(sorted(actor.roles))}",
                touched=(f"link/{_link_name(token)}",),
            )
        return begun

    async def sign_in(self, name: str, password: str, address: str) -> NewSession:
        """Begin a session for a name and its password.

        Raises Unauthenticated with the same sentence after the same time whether the name exists or not,
        TryLater after too many attempts for the name or from the address.
        """
        name = _normal(name)
        self._by_address.count(address)
        self._by_name.count(name.casefold())
        async with self._database.reading() as tx:
            row = await tx.connection.fetchrow(
                "SELECT id, name, password_hash, roles FROM account "
                "WHERE lower(name) = lower($1) AND disabled_at IS NULL",
                name,
            )
        right = await self._hashing.verify(row["password_hash"] if row else None, password)
        if row is None or not right:
            await self._note_refusal(row["name"] if row else ACTOR, address)
            raise Unauthenticated(WRONG)
        self._by_name.take_back(name.casefold())
        self._by_address.take_back(address)
        actor = sessions.person(row["name"], row["roles"])
        async with self._database.writing() as tx:
            begun = await sessions.begin(tx, actor, row["id"])
            await tx.journal(
                actor=actor.id,
                action="access.sign_in",
                object_kind="account",
                object_id=actor.id,
                text=f"{actor.name} signed in from {address}",
            )
        return begun

    async def _note_refusal(self, actor_id: str, address: str) -> None:
        # What was typed as a name is not kept: people type their password there by mistake.
        async with self._database.writing() as tx:
            await tx.journal(
                actor=actor_id,
                action="access.sign_in_refused",
                object_kind="account",
                object_id=actor_id,
                text=f"sign-in refused from {address}",
            )


def checked_name(name: str) -> str:
    """Return a name as it is kept; raises Invalid when nobody could be called so."""
    name = _normal(name)
    if not 2 <= len(name) <= 80 or not name.isprintable() or not RESERVED.isdisjoint(name):
        raise Invalid("a name has 2 to 80 printable characters, without ':' and '/'")
    return name


def _normal(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name[:400]).replace("\x00", "").split())


def _link_name(token: str) -> str:
    return token_hash(token).hex()[:12]


async def _create(tx: Transaction, name: str, hashed: str, roles: list[str], clock: Clock) -> str:
    await tx.connection.execute("SELECT pg_advisory_xact_lock($1)", NAME_LOCK)
    taken = await tx.connection.fetchval(
        "SELECT EXISTS (SELECT FROM account WHERE lower(name) = lower($1)) "
        "OR EXISTS (SELECT FROM machine_token WHERE lower(name) = lower($1))",
        name,
    )
    if taken:
        raise Invalid("somebody has this name already; choose another")
    account_id = new_id(clock)
    await tx.connection.execute(
        "INSERT INTO account (id, name, password_hash, roles, created_at) VALUES ($1, $2, $3, $4, $5)",
        account_id,
        name,
        hashed,
        roles,
        tx.now,
    )
    return account_id
