"""Graphs for tests of dispatch, and an independent oracle for travel times."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from safecity.city import RoadGraph
from safecity.city.geo import METRES_PER_DEGREE, Floats


def line_up(graph: RoadGraph) -> RoadGraph:
    """Return the graph with read-only arrays, as a graph opened from disk has them."""
    for name in vars(graph):
        if isinstance(array := getattr(graph, name), np.ndarray):
            array.flags.writeable = False
    return graph


def graph_from_arcs(size: int, arcs: list[tuple[int, int, float]]) -> RoadGraph:
    """Return a graph of nodes 100 m apart on the equator and arcs (tail, head, seconds); 10 m a second."""
    ordered = sorted(arcs)
    tail = np.array([a[0] for a in ordered], dtype=np.int32)
    head = np.array([a[1] for a in ordered], dtype=np.int32)
    time_s = np.array([a[2] for a in ordered], dtype=np.float32)
    rows = np.arange(size + 1)
    reverse = np.argsort(head, kind="stable").astype(np.int32)
    lon = np.arange(size) * 100.0 / METRES_PER_DEGREE
    ends = np.column_stack((tail, head)).ravel()
    return line_up(
        RoadGraph(
            node_lon=lon,
            node_lat=np.zeros(size),
            forward_offsets=np.searchsorted(tail, rows).astype(np.int32),
            reverse_offsets=np.searchsorted(head[reverse], rows).astype(np.int32),
            reverse_arcs=reverse,
            arc_tail=tail,
            arc_head=head,
            arc_length_m=time_s * 10,
            arc_normal_s=time_s * 2,
            arc_urgent_s=time_s,
            arc_street=np.ones(tail.shape, dtype=np.int32),
            arc_class=np.zeros(tail.shape, dtype=np.uint8),
            arc_shape=(np.arange(tail.shape[0]) * 2).astype(np.int32),
            arc_shape_count=np.full(tail.shape, 2, dtype=np.int32),
            shape_lon=lon[ends],
            shape_lat=np.zeros(ends.shape),
            streets=("", "Long Street"),
        )
    )


def times_to(graph: RoadGraph, node: int, weight_s: Floats) -> Floats:
    """Return the seconds (n,) from every node to `node` by scipy, on the quickest of parallel arcs."""
    quickest: dict[tuple[int, int], float] = {}
    for tail, head, time_s in zip(
        graph.arc_tail.tolist(), graph.arc_head.tolist(), weight_s.tolist(), strict=True
    ):
        quickest[head, tail] = min(time_s, quickest.get((head, tail), np.inf))
    keys = np.array(list(quickest), dtype=np.int32).reshape(-1, 2)
    matrix = csr_array(
        (np.fromiter(quickest.values(), dtype=np.float64), (keys[:, 0], keys[:, 1])),
        shape=(graph.node_count, graph.node_count),
    )
    found: Floats = dijkstra(matrix, directed=True, indices=node)
    return found
