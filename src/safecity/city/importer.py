"""From one OpenStreetMap file to a city folder: read once, build the graph, the places and the basemap."""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import numpy as np
import osmium
import structlog

from safecity.city.basemap import ATTRIBUTION, BasemapWriter, build_tiles
from safecity.city.city import (
    BASEMAP_FILE,
    FORMAT_VERSION,
    INFO_FILE,
    PLACES_FILE,
    ROADS_FOLDER,
    City,
    CityInfo,
)
from safecity.city.gazetteer import Entry, EntryKind, GazetteerCollector
from safecity.city.geo import ring_centroid
from safecity.city.graph import RoadGraph
from safecity.city.layers import LINE_KEYS
from safecity.city.roads import RoadCollector, WayPoint
from safecity.clock import Clock, SystemClock
from safecity.errors import Conflict, Invalid, StorageFull

Progress = Callable[[str], None]

SUFFIXES: Final = (".osm.pbf", ".pbf", ".osm", ".osm.gz", ".osm.bz2", ".xml")
"""Kinds of OpenStreetMap file that are read."""

_SYSTEM_CLOCK: Final = SystemClock()
_log = structlog.get_logger()


def import_city(
    source: Path, out: Path, *, name: str | None = None, progress: Progress, clock: Clock = _SYSTEM_CLOCK
) -> City:
    """Read an OpenStreetMap file into the city folder `out` and open it.

    The folder appears whole or not at all; an older city in `out` is replaced at the very end. `name`
    defaults to the largest settlement inside. `progress` gets one short sentence a step.
    Raises Invalid when the file is missing, is no OpenStreetMap file, is cut off or holds no road;
    Conflict when `out` holds something else; StorageFull when the disk is full.
    """
    _check_source(source)
    _check_target(out)
    scratch = out.parent / f".{out.name}.{secrets.token_hex(4)}"
    with _disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.mkdir()
            _write_city(source, scratch, name, progress, clock)
            _put_in_place(scratch, out)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return City.open(out)


def _write_city(source: Path, folder: Path, name: str | None, progress: Progress, clock: Clock) -> None:
    progress(f"reading {source.name} ({source.stat().st_size / 1e6:.1f} MB)")
    roads, places = RoadCollector(), GazetteerCollector()
    with TemporaryDirectory(dir=folder, prefix="layers-") as layer_folder:
        with BasemapWriter(Path(layer_folder)) as basemap:
            read_into(source, Reader(roads, places, basemap), progress)
        progress("building the road graph")
        graph, dropped = roads.build()
        graph.save(folder / ROADS_FOLDER)
        progress(
            f"road graph: {graph.node_count} nodes, {graph.arc_count} arcs; "
            f"{dropped} nodes left out because one cannot drive there and back"
        )
        entries = places.entries()
        (folder / PLACES_FILE).write_bytes(msgspec.msgpack.encode(entries))
        progress(f"places: {len(entries)} names and addresses")
        title = name or _largest_settlement(entries, graph) or source.name.split(".")[0]
        progress("building the basemap")
        build_tiles(Path(layer_folder), folder / BASEMAP_FILE, title)
    progress(f"basemap: {(folder / BASEMAP_FILE).stat().st_size / 1e6:.1f} MB")
    counts = _counts(graph, dropped, entries) | {f"map {layer}": n for layer, n in basemap.counts.items()}
    info = CityInfo(
        format_version=FORMAT_VERSION,
        name=title,
        bbox=_bbox(graph),
        center=_center(entries, graph, title),
        source_file=source.name,
        source_sha256=_sha256(source),
        imported_at=clock.now(),
        attribution=ATTRIBUTION,
        counts=counts,
    )
    (folder / INFO_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=2))
    _log.info("city_imported", name=title, **{key.replace(" ", "_"): n for key, n in counts.items()})


