"""The road graph as arrays: opened from disk by memory map, shared by every process that routes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from safecity.city.geo import Floats, LocalMetres
from safecity.errors import Invalid

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Ints = NDArray[np.int32]
Times = NDArray[np.float32]

DTYPES: Final[Mapping[str, type[np.generic]]] = MappingProxyType(
    {
        "node_lon": np.float64,
        "node_lat": np.float64,
        "forward_offsets": np.int32,
        "reverse_offsets": np.int32,
        "reverse_arcs": np.int32,
        "arc_tail": np.int32,
        "arc_head": np.int32,
        "arc_length_m": np.float32,
        "arc_normal_s": np.float32,
        "arc_urgent_s": np.float32,
        "arc_street": np.int32,
        "arc_class": np.uint8,
        "arc_shape": np.int32,
        "arc_shape_count": np.int32,
        "shape_lon": np.float64,
        "shape_lat": np.float64,
    }
)
"""Each array of the graph and its type; each is one .npy file."""

_STREETS_FILE: Final = "streets.json"


@dataclass(frozen=True, eq=False)
class RoadGraph:
    """A strongly connected directed road graph in compressed sparse rows.

    n nodes, m arcs sorted by tail: the arcs that leave node v are `forward_offsets[v]:forward_offsets[v+1]`;
    those that enter it are `reverse_arcs[reverse_offsets[v]:reverse_offsets[v+1]]`. Degrees are WGS 84.
    `arc_normal_s` and `arc_urgent_s` are travel times in normal driving and with lights and sirens.
    `arc_street` indexes `streets` (0 is the empty name). The shape of arc a is `arc_shape_count[a]` points
    from `arc_shape[a]` on; a negative count means that they are read backwards, from `arc_shape[a]` down.
    """

    node_lon: Floats
    node_lat: Floats
    forward_offsets: Ints
    reverse_offsets: Ints
    reverse_arcs: Ints
    arc_tail: Ints
    arc_head: Ints
    arc_length_m: Times
    arc_normal_s: Times
    arc_urgent_s: Times
    arc_street: Ints
    arc_class: NDArray[np.uint8]
    arc_shape: Ints
    arc_shape_count: Ints
    shape_lon: Floats
    shape_lat: Floats
    streets: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> "RoadGraph":
        """Map the arrays of `folder` into memory, read-only.

        Raises Invalid when a file is missing or damaged.
        """
        try:
            arrays: dict[str, Any] = {
                # As plain arrays: reading one element of a memmap object is several times slower.
                name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
                for name in DTYPES
            }
            streets = msgspec.json.decode((folder / _STREETS_FILE).read_bytes(), type=tuple[str, ...])
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise Invalid(
                f"the road graph in {folder} cannot be read ({error}); import the city again"
            ) from error
        graph = cls(**arrays, streets=streets)
        graph.check()
        return graph

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`, which is created."""
        folder.mkdir(parents=True)
        for name, dtype in DTYPES.items():
            np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(self, name), dtype=dtype))
        (folder / _STREETS_FILE).write_bytes(msgspec.json.encode(self.streets))

    def check(self) -> None:
        """Raise Invalid when the arrays do not fit each other."""
        n, m = self.node_count, self.arc_count
        sizes = {"forward_offsets": n + 1, "reverse_offsets": n + 1, "reverse_arcs": m, "node_lat": n}
        sizes |= {f.name: m for f in fields(self) if f.name.startswith("arc_")}
        for name, size in sizes.items():
            array = getattr(self, name)
            if array.shape != (size,) or array.dtype != DTYPES[name]:
                raise Invalid(f"the road graph's {name} is damaged; import the city again")
        if n == 0 or self.forward_offsets[-1] != m or self.reverse_offsets[-1] != m:
            raise Invalid("the road graph's rows do not add up; import the city again")

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return int(self.node_lon.shape[0])

    @property
    def arc_count(self) -> int:
        """How many directed arcs there are."""
        return int(self.arc_head.shape[0])

    def shape(self, arc: int) -> tuple[Floats, Floats]:
        """Return the longitudes and latitudes of an arc's points, from tail to head, both included."""
        start, count = int(self.arc_shape[arc]), int(self.arc_shape_count[arc])
        if count > 0:
            part = slice(start, start + count)
        else:
            stop = start + count
            part = slice(start, stop if stop >= 0 else None, -1)
        return self.shape_lon[part], self.shape_lat[part]

    def street(self, arc: int) -> str:
        """Return the name of an arc's street, or an empty text."""
        return self.streets[int(self.arc_street[arc])]

    def nearest(self, lon: Floats, lat: Floats) -> tuple[Ints, Floats]:
        """Return the nearest road node (k,) to each point (k,) in degrees and the metres to it (k,)."""
        distance_m, node = self._tree.query(self._plane.project(lon, lat))
        return np.asarray(node, dtype=np.int32), np.asarray(distance_m, dtype=np.float64)

    def nearest_one(self, lon: float, lat: float) -> tuple[int, float]:
        """Return the nearest road node to one point and the distance to it in metres."""
        node, away_m = self.nearest(np.array([lon]), np.array([lat]))
        return int(node[0]), float(away_m[0])

    @cached_property
    def _plane(self) -> LocalMetres:
        return LocalMetres(float(self.node_lat.mean()))

    @cached_property
    def _tree(self) -> "cKDTree[None]":
        # Only who routes needs it, and every process that opens a city would carry its 25 MB.
        from scipy.spatial import cKDTree

        return cKDTree(
            self._plane.project(self.node_lon, self.node_lat), compact_nodes=False, balanced_tree=False
        )
