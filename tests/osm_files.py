"""Writes tiny OpenStreetMap files for tests: a street grid is easier to judge when one drew it oneself."""

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

Tags = Mapping[str, str]


class OsmFile:
    """Collects nodes, ways and relations and writes them as OSM XML."""

    def __init__(self) -> None:
        self._nodes: dict[int, str] = {}
        self._ways: dict[int, str] = {}
        self._relations: dict[int, str] = {}

    def node(self, ref: int, lon: float, lat: float, **tags: str) -> int:
        """Add a node."""
        self._nodes[ref] = f'<node id="{ref}" version="1" lon="{lon}" lat="{lat}">{_tags(tags)}</node>'
        return ref

    def way(self, ref: int, nodes: list[int], tags: Tags) -> int:
        """Add a way."""
        refs = "".join(f'<nd ref="{node}"/>' for node in nodes)
        self._ways[ref] = f'<way id="{ref}" version="1">{refs}{_tags(tags)}</way>'
        return ref

    def relation(self, ref: int, members: list[tuple[int, str]], tags: Tags) -> int:
        """Add a relation of ways, each with its role."""
        rows = "".join(f'<member type="way" ref="{way}" role="{role}"/>' for way, role in members)
        self._relations[ref] = f'<relation id="{ref}" version="1">{rows}{_tags(tags)}</relation>'
        return ref

    def write(self, path: Path) -> Path:
        """Write the file, sorted as OpenStreetMap files are, and return its path."""
        kinds = (self._nodes, self._ways, self._relations)
        body = "\n".join(rows[ref] for rows in kinds for ref in sorted(rows))
        path.write_text(
            f'<?xml version="1.0"?><osm version="0.6" generator="test">{body}</osm>', encoding="utf-8"
        )
        return path


def _tags(tags: Tags) -> str:
    return "".join(f"<tag k={quoteattr(k)} v={quoteattr(v)}/>" for k, v in tags.items())


STEP_DEG = 0.0009
"""About 100 m of latitude, so that no street of a test is cut by the longest allowed arc."""


def square(**tags: str) -> OsmFile:
    """A square of four streets of 100 m, nodes 1 (south-west), 2, 3, 4 counter-clockwise, at the equator.

    North street 3-4 carries the given tags; the other three are residential two-way streets.
    """
    osm = OsmFile()
    for ref, (x, y) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1)), start=1):
        osm.node(ref, x * STEP_DEG, y * STEP_DEG)
    plain = {"highway": "residential"}
    osm.way(11, [1, 2], {**plain, "name": "South Street"})
    osm.way(12, [2, 3], {**plain, "name": "East Street"})
    osm.way(13, [3, 4], {**plain, "name": "North Street", **tags})
    osm.way(14, [4, 1], {**plain, "name": "West Street"})
    return osm
