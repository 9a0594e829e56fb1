"""Where a camera's pictures come from: what every source hands on, and how it says that it cannot."""

from collections.abc import Generator
from typing import NamedTuple, Protocol

from safecity.video.stream.bitstream import TICKS_PER_S


class Description(NamedTuple):
    """What the next packets are: codec as in `CODECS`, parameter sets that are known beforehand.

    reorder_depth: pictures that may be decoded before one that is shown earlier.
    """

    codec: str
    parameter_sets: tuple[bytes, ...]
    reorder_depth: int = 0


class RawPacket(NamedTuple):
    """One coded picture as the source dates it, in 1/90000 s; None where it gives no date.

    duration_ticks: 0 when unknown. taken_s: when by the camera's own clock, seconds since 1970 UTC.
    """

    nals: list[bytes]
    pts_ticks: int | None
    dts_ticks: int | None
    duration_ticks: int = 0
    is_damaged: bool = False
    taken_s: float | None = None


class SoundInfo(NamedTuple):
    """What a camera's sound is: FFmpeg's codec name and its configuration (AAC's AudioSpecificConfig)."""

    codec: str
    config: bytes
    rate_hz: int
    channels: int


class RawSound(NamedTuple):
    """A piece of coded sound, dated by the source in 1/90000 s on the same scale as its pictures."""

    data: bytes
    pts_ticks: int | None
    duration_ticks: int


class SoundPacket(NamedTuple):
    """A piece of coded sound on the camera's timeline (1/90000 s), beside its pictures.

    time_s: when it was taken, seconds since 1970 UTC by our clock.
    """

    data: bytes
    ticks: int
    duration_ticks: int
    time_s: float


class SoundSink(Protocol):
    """Who gets the sound, where policy lets it be taken at all. Called only in the stream's own thread."""

    def begin_sound(self, info: SoundInfo) -> None:
        """Expect sound of this kind from now on; called after the pictures' own `begin` or before it."""
        ...

    def add_sound(self, packet: SoundPacket) -> None:
        """Take the next piece of sound."""
        ...


Part = Description | RawPacket | SoundInfo | RawSound


class Source(Protocol):
    """One connection, or one run of films."""

    def parts(self) -> Generator[Part]:
        """Yield a description, then what it describes; again a description when that changes.

        The end of the iteration is the end of the stream. Raises RefusedError and LostError.
        """
        ...


class RefusedError(Exception):
    """The source answered and gives no stream that can be used; the sentence says why.

    of_account: the account was the reason; trying it again soon may lock it.
    """

    def __init__(self, reason: str, *, of_account: bool = False) -> None:
        """Say why."""
        super().__init__(reason)
        self.of_account = of_account


class LostError(Exception):
    """The source is not there or has gone; the sentence says how."""


def in_ticks(value: int | None, time_base_s: float) -> int | None:
    """Return a time of FFmpeg in 1/90000 s."""
    return None if value is None else round(value * time_base_s * TICKS_PER_S)
