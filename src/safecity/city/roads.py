"""From OpenStreetMap ways to the road graph: collect drivable ways, cut at junctions, keep what connects."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from safecity.city.geo import Floats, step_lengths_m
from safecity.city.graph import RoadGraph
from safecity.city.highway import (
    SIGNAL_DELAY_S,
    URGENT_TIME_SHARE,
    Drivable,
    blocks_vehicles,
    drivable,
)
from safecity.errors import Invalid

MAX_ARC_M: Final = 120.0
"""Longer stretches between junctions are cut, so that the nearest node is near the nearest road point."""

_MIN_ARC_M: Final = 0.1
_MPS_PER_KMH: Final = 1 / 3.6

Longs = NDArray[np.int64]
Bools = NDArray[np.bool_]


class WayPoint(NamedTuple):
    """One node of a way; lon and lat are None where the extract cut the node off."""

    ref: int
    lon: float | None
    lat: float | None


class RoadCollector:
    """Takes nodes and ways as the file brings them and builds the graph at the end."""

    def __init__(self) -> None:
        """Start with nothing collected."""
        self._signals: set[int] = set()
        self._blocked: set[int] = set()
        self._ref = array("q")
        self._lon = array("d")
        self._lat = array("d")
        self._run_start = array("q")
        self._run_class = array("B")
        self._run_forward_kmh = array("d")
        self._run_backward_kmh = array("d")
        self._run_street = array("l")
        self._streets: dict[str, int] = {"": 0}
        self._made_up_ref = 0

    def node(self, ref: int, tags: Mapping[str, str]) -> None:
        """Note a node's signal or barrier."""
        if tags.get("highway") == "traffic_signals":
            self._signals.add(ref)
        if blocks_vehicles(tags):
            self._blocked.add(ref)

    def way(self, points: Iterable[WayPoint], tags: Mapping[str, str]) -> None:
        """Take a way when vehicles may use it; cut where nodes are missing or a barrier stands."""
        road = drivable(tags)
        if road is None:
            return
        street = self._streets.setdefault(tags.get("name") or tags.get("ref") or "", len(self._streets))
        run: list[tuple[int, float, float]] = []
        for ref, lon, lat in points:
            if lon is None or lat is None:
                self._add_run(run, road, street)
                run = []
            elif ref in self._blocked:
                self._add_run([*run, (self._new_ref(), lon, lat)], road, street)
                run = [(self._new_ref(), lon, lat)]
            else:
                run.append((ref, lon, lat))
        self._add_run(run, road, street)

    def _new_ref(self) -> int:
        self._made_up_ref -= 1
        return self._made_up_ref

    def _add_run(self, run: list[tuple[int, float, float]], road: Drivable, street: int) -> None:
        if len(run) < 2:
            return
        self._run_start.append(len(self._ref))
        self._run_class.append(road.road_class)
        self._run_forward_kmh.append(road.forward_kmh)
        self._run_backward_kmh.append(road.backward_kmh)
        self._run_street.append(street)
        for ref, lon, lat in run:
            self._ref.append(ref)
            self._lon.append(lon)
            self._lat.append(lat)

    def build(self) -> tuple[RoadGraph, int]:
        """Return the graph and how many nodes were dropped because one cannot drive there and back.

        Raises Invalid when there is no road at all.
        """
        if not self._run_start:
            raise Invalid("the file holds no road that a vehicle may use; take an extract with its highways")
        drawn = _Points(
            ref=np.array(self._ref, dtype=np.int64),
            lon=np.array(self._lon),
            lat=np.array(self._lat),
            run=np.repeat(np.arange(len(self._run_start)), np.diff([*self._run_start, len(self._ref)])),
        )
        runs = _Runs(
            road_class=np.array(self._run_class, dtype=np.uint8),
            forward_kmh=np.array(self._run_forward_kmh),
            backward_kmh=np.array(self._run_backward_kmh),
            street=np.array(self._run_street, dtype=np.int32),
        )
        points, edges = _cut(drawn, np.fromiter(self._signals, dtype=np.int64))
        return _assemble(points, runs, edges, tuple(self._streets))