class Reader:
    """Hands every tagged object of the file to the three collectors."""

    def __init__(self, roads: RoadCollector, places: GazetteerCollector, basemap: BasemapWriter) -> None:
        """Hand on to these."""
        self._roads = roads
        self._places = places
        self._basemap = basemap

    def node(self, node: "osmium.osm.Node") -> None:
        """Take a node: signal, barrier, sign, named place, address."""
        tags = dict(node.tags)
        self._roads.node(node.id, tags)
        self._at_point(f"n{node.id}", node.lon, node.lat, tags)

    def way(self, way: "osmium.osm.Way") -> None:
        """Take a way: line on the map, road, street name."""
        # Most ways are outlines of buildings; they come again as areas, and copying tags is what takes time.
        if not any(key in way.tags for key in LINE_KEYS):
            return
        tags = dict(way.tags)
        self._basemap.way(way, tags)
        if "highway" not in tags:
            return
        points = [
            WayPoint(n.ref, n.lon, n.lat) if n.location.valid() else WayPoint(n.ref, None, None)
            for n in way.nodes
        ]
        self._roads.way(points, tags)
        known = [p for p in points if p.lon is not None and p.lat is not None]
        if "name" in tags and known:
            middle = known[len(known) // 2]
            self._places.street(tags["name"], middle.lon or 0.0, middle.lat or 0.0)

    def area(self, area: "osmium.osm.Area") -> None:
        """Take an area, closed way or multipolygon: polygon on the map, named place or address."""
        tags = dict(area.tags)
        self._basemap.area(area, tags)
        if not any(key in tags for key in _POINT_KEYS):
            return
        outer = max(area.outer_rings(), key=len, default=None)
        if outer is None:
            return
        lon, lat = ring_centroid([(n.lon, n.lat) for n in outer])
        self._at_point(f"{'w' if area.from_way() else 'r'}{area.orig_id()}", lon, lat, tags)

    def _at_point(self, origin: str, lon: float, lat: float, tags: dict[str, str]) -> None:
        self._basemap.point(lon, lat, tags)
        self._places.take(origin, lon, lat, tags)


_PROGRESS_EVERY: Final = 250_000
_POINT_KEYS: Final = ("name", "place", "amenity", "emergency", "railway", "addr:housenumber")


def read_into(source: Path, reader: Reader, progress: Progress) -> None:
    """Hand every tagged object of the file to `reader`; raises Invalid when the file is not whole."""
    try:
        processor = osmium.FileProcessor(str(source)).with_areas(osmium.filter.EmptyTagFilter())
        for number, thing in enumerate(processor.with_filter(osmium.filter.EmptyTagFilter()), start=1):
            match thing:
                case osmium.osm.Node():
                    reader.node(thing)
                case osmium.osm.Way():
                    reader.way(thing)
                case osmium.osm.Area():
                    reader.area(thing)
            if number % _PROGRESS_EVERY == 0:
                progress(f"read {number:,} tagged objects")
    except (RuntimeError, ValueError, UnicodeDecodeError) as error:
        remedy = "download it again and compare its checksum"
        if "out of order" in str(error):
            remedy = "its objects must be sorted, for example with 'osmium sort'"
        raise Invalid(f"{source.name} is not a whole OpenStreetMap file ({error}); {remedy}") from error


def _check_source(source: Path) -> None:
    if not source.is_file():
        raise Invalid(f"there is no file {source}; give the path of an .osm.pbf file")
    if not source.name.lower().endswith(SUFFIXES):
        raise Invalid(
            f"{source.name} is not an OpenStreetMap file; its name must end in {', '.join(SUFFIXES)}"
        )
    if source.stat().st_size == 0:
        raise Invalid(f"{source.name} is empty; download it again")


def _check_target(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / INFO_FILE).is_file()):
        raise Conflict(f"{out} exists and is no city folder; choose another with --out")


def _put_in_place(scratch: Path, out: Path) -> None:
    """Swap the finished folder in; an older one is moved away first and deleted last."""
    aside = out.parent / f".{out.name}.{secrets.token_hex(4)}.old"
    if out.exists():
        out.rename(aside)
    scratch.rename(out)
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(f"the disk of {out} is full; free some space and import again") from error
        raise Invalid(f"the city cannot be written to {out}: {os.strerror(error.errno or 0)}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _counts(graph: RoadGraph, dropped: int, entries: list[Entry]) -> dict[str, int]:
    counts = {"road nodes": graph.node_count, "road arcs": graph.arc_count, "road nodes left out": dropped}
    for kind in EntryKind:
        counts[kind.value] = sum(entry.kind is kind for entry in entries)
    return counts


def _bbox(graph: RoadGraph) -> tuple[float, float, float, float]:
    """Return west, south, east, north of the roads, which is where units can be."""
    lon, lat = graph.node_lon, graph.node_lat
    return (float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))


def _largest_settlement(entries: list[Entry], graph: RoadGraph) -> str:
    """Return the name of the most important settlement inside; entries begin with the localities, ranked."""
    west, south, east, north = _bbox(graph)
    inside = (
        e.name
        for e in entries
        if e.kind is EntryKind.LOCALITY and west <= e.lon <= east and south <= e.lat <= north
    )
    return next(inside, "")


def _center(entries: list[Entry], graph: RoadGraph, title: str) -> tuple[float, float]:
    named = next((e for e in entries if e.kind is EntryKind.LOCALITY and e.name == title), None)
    if named is not None:
        return named.lon, named.lat
    return float(np.median(graph.node_lon)), float(np.median(graph.node_lat))
