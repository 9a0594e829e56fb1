"""The HTTP way in, as a machine uses it: bearer token, idempotency keys, patience."""

import asyncio
import itertools
import random
from pathlib import Path
from typing import Final

import httpx
import msgspec
import structlog

from safecity.errors import KINDS, Invalid, SafeCityError

log = structlog.get_logger()

FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 5.0
WARN_AT: Final = 6
"""The try, some ten seconds after the first, from which on it is worth a line in the log."""
TIMEOUT_S: Final = 10.0
_TRY_AGAIN: Final = frozenset({401, 408, 425, 429, 500, 502, 503, 504, 507})
"""Statuses that pass: the server starts, is overrun or is away. 401: our token is not registered yet."""

_KIND_OF_CODE: Final = {kind.code: kind for kind in KINDS}


class _Refusal(msgspec.Struct):
    """The error body of the interface."""

    code: str = ""
    message: str = ""


def http_client(url: str) -> httpx.AsyncClient:
    """Return the client that all machines of one process share; it never takes a proxy."""
    return httpx.AsyncClient(
        base_url=url,
        timeout=TIMEOUT_S,
        trust_env=False,
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=8),
    )


class Token:
    """A bearer token kept in a file, read when first needed and after each refusal."""

    def __init__(self, path: Path) -> None:
        """Take the token from `path`; the file may appear later."""
        self._path = path
        self._text = ""

    def header(self) -> dict[str, str]:
        """Return the header that carries the token; none while the file is missing."""
        if not self._text:
            self.renew()
        return {"Authorization": f"Bearer {self._text}"} if self._text else {}

    def renew(self) -> None:
        """Read the file again."""
        try:
            self._text = self._path.read_text(encoding="ascii").strip()
        except OSError:
            self._text = ""


class Machine:
    """One machine account: sends, and sends again until there is a definite answer."""

    def __init__(self, http: httpx.AsyncClient, token: Token, rng: random.Random) -> None:
        """Send through `http` as the owner of `token`; `rng` spreads the waiting times."""
        self._http = http
        self._token = token
        self._rng = rng
        self.retries = 0

    async def get(self, path: str) -> bytes:
        """Return the body that a path answers. Raises like `post`."""
        return await self._until_answered("GET", path, b"", {})

    async def post(self, path: str, body: object, key: str = "") -> bytes:
        """Post `body` as JSON and return the answer's body; the same `key` goes with every try.

        Waits as long as the server is away. Raises the kind of error (Conflict, NotFound, Invalid, Forbidden
        ...) that the server names when it refuses for good.
        """
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        return await self._until_answered("POST", path, msgspec.json.encode(body), headers)

    async def _until_answered(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> bytes:
        wait_s = FIRST_WAIT_S
        for turn in itertools.count(1):
            problem = ""
            try:
                response = await self._http.request(
                    method, path, content=content, headers={**headers, **self._token.header()}
                )
                if response.is_success:
                    return response.content
                if response.status_code not in _TRY_AGAIN:
                    raise refusal(response.status_code, response.content)
                problem = f"HTTP {response.status_code}"
                if response.status_code == httpx.codes.UNAUTHORIZED:
                    self._token.renew()
            except httpx.TransportError as error:
                problem = type(error).__name__
            self.retries += 1
            if turn == WARN_AT:
                log.warning("the server does not take this yet; trying on", path=path, problem=problem)
            await asyncio.sleep(wait_s * self._rng.uniform(0.7, 1.3))
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)
        raise AssertionError("unreachable")


def refusal(status: int, body: bytes) -> SafeCityError:
    """Return the error that a refusing answer stands for."""
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except msgspec.DecodeError:
        said = _Refusal()
    kind = _KIND_OF_CODE.get(said.code, Invalid)
    return kind(said.message or f"the server answered {status} without a reason")
