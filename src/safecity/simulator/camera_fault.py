"""What can be wrong with a simulated camera, and the bytes that a damaged picture turns into."""

import random
from enum import StrEnum
from typing import Final

import msgspec

from safecity.errors import Invalid
from safecity.simulator.camera_rtp import FRAMING_BYTES, RTP_CLOCK_HZ, RTP_HEADER_BYTES, Clip, ClipFrame
from safecity.simulator.camera_sound import Sound

CLOCK_JUMP_S: Final = 3600.0
"""How far the camera's clock jumps unless said otherwise."""
DAMAGE_EVERY: Final = 4
"""Under CORRUPT each picture of this number is damaged."""
SLOW_BYTES_PER_S: Final = 20_000.0
LOST_SHARE: Final = 0.05


class Fault(StrEnum):
    """What can be wrong with a simulated camera. `amount` means what is said here."""

    FREEZE = "freeze"
    """Connections stay and are answered, but no picture comes."""
    DROP = "drop"
    """The camera is off: connections end, new ones are closed at once."""
    CLOCK_FORWARD = "clock_forward"
    """The time stamps jump ahead once, by `amount` seconds."""
    CLOCK_BACK = "clock_back"
    """The time stamps jump back once, by `amount` seconds."""
    CLOCK_STOPPED = "clock_stopped"
    """Every picture carries the same time stamp."""
    CLOCK_DRIFT = "clock_drift"
    """The camera's clock is wrong by the share `amount` (0.01: it runs ahead by 1 %)."""
    CORRUPT = "corrupt"
    """Pictures arrive with damaged NAL units; one in `amount` of them."""
    CODEC = "codec"
    """The camera was set to another codec: connections end, and the next description names it."""
    RESOLUTION = "resolution"
    """The picture size changes in the middle of the stream, with new parameter sets."""
    PASSWORD = "password"  # noqa: S105  the name of a fault
    """The account was changed under way: connections end, and the old one is refused."""
    SLOW = "slow"
    """The link takes only `amount` bytes a second for each viewer."""
    LOSS = "loss"
    """The network loses the share `amount` of UDP packets."""


DEFAULT_AMOUNTS: Final = {
    Fault.CLOCK_FORWARD: CLOCK_JUMP_S,
    Fault.CLOCK_BACK: CLOCK_JUMP_S,
    Fault.CLOCK_DRIFT: 0.01,
    Fault.CORRUPT: float(DAMAGE_EVERY),
    Fault.SLOW: SLOW_BYTES_PER_S,
    Fault.LOSS: LOST_SHARE,
}
ENDS_CONNECTIONS: Final = frozenset({Fault.DROP, Fault.CODEC, Fault.PASSWORD})


class CameraClips(msgspec.Struct, frozen=True, kw_only=True):
    """What one camera shows: its main stream, its sub-stream, and what it turns into under two faults.

    sound: heard with the main stream.
    """

    main: Clip
    sub: Clip | None = None
    other_codec: Clip | None = None
    other_size: Clip | None = None
    sound: Sound | None = None

    def under(self, fault: Fault | None, fallback: Clip) -> Clip:
        """Return what is shown instead of `fallback` under `fault`. Raises Invalid without such a film."""
        if fault not in {Fault.CODEC, Fault.RESOLUTION}:
            return fallback
        clip = self.other_codec if fault is Fault.CODEC else self.other_size
        if clip is None:
            raise Invalid(f"this simulated camera was given no film for the fault '{fault}'")
        return clip


class CameraClock:
    """The time that a camera writes on its pictures, in 1/90000 s; it need not be true."""

    def __init__(self) -> None:
        """Run truly."""
        self._shift_ticks = 0
        self._drift = 0.0
        self._drift_from_ticks = 0
        self._stopped_at_ticks: int | None = None

    def set_fault(self, fault: Fault | None, amount: float, now_ticks: int) -> None:
        """Go wrong from `now_ticks` on in the way of `fault`; else go on steadily."""
        self._shift_ticks = self.read(now_ticks) - now_ticks
        self._drift, self._drift_from_ticks, self._stopped_at_ticks = 0.0, now_ticks, None
        if fault is Fault.CLOCK_FORWARD:
            self._shift_ticks += round(amount * RTP_CLOCK_HZ)
        elif fault is Fault.CLOCK_BACK:
            self._shift_ticks -= round(amount * RTP_CLOCK_HZ)
        elif fault is Fault.CLOCK_DRIFT:
            self._drift = amount
        elif fault is Fault.CLOCK_STOPPED:
            self._stopped_at_ticks = now_ticks + self._shift_ticks

    def read(self, ticks: int) -> int:
        """Return what the camera writes at the true moment `ticks`."""
        if self._stopped_at_ticks is not None:
            return self._stopped_at_ticks
        return ticks + self._shift_ticks + round((ticks - self._drift_from_ticks) * self._drift)


def damage(data: bytearray, frame: ClipFrame, rng: random.Random) -> None:
    """Damage a picture's packets in place: bytes of its slices, and now and then the header of a NAL unit."""
    start = frame.starts[rng.randrange(len(frame.starts))] + FRAMING_BYTES + RTP_HEADER_BYTES
    later = [begin for begin in frame.starts if begin >= start]
    end = later[0] if later else len(data)
    if rng.random() < 0.25:
        # forbidden_zero_bit (H.264 and H.265, section 7.3.1): a decoder must not touch the unit.
        data[start] |= 0x80
        return
    # The first bytes stay, so that the packet is still understood and only its picture is wrong.
    for position in range(min(start + 4, end), end):
        if rng.random() < 0.05:
            data[position] ^= rng.randrange(1, 256)
