"""The city's own data: basemap and facts; only for those who are signed in."""

from typing import Annotated, Any

from litestar import MediaType, Request, Response, get
from litestar.params import QueryParameter

from safecity.access.policy import Action
from safecity.model.base import Noun
from safecity.web.files import file_answer
from safecity.web.gate import needs
from safecity.web.provide import Deps

CACHE = "private, no-cache"


class CityFacts(Noun, frozen=True):
    """What a map needs to begin: bbox is west, south, east, north; center is lon, lat; all in degrees."""

    name: str
    bbox: tuple[float, float, float, float]
    center: tuple[float, float]


class Found(Noun, frozen=True):
    """One place that a search found."""

    text: str
    kind: str
    lon: float
    lat: float


class Places(Noun, frozen=True):
    """What a search found, the likeliest first."""

    places: tuple[Found, ...]


@get(
    "/basemap/city.pmtiles",
    opt=needs(Action.SEE_MAP, "map"),
    media_type="application/vnd.pmtiles",
)
async def basemap(deps: Deps, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the basemap (PMTiles), whole or the asked range."""
    return await file_answer(
        deps.city.folder / "basemap.pmtiles",
        range_header=request.headers.get("range", ""),
        if_none_match=request.headers.get("if-none-match", ""),
        if_range=request.headers.get("if-range", ""),
        cache=CACHE,
    )


@get("/city.json", opt=needs(Action.SEE_MAP, "map"), media_type=MediaType.JSON)
async def city_file(deps: Deps, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the facts that the import of the city wrote down."""
    return await file_answer(
        deps.city.folder / "city.json", if_none_match=request.headers.get("if-none-match", ""), cache=CACHE
    )


SearchWords = Annotated[
    str, QueryParameter(name="q", min_length=1, max_length=200, description="What a person typed.")
]


@get("/api/search", opt=needs(Action.SEARCH_PLACES, "map"), sync_to_thread=True)
def search(deps: Deps, words: SearchWords) -> Places:
    """Return streets, crossings, addresses and places for the words that a person typed."""
    found = deps.city.search(words, 10)
    return Places(places=tuple(Found(text=p.text, kind=str(p.kind), lon=p.lon, lat=p.lat) for p in found))


HANDLERS = (basemap, city_file, search)
