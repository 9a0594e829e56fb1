"""The kinds of error, each mapped once to an HTTP status.

Code raises one of these with a sentence that says what is wrong and what to do. Everything else that
escapes is a defect and becomes `Internal` at the edge, without its details.
"""

from http import HTTPStatus
from typing import ClassVar


class SafeCityError(Exception):
    """Base of every error that a user may read; `str(error)` is the sentence shown."""

    code: ClassVar[str] = "internal"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR


class Invalid(SafeCityError):
    """The input is not what it must be; the sentence names the field and the allowed form."""

    code = "invalid"
    status = HTTPStatus.BAD_REQUEST


class Unauthenticated(SafeCityError):
    """No valid session or token came with the request."""

    code = "unauthenticated"
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(SafeCityError):
    """The actor is known and may not do this, here, for this purpose."""

    code = "forbidden"
    status = HTTPStatus.FORBIDDEN


class NotFound(SafeCityError):
    """The named object does not exist."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class Conflict(SafeCityError):
    """The object's state does not allow the command, or a key was used for something else."""

    code = "conflict"
    status = HTTPStatus.CONFLICT


class TooLarge(SafeCityError):
    """The input is larger than the stated limit."""

    code = "too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class TooMany(SafeCityError):
    """The sender exceeds its rate; the sentence says when to try again."""

    code = "too_many"
    status = HTTPStatus.TOO_MANY_REQUESTS


class Unavailable(SafeCityError):
    """An engine or role that is needed does not answer now; trying again later is right."""

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class StorageFull(SafeCityError):
    """The disk, or the space that policy allows, is used up."""

    code = "storage_full"
    status = HTTPStatus.INSUFFICIENT_STORAGE


class Configuration(SafeCityError):
    """A setting or the machine's set-up is wrong; the sentence names the setting and its allowed values."""

    code = "configuration"
    status = HTTPStatus.INTERNAL_SERVER_ERROR


KINDS: tuple[type[SafeCityError], ...] = (
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    Conflict,
    TooLarge,
    TooMany,
    Unavailable,
    StorageFull,
    Configuration,
)
