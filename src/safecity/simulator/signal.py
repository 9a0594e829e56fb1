"""What a simulated sensor shows: its normal value, the wave of the day, noise, and what happens beside it."""

import math
import random
from datetime import datetime
from typing import Final

from safecity.model.base import Noun

DAY_S: Final = 86_400.0


class Signal(Noun, frozen=True):
    """How a property behaves on a normal day, in the sensor's unit; `peak_hour` is when the wave is highest.

    event: by how much it rises when the event is right beside it.
    """

    base: float
    wave: float
    peak_hour: float
    noise: float
    event: float
    decimals: int


SIGNALS: Final = {
    "smoke": Signal(base=0.3, wave=0.1, peak_hour=18, noise=0.08, event=20.0, decimals=2),
    "gas_ch4": Signal(base=4.0, wave=1.0, peak_hour=18, noise=0.6, event=14_000.0, decimals=1),
    "noise": Signal(base=56.0, wave=3.0, peak_hour=15, noise=1.2, event=74.0, decimals=1),
    "pm2_5": Signal(base=14.0, wave=5.0, peak_hour=20, noise=1.5, event=290.0, decimals=1),
    "temperature": Signal(base=8.0, wave=4.0, peak_hour=15, noise=0.15, event=70.0, decimals=1),
    "radiation": Signal(base=0.11, wave=0.01, peak_hour=6, noise=0.01, event=2.5, decimals=3),
    "water_level": Signal(base=1.20, wave=0.05, peak_hour=4, noise=0.01, event=3.4, decimals=2),
}
"""Normal values: smoke in percent of light a metre (an alarm by EN 54-7 comes at some 4), methane in ppm (a
tenth of the lower explosive limit is 5,000), sound in dB(A) of a busy street, PM2.5 and outdoor temperature
of a mild late autumn, natural background radiation in microsievert an hour, metres over the gauge's zero."""


class Effect(Noun, frozen=True):
    """What an event does to one sensor: full after `rise_s`, for `hold_s`, then it fades.

    start_s: in simulated seconds since the start. rise_s and hold_s: in real ones, whatever the pace, because
    the rules that judge a reading count real seconds too. strength: the share of the property's event value.
    """

    source_id: str
    start_s: float
    rise_s: float
    hold_s: float
    strength: float

    def share(self, since_s: float) -> float:
        """Return how much of the effect is there `since_s` real seconds after its start, up to `strength`."""
        if since_s < 0:
            return 0.0
        after_s = since_s - self.rise_s - self.hold_s
        # It decays to a third in half the time that it held.
        fade = math.exp(-max(0.0, after_s) / (self.hold_s / 2))
        return self.strength * min(1.0, since_s / self.rise_s) * fade

    def is_over(self, since_s: float) -> bool:
        """Whether less than 1 % of it is left."""
        return since_s > self.rise_s + 3.5 * self.hold_s


def normal_value(signal: Signal, now: datetime, lon: float, rng: random.Random) -> float:
    """Return the undisturbed value at `now`; the day's wave follows the sun at longitude `lon` in degrees."""
    solar_s = (now.hour * 3600 + now.minute * 60 + now.second + lon * 240) % DAY_S
    phase = 2 * math.pi * (solar_s - signal.peak_hour * 3600) / DAY_S
    return signal.base + signal.wave * math.cos(phase) + rng.gauss(0.0, signal.noise)
