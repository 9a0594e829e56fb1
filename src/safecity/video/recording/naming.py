"""The name of a recorded file is the moment it began: DAY/HHMMSS.mmmZ.mp4, in UTC, to the millisecond."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OURS: Final = re.compile(r"\d{4}-\d{2}-\d{2}/\d{6}\.\d{3}Z\.mp4")


def name_of(millis: int) -> str:
    """Return the path, below the camera's folder, of the file that began `millis` ms after 1970 UTC."""
    start = EPOCH + timedelta(milliseconds=millis)
    return f"{start:%Y-%m-%d}/{start:%H%M%S}.{start.microsecond // 1000:03d}Z.mp4"


def millis_of(name: str) -> int | None:
    """Return when the file called `name` began, in ms since 1970 UTC; None when it isn't a name of ours."""
    if not _OURS.fullmatch(name):
        return None
    try:
        start = datetime.strptime(name, "%Y-%m-%d/%H%M%S.%fZ.mp4").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (start - EPOCH) // timedelta(milliseconds=1)


def moment_of(name: str) -> datetime | None:
    """Return when the file called `name` began; None when it isn't a name of ours."""
    millis = millis_of(name)
    return None if millis is None else EPOCH + timedelta(milliseconds=millis)