@dataclass(frozen=True)
class _Points:
    """All points of all runs, one run after the other; each array (p,)."""

    ref: Longs
    lon: Floats
    lat: Floats
    run: Longs


@dataclass(frozen=True)
class _Runs:
    """What all points of a run share; each array (r,)."""

    road_class: NDArray[np.uint8]
    forward_kmh: Floats
    backward_kmh: Floats
    street: NDArray[np.int32]


@dataclass(frozen=True)
class _Edges:
    """Stretches between vertices: first and last point (e,), length, signals met along and against."""

    first: Longs
    last: Longs
    length_m: Floats
    signals_forward: Longs
    signals_backward: Longs


def _step_m(points: _Points) -> Floats:
    """Return for each point the metres from the point before it in the same run; 0 for the first (p,)."""
    step = np.zeros(points.ref.shape)
    step[1:] = step_lengths_m(points.lon, points.lat)
    step[1:][points.run[1:] != points.run[:-1]] = 0.0
    return step


def _cut(points: _Points, signals: Longs) -> tuple[_Points, _Edges]:
    """Cut the runs at junctions and ends, then long stretches and loops into equal shorter ones."""
    points, vertex = _with_cuts(points, _junctions(points))
    along = np.cumsum(_step_m(points))
    first, last = _between(vertex, points.run)
    met = np.concatenate(([0], np.cumsum(np.isin(points.ref, signals))))
    return points, _Edges(
        first=first,
        last=last,
        length_m=np.maximum(along[last] - along[first], _MIN_ARC_M),
        signals_forward=met[last + 1] - met[first + 1],
        signals_backward=met[last] - met[first],
    )


def _junctions(points: _Points) -> Bools:
    _, inverse, count = np.unique(points.ref, return_inverse=True, return_counts=True)
    vertex: Bools = count[inverse] > 1
    new_run = points.run[1:] != points.run[:-1]
    vertex[0] = vertex[-1] = True
    vertex[1:][new_run] = True
    vertex[:-1][new_run] = True
    return vertex


def _between(vertex: Bools, run: Longs) -> tuple[Longs, Longs]:
    at = np.flatnonzero(vertex)
    same = run[at[:-1]] == run[at[1:]]
    return at[:-1][same], at[1:][same]


def _with_cuts(points: _Points, vertex: Bools) -> tuple[_Points, Bools]:
    """Put vertices (with made-up references) where long stretches and loops are cut."""
    along = np.cumsum(_step_m(points))
    first, last = _between(vertex, points.run)
    length = along[last] - along[first]
    parts = np.maximum(1, np.ceil(length / MAX_ARC_M)).astype(np.int64)
    loop = points.ref[first] == points.ref[last]
    parts[loop] = np.maximum(2, parts[loop])
    edge = np.repeat(np.arange(first.shape[0]), parts - 1)
    number = np.arange(edge.shape[0]) - np.repeat(np.cumsum(parts - 1) - (parts - 1), parts - 1) + 1
    at_m = along[first[edge]] + length[edge] * number / parts[edge]
    before = np.clip(np.searchsorted(along, at_m), first[edge] + 1, last[edge])
    share = (at_m - along[before - 1]) / np.maximum(along[before] - along[before - 1], _MIN_ARC_M)
    share = np.clip(share, 0.0, 1.0)
    made_up = min(int(points.ref.min()), 0) - 1 - np.arange(edge.shape[0])
    cut = _Points(
        ref=np.insert(points.ref, before, made_up),
        lon=np.insert(points.lon, before, _between_values(points.lon, before, share)),
        lat=np.insert(points.lat, before, _between_values(points.lat, before, share)),
        run=np.insert(points.run, before, points.run[before]),
    )
    return cut, np.insert(vertex, before, np.ones(edge.shape, dtype=np.bool_))


