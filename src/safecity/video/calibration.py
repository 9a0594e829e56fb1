"""From the picture to the ground: positions, speeds and picture density of a calibrated camera.

Four points of the picture and the same four on the map give the homography between the picture and the
ground, taken as a plane (Hartley and Zisserman, Multiple View Geometry, 2nd edition, 2.3 and 4.1).
"""

import math
from enum import StrEnum
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safecity.errors import Invalid
from safecity.model.base import Noun
from safecity.model.picture_geometry import Point
from safecity.model.video import Calibration

Doubles = NDArray[np.float64]

EQUATOR_M: Final = 6_378_137.0
ECCENTRICITY_2: Final = 0.00669437999014
"""Semi-major axis and squared first eccentricity of WGS 84 (NIMA TR8350.2, table 3.1 and 3.3)."""
MIN_HEIGHT_SHARE: Final = 0.02
"""Three of the points whose triangle is flatter than this share of its longest side are on one line."""
NEAR_HORIZON: Final = 0.02
"""Where a metre is more than fifty times as small as at the calibrated points, a position says nothing."""
PRIVACY_PX_PER_M: Final = 500.0
"""Twice what IEC 62676-4 wants for identification; event rules need a tenth of it."""
GRID: Final = 5
"""Places across and down the picture at which its density is told."""


class DensityLevel(StrEnum):
    """What a picture of a given density is good for (IEC 62676-4:2014, 6.7 and annex B)."""

    TOO_COARSE = "too_coarse"
    MONITOR = "monitor"
    DETECT = "detect"
    OBSERVE = "observe"
    RECOGNISE = "recognise"
    IDENTIFY = "identify"
    INSPECT = "inspect"


LEVELS_PX_PER_M: Final = {
    DensityLevel.MONITOR: 12.5,
    DensityLevel.DETECT: 25.0,
    DensityLevel.OBSERVE: 62.5,
    DensityLevel.RECOGNISE: 125.0,
    DensityLevel.IDENTIFY: 250.0,
    DensityLevel.INSPECT: 1000.0,
}
"""IEC 62676-4:2014: a pixel covers at most 80, 40, 16, 8, 4 and 1 mm of the target."""


class DensityAt(Noun, frozen=True):
    """The density at one place of the picture, for a target that stands there and faces the camera."""

    at: Point
    px_per_m: float
    level: DensityLevel


class Density(Noun, frozen=True):
    """What the picture of a calibrated camera is good for.

    places: where the ground is seen, from the top left to the bottom right. warning: a sentence when the
    picture shows more of people than public safety needs, else empty.
    """

    places: tuple[DensityAt, ...]
    least_px_per_m: float
    most_px_per_m: float
    warning: str = ""


class Ground:
    """The ground as one camera sees it. Positions in metres are east and north of the calibrated points."""

    def __init__(self, calibration: Calibration) -> None:
        """Fit the homography; raises Invalid when the points cannot be four points on the ground."""
        picture = np.array(calibration.picture, dtype=np.float64)
        degrees = np.array(calibration.ground, dtype=np.float64)
        _check_degrees(degrees)
        self._centre = degrees.mean(axis=0)
        self._m_per_deg = _metres_per_degree(float(self._centre[1]))
        ground = (degrees - self._centre) * self._m_per_deg
        _check_triangles("in the picture", picture)
        _check_triangles("on the map", ground)
        self._to_ground = _homography(picture, ground)
        weights = _homogeneous(picture) @ self._to_ground[2]
        if weights.min() <= 0 <= weights.max():
            raise Invalid("the four points on the map are not in the order of the four in the picture")
        self._to_ground /= weights.mean()
        # Downwards in the picture is positive and so is northwards on the map: the view keeps its hand.
        if np.linalg.det(self._to_ground) > 0:
            raise Invalid("the four points on the map are the mirror image of the four in the picture")
        self._to_picture = np.linalg.inv(self._to_ground)

    def metres(self, points: Doubles) -> Doubles:
        """Return metres east and north (n, 2) for points of the picture (n, 2); NaN from the horizon up."""
        found = _homogeneous(points) @ self._to_ground.T
        weight = np.where(found[:, 2:] > NEAR_HORIZON, found[:, 2:], np.nan)
        return np.asarray(found[:, :2] / weight)

    def lon_lat(self, metres: Doubles) -> Doubles:
        """Return longitude and latitude in degrees (n, 2) for metres east and north (n, 2)."""
        return np.asarray(self._centre + metres / self._m_per_deg)

    def picture(self, lon_lat: Doubles) -> Doubles:
        """Return points of the picture (n, 2), which may lie outside it, for degrees (n, 2)."""
        found = _homogeneous((lon_lat - self._centre) * self._m_per_deg) @ self._to_picture.T
        return np.asarray(found[:, :2] / found[:, 2:])

    def px_per_m(self, points: Doubles, width_px: int) -> Doubles:
        """Return pixels a metre (n,) at points of the picture, along its rows; NaN from the horizon up.

        Of a camera that hangs level, all of a row is equally deep: along it nothing is foreshortened, neither
        the ground nor a person who stands there.
        """
        half = np.array((0.5 / width_px, 0.0))
        across_m = np.linalg.norm(self.metres(points + half) - self.metres(points - half), axis=1)
        return np.asarray(1.0 / across_m)

    def area_m2(self, polygon: Doubles) -> float:
        """Return the ground area of an area of the picture (n, 2); NaN when it reaches the horizon."""
        x, y = self.metres(polygon).T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def density(calibration: Calibration, width_px: int, height_px: int) -> Density:
    """Return the picture density of a camera whose main stream has this size. Raises Invalid."""
    if width_px < 1 or height_px < 1:
        raise Invalid("the picture's width and height must be pixels, 1 or more")
    ground = Ground(calibration)
    steps = (np.arange(GRID) + 0.5) / GRID
    grid = np.stack(np.meshgrid(steps, steps), axis=2).reshape(-1, 2)
    # Nothing is closer to the camera than what the bottom edge shows.
    edge = np.stack((steps, np.ones(GRID)), axis=1)
    points = np.concatenate((grid, edge))
    found = ground.px_per_m(points, width_px)
    places = tuple(
        DensityAt(
            at=(round(float(x), 3), round(float(y), 3)),
            px_per_m=round(float(value), 1),
            level=level_of(float(value)),
        )
        for (x, y), value in zip(points, found, strict=True)
        if math.isfinite(value)
    )
    if not places:
        raise Invalid("the calibrated points show no ground in this picture; place them anew")
    values = [place.px_per_m for place in places]
    return Density(
        places=places,
        least_px_per_m=min(values),
        most_px_per_m=max(values),
        warning=_warning(max(values)),
    )


