"""What came in: one fact from one source at one moment."""

import builtins
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from safecity.model.base import derived_id


class ObservationKind(StrEnum):
    """What sort of fact it is; it decides the stream and the rules that look at it."""

    READING = "reading"
    POSITION = "position"
    CALL = "call"
    VIDEO = "video"
    DEVICE = "device"
    MANUAL = "manual"


TELEMETRY: Final = frozenset({ObservationKind.READING, ObservationKind.POSITION})
"""Kinds that are packed many to a bus message and may never delay the others."""


class Unit(StrEnum):
    """Units of measured values, by their UCUM codes (ucum.org)."""

    NONE = ""
    CELSIUS = "Cel"
    PERCENT = "%"
    PPM = "[ppm]"
    METRE = "m"
    DECIBEL = "dB"
    MICROSIEVERT_PER_HOUR = "uSv/h"
    MICROGRAM_PER_CUBIC_METRE = "ug/m3"
    METRE_PER_SECOND = "m/s"


class Observation(msgspec.Struct, frozen=True, array_like=True):
    """One fact. On the bus it is a msgpack array of these fields in this order; only append fields.

    A fact is named by its source, kind, property and event time; its `id` follows from them.

    event_time: when it happened, by the source. receive_time: when we got it.
    property: what was observed ("gas_ch4", "zone_intrusion", an incident type for calls).
    value: the measurement in `unit`; a score 0..1 for video; speed in m/s for positions.
    heading_deg: only for positions, clockwise from north.
    detail: what else the kind needs; small, no media.
    """

    source_id: str
    kind: ObservationKind
    event_time: datetime
    receive_time: datetime
    property: str
    value: float | None = None
    unit: Unit = Unit.NONE
    lon: float | None = None
    lat: float | None = None
    uncertainty_m: float | None = None
    heading_deg: float | None = None
    detail: dict[str, str | float | bool | None] | None = None

    @builtins.property
    def id(self) -> str:
        """The id that this fact always has: a repeated delivery is recognised as the same observation."""
        return derived_id(self.source_id, self.kind, self.property, self.event_time.isoformat())


Packet = list[Observation]
"""What one bus message holds: 1 to 100 observations."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Packet)


def pack(observations: Packet) -> bytes:
    """Return the wire form of a packet."""
    return _encoder.encode(observations)


def unpack(data: bytes) -> Packet:
    """Return the packet that `data` holds.

    Raises msgspec.ValidationError or msgspec.DecodeError when it is not one.
    """
    return _decoder.decode(data)
