"""An index of places by cells: what is near, without looking at everything."""

import math
from collections.abc import Iterator
from typing import Final

CELL_DEG: Final = 0.005
"""Height of a cell: 556 m; cells are about as wide as high at every latitude."""

METRES_PER_DEG: Final = 111_195.0
"""Length of one degree of a great circle on the mean Earth radius."""

NEAR_M: Final = 500.0
"""What reaches farther than this is kept apart and always looked at: there are few such."""

Cell = tuple[int, int]


class Grid:
    """Ids by place. Cities that lie on the 180th meridian see two halves."""

    def __init__(self) -> None:
        """Begin empty."""
        self._cells: dict[Cell, set[str]] = {}
        self._wide: set[str] = set()
        self._where: dict[str, Cell | None] = {}

    def put(self, id_: str, lon: float, lat: float, reach_m: float) -> None:
        """Put or move an id; `reach_m` is how far from its place it may still matter."""
        self.remove(id_)
        if reach_m > NEAR_M:
            self._wide.add(id_)
            self._where[id_] = None
            return
        row = math.floor(lat / CELL_DEG)
        cell = (row, _column(lon, row))
        self._cells.setdefault(cell, set()).add(id_)
        self._where[id_] = cell

    def remove(self, id_: str) -> None:
        """Take an id out; one that is not there is fine."""
        cell = self._where.pop(id_, None)
        self._wide.discard(id_)
        if cell is not None:
            self._cells[cell].discard(id_)
            if not self._cells[cell]:
                del self._cells[cell]

    def near(self, lon: float, lat: float, reach_m: float) -> Iterator[str]:
        """Give every id whose reach and `reach_m` together may cover the distance, and few others."""
        yield from self._wide
        if reach_m > NEAR_M:
            for ids in self._cells.values():
                yield from ids
            return
        span_deg = (reach_m + NEAR_M) / METRES_PER_DEG
        for row in range(
            math.floor((lat - span_deg) / CELL_DEG), math.floor((lat + span_deg) / CELL_DEG) + 1
        ):
            wide_deg = span_deg / _shrink(row)
            for column in range(_column(lon - wide_deg, row), _column(lon + wide_deg, row) + 1):
                yield from self._cells.get((row, column), ())


def _shrink(row: int) -> float:
    return max(0.01, math.cos(math.radians((row + 0.5) * CELL_DEG)))


def _column(lon: float, row: int) -> int:
    return math.floor(lon * _shrink(row) / CELL_DEG)
