"""What handlers ask for by name: the engines, who asks, the order behind a command."""

from typing import Annotated, Any

from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, SkipValidation
from litestar.types import Scope

from safecity.operations.command import Order
from safecity.web.deps import WebDeps
from safecity.web.gate import Identity

Deps = NamedDependency[SkipValidation[WebDeps]]
Who = NamedDependency[SkipValidation[Identity]]
PathId = FromPath[str]
TheOrder = NamedDependency[SkipValidation[Order]]

Key = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=64,
        description="Any string of your own; the same key again is the same command with the same answer.",
    ),
]


def who_of(scope: Scope) -> Any:
    """Return whom the gate let in."""
    return scope["user"]


def order_of(who: Who, idempotency_key: Key) -> Any:
    """Return the order behind a command: who gives it, and its key."""
    return Order(actor=who.actor.id, key=idempotency_key)
