"""How much two incident types speak for one incident, and how far such an incident reaches."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from safecity.model.incident import IncidentType as T

SHARE: Final[Mapping[T, float]] = MappingProxyType(
    {
        T.FIRE_BUILDING: 0.03,
        T.FIRE_OTHER: 0.05,
        T.GAS: 0.02,
        T.MEDICAL: 0.35,
        T.TRAFFIC_COLLISION: 0.12,
        T.CRIME: 0.20,
        T.INTRUSION: 0.03,
        T.FLOOD: 0.005,
        T.AIR_QUALITY: 0.001,
        T.NOISE: 0.05,
        T.HEAT: 0.005,
        T.DEVICE_FAULT: 0.03,
        T.TRAFFIC: 0.03,
        T.CROWD: 0.005,
        T.OTHER: 0.074,
    }
)
"""Share of each type among unrelated incidents of a day: our assumption, in the proportions of published
911 logs (about a third medical, an eighth traffic); two reports of a rare type are rarely a coincidence."""

SAME: Final = 0.80
"""Probability that a second report of one incident comes as the same type."""

_RELATED: Final[tuple[tuple[T, T, float], ...]] = (
    (T.FIRE_BUILDING, T.FIRE_OTHER, 0.25),
    (T.FIRE_BUILDING, T.HEAT, 0.20),
    (T.FIRE_BUILDING, T.GAS, 0.08),
    (T.FIRE_BUILDING, T.AIR_QUALITY, 0.05),
    (T.FIRE_BUILDING, T.MEDICAL, 0.05),
    (T.FIRE_OTHER, T.HEAT, 0.15),
    (T.FIRE_OTHER, T.AIR_QUALITY, 0.08),
    (T.FIRE_OTHER, T.TRAFFIC_COLLISION, 0.05),
    (T.GAS, T.HEAT, 0.05),
    (T.GAS, T.AIR_QUALITY, 0.05),
    (T.GAS, T.MEDICAL, 0.05),
    (T.MEDICAL, T.TRAFFIC_COLLISION, 0.20),
    (T.MEDICAL, T.CRIME, 0.05),
    (T.CRIME, T.INTRUSION, 0.20),
    (T.CRIME, T.NOISE, 0.05),
    (T.CRIME, T.CROWD, 0.05),
    (T.TRAFFIC, T.TRAFFIC_COLLISION, 0.25),
    (T.CROWD, T.NOISE, 0.05),
    *((T.OTHER, other, 0.02) for other in T if other not in (T.OTHER, T.DEVICE_FAULT)),
)
"""Probability that the same incident is reported once as the one and once as the other type. What is not
here is never linked by itself. DEVICE_FAULT is not even kin to itself: two broken devices are two jobs."""

_USUAL_SIGMA_M: Final = 40.0
_OWN_SIGMA_M: Final[Mapping[T, float]] = {
    T.MEDICAL: 20.0,
    T.GAS: 60.0,
    T.FIRE_BUILDING: 50.0,
    T.FLOOD: 150.0,
    T.NOISE: 100.0,
    T.TRAFFIC: 100.0,
    T.CROWD: 60.0,
    T.AIR_QUALITY: 1500.0,
}
REACH_SIGMA_M: Final[Mapping[T, float]] = MappingProxyType(
    {kind: _OWN_SIGMA_M.get(kind, _USUAL_SIGMA_M) for kind in T}
)
"""Standard deviation, in metres and each direction, of where people and sensors place one incident of a type
although they know their own place exactly: a patient is a point, bad air is a district. Our assumption."""

_BOTH: Final[dict[tuple[T, T], float]] = {
    **{(kind, kind): SAME for kind in T if kind is not T.DEVICE_FAULT},
    **{(a, b): p for a, b, p in _RELATED},
    **{(b, a): p for a, b, p in _RELATED},
}


def kin_log_odds(first: T, second: T) -> float:
    """Return how much two types speak for one incident, in natural-log odds; minus infinity: never.

    Probability of the pair within one incident over that of a chance meeting; the geometric mean of the two
    shares makes it the same in both directions.
    """
    together = _BOTH.get((first, second))
    return -math.inf if together is None else math.log(together / math.sqrt(SHARE[first] * SHARE[second]))


def reach_sigma_m(first: T, second: T) -> float:
    """Return the spread of reports on one incident of these types, in metres: the wider of the two."""
    return max(REACH_SIGMA_M[first], REACH_SIGMA_M[second])
