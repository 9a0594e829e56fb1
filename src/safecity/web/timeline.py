"""What there is of a camera in a time: recordings, gaps with their reason, events, holds."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from litestar import get
from litestar.params import QueryParameter

from safecity.access.policy import Action
from safecity.errors import Invalid
from safecity.model.base import Noun
from safecity.model.source import Camera
from safecity.model.video import Hold
from safecity.store import recordings
from safecity.store.recordings import GapSpan, Span, VideoEventRow
from safecity.store.transaction import Transaction
from safecity.web.gate import needs
from safecity.web.provide import Deps, PathId

MAX_RANGE: Final = timedelta(days=7)
MAX_FILES: Final = 50_000
"""Files of seven days, were each only 12 s long."""
MAX_GAPS: Final = 2000
MAX_EVENTS: Final = 2000
SEAM: Final = timedelta(seconds=0.5)
"""Files that are no further apart are shown as one recording."""
FRESH_S: Final = 30.0
"""So old may be what the video process said last about the file it is writing."""

From = Annotated[datetime, QueryParameter(name="from", description="Beginning, RFC 3339 with an offset.")]
To = Annotated[datetime, QueryParameter(name="to", description="End, at most seven days after `from`.")]


class CameraTimeline(Noun, frozen=True):
    """What there is of a camera in the asked time, oldest first; parts that reach beyond it are cut.

    recordings: times that can be played. gaps: times that cannot, and why. truncated: there was more of
    something than is given; ask for a shorter time.
    """

    recordings: tuple[Span, ...]
    gaps: tuple[GapSpan, ...]
    events: tuple[VideoEventRow, ...]
    holds: tuple[Hold, ...]
    truncated: bool


@get("/api/cameras/{camera_id:str}/timeline", opt=needs(Action.SEE_CAMERAS, "camera", "camera_id"))
async def timeline(deps: Deps, camera_id: PathId, from_: From, to: To) -> CameraTimeline:
    """Return recordings, gaps, events and holds of a camera between two moments, at most seven days."""
    if from_.tzinfo is None or to.tzinfo is None:
        raise Invalid("from and to must carry an offset, for example 2026-11-22T09:00:00Z")
    if not timedelta(0) < to - from_ <= MAX_RANGE:
        raise Invalid("to must lie after from, and at most seven days after it")
    async with deps.db.reading() as tx:
        return await _timeline(tx, camera_id, from_, to)


async def _timeline(tx: Transaction, camera_id: str, start: datetime, end: datetime) -> CameraTimeline:
    holds = await tx.select(
        Hold,
        "camera_id = $1 AND start_at < $3 AND end_at > $2 AND released_at IS NULL",
        camera_id,
        start,
        end,
    )
    files = await recordings.spans(tx, camera_id, start, end, MAX_FILES)
    if not files and not holds:
        # Recordings outlive their camera; of one that never was there is nothing to say.
        await tx.get(Camera, camera_id)
    gaps = await recordings.gaps(tx, camera_id, start, end, MAX_GAPS)
    events = await recordings.events(tx, camera_id, start, end, MAX_EVENTS)
    unfinished = await recordings.unfinished(tx, camera_id, FRESH_S)
    played = merged([*files, unfinished] if unfinished else files)
    return CameraTimeline(
        recordings=tuple(cut(without(played, gaps), start, end)),
        gaps=tuple(cut_gaps(gaps, start, end)),
        events=tuple(events),
        holds=tuple(holds),
        truncated=len(files) == MAX_FILES or len(gaps) == MAX_GAPS or len(events) == MAX_EVENTS,
    )


def merged(files: list[Span]) -> list[Span]:
    """Return the times that files cover together, oldest first."""
    found: list[Span] = []
    for file in sorted(files, key=lambda file: file.start):
        if found and file.start - found[-1].end <= SEAM:
            found[-1] = Span(start=found[-1].start, end=max(found[-1].end, file.end))
        else:
            found.append(file)
    return found


def without(spans: list[Span], gaps: list[GapSpan]) -> list[Span]:
    """Return what remains of `spans` outside the gaps that lie inside them: a stream that stood still.

    Both oldest first. A gap that only touches a recording says nothing against it: a connection's first
    pictures come late, and the gap before them ends when they came.
    """
    for gap in gaps:
        spans = [
            part
            for span in spans
            for part in (
                (Span(start=span.start, end=gap.start), Span(start=gap.end, end=span.end))
                if span.start < gap.start and gap.end < span.end
                else (span,)
            )
        ]
    return spans


def cut(spans: list[Span], start: datetime, end: datetime) -> list[Span]:
    """Return the parts of `spans` between two moments."""
    return [
        Span(start=max(span.start, start), end=min(span.end, end))
        for span in spans
        if span.start < end and span.end > start
    ]


def cut_gaps(gaps: list[GapSpan], start: datetime, end: datetime) -> list[GapSpan]:
    """Return the parts of `gaps` between two moments."""
    return [
        GapSpan(start=max(gap.start, start), end=min(gap.end, end), reason=gap.reason, lasts=gap.lasts)
        for gap in gaps
        if gap.start < end and gap.end > start
    ]


HANDLERS = (timeline,)
