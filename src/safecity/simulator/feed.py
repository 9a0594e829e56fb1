"""The live WebSocket, as a machine uses it: a mirror of what is current, kept over lost links."""

import asyncio
import random
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
import structlog
import websockets
from websockets.asyncio.client import ClientConnection, connect

from safecity.model.call import Call
from safecity.model.incident import Incident
from safecity.model.journal import EntityKind
from safecity.model.unit import Assignment, Unit
from safecity.simulator.api import Token

log = structlog.get_logger()

Entity = Incident | Call | Unit | Assignment
T = TypeVar("T", Incident, Call, Unit, Assignment)

PATH: Final = "/api/live"
FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 5.0
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_KIND_OF: Final[Mapping[type[Entity], EntityKind]] = {
    Incident: EntityKind.INCIDENT,
    Call: EntityKind.CALL,
    Unit: EntityKind.UNIT,
    Assignment: EntityKind.ASSIGNMENT,
}


_Fix = tuple[str, float, float, float, float, int]


class _Change(msgspec.Struct):
    kind: str
    id: str
    value: msgspec.Raw = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    """Any message of the server; what a type does not use stays empty."""

    type: str
    seq: int = 0
    entities: dict[str, list[msgspec.Raw]] = {}
    positions: list[_Fix] = []
    changes: list[_Change] = []


_decoder = msgspec.json.Decoder(_Message)


class Feed:
    """What is current, by kind and id. `ready` is true from the first snapshot on.

    last_seen: (lon, lat) of each unit in the last snapshot.
    """

    def __init__(self, url: str, token: Token, rng: random.Random) -> None:
        """Follow the server at `url` (http or https) as the owner of `token`."""
        self._url = url.replace("http", "ws", 1).rstrip("/") + PATH
        self._token = token
        self._rng = rng
        self._mirror: dict[str, dict[str, Entity]] = {kind.value: {} for kind in _KIND_OF.values()}
        self._decoders = {kind.value: msgspec.json.Decoder(type_) for type_, kind in _KIND_OF.items()}
        self._seq: int | None = None
        self.last_seen: dict[str, tuple[float, float]] = {}
        self._heard = False
        self.ready = False

    def all(self, type_: type[T]) -> list[T]:
        """Return every current entity of a type: Incident, Call, Unit or Assignment."""
        return [
            entity for entity in self._mirror[_KIND_OF[type_].value].values() if isinstance(entity, type_)
        ]

    def find(self, type_: type[T], id_: str) -> T | None:
        """Return the current entity with an id, or None."""
        entity = self._mirror[_KIND_OF[type_].value].get(id_)
        return entity if isinstance(entity, type_) else None

    async def run(self) -> None:
        """Follow until cancelled; connect again, and go on where it was, whenever the link is lost."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                async with connect(
                    self._url,
                    additional_headers=self._token.header(),
                    max_size=MAX_MESSAGE_BYTES,
                    proxy=None,
                    compression=None,
                ) as link:
                    await self._follow(link)
            except (OSError, TimeoutError, websockets.WebSocketException, msgspec.DecodeError) as error:
                log.debug("no live feed yet", problem=repr(error))
                self._token.renew()
            if self._heard:
                self._heard, wait_s = False, FIRST_WAIT_S
            await asyncio.sleep(wait_s * self._rng.uniform(0.7, 1.3))
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    async def _follow(self, link: ClientConnection) -> None:
        await link.send(msgspec.json.encode({"type": "hello", "since": self._seq}).decode())
        async for text in link:
            self.take(text)

    def take(self, text: str | bytes) -> None:
        """Take one message of the server. Raises msgspec.DecodeError when it is not one."""
        message = _decoder.decode(text)
        self._heard = True
        if message.type == "snapshot":
            self._replace(message)
        elif message.type == "change":
            for change in message.changes:
                self._apply(change)
        else:
            return
        self._seq = message.seq

    def _replace(self, message: _Message) -> None:
        for kind, decoder in self._decoders.items():
            found = (decoder.decode(raw) for raw in message.entities.get(kind, ()))
            self._mirror[kind] = {entity.id: entity for entity in found}
        self.last_seen = {unit_id: (lon, lat) for unit_id, lon, lat, *_ in message.positions}
        self.ready = True

    def _apply(self, change: _Change) -> None:
        decoder = self._decoders.get(change.kind)
        if decoder is None:
            return
        if bytes(change.value) == b"null":
            self._mirror[change.kind].pop(change.id, None)
        else:
            self._mirror[change.kind][change.id] = decoder.decode(change.value)