def level_of(px_per_m: float) -> DensityLevel:
    """Return the highest level of IEC 62676-4 that a density reaches."""
    reached = DensityLevel.TOO_COARSE
    for level, least in LEVELS_PX_PER_M.items():
        if px_per_m >= least:
            reached = level
    return reached


def _warning(most_px_per_m: float) -> str:
    if most_px_per_m <= PRIVACY_PX_PER_M:
        return ""
    return (
        f"the picture has up to {most_px_per_m:.0f} px/m, over {PRIVACY_PX_PER_M:.0f}: faces are plain to "
        "see and no rule needs that; turn the camera away, zoom out or choose a smaller stream"
    )


def _check_degrees(degrees: Doubles) -> None:
    lon, lat = np.abs(degrees).T
    if not (np.all(lon <= 180.0) and np.all(lat <= 85.0)):
        raise Invalid("the points on the map need longitude and latitude in degrees, up to 85 north or south")


def _metres_per_degree(lat_deg: float) -> Doubles:
    """Return the lengths of a degree of longitude and of latitude on WGS 84 (radii of curvature)."""
    sine = math.sin(math.radians(lat_deg))
    root = math.sqrt(1 - ECCENTRICITY_2 * sine * sine)
    across_m = EQUATOR_M / root * math.cos(math.radians(lat_deg))
    along_m = EQUATOR_M * (1 - ECCENTRICITY_2) / root**3
    return np.array([across_m, along_m]) * math.pi / 180


def _check_triangles(where: str, points: Doubles) -> None:
    """Refuse four points of which three are on one line, or two the same."""
    for a, b, c in combinations(points, 3):
        sides = [float(np.linalg.norm(p - q)) for p, q in ((a, b), (b, c), (c, a))]
        double = abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
        if not min(sides) > 0 or double / max(sides) < MIN_HEIGHT_SHARE * max(sides):
            raise Invalid(f"three of the four points {where} are on one line or too close; spread them out")
    if not np.isfinite(points).all():
        raise Invalid(f"the four points {where} must be numbers")


def _homography(source: Doubles, target: Doubles) -> Doubles:
    """Return the 3 x 3 matrix that carries four points to four others (direct linear transformation)."""
    scale = float(np.abs(target).max())
    rows = []
    for (x, y), (u, v) in zip(source, target / scale, strict=True):
        rows.append([-x, -y, -1, 0, 0, 0, u * x, u * y, u])
        rows.append([0, 0, 0, -x, -y, -1, v * x, v * y, v])
    matrix = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    matrix[:2] *= scale
    return np.asarray(matrix)


def _homogeneous(points: Doubles) -> Doubles:
    return np.concatenate((points, np.ones((len(points), 1))), axis=1)
