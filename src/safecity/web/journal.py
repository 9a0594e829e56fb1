"""The journal: read and verified by those who audit."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from safecity.access.policy import Action
from safecity.model.base import Noun
from safecity.model.journal import Entry
from safecity.store import journal
from safecity.store.journal import Finding
from safecity.web.gate import needs
from safecity.web.provide import Deps

MAX_PAGE = 1000
MAX_SEQ = 2**63 - 1
"""The largest number that the store can hold (bigint)."""


class JournalPage(Noun, frozen=True):
    """Entries after the asked seq, oldest first; head is the seq of the last entry there is."""

    entries: tuple[Entry, ...]
    head: int


class CheckReport(Noun, frozen=True):
    """What a verification of the whole journal found; head_hash is hexadecimal."""

    ok: bool
    entries: int
    head_hash: str
    findings: tuple[Finding, ...]


After = Annotated[int, QueryParameter(ge=0, le=MAX_SEQ, description="Return entries with a greater seq.")]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="Entries at the most.")]


@get("/api/journal", opt=needs(Action.READ_JOURNAL, "journal"))
async def page(deps: Deps, after: After = 0, limit: Limit = 100) -> JournalPage:
    """Return a page of the journal."""
    async with deps.db.reading() as tx:
        entries = await journal.page(tx, after, limit)
        return JournalPage(entries=tuple(entries), head=await journal.head(tx))


@get("/api/check", opt=needs(Action.CHECK_JOURNAL, "journal"))
async def check(deps: Deps) -> CheckReport:
    """Verify the hash chain, and that the tables hold what the journal says."""
    async with deps.db.reading() as tx:
        report = await journal.check(tx)
    return CheckReport(
        ok=report.ok, entries=report.entries, head_hash=report.head_hash, findings=report.findings
    )


HANDLERS = (page, check)
