"""Playback in chunks: each begins with a keyframe, says when it was, and where the next one goes on.

The server keeps no position. Media time runs from 0 at the chunk's `start` in seconds of film, whatever the
speed: at higher speeds a chunk is longer and holds fewer pictures a second, and the browser plays faster.
"""

from datetime import datetime
from typing import Any, Final

from safecity.errors import NotFound, Unavailable
from safecity.model.base import Noun
from safecity.video.masking.blur import Boxes
from safecity.video.masking.hidden import small_of
from safecity.video.picture import PictureDecoder
from safecity.video.recording.fmp4 import fragment
from safecity.video.stream.bitstream import TICKS_PER_S, VideoPacket
from safecity.video.viewing.cover import Cover
from safecity.video.viewing.encoder import Encoder
from safecity.video.viewing.fragments import packets_in, retimed
from safecity.video.viewing.heard import heard, mime_with
from safecity.video.viewing.masked import LOOK_EVERY_S, SHORTEST_S
from safecity.video.viewing.reels import Gap, Library, Reel, Shelf
from safecity.video.viewing.veil import Veil

CHUNK_S: Final = 2.0
"""Of the viewer's own time that a chunk lasts, up to the next keyframe."""
MAX_SPEED: Final = 16
KEYS_FROM_SPEED: Final = 8
"""From this speed on only keyframes are shown: more could not be decoded in time."""
LIMIT_BYTES: Final = 6_000_000
"""Of the recording that is passed on in one answer; the bus takes 8 MB."""
WIDE_PX: Final = 1000
"""Wider pictures are decoded without smoothing of block edges: they are made small anyway."""


class Chunk(Noun, frozen=True):
    """A piece of recording to play.

    start, end: what it covers. next: what to ask for afterwards, None where the recording ends. gap: what is
    missing between end and next. skipped: what is missing before start, when nothing is recorded of the
    moment asked for. coarse: why all of the picture is coarse, empty when it isn't.
    """

    mime: str
    width: int
    height: int
    init: bytes
    fragments: tuple[bytes, ...]
    start: datetime
    end: datetime
    next: datetime | None
    gap: Gap | None
    skipped: Gap | None
    coarse: str = ""


class _Span(Noun, frozen=True):
    """Which part of which film a chunk covers: fragments `first` to `end` - 1, shown from `from_ticks` on."""

    number: int
    first: int
    end: int
    from_ticks: int
    skipped: Gap | None


def chunk(library: Library, camera_id: str, at: datetime, speed: int, veil: Veil | None) -> Chunk:
    """Return what is recorded of a camera from `at` on; without a `veil` as it was recorded.

    Raises NotFound when nothing is recorded then or later, Unavailable when it is not recorded yet.
    """
    shelf = library.shelf(camera_id)
    number, skipped = find_film(library, shelf, at)
    reel = library.reel(shelf.films[number])
    span = _span(reel, number, at, speed, skipped, limited=veil is None)
    if veil is None:
        return _passed_on(library, shelf, reel, span, speed)
    return _masked(library, shelf, reel, span, speed, veil)


def find_film(library: Library, shelf: Shelf, at: datetime) -> tuple[int, Gap | None]:
    """Return which film shows `at`, or is the next after it, with the gap before it."""
    number = shelf.number_at(at)
    if number < 0:
        return 0, shelf.gap(at, shelf.films[0].start)
    film = shelf.films[number]
    reel = library.reel(film)
    if reel.ticks(at) < reel.end_ticks:
        return number, None
    if number + 1 < len(shelf.films):
        return number + 1, shelf.gap(max(at, reel.moment(reel.end_ticks)), shelf.films[number + 1].start)
    if film.end is None:
        raise Unavailable("that moment is not recorded yet; ask again in a second")
    raise NotFound("nothing is recorded of that moment or later")


def _span(reel: Reel, number: int, at: datetime, speed: int, skipped: Gap | None, *, limited: bool) -> _Span:
    from_ticks = max(reel.ticks(at), 0)
    first = reel.key_before(from_ticks)
    until_ticks = max(from_ticks, reel.parts[first].start_ticks) + round(CHUNK_S * speed * TICKS_PER_S)
    end = len(reel.parts)
    octets = sum(part.size for part in reel.parts[first : _key_after(reel, first)])
    for key in reel.keys:
        if key <= first:
            continue
        group = sum(part.size for part in reel.parts[key : _key_after(reel, key)])
        too_much = limited and speed < KEYS_FROM_SPEED and octets + group > LIMIT_BYTES
        if reel.parts[key].start_ticks >= until_ticks or too_much:
            end = key
            break
        octets += group
    from_ticks = max(from_ticks, reel.parts[first].start_ticks)
    return _Span(number=number, first=first, end=end, from_ticks=from_ticks, skipped=skipped)


def _key_after(reel: Reel, part: int) -> int:
    return next((key for key in reel.keys if key > part), len(reel.parts))


