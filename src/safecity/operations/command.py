"""What every command has in common: who, with which key, once."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import msgspec

from safecity.errors import Conflict, Invalid
from safecity.model.base import Noun
from safecity.store.database import TRIES, Database, Raced
from safecity.store.transaction import Transaction

MAX_KEY: Final = 64
MAX_TEXT: Final = 4000
RECEIPTS_KEPT: Final = timedelta(days=7)
"""Longer than any client repeats a command."""

_json = msgspec.json.Encoder(order="deterministic")


class Order(Noun, frozen=True):
    """Who gives a command, with the key that makes a repeat the same command, and on what ground."""

    actor: str
    key: str = ""
    purpose: str = ""


Body = Callable[[Transaction], Awaitable[object]]


async def execute(database: Database, order: Order, action: str, request: object, body: Body) -> bytes:
    """Run `body` in one transaction and return its answer as JSON.

    `body` ends with `Transaction.journal`. When the same actor sent the same key before, nothing happens and
    the first answer is returned; raises Conflict when that key was used for another command. A transaction
    that lost a race is run again.
    """
    if len(order.key) > MAX_KEY:
        raise Invalid(f"the Idempotency-Key may have at most {MAX_KEY} characters")
    fingerprint = hashlib.sha256(_json.encode([action, request])).digest()
    for last in (False,) * (TRIES - 1) + (True,):
        try:
            return await _once(database, order, fingerprint, body)
        except Raced:
            if last:
                raise
    raise AssertionError("unreachable")


async def forget_old_receipts(database: Database) -> None:
    """Forget the keys of commands that nobody repeats any more."""
    async with database.pool.acquire() as connection:
        await connection.execute(
            "DELETE FROM command_receipt WHERE at < $1", database.clock.now() - RECEIPTS_KEPT
        )


async def _once(database: Database, order: Order, fingerprint: bytes, body: Body) -> bytes:
    async with database.writing() as tx:
        if order.key:
            earlier = await _earlier_answer(tx, order, fingerprint)
            if earlier is not None:
                return earlier
        answer = _json.encode(await body(tx))
        if order.key:
            await _keep_answer(tx, order, fingerprint, answer)
        return answer


async def _earlier_answer(tx: Transaction, order: Order, fingerprint: bytes) -> bytes | None:
    row = await tx.connection.fetchrow(
        "SELECT request_hash, answer FROM command_receipt WHERE actor = $1 AND key = $2",
        order.actor,
        order.key,
    )
    if row is None:
        return None
    if bytes(row["request_hash"]) != fingerprint:
        raise Conflict("this Idempotency-Key was used for another command; use a new key for each command")
    return bytes(row["answer"])


async def _keep_answer(tx: Transaction, order: Order, fingerprint: bytes, answer: bytes) -> None:
    kept = await tx.connection.fetchval(
        "INSERT INTO command_receipt (actor, key, request_hash, answer, at) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT DO NOTHING RETURNING true",
        order.actor,
        order.key,
        fingerprint,
        answer,
        tx.now,
    )
    if not kept:
        raise Raced("the same command arrived twice at this moment")


def checked_text(name: str, text: str, *, required: bool = False) -> str:
    """Return `text` without outer white space; raises Invalid when it is missing or too long."""
    text = text.strip()
    if required and not text:
        raise Invalid(f"'{name}' must not be empty")
    if len(text) > MAX_TEXT:
        raise Invalid(f"'{name}' may have at most {MAX_TEXT} characters, this has {len(text)}")
    return text
