"""Areas and lines that people draw on a camera's picture, and what is wrong with some of them."""

import math
from itertools import combinations
from typing import Final

from safecity.errors import Invalid

Point = tuple[float, float]
"""x and y as shares of the picture, from 0,0 at the top left to 1,1 at the bottom right."""

MOST_CORNERS: Final = 64
SMALLEST_AREA: Final = 0.0002
"""Share of the picture; a square of 1.4 % of each side. Below, a slip of the hand was meant for nothing."""
SHORTEST_LINE: Final = 0.02
"""Share of the picture's side; a shorter line has no direction that a hand can draw."""


def check_polygon(what: str, polygon: tuple[Point, ...]) -> None:
    """Refuse what is not an area of the picture. Raises Invalid."""
    if len(polygon) < 3:
        raise Invalid(f"{what} needs three corners or more")
    if len(polygon) > MOST_CORNERS:
        raise Invalid(f"{what} has more than {MOST_CORNERS} corners; draw it simpler")
    if any(not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0) for x, y in polygon):
        raise Invalid(f"{what} must lie in the picture: corners from 0,0 to 1,1")
    if _sides_cross(polygon):
        raise Invalid(f"{what} crosses itself; give its corners in order around the area")
    if abs(area(polygon)) < SMALLEST_AREA:
        raise Invalid(f"{what} encloses next to nothing; spread its corners")


def check_line(what: str, start: Point, end: Point) -> None:
    """Refuse what is not a line in the picture. Raises Invalid."""
    if any(not (0.0 <= value <= 1.0) for value in (*start, *end)):
        raise Invalid(f"{what} must lie in the picture: start and end from 0,0 to 1,1")
    if math.dist(start, end) < SHORTEST_LINE:
        raise Invalid(f"{what} is too short to have two sides; draw it longer")


def area(polygon: tuple[Point, ...]) -> float:
    """Return the signed area of a polygon (the shoelace formula); positive when it goes right, then down."""
    following = (*polygon[1:], polygon[0])
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, following, strict=True)) / 2


def _sides_cross(polygon: tuple[Point, ...]) -> bool:
    """Return whether two sides that share no corner have a point in common."""
    count = len(polygon)
    for i, j in combinations(range(count), 2):
        if j - i in {1, count - 1}:
            continue
        if _segments_cross(polygon[i], polygon[i + 1], polygon[j], polygon[(j + 1) % count]):
            return True
    return False


def _segments_cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Return whether the inner parts of segments ab and cd cross."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
