"""Files over HTTP: whole or in ranges (RFC 9110 section 14), with entity tags."""

import asyncio
import mimetypes
import re
from pathlib import Path
from typing import Final

from litestar import Response

from safecity.errors import NotFound

MAX_RANGE_BYTES: Final = 16 * 1024 * 1024
"""The most that one answer holds in memory; a longer range is answered by its beginning, which is allowed."""

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_TYPES: Final = {
    ".pmtiles": "application/vnd.pmtiles",
    ".js": "text/javascript",
    ".webmanifest": "application/manifest+json",
}


class Unsatisfiable(Exception):
    """The asked range lies outside of the file."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte of a Range header, or None when it must be ignored.

    Several ranges at once are ignored, which RFC 9110 section 14.2 allows. Raises Unsatisfiable.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first_text, last_text = match.groups()
    if not first_text:
        suffix = int(last_text)
        if suffix == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - suffix), size - 1
    first = int(first_text)
    last = min(int(last_text), size - 1) if last_text else size - 1
    if last_text and int(last_text) < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return first, last


def safe_path(folder: Path, name: str) -> Path:
    """Return the file `name` below `folder`; raises NotFound for everything that is not there."""
    try:
        root, path = folder.resolve(), (folder / name.lstrip("/")).resolve()
        found = path.is_relative_to(root) and path.is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        raise NotFound("there is nothing at this address")
    return path


async def file_answer(
    path: Path, *, range_header: str = "", if_none_match: str = "", if_range: str = "", cache: str
) -> Response[bytes]:
    """Return a file, the asked part of it, or 304 when the client has it; raises NotFound when it is gone."""
    try:
        stat = await asyncio.to_thread(path.stat)
    except OSError as error:
        raise NotFound("there is nothing at this address") from error
    tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    headers = {"ETag": tag, "Cache-Control": cache, "Accept-Ranges": "bytes"}
    if tag in [given.strip().removeprefix("W/") for given in if_none_match.split(",")]:
        return Response(b"", status_code=304, headers=headers)
    try:
        asked = parse_range(range_header, stat.st_size) if if_range in ("", tag) else None
    except Unsatisfiable:
        return Response(b"", status_code=416, headers={**headers, "Content-Range": f"bytes */{stat.st_size}"})
    first, last = asked or (0, stat.st_size - 1)
    if asked:
        last = min(last, first + MAX_RANGE_BYTES - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{stat.st_size}"
    data = await asyncio.to_thread(_read, path, first, last - first + 1)
    return Response(data, status_code=206 if asked else 200, headers=headers, media_type=_media_type(path))


def _read(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _media_type(path: Path) -> str:
    guessed = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed
