"""Small plane geometry on a city's scale: local metres, lengths, centroids."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safecity.model.base import EARTH_RADIUS_M

Floats = NDArray[np.float64]

METRES_PER_DEGREE: Final = EARTH_RADIUS_M * math.pi / 180.0
"""Metres of one degree of latitude on the mean sphere."""


class LocalMetres:
    """A flat map around one latitude: equirectangular projection, x east and y north in metres.

    Within 50 km of `lat0` distances are right to 0.6 % (below 60 degrees of latitude).
    """

    def __init__(self, lat0: float) -> None:
        """Centre the projection on the latitude `lat0` in degrees."""
        self._east_m = METRES_PER_DEGREE * math.cos(math.radians(lat0))

    def project(self, lon: Floats, lat: Floats) -> Floats:
        """Return an array (n, 2) of metres for longitudes and latitudes (n,) in degrees."""
        return np.column_stack((np.asarray(lon) * self._east_m, np.asarray(lat) * METRES_PER_DEGREE))


def step_lengths_m(lon: Floats, lat: Floats) -> Floats:
    """Return the n - 1 great-circle lengths between n consecutive points in degrees."""
    return distances_m(lon[:-1], lat[:-1], lon[1:], lat[1:])


def distances_m(a_lon: Floats, a_lat: Floats, b_lon: Floats, b_lat: Floats) -> Floats:
    """Return the great-circle distances (n,) between n pairs of points in degrees (haversine)."""
    phi_a, phi_b = np.radians(a_lat), np.radians(b_lat)
    half_dlambda = np.radians(np.subtract(b_lon, a_lon)) / 2
    h = np.sin((phi_b - phi_a) / 2) ** 2 + np.cos(phi_a) * np.cos(phi_b) * np.sin(half_dlambda) ** 2
    found: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(h, 1.0)))
    return found


def ring_centroid(ring: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return (lon, lat) of the area centroid of a closed ring; of a degenerate ring the mean of its points.

    Shoelace formula, relative to the first point so that small buildings keep their precision.
    """
    lon0, lat0 = ring[0]
    twice_area = sum_x = sum_y = 0.0
    for (ax, ay), (bx, by) in pairwise(ring):
        x1, y1, x2, y2 = ax - lon0, ay - lat0, bx - lon0, by - lat0
        cross = x1 * y2 - x2 * y1
        twice_area += cross
        sum_x += (x1 + x2) * cross
        sum_y += (y1 + y2) * cross
    if abs(twice_area) < 1e-14:
        return sum(p[0] for p in ring) / len(ring), sum(p[1] for p in ring) / len(ring)
    return lon0 + sum_x / (3 * twice_area), lat0 + sum_y / (3 * twice_area)
