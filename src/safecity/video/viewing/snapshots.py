"""Event pictures from their files, RECORDINGS/CAMERA/snapshots/DAY/ID.jpg, masked when they were written."""

import re
from pathlib import Path
from typing import Final

from safecity.errors import NotFound
from safecity.model.video import ID
from safecity.video.recording.retention import SNAPSHOTS

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_snapshot(directory: Path, camera_id: str, snapshot_id: str) -> bytes:
    """Return the JPEG of an event's picture below the recordings in `directory`.

    Both ids are single names of letters, digits, hyphens and underscores: none leads out of the folder.
    Raises NotFound when there is no such picture.
    """
    missing = NotFound("there is no picture of this event; pictures go with the recordings of their day")
    if not (ID.fullmatch(camera_id) and ID.fullmatch(snapshot_id)):
        raise missing
    folder = directory / camera_id / SNAPSHOTS
    try:
        days = sorted((day for day in folder.iterdir() if _DAY.fullmatch(day.name)), reverse=True)
    except OSError as error:
        raise missing from error
    for day in days:
        path = day / f"{snapshot_id}.jpg"
        try:
            # A link could lead anywhere; the writer makes none.
            if not path.is_symlink() and path.resolve().is_relative_to(folder.resolve()):
                return path.read_bytes()
        except OSError:
            continue
    raise missing
