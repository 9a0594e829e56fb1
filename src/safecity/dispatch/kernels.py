"""Shortest paths, compiled. Import this module only where they are needed: numba is large.

One search serves both directions: it walks compressed rows from a root, forward from a start or, with the
reverse rows, backward from a destination.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
import structlog
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

NO_ARC: Final = -1
_log = structlog.get_logger()


def _compiled(function: F) -> F:
    """Compile `function` at its first call and keep the result on disk where some folder is writable."""
    try:
        compiled: Any = numba.njit(cache=True)(function)
    except RuntimeError as error:
        _log.warning("numba_without_cache", function=function.__name__, reason=str(error))
        compiled = numba.njit(function)
    return cast("F", compiled)


@_compiled
def _push(keys: NDArray[np.float64], nodes: NDArray[np.int32], size: int, key: float, node: int) -> int:
    """Put a pair into the binary heap of `size` pairs and return its new size."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] <= key:
            break
        keys[at] = keys[above]
        nodes[at] = nodes[above]
        at = above
    keys[at] = key
    nodes[at] = node
    return size + 1


@_compiled
def _pop(keys: NDArray[np.float64], nodes: NDArray[np.int32], size: int) -> int:
    """Take the smallest pair, at index 0, out of the heap of `size` pairs and return its new size."""
    size -= 1
    key = keys[size]
    node = nodes[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[at] = keys[below]
        nodes[at] = nodes[below]
        at = below
    keys[at] = key
    nodes[at] = node
    return size


@_compiled
def search(  # noqa: PLR0912 - the whole search is one compiled loop
    offsets: NDArray[np.int32],
    arcs: NDArray[np.int32],
    other_end: NDArray[np.int32],
    weight_s: NDArray[np.float32],
    root: int,
    wanted: NDArray[np.int32],
    kinds: NDArray[np.int64],
    enough: NDArray[np.int32],
    slack_s: float,
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Dijkstra's search (Numerische Mathematik 1, 1959) from `root` until enough wanted nodes are settled.

    offsets (n + 1), arcs (m): the rows to walk; other_end, weight_s (m): by arc.
    wanted (k): nodes, repeats allowed; kinds (k): a bit mask of what each may serve as.
    enough (b): for each bit, how many wanted nodes of it are needed. Once all are settled at time t, the
    search goes on to t + slack_s. It ends at once when every wanted node is settled.
    Returns for each node the time in seconds (inf where unknown) and the arc that leads towards the root.
    """
    n = offsets.shape[0] - 1
    time_s = np.full(n, np.inf)
    via = np.full(n, NO_ARC, dtype=np.int32)
    settled = np.zeros(n, dtype=np.bool_)
    first_here = np.full(n, -1, dtype=np.int32)
    next_here = np.full(wanted.shape[0], -1, dtype=np.int32)
    for i in range(wanted.shape[0]):
        next_here[i] = first_here[wanted[i]]
        first_here[wanted[i]] = i
    missing = enough.copy()
    left = wanted.shape[0]
    limit_s = np.inf
    if missing.max() <= 0:
        limit_s = slack_s
    capacity = 1024
    keys = np.empty(capacity, dtype=np.float64)
    nodes = np.empty(capacity, dtype=np.int32)
    time_s[root] = 0.0
    size = _push(keys, nodes, 0, 0.0, root)
    while size > 0 and left > 0:
        now_s = keys[0]
        node = nodes[0]
        size = _pop(keys, nodes, size)
        if now_s > limit_s:
            break
        if settled[node]:
            continue
        settled[node] = True
        i = first_here[node]
        while i >= 0:
            left -= 1
            for bit in range(missing.shape[0]):
                if kinds[i] >> bit & 1:
                    missing[bit] -= 1
            i = next_here[i]
        if limit_s == np.inf and missing.max() <= 0:
            limit_s = now_s + slack_s
        for k in range(offsets[node], offsets[node + 1]):
            arc = arcs[k]
            end = other_end[arc]
            reached_s = now_s + weight_s[arc]
            if reached_s < time_s[end]:
                time_s[end] = reached_s
                via[end] = arc
                if size == capacity:
                    keys = np.concatenate((keys, np.empty(capacity, dtype=np.float64)))
                    nodes = np.concatenate((nodes, np.empty(capacity, dtype=np.int32)))
                    capacity *= 2
                size = _push(keys, nodes, size, reached_s, end)
    for v in range(n):
        if not settled[v]:
            time_s[v] = np.inf
            via[v] = NO_ARC
    return time_s, via


@_compiled
def lengths(
    via: NDArray[np.int32],
    next_node: NDArray[np.int32],
    length_m: NDArray[np.float32],
    nodes: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Return the metres (k,) from each of the nodes (k,) along `via` to the root of the search."""
    total_m = np.zeros(nodes.shape[0])
    for i in range(nodes.shape[0]):
        node = nodes[i]
        arc = via[node]
        while arc >= 0:
            total_m[i] += length_m[arc]
            node = next_node[arc]
            arc = via[node]
    return total_m