def _between_values(values: Floats, before: Longs, share: Floats) -> Floats:
    return values[before - 1] * (1 - share) + values[before] * share


def _assemble(points: _Points, runs: _Runs, edges: _Edges, streets: tuple[str, ...]) -> tuple[RoadGraph, int]:
    run = points.run[edges.first]
    along, against = np.flatnonzero(runs.forward_kmh[run] > 0), np.flatnonzero(runs.backward_kmh[run] > 0)
    edge = np.concatenate((along, against))
    backward = np.concatenate((np.zeros(along.shape, np.bool_), np.ones(against.shape, np.bool_)))
    tail_point = np.where(backward, edges.last[edge], edges.first[edge])
    head_point = np.where(backward, edges.first[edge], edges.last[edge])
    vertex_ref, vertex_point = np.unique(points.ref, return_index=True)
    tail = np.searchsorted(vertex_ref, points.ref[tail_point])
    head = np.searchsorted(vertex_ref, points.ref[head_point])
    keep, node, kept, dropped = _largest_component(tail, head, vertex_ref.shape[0])
    edge, backward, tail_point = edge[keep], backward[keep], tail_point[keep]
    tail, head = node[tail[keep]], node[head[keep]]
    order = np.lexsort((head, tail))
    edge, backward, tail_point = edge[order], backward[order], tail_point[order]
    tail, head = tail[order], head[order]
    run = run[edge]
    kmh = np.where(backward, runs.backward_kmh[run], runs.forward_kmh[run])
    drive_s = edges.length_m[edge] / (kmh * _MPS_PER_KMH)
    signals = np.where(backward, edges.signals_backward[edge], edges.signals_forward[edge])
    shape_count = edges.last[edge] - edges.first[edge] + 1
    rows = np.arange(kept.shape[0] + 1)
    reverse_arcs = np.argsort(head, kind="stable")
    graph = RoadGraph(
        node_lon=points.lon[vertex_point[kept]],
        node_lat=points.lat[vertex_point[kept]],
        forward_offsets=np.searchsorted(tail, rows).astype(np.int32),
        reverse_offsets=np.searchsorted(head[reverse_arcs], rows).astype(np.int32),
        reverse_arcs=reverse_arcs.astype(np.int32),
        arc_tail=tail.astype(np.int32),
        arc_head=head.astype(np.int32),
        arc_length_m=edges.length_m[edge].astype(np.float32),
        arc_normal_s=(drive_s + SIGNAL_DELAY_S * signals).astype(np.float32),
        arc_urgent_s=(drive_s * URGENT_TIME_SHARE).astype(np.float32),
        arc_street=runs.street[run],
        arc_class=runs.road_class[run],
        arc_shape=tail_point.astype(np.int32),
        arc_shape_count=np.where(backward, -shape_count, shape_count).astype(np.int32),
        shape_lon=points.lon,
        shape_lat=points.lat,
        streets=streets,
    )
    graph.check()
    return graph, dropped


def _largest_component(tail: Longs, head: Longs, size: int) -> tuple[Longs, Longs, Longs, int]:
    """Find the largest set of nodes that all reach each other.

    Returns the arcs inside it, the new number of each old node (-1 outside), the old number of each new
    node, and how many nodes that arcs touch lie outside.
    """
    ones = np.ones(tail.shape, dtype=np.int32)
    # From coordinates, so that parallel arcs are summed up: scipy's search never ends on repeated entries.
    _, label = connected_components(
        coo_array((ones, (tail, head)), shape=(size, size)).tocsr(), directed=True, connection="strong"
    )
    touched = np.zeros(size, dtype=np.bool_)
    touched[tail] = touched[head] = True
    largest = int(np.argmax(np.bincount(label[touched])))
    inside = touched & (label == largest)
    kept = np.flatnonzero(inside)
    node = np.full(size, -1, dtype=np.int64)
    node[kept] = np.arange(kept.shape[0])
    return np.flatnonzero(inside[tail] & inside[head]), node, kept, int(touched.sum()) - kept.shape[0]
