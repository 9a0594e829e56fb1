"""`safecity check`: invariants that can be verified in production."""

import sys

import msgspec

from safecity.clock import SystemClock
from safecity.deployment import Folder
from safecity.model.base import Noun
from safecity.store import journal
from safecity.store.database import open_database
from safecity.video import custody


class Verdict(Noun, frozen=True):
    """What a check of the whole installation found."""

    ok: bool
    journal: journal.Report
    recordings: tuple[custody.ChainReport, ...]


async def run(folder: Folder, *, as_json: bool, recordings: bool = False) -> int:
    """Verify a running installation; print what was found; return 0 when all is well, else 1.

    recordings: also read every recorded file again, which takes as long as the disk needs.
    """
    database = await open_database(folder.read_run().database_url, SystemClock(), size=1, patience_s=5)
    try:
        async with database.reading() as tx:
            report = await journal.check(tx)
    finally:
        await database.close()
    chains = _recordings(folder) if recordings else ()
    verdict = Verdict(
        ok=report.ok and all(chain.is_whole for chain in chains), journal=report, recordings=chains
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n")
    else:
        sys.stdout.write("".join(line + "\n" for line in _in_words(verdict)))
    return 0 if verdict.ok else 1


def _recordings(folder: Folder) -> tuple[custody.ChainReport, ...]:
    if not folder.recordings.is_dir():
        return ()
    cameras = sorted(path for path in folder.recordings.iterdir() if path.is_dir())
    return tuple(custody.verify(camera.name, camera) for camera in cameras)


def _in_words(verdict: Verdict) -> list[str]:
    report = verdict.journal
    lines = [f"entry {finding.seq}: {finding.text}" for finding in report.findings]
    found = "the chain is whole and the tables hold what it says" if report.ok else "something is wrong"
    lines.append(f"{report.entries} journal entries, head {report.head_hash[:16]}: {found}")
    for chain in verdict.recordings:
        lines += [f"{chain.camera_id}: {sentence}" for sentence in chain.broken]
        found = "the chain is whole" if chain.is_whole else "something is wrong"
        lines.append(f"{chain.camera_id}: {chain.files} files, {chain.fragments} fragments: {found}")
    return lines
