"""`safecity check`: invariants that can be verified in production."""

import sys

import msgspec

from safecity.clock import SystemClock
from safecity.deployment import Folder
from safecity.store import journal
from safecity.store.database import open_database


async def run(folder: Folder, *, as_json: bool) -> int:
    """Verify a running installation; print what was found; return 0 when all is well, else 1."""
    database = await open_database(folder.read_run().database_url, SystemClock(), size=1, patience_s=5)
    try:
        async with database.reading() as tx:
            report = await journal.check(tx)
    finally:
        await database.close()
    if as_json:
        sys.stdout.write(
            msgspec.json.encode({"ok": report.ok, **msgspec.to_builtins(report)}).decode() + "\n"
        )
        return 0 if report.ok else 1
    for finding in report.findings:
        sys.stdout.write(f"entry {finding.seq}: {finding.text}\n")
    verdict = "the chain is whole and the tables hold what it says" if report.ok else "something is wrong"
    sys.stdout.write(f"{report.entries} journal entries, head {report.head_hash[:16]}: {verdict}\n")
    return 0 if report.ok else 1
