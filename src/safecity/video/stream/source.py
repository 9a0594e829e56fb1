"""Where a camera's pictures come from: what every source hands on, and how it says that it cannot."""

from collections.abc import Generator
from typing import Final, NamedTuple, Protocol

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


SOUND_CODECS: Final = frozenset({"aac"})
"""Sound that an MP4 file holds and a browser plays; other sound is left out."""
_CONFIG_LIMIT_BYTES: Final = 64
"""Real configurations of AAC have 2 to 20 bytes; descriptors around one of 64 still have short lengths."""


class SoundInfo(NamedTuple):
    """What a camera's sound is: FFmpeg's codec name and its configuration (AAC's AudioSpecificConfig).

    codec: empty when the camera offers no sound.
    """

    codec: str
    config: bytes = b""
    rate_hz: int = 0
    channels: int = 0

    @property
    def can_be_kept(self) -> bool:
        """Return whether a recording can hold it (its sample rate is a 16-bit number there)."""
        is_whole = 0 < len(self.config) <= _CONFIG_LIMIT_BYTES and 0 < self.rate_hz < 2**16 and self.channels
        return self.codec in SOUND_CODECS and bool(is_whole)


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
        """Expect sound of this kind from now on; called once a connection, before its pictures' `begin`."""
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
