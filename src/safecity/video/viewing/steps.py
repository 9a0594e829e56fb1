"""Single pictures of recordings: the one at a moment, and exact steps from it, over the borders of files."""

import bisect
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from safecity.errors import NotFound, Unavailable
from safecity.model.base import Noun
from safecity.video.masking.hidden import small_of
from safecity.video.picture import PictureDecoder, jpeg
from safecity.video.stream.bitstream import TICKS_PER_S
from safecity.video.viewing.cover import Cover
from safecity.video.viewing.fragments import packets_in
from safecity.video.viewing.masked import LOOK_EVERY_S
from safecity.video.viewing.playback import find_film
from safecity.video.viewing.reels import Library, Reel, Shelf
from safecity.video.viewing.veil import Veil

LOOK_BACK_S: Final = 1.0
"""People are followed through so much film before the picture, so that a single miss shows nobody."""
MAX_STEP: Final = 1000


class Picture(Noun, frozen=True):
    """One picture as JPEG, and when it was. coarse: why it is coarse all over, empty when it isn't."""

    jpeg: bytes
    at: datetime
    coarse: str = ""


def picture(library: Library, camera_id: str, at: datetime, step: int, veil: Veil | None) -> Picture:
    """Return the picture that is shown at `at`, or the one `step` pictures later (earlier when negative).

    Where nothing is recorded of `at`, it is the first picture after. Without a `veil` as it was recorded.
    Raises NotFound when there is no such picture.
    """
    shelf = library.shelf(camera_id)
    reel, ticks = _find(library, shelf, at, max(-MAX_STEP, min(step, MAX_STEP)))
    frame = _decoded(reel, ticks, veil)
    return Picture(jpeg=jpeg(frame), at=reel.moment(ticks), coarse=veil.coarse if veil is not None else "")


def _find(library: Library, shelf: Shelf, at: datetime, step: int) -> tuple[Reel, int]:
    number, place = _stand(library, shelf, at)
    reel = library.reel(shelf.films[number])
    times = reel.times
    place += step
    while not 0 <= place < len(times):
        forward = place >= len(times)
        number += 1 if forward else -1
        if not 0 <= number < len(shelf.films):
            raise NotFound(f"nothing is recorded {'after' if forward else 'before'} that picture")
        place -= len(times) if forward else 0
        reel = library.reel(shelf.films[number])
        times = reel.times
        place += 0 if forward else len(times)
    return reel, times[place]


def _stand(library: Library, shelf: Shelf, at: datetime) -> tuple[int, int]:
    """Return the film and which of its pictures is shown at `at`."""
    try:
        number, _ = find_film(library, shelf, at)
    except (NotFound, Unavailable):
        # The last picture stands after the end.
        number = len(shelf.films) - 1
    reel = library.reel(shelf.films[number])
    return number, max(bisect.bisect_right(reel.times, reel.ticks(at)) - 1, 0)


def _decoded(reel: Reel, ticks: int, veil: Veil | None) -> Any:
    """Return the picture of exactly `ticks`, hidden by `veil`."""
    ticks += reel.lead_ticks
    cover = Cover()
    searched = float("-inf")
    for frame in _frames(reel, ticks):
        is_wanted = frame.pts == ticks
        if veil is None:
            if is_wanted:
                return frame
            continue
        near = frame.pts >= ticks - LOOK_BACK_S * TICKS_PER_S
        due = frame.pts - searched >= (LOOK_EVERY_S - 0.01) * TICKS_PER_S
        if is_wanted:
            return veil.hide(small_of(frame), cover, frame.pts / TICKS_PER_S)
        if near and due and veil.searches:
            searched = frame.pts
            found = veil.find(small_of(frame))
            if found is not None:
                cover.update(found, frame.pts / TICKS_PER_S)
    raise Unavailable("this picture of the recording is damaged; try the one before or after")


def _frames(reel: Reel, ticks: int) -> Iterator[Any]:
    """Yield the decoded pictures from the keyframe before `ticks` on."""
    part = next((n for n, one in enumerate(reel.parts) if ticks in one.shown_at), 0)
    first = max((key for key in reel.keys if key <= part), default=part)
    decoder = PictureDecoder(reel.info)
    for number in range(first, min(part + 2, len(reel.parts))):
        for packet in packets_in(reel.read(number, number + 1)):
            yield from decoder.decode(packet)
    yield from decoder.finish()
