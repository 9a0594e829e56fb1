"""How the web room answers: JSON that is already bytes, and errors as code and sentence."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from safecity.access.limiter import TryLater
from safecity.errors import KINDS, SafeCityError, Unavailable
from safecity.model.base import Noun

log = structlog.get_logger()

RETRY_AFTER_S: Final = 2
"""What a client is told to wait when an engine is away; both engines restart faster."""

TOO_DEEP: Final = "the body cannot be read: it is nested too deeply; send flat JSON"

_CODES: Final = {int(kind.status): kind.code for kind in KINDS if kind.code != "configuration"}


class Problem(Noun, frozen=True):
    """Every error that the web room answers with."""

    code: str
    message: str


def kind_of(code: str) -> type[SafeCityError]:
    """Return the kind of error that another role means by a code."""
    return next((kind for kind in KINDS if kind.code == code), Unavailable)


def json_answer(data: bytes, status: int = 200) -> Response[bytes]:
    """Return bytes that are JSON already."""
    return Response(data, status_code=status, media_type=MediaType.JSON)


def documented(model: type[Any], description: str, status: int = 200) -> dict[int, ResponseSpec]:
    """Return what the OpenAPI document says of an answer that is built as bytes."""
    return {status: ResponseSpec(data_container=model, description=description, generate_examples=False)}


def problem_of(error: Exception) -> tuple[int, Problem, dict[str, str]]:
    """Return status, body and extra headers for anything that was raised.

    What nobody foresaw is logged with its trace and answered without details.
    """
    if isinstance(error, SafeCityError):
        return int(error.status), Problem(code=error.code, message=str(error)), _retry(error)
    if isinstance(error, HTTPException):
        return _framework_problem(error)
    if isinstance(error, msgspec.ValidationError | msgspec.DecodeError):
        return 400, Problem(code="invalid", message=f"the body cannot be read: {error}"), {}
    if is_too_deep(error):
        return 400, Problem(code="invalid", message=TOO_DEEP), {}
    log.error("unforeseen error in a request", exc_info=error)
    sentence = "something went wrong in the program; it was logged, try again"
    return 500, Problem(code="internal", message=sentence), {}


def is_too_deep(error: Exception) -> bool:
    """Return whether the decoder gave up on a body since it is nested too deeply.

    An endless recursion of our own is another thing: it has other words and stays an unforeseen error.
    """
    return isinstance(error, RecursionError) and "deserializing" in str(error)


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer a request that raised."""
    status, body, headers = problem_of(error)
    return Response(body, status_code=status, headers=headers, media_type=MediaType.JSON)


def _retry(error: SafeCityError) -> dict[str, str]:
    if isinstance(error, TryLater):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}


def _framework_problem(error: HTTPException) -> tuple[int, Problem, dict[str, str]]:
    status = error.status_code
    headers = dict(error.headers or {})
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("the web framework failed", exc_info=error)
        return 500, Problem(code="internal", message="something went wrong in the program; it was logged"), {}
    if isinstance(error, ValidationException):
        return 400, Problem(code="invalid", message=_what_is_invalid(error)), headers
    sentence = {
        400: f"the body cannot be read: {error.detail}",
        404: "there is nothing at this address",
        405: "this address does not take this method",
        413: "the body is larger than is allowed here",
    }.get(status, error.detail)
    return status, Problem(code=_CODES.get(status, "invalid"), message=sentence), headers


def _what_is_invalid(error: ValidationException) -> str:
    found = error.extra if isinstance(error.extra, list) else []
    return "; ".join(_one_invalid(item) for item in found if isinstance(item, dict)) or error.detail


def _one_invalid(item: dict[str, Any]) -> str:
    name = str(item.get("key", "body"))
    if item.get("source") == "header":
        name = name.replace("_", "-").title()
    return f"'{name}': {item.get('message', 'is not valid')}"
