"""The console's shell: public, since it holds no data."""

from typing import Any

from litestar import Request, Response, get

from safecity.errors import NotFound
from safecity.web.files import file_answer, safe_path
from safecity.web.gate import open_to_all
from safecity.web.provide import Deps, PathId

REVALIDATE = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"
"""Asset names hold a hash of their content, so what has this name never changes."""

_SHELL = open_to_all("the console's shell holds no data")


@get("/", opt=_SHELL, include_in_schema=False)
async def index(deps: Deps, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the console's page."""
    try:
        path = safe_path(deps.static_dir, "index.html")
    except NotFound as error:
        raise NotFound("the console is not built yet; run 'make setup'") from error
    return await file_answer(path, if_none_match=request.headers.get("if-none-match", ""), cache=REVALIDATE)


@get("/{name:str}", opt=_SHELL, include_in_schema=False)
async def top_file(name: PathId, deps: Deps, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return a file beside the page, such as its icon."""
    path = safe_path(deps.static_dir, name)
    return await file_answer(path, if_none_match=request.headers.get("if-none-match", ""), cache=REVALIDATE)


@get("/assets/{name:path}", opt=_SHELL, include_in_schema=False)
async def asset(name: PathId, deps: Deps, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return a script, style sheet or font of the console."""
    path = safe_path(deps.static_dir / "assets", name)
    return await file_answer(
        path,
        range_header=request.headers.get("range", ""),
        if_none_match=request.headers.get("if-none-match", ""),
        cache=FOR_EVER,
    )


HANDLERS = (index, top_file, asset)
