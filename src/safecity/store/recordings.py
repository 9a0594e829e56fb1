"""The copy of the recording indexes: written by the video processes, read by the timeline."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from safecity.model.base import Noun
from safecity.store.transaction import Transaction


class Position(Noun, frozen=True):
    """How far a camera's index has been copied. line_hash: SHA-256 of that line, empty before the first."""

    number: int = 0
    line_hash: bytes = b""


class RecordingRow(Noun, frozen=True):
    """A recorded file; the columns of `recording` say what each field means."""

    path: str
    number: int
    start: datetime
    end: datetime
    size_bytes: int
    codec: str
    recovered: bool
    chain_before: bytes
    chain_after: bytes


class GapRow(Noun, frozen=True):
    """A time without recording; `end` is None while it lasts."""

    number: int
    start: datetime
    end: datetime | None
    reason: str


class DeletionRow(Noun, frozen=True):
    """A file that was deleted, when and why."""

    path: str
    at: datetime
    reason: str


class Span(Noun, frozen=True):
    """A time of which there is a recording."""

    start: datetime
    end: datetime


class GapSpan(Noun, frozen=True):
    """A time of which there is none, and why; `lasts` when it has not ended yet."""

    start: datetime
    end: datetime
    reason: str
    lasts: bool = False


class VideoEventRow(Noun, frozen=True):
    """An event that a camera's rules found. snapshot: the id of its picture, empty when there is none."""

    at: datetime
    kind: str
    rule: str
    why: str
    score: float
    snapshot: str


Row = RecordingRow | GapRow | DeletionRow


async def position(tx: Transaction, camera_id: str) -> Position:
    """Return how far the camera's index has been copied; nobody else copies it until the transaction ends."""
    await tx.connection.execute(
        "INSERT INTO recording_position (camera_id, number, line_hash, seen_at) VALUES ($1, 0, '', $2) "
        "ON CONFLICT DO NOTHING",
        camera_id,
        tx.now,
    )
    row = await tx.connection.fetchrow(
        "SELECT number, line_hash FROM recording_position WHERE camera_id = $1 FOR UPDATE", camera_id
    )
    return Position() if row is None else Position(number=row["number"], line_hash=row["line_hash"])


async def advance(tx: Transaction, camera_id: str, to: Position) -> None:
    """Note, with the copy itself, how far it goes now."""
    await tx.connection.execute(
        "UPDATE recording_position SET number = $2, line_hash = $3 WHERE camera_id = $1",
        camera_id,
        to.number,
        to.line_hash,
    )


async def copy(tx: Transaction, camera_id: str, rows: Sequence[Row]) -> None:
    """Copy entries of one camera's index; all of one kind, in the order of the index."""
    files = [row for row in rows if isinstance(row, RecordingRow)]
    gaps = [row for row in rows if isinstance(row, GapRow)]
    deletions = [row for row in rows if isinstance(row, DeletionRow)]
    await _copy_files(tx, camera_id, files)
    # The second line about an outage, its end, meets the first.
    await tx.connection.executemany(
        "INSERT INTO recording_gap (camera_id, start_time, end_time, reason, number) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (camera_id, start_time) DO UPDATE SET "
        "end_time = excluded.end_time, reason = excluded.reason, number = excluded.number",
        [(camera_id, gap.start, gap.end, gap.reason, gap.number) for gap in gaps],
    )
    await tx.connection.executemany(
        "UPDATE recording SET deleted_at = $3, deletion_reason = $4 "
        "WHERE camera_id = $1 AND path = $2 AND deleted_at IS NULL",
        [(camera_id, row.path, row.at, row.reason) for row in deletions],
    )


async def _copy_files(tx: Transaction, camera_id: str, files: Sequence[RecordingRow]) -> None:
    # A name that comes again is a new file: our clock was set back, and the old one is deleted.
    await tx.connection.executemany(
        "INSERT INTO recording (camera_id, path, number, start_time, end_time, size_bytes, codec, recovered, "
        "chain_before, chain_after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
        "ON CONFLICT (camera_id, path) DO UPDATE SET number = excluded.number, "
        "start_time = excluded.start_time, end_time = excluded.end_time, size_bytes = excluded.size_bytes, "
        "codec = excluded.codec, recovered = excluded.recovered, chain_before = excluded.chain_before, "
        "chain_after = excluded.chain_after, deleted_at = NULL, deletion_reason = NULL",
        [
            (
                camera_id,
                file.path,
                file.number,
                file.start,
                file.end,
                file.size_bytes,
                file.codec,
                file.recovered,
                file.chain_before,
                file.chain_after,
            )
            for file in files
        ],
    )


async def prune(tx: Transaction, camera_id: str, entries: int) -> None:
    """Forget what the index forgot: its first `entries` entries, whose files are all deleted."""
    for table in ("recording", "recording_gap"):
        await tx.connection.execute(
            f"DELETE FROM {table} WHERE camera_id = $1 AND number <= $2",  # noqa: S608 - two names of ours
            camera_id,
            entries,
        )


async def begin_anew(tx: Transaction, camera_id: str) -> None:
    """Know that the camera's index was replaced by another: what was copied from the old one is gone."""
    await tx.connection.execute(
        "UPDATE recording SET deleted_at = $2, deletion_reason = 'missing' "
        "WHERE camera_id = $1 AND deleted_at IS NULL",
        camera_id,
        tx.now,
    )
    await tx.connection.execute(
        "UPDATE recording_gap SET end_time = greatest(start_time, $2) "
        "WHERE camera_id = $1 AND end_time IS NULL",
        camera_id,
        tx.now,
    )
    await advance(tx, camera_id, Position())


async def note_recording(tx: Transaction, since: Mapping[str, datetime | None]) -> None:
    """Note which cameras are being recorded now, and since when their unfinished files run."""
    await tx.connection.executemany(
        "INSERT INTO recording_position (camera_id, number, line_hash, recording_since, seen_at) "
        "VALUES ($1, 0, '', $2, $3) ON CONFLICT (camera_id) DO UPDATE SET "
        "recording_since = excluded.recording_since, seen_at = excluded.seen_at",
        [(camera_id, since[camera_id], tx.now) for camera_id in sorted(since)],
    )


async def spans(tx: Transaction, camera_id: str, start: datetime, end: datetime, limit: int) -> list[Span]:
    """Return the files that are there and touch a time, oldest first, at most `limit`."""
    # Files do not last longer than an hour, so that the index on their start finds them.
    rows = await tx.connection.fetch(
        "SELECT start_time, end_time FROM recording WHERE camera_id = $1 AND deleted_at IS NULL "
        "AND start_time < $3 AND start_time > $2::timestamptz - interval '1 hour' AND end_time > $2 "
        "ORDER BY start_time LIMIT $4",
        camera_id,
        start,
        end,
        limit,
    )
    return [Span(start=row["start_time"], end=row["end_time"]) for row in rows]


async def unfinished(tx: Transaction, camera_id: str, fresh_s: float) -> Span | None:
    """Return the file that is being written, up to when that was last known, unless that is long ago."""
    row = await tx.connection.fetchrow(
        "SELECT recording_since, seen_at FROM recording_position "
        "WHERE camera_id = $1 AND recording_since IS NOT NULL",
        camera_id,
    )
    if row is None or (tx.now - row["seen_at"]).total_seconds() > fresh_s:
        return None
    return Span(start=row["recording_since"], end=max(row["recording_since"], row["seen_at"]))


async def gaps(tx: Transaction, camera_id: str, start: datetime, end: datetime, limit: int) -> list[GapSpan]:
    """Return the gaps that touch a time, oldest first, at most `limit`; one that lasts reaches to now."""
    rows = await tx.connection.fetch(
        "SELECT start_time, end_time, reason FROM recording_gap WHERE camera_id = $1 "
        "AND start_time < $3 AND (end_time IS NULL OR end_time > $2) ORDER BY start_time LIMIT $4",
        camera_id,
        start,
        end,
        limit,
    )
    return [
        GapSpan(
            start=row["start_time"],
            end=row["end_time"] or max(row["start_time"], tx.now),
            reason=row["reason"],
            lasts=row["end_time"] is None,
        )
        for row in rows
    ]


async def events(
    tx: Transaction, camera_id: str, start: datetime, end: datetime, limit: int
) -> list[VideoEventRow]:
    """Return what the camera's rules found in a time, oldest first, at most `limit`."""
    # Events come within seconds; a day is what the bus may keep them while the store is away.
    rows = await tx.connection.fetch(
        "SELECT DISTINCT ON (event_time, property) event_time, property, value, detail ->> 'rule' AS rule, "
        "detail ->> 'why' AS why, detail ->> 'snapshot' AS snapshot FROM observation "
        "WHERE source_id = $1 AND kind = 'video' AND event_time >= $2 AND event_time < $3 "
        "AND receive_time >= $2::timestamptz - interval '1 hour' "
        "AND receive_time < $3::timestamptz + interval '1 day' "
        "ORDER BY event_time, property LIMIT $4",
        camera_id,
        start,
        end,
        limit,
    )
    return [
        VideoEventRow(
            at=row["event_time"],
            kind=row["property"],
            rule=row["rule"] or "",
            why=row["why"] or "",
            score=row["value"] or 0.0,
            snapshot=row["snapshot"] or "",
        )
        for row in rows
    ]
