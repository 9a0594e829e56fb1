"""The journal: what was done, by whom, to what, why; hash-chained."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from safecity.model.base import Noun


class EntityKind(StrEnum):
    """The kinds of entity that have state, a table and changes on the live feed."""

    INCIDENT = "incident"
    ALARM = "alarm"
    CALL = "call"
    UNIT = "unit"
    ASSIGNMENT = "assignment"
    CAMERA = "camera"
    SOURCE = "source"
    STATION = "station"
    CAMERA_SETUP = "camera_setup"
    HOLD = "hold"


class Change(Noun, frozen=True):
    """What an entity is after a command: the whole of it, so that state is a fold over the journal.

    A null value says that there is no such entity any more; on the feed, that it is no longer current.
    """

    kind: EntityKind
    id: str
    value: msgspec.Raw

    @property
    def is_gone(self) -> bool:
        """Whether the value is null."""
        return bytes(self.value) == b"null"


class Entry(Noun, frozen=True):
    """One journal entry. `purpose` is the ground on which protected data was looked at, else empty."""

    seq: int
    at: datetime
    actor: str
    action: str
    object_kind: str
    object_id: str
    text: str = ""
    purpose: str = ""
    command_key: str = ""
    changes: tuple[Change, ...] = ()


class Feed(Noun, frozen=True):
    """One journal entry's changes on the bus: a value is null when the entity is no longer current."""

    seq: int
    changes: tuple[Change, ...]


FEED: Final = "change.feed"
"""Bus subject of the feed."""

GENESIS: Final = bytes(32)
"""The hash before the first entry."""

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """Return the canonical JSON bytes of an entry: these bytes are hashed and stored, nothing else."""
    return _encoder.encode(entry)


def decode_entry(data: bytes) -> Entry:
    """Return the entry that canonical bytes hold; raises msgspec.ValidationError when they do not."""
    return _decoder.decode(data)


def chain_hash(previous: bytes, payload: bytes) -> bytes:
    """Return SHA-256 (FIPS 180-4) over the previous hash followed by the entry's canonical bytes."""
    return hashlib.sha256(previous + payload).digest()
