"""Travel times by road from many units to one place, and the way that a vehicle takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safecity.city.geo import step_lengths_m
from safecity.city.graph import RoadGraph
from safecity.errors import NotFound

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

MAX_OFF_ROAD_M: Final = 5_000.0
"""A point farther than this from every road of the city is not in the city."""


@dataclass(frozen=True, eq=False)
class Travel:
    """What one search from a destination found for k points of departure, all arrays (k,).

    time_s: seconds by road, inf where there is no way or the search had enough nearer ones;
    distance_m: metres along that way, nan where there is none; off_road_m: from the point to its road node.
    """

    time_s: Floats
    distance_m: Floats
    off_road_m: Floats
    destination_off_road_m: float


def travel_to(
    graph: RoadGraph,
    destination: tuple[float, float],
    lon: Floats,
    lat: Floats,
    *,
    urgent: bool = True,
    kinds: NDArray[np.int64] | None = None,
    enough: Sequence[int] = (),
    slack_s: float = 0.0,
) -> Travel:
    """Return the travel from k points (k,) in degrees to `destination` (lon, lat), by one reverse search.

    Without `enough` all points are settled. With it the search may stop early: kinds (k,) are bit masks, and
    for each bit b at least `enough[b]` nearest points of that kind are settled, and every other one that is
    at most `slack_s` farther than those.
    """
    from safecity.dispatch import kernels

    root, destination_off_road_m = graph.nearest_one(*destination)
    nodes, off_road_m = graph.nearest(lon, lat)
    off_map = (off_road_m > MAX_OFF_ROAD_M) | (destination_off_road_m > MAX_OFF_ROAD_M)
    searched = np.flatnonzero(~off_map)
    time_s = np.full(nodes.shape, np.inf)
    distance_m = np.full(nodes.shape, np.nan)
    if searched.size:
        wanted = nodes[searched]
        by_node_s, via = kernels.search(
            graph.reverse_offsets,
            graph.reverse_arcs,
            graph.arc_tail,
            graph.arc_urgent_s if urgent else graph.arc_normal_s,
            root,
            wanted,
            np.full(wanted.shape, 1, dtype=np.int64) if kinds is None else kinds[searched],
            np.array(enough, dtype=np.int32) if enough else np.array([wanted.size], dtype=np.int32),
            slack_s,
        )
        time_s[searched] = by_node_s[wanted]
        reached = searched[np.isfinite(time_s[searched])]
        distance_m[reached] = kernels.lengths(via, graph.arc_head, graph.arc_length_m, nodes[reached])
    return Travel(time_s, distance_m, off_road_m, destination_off_road_m)


def _way(graph: RoadGraph, via: Ints, node: int) -> list[int]:
    """Return the arcs from `node` to the root of a reverse search."""
    arcs: list[int] = []
    while (arc := int(via[node])) >= 0:
        arcs.append(arc)
        node = int(graph.arc_head[arc])
    return arcs


@dataclass(frozen=True, eq=False)
class Route:
    """A way by road. lon, lat (p,) in degrees; time_s (p,) from 0 at the start, never falling.

    streets: the names along the way with the second at which each begins, unnamed stretches left out.
    """

    lon: Floats
    lat: Floats
    time_s: Floats
    length_m: float
    streets: tuple[tuple[float, str], ...]

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return float(self.time_s[-1])

    def at(self, time_s: float) -> tuple[float, float, float, float]:
        """Return lon, lat, heading_deg (clockwise from north) and speed_mps at a second of the journey.

        Before the start and after the end the vehicle stands, its heading that of the nearest stretch.
        """
        t = min(max(time_s, 0.0), self.duration_s)
        lon, lat = float(np.interp(t, self.time_s, self.lon)), float(np.interp(t, self.time_s, self.lat))
        if self.time_s.size < 2:
            return lon, lat, 0.0, 0.0
        after = min(max(int(np.searchsorted(self.time_s, t, side="right")), 1), self.time_s.size - 1)
        pair = slice(after - 1, after + 1)
        east = float(np.diff(self.lon[pair])[0]) * float(np.cos(np.radians(lat)))
        north = float(np.diff(self.lat[pair])[0])
        heading_deg = float(np.degrees(np.arctan2(east, north))) % 360.0
        taken_s = float(np.diff(self.time_s[pair])[0])
        moving = 0.0 <= time_s < self.duration_s and taken_s > 0
        speed_mps = float(step_lengths_m(self.lon[pair], self.lat[pair])[0]) / taken_s if moving else 0.0
        return lon, lat, heading_deg, speed_mps


class Router:
    """Gives vehicles their way on one road graph."""

    def __init__(self, graph: RoadGraph) -> None:
        """Route on `graph`."""
        self._graph = graph

    def route(self, start: tuple[float, float], end: tuple[float, float], *, urgent: bool = False) -> Route:
        """Return the fastest way between two points (lon, lat), from road node to road node.

        Raises NotFound when a point is farther than 5 km from every road of the city.
        """
        from safecity.dispatch import kernels

        graph = self._graph
        origin, destination = self._node(start), self._node(end)
        weight_s = graph.arc_urgent_s if urgent else graph.arc_normal_s
        _, via = kernels.search(
            graph.reverse_offsets,
            graph.reverse_arcs,
            graph.arc_tail,
            weight_s,
            destination,
            np.array([origin], dtype=np.int32),
            np.ones(1, dtype=np.int64),
            np.ones(1, dtype=np.int32),
            0.0,
        )
        return self._drawn(origin, _way(graph, via, origin), weight_s)

    def _node(self, point: tuple[float, float]) -> int:
        node, away_m = self._graph.nearest_one(*point)
        if away_m > MAX_OFF_ROAD_M:
            raise NotFound(
                f"lon {point[0]:.5f}, lat {point[1]:.5f} is {away_m / 1000:.0f} km from the city's roads"
            )
        return node

    def _drawn(self, origin: int, arcs: list[int], weight_s: NDArray[np.float32]) -> Route:
        graph = self._graph
        lons, lats = [graph.node_lon[origin : origin + 1]], [graph.node_lat[origin : origin + 1]]
        times = [np.zeros(1)]
        streets: list[tuple[float, str]] = []
        now_s = 0.0
        for arc in arcs:
            lon, lat = graph.shape(arc)
            share = np.cumsum(step_lengths_m(lon, lat))
            total = float(share[-1])
            share = share / total if total > 0 else np.linspace(1 / share.size, 1, share.size)
            lons.append(lon[1:])
            lats.append(lat[1:])
            times.append(now_s + float(weight_s[arc]) * share)
            name = graph.street(arc)
            if name and (not streets or streets[-1][1] != name):
                streets.append((now_s, name))
            now_s += float(weight_s[arc])
        return Route(
            lon=np.concatenate(lons),
            lat=np.concatenate(lats),
            time_s=np.concatenate(times),
            length_m=float(sum(graph.arc_length_m[arc] for arc in arcs)),
            streets=tuple(streets),
        )
