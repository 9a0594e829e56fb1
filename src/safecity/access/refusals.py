"""Refused requests of known actors are journal entries too."""

from typing import Final

from safecity.access.limiter import RateLimiter
from safecity.access.policy import Action, Actor, Object
from safecity.clock import Clock
from safecity.errors import TooMany
from safecity.store.database import Database

REPEAT_S: Final = 60.0
ENTRIES_PER_REPEAT: Final = 60
"""Entries one actor can cause in that time: a stuck program must not fill the journal."""


class Refusals:
    """Writes refusals down; the same one again within a minute is not written twice."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Write to `database`."""
        self._database = database
        self._same = RateLimiter(clock, 1, REPEAT_S)
        self._all = RateLimiter(clock, ENTRIES_PER_REPEAT, REPEAT_S)

    async def note(self, actor: Actor, action: Action, object_: Object, why: str) -> None:
        """Write that `actor` was refused `action`, and why."""
        try:
            self._same.count(f"{actor.id} {action} {object_.kind}/{object_.id}")
            self._all.count(actor.id)
        except TooMany:
            return
        async with self._database.writing() as tx:
            await tx.journal(
                actor=actor.id,
                action="access.refused",
                object_kind=object_.kind or "system",
                object_id=object_.id[:200] or str(action),
                text=why,
            )