def _passed_on(library: Library, shelf: Shelf, reel: Reel, span: _Span, speed: int) -> Chunk:
    """Return the recording's own fragments, moved to begin at 0; at high speed its keyframes."""
    start = reel.parts[span.first].start_ticks
    if reel.sound is not None:
        piece = heard(reel, reel.sound, span.first, span.end, keys_only=speed >= KEYS_FROM_SPEED)
        mime = mime_with(reel.info.mime, reel.sound)
        return _chunk(library, shelf, reel, span, start, mime, reel.info, (piece,))
    data = [reel.read(number, number + 1) for number in range(span.first, span.end)]
    if speed >= KEYS_FROM_SPEED or sum(map(len, data)) > LIMIT_BYTES:
        pieces: tuple[bytes, ...] = (_keys_alone(b"".join(data), start, reel.parts[span.end - 1].end_ticks),)
    else:
        pieces = tuple(
            retimed(piece, reel.scales, start, number) for number, piece in enumerate(data, start=1)
        )
    return _chunk(library, shelf, reel, span, start, reel.info.mime, reel.info, pieces)


def _keys_alone(data: bytes, start_ticks: int, end_ticks: int) -> bytes:
    """Return the keyframes alone, each shown until the next."""
    keys = [packet for packet in packets_in(data) if packet.is_key]
    first = keys[0].ticks
    return fragment(1, first - start_ticks, keys, end_ticks)


def _masked(library: Library, shelf: Shelf, reel: Reel, span: _Span, speed: int, veil: Veil) -> Chunk:
    """Return the recording decoded, hidden and encoded anew."""
    smalls = _smalls(reel, span, speed)
    if not smalls:
        raise Unavailable("this part of the recording is damaged; go a few seconds further")
    first = smalls[0][0]
    end_ticks = reel.parts[span.end - 1].end_ticks
    encoder = Encoder(smalls[0][1].width, smalls[0][1].height)
    packets: list[VideoPacket] = []
    for (ticks, small), boxes in zip(smalls, _covers(smalls, veil), strict=True):
        packets += encoder.encode(veil.draw(small, boxes), ticks - first, 1)
    if encoder.info is None:
        raise Unavailable("this part of the recording cannot be encoded; go a few seconds further")
    piece = fragment(1, 0, packets, end_ticks - first)
    return _chunk(library, shelf, reel, span, first, encoder.info.mime, encoder.info, (piece,), veil.coarse)


def _smalls(reel: Reel, span: _Span, speed: int) -> list[tuple[int, Any]]:
    """Return the pictures to show of a span, small, with their times in 1/90000 s of the film."""
    step = SHORTEST_S * speed * TICKS_PER_S
    keys_only = speed >= KEYS_FROM_SPEED
    decoder = PictureDecoder(reel.info, quick=reel.info.width > WIDE_PX)
    smalls: list[tuple[int, Any]] = []
    next_ticks = float(span.from_ticks)
    lead = reel.lead_ticks

    def add(frame: Any) -> None:
        nonlocal next_ticks
        ticks = frame.pts - lead
        if ticks >= next_ticks:
            next_ticks = max(next_ticks + step, ticks + step / 2)
            smalls.append((ticks, small_of(frame)))

    for packet in packets_in(reel.read(span.first, span.end)):
        if keys_only and packet.is_key:
            alone = decoder.decode_alone(packet)
            smalls += [(alone.pts - lead, small_of(alone))] if alone is not None else []
        for frame in () if keys_only else decoder.decode(packet):
            add(frame)
    for frame in decoder.finish():
        add(frame)
    return smalls


def _covers(smalls: list[tuple[int, Any]], veil: Veil) -> list[Boxes | None]:
    """Return what to hide in each picture: people are followed both from the past and from the future."""
    import numpy as np

    if not veil.searches or veil.coarse:
        return [None] * len(smalls)
    found = []
    searched = float("-inf")
    for ticks, small in smalls:
        due = ticks - searched >= (LOOK_EVERY_S - SHORTEST_S / 2) * TICKS_PER_S
        who = veil.find(small) if due else None
        # After a search that failed the next picture is searched: nothing is carried on from ignorance.
        searched = float("-inf") if due and who is None else ticks if due else searched
        found.append((ticks / TICKS_PER_S, due, who))
    ahead, back = Cover(), Cover()
    end_s = found[-1][0]
    forward = [ahead.update(who, at_s) if who is not None else ahead.carry(at_s) for at_s, _, who in found]
    backward = [
        back.update(who, end_s - at_s) if who is not None else back.carry(end_s - at_s)
        for at_s, _, who in reversed(found)
    ][::-1]
    return [
        None if due and who is None else np.concatenate((one, other))
        for (_, due, who), one, other in zip(found, forward, backward, strict=True)
    ]


def _chunk(
    library: Library,
    shelf: Shelf,
    reel: Reel,
    span: _Span,
    start_ticks: int,
    mime: str,
    info: Any,
    pieces: tuple[bytes, ...],
    coarse: str = "",
) -> Chunk:
    end = reel.moment(reel.parts[span.end - 1].end_ticks)
    later: datetime | None = end
    gap = None
    at_end = span.end == len(reel.parts)
    if at_end and span.number + 1 < len(shelf.films):
        later = shelf.films[span.number + 1].start
        end, gap = min(end, later), shelf.gap(end, later)
    elif at_end and reel.film.end is not None:
        later = None
    return Chunk(
        mime=mime,
        width=info.width,
        height=info.height,
        init=info.init,
        fragments=pieces,
        start=reel.moment(start_ticks),
        end=end,
        next=later,
        gap=gap,
        skipped=span.skipped,
        coarse=coarse,
    )
