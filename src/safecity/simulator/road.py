"""The way that a simulated vehicle drives: the fastest on the road graph, with every bend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from safecity.city import RoadGraph
from safecity.city.geo import step_lengths_m
from safecity.errors import NotFound
from safecity.simulator.scenario import bearing_deg

Floats = NDArray[np.float64]
Point = tuple[float, float]

OFF_ROAD_MPS: Final = 6.0
"""Speed between the road and a door or a yard."""
MIN_STEP_S: Final = 0.01


@dataclass(frozen=True, eq=False)
class Drive:
    """A way as k points (k,) in degrees with the second at which each is passed, from 0 on, never falling.

    nodes (k,): the road node that lies at a point, -1 where there is none.
    """

    lon: Floats
    lat: Floats
    time_s: Floats
    nodes: NDArray[np.int64]
    length_m: float

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return float(self.time_s[-1])

    @property
    def end(self) -> Point:
        """Longitude and latitude of the end."""
        return float(self.lon[-1]), float(self.lat[-1])

    def at(self, t_s: float) -> tuple[float, float, float, float]:
        """Return (lon, lat, speed_mps, heading_deg) at a second of the drive; before and after it stands."""
        after = int(np.clip(np.searchsorted(self.time_s, t_s, side="right"), 1, len(self.time_s) - 1))
        lon, lat, time_s = (a[after - 1 : after + 1] for a in (self.lon, self.lat, self.time_s))
        step_s = float(time_s[1] - time_s[0])
        share = min(1.0, max(0.0, (t_s - float(time_s[0])) / step_s)) if step_s > 0 else 1.0
        length_m = float(step_lengths_m(lon, lat)[0])
        moving = step_s > 0 and 0.0 <= t_s < self.duration_s
        return (
            float(lon[0] + share * (lon[1] - lon[0])),
            float(lat[0] + share * (lat[1] - lat[0])),
            length_m / step_s if moving else 0.0,
            bearing_deg(float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1])),
        )

    def to_next_node(self, t_s: float) -> "Drive | None":
        """Return the piece from where the vehicle is to the next junction; None when none is ahead."""
        lon, lat, *_ = self.at(t_s)
        ahead = np.flatnonzero((self.time_s > t_s) & (self.nodes >= 0))
        if not ahead.size:
            return None
        first = int(np.searchsorted(self.time_s, t_s, side="right"))
        part = slice(first, int(ahead[0]) + 1)
        lons = np.concatenate(([lon], self.lon[part]))
        lats = np.concatenate(([lat], self.lat[part]))
        return Drive(
            lon=lons,
            lat=lats,
            time_s=np.concatenate(([0.0], self.time_s[part] - max(0.0, t_s))),
            nodes=np.concatenate(([-1], self.nodes[part])),
            length_m=float(step_lengths_m(lons, lats).sum()),
        )


class Roads:
    """Finds ways for simulated vehicles.

    One forward search from the vehicle by scipy's Dijkstra: some milliseconds for a city, and none of the
    memory that a compiler for the dispatch room's searches would take in this process.
    """

    def __init__(self, graph: RoadGraph) -> None:
        """Prepare both driving manners on `graph`."""
        self._graph = graph
        self._urgent = _Network(graph, np.asarray(graph.arc_urgent_s, dtype=np.float64))
        self._normal = _Network(graph, np.asarray(graph.arc_normal_s, dtype=np.float64))

    def drive(self, start: Point, end: Point, *, urgent: bool, lead: Drive | None = None) -> Drive:
        """Return the fastest drive between two points (lon, lat), with lights and sirens when `urgent`.

        `lead`: what must be driven first, to its last junction. Raises NotFound when no road leads there.
        """
        graph = self._graph
        network = self._urgent if urgent else self._normal
        origin = int(lead.nodes[-1]) if lead else graph.nearest_one(*start)[0]
        goal = graph.nearest_one(*end)[0]
        arcs = network.way(origin, goal)
        head = [lead] if lead else [_straight(start, self._at(origin), -1, origin)]
        by_road = [self._along(arc, float(network.time_s[arc])) for arc in arcs]
        return _joined([*head, *by_road, _straight(self._at(goal), end, goal, -1)])

    def _at(self, node: int) -> Point:
        return float(self._graph.node_lon[node]), float(self._graph.node_lat[node])

    def _along(self, arc: int, duration_s: float) -> Drive:
        lon, lat = self._graph.shape(arc)
        nodes = np.full(lon.size, -1, dtype=np.int64)
        nodes[0], nodes[-1] = self._graph.arc_tail[arc], self._graph.arc_head[arc]
        return _timed(np.asarray(lon), np.asarray(lat), nodes, duration_s)


class _Network:
    """One manner of driving as a sparse matrix; of parallel arcs the fastest counts."""

    def __init__(self, graph: RoadGraph, time_s: Floats) -> None:
        self.time_s = np.maximum(time_s, MIN_STEP_S)
        tail, head = np.asarray(graph.arc_tail), np.asarray(graph.arc_head)
        order = np.lexsort((self.time_s, head, tail))
        fastest = np.ones(order.size, dtype=bool)
        fastest[1:] = (np.diff(tail[order]) != 0) | (np.diff(head[order]) != 0)
        self._arcs = order[fastest]
        tail, self._head = tail[self._arcs], head[self._arcs]
        self._rows = np.searchsorted(tail, np.arange(graph.node_count + 1))
        self._matrix = csr_array(
            (self.time_s[self._arcs], self._head, self._rows), shape=(graph.node_count, graph.node_count)
        )

    def way(self, origin: int, goal: int) -> list[int]:
        """Return the arcs from `origin` to `goal`. Raises NotFound when there is no way."""
        _, vias = dijkstra(self._matrix, indices=[origin], return_predecessors=True)
        via = vias[0]
        arcs: list[int] = []
        while goal != origin:
            before = int(via[goal])
            if before < 0:
                raise NotFound("no road leads there from here")
            arcs.append(self._arc(before, goal))
            goal = before
        return arcs[::-1]

    def _arc(self, tail: int, head: int) -> int:
        row = slice(self._rows[tail], self._rows[tail + 1])
        return int(self._arcs[row][np.searchsorted(self._head[row], head)])


def _straight(start: Point, end: Point, start_node: int, end_node: int) -> Drive:
    lon, lat = np.array([start[0], end[0]]), np.array([start[1], end[1]])
    duration_s = float(step_lengths_m(lon, lat)[0]) / OFF_ROAD_MPS
    return _timed(lon, lat, np.array([start_node, end_node]), duration_s)


def _timed(lon: Floats, lat: Floats, nodes: NDArray[np.int64], duration_s: float) -> Drive:
    """Return the drive along these points, its time shared out by length."""
    steps_m = step_lengths_m(lon, lat)
    length_m = float(steps_m.sum())
    done = np.concatenate(([0.0], np.cumsum(steps_m)))
    share = done / length_m if length_m > 0 else np.linspace(0.0, 1.0, done.size)
    return Drive(lon=lon, lat=lat, time_s=share * duration_s, nodes=nodes, length_m=length_m)


def _joined(pieces: Sequence[Drive]) -> Drive:
    """Return pieces, each of which begins where the one before ends, as one drive."""
    starts_s = np.cumsum([0.0] + [piece.duration_s for piece in pieces])
    return Drive(
        lon=np.concatenate([pieces[0].lon, *(piece.lon[1:] for piece in pieces[1:])]),
        lat=np.concatenate([pieces[0].lat, *(piece.lat[1:] for piece in pieces[1:])]),
        time_s=np.concatenate(
            [pieces[0].time_s]
            + [piece.time_s[1:] + begin_s for piece, begin_s in zip(pieces[1:], starts_s[1:], strict=False)]
        ),
        nodes=np.concatenate([pieces[0].nodes, *(piece.nodes[1:] for piece in pieces[1:])]),
        length_m=sum(piece.length_m for piece in pieces),
    )
