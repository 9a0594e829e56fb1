"""Reading a durable consumer: batches as large as what has come, as early as it has come."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from safecity.bus.connection import Bus
from safecity.bus.subjects import Durable, dead

log = structlog.get_logger()

HEARTBEAT_S = 2.0
EXPIRES_S = 30.0
REFUSED_S = 0.5
QUIET_STATUSES = frozenset({"404", "408"})
"""No message there, and a request that ran out: ordinary answers (ADR 13 of NATS)."""


class Reader:
    """Reads one durable pull consumer.

    It keeps a pull request open at the server, so a message arrives without polling, and asks anew when the
    request ran out, the server restarted or nothing (not even a heartbeat) was heard for a while.
    """

    def __init__(self, bus: Bus, durable: Durable, window: int = 1000) -> None:
        """Read `durable` over `bus`, with at most `window` messages on their way."""
        self._bus = bus
        self._durable = durable
        self._window = window
        self._queue: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._outstanding = 0
        self._inbox = ""
        self._refused = ""
        self._subscription: Subscription | None = None

    async def batches(self, limit: int = 500) -> AsyncIterator[list[Msg]]:
        """Yield non-empty lists of at most `limit` messages, in the order of arrival, for ever."""
        self._inbox = self._bus.client.new_inbox()
        self._subscription = await self._bus.client.subscribe(self._inbox, cb=self._on_message)
        try:
            while True:
                if self._refused:
                    log.warning("the bus gives no messages", consumer=self._durable.name, why=self._refused)
                    self._refused = ""
                    await asyncio.sleep(REFUSED_S)
                if self._outstanding <= self._window // 2:
                    await self._ask()
                if not self._queue:
                    await self._wait()
                    continue
                taken = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
                if not self._queue:
                    self._wake.clear()
                yield taken
        finally:
            if not self._bus.client.is_closed:
                await self._subscription.unsubscribe()

    async def _wait(self) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), timeout=2.5 * HEARTBEAT_S)
        except TimeoutError:
            self._outstanding = 0

    async def _ask(self) -> None:
        wanted = self._window - self._outstanding
        request = {
            "batch": wanted,
            "expires": int(EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._durable.stream.value}.{self._durable.name}"
        try:
            await self._bus.client.publish(subject, json.dumps(request).encode(), reply=self._inbox)
            self._outstanding += wanted
        except Exception as error:
            log.warning("cannot ask for messages", consumer=self._durable.name, error=repr(error))
            await asyncio.sleep(0.5)

    async def _on_message(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if status is None:
            self._outstanding = max(0, self._outstanding - 1)
            self._queue.append(message)
        elif not status.startswith("100"):
            self._outstanding = 0
            if status not in QUIET_STATUSES:
                self._refused = f"{status} {(message.headers or {}).get('Description', '')}".strip()
        self._wake.set()


def stream_sequence(message: Msg) -> int:
    """Return the sequence of a message in its stream."""
    return message.metadata.sequence.stream


async def bury(bus: Bus, way: str, payload: bytes, reason: str, origin: str = "") -> None:
    """Keep what could not be read in the dead-letter stream, with its reason and where it came from.

    Headers hold one line each, so reason and origin are cut to one line of at most 500 characters.
    """
    headers = {"Reason": _one_line(reason), "Origin": _one_line(origin)}
    await bus.js.publish(dead(way), payload, headers=headers, timeout=10)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500] or "-"
