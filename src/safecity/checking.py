"""`safecity check`: invariants that can be verified in production."""

import sys

import msgspec

from safecity.clock import SystemClock
from safecity.deployment import Folder
from safecity.model.base import Noun
from safecity.model.video import Hold
from safecity.store import journal
from safecity.store.database import open_database
from safecity.video.recording import custody


class Verdict(Noun, frozen=True):
    """What a check of the whole installation found.

    free_mb: room on the disk of the recordings, in 10^6 bytes; 0 when they were not checked.
    """

    ok: bool
    journal: journal.Report
    recordings: tuple[custody.ChainReport, ...]
    free_mb: int = 0


async def run(folder: Folder, *, as_json: bool, recordings: bool = False) -> int:
    """Verify a running installation; print what was found; return 0 when all is well, else 1.

    recordings: also read every recorded file again, which takes as long as the disk needs.
    """
    database = await open_database(folder.read_run().database_url, SystemClock(), size=1, patience_s=5)
    try:
        async with database.reading() as tx:
            report = await journal.check(tx)
            holds = await tx.select(Hold, "released_at IS NULL") if recordings else []
    finally:
        await database.close()
    chains = _recordings(folder, holds) if recordings else ()
    verdict = Verdict(
        ok=report.ok and all(chain.is_whole for chain in chains),
        journal=report,
        recordings=chains,
        free_mb=folder.free_mb() if recordings else 0,
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n")
    else:
        sys.stdout.write("".join(line + "\n" for line in _in_words(verdict)))
    return 0 if verdict.ok else 1


def _recordings(folder: Folder, holds: list[Hold]) -> tuple[custody.ChainReport, ...]:
    if not folder.recordings.is_dir():
        return ()
    cameras = sorted(path for path in folder.recordings.iterdir() if path.is_dir())
    return tuple(custody.verify(camera.name, camera, holds) for camera in cameras)


def _in_words(verdict: Verdict) -> list[str]:
    report = verdict.journal
    lines = [f"entry {finding.seq}: {finding.text}" for finding in report.findings]
    found = "the chain is whole and the tables hold what it says" if report.ok else "something is wrong"
    lines.append(f"{report.entries} journal entries, head {report.head_hash[:16]}: {found}")
    lines += [line for chain in verdict.recordings for line in _chain_in_words(chain)]
    if verdict.recordings:
        there = sum(chain.bytes for chain in verdict.recordings)
        held = sum(chain.held_bytes for chain in verdict.recordings)
        lines.append(f"recordings: {_mb(there)}, held: {_mb(held)}, free on their disk: {verdict.free_mb} MB")
    return lines


def _chain_in_words(chain: custody.ChainReport) -> list[str]:
    found = "the chain is whole" if chain.is_whole else "something is wrong"
    there = chain.files - chain.deleted
    words = f"{there} files, {chain.fragments} fragments, {_mb(chain.bytes)}"
    if chain.held_files:
        words += f", {chain.held_files} of them held"
    if chain.deleted or chain.pruned:
        words += f", {chain.deleted + chain.pruned} deleted before"
    return [
        *(f"{chain.camera_id}: {sentence}" for sentence in chain.broken),
        f"{chain.camera_id}: {words}: {found}",
    ]


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB"
