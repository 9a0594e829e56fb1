"""The fixed city: OpenStreetMap import, road graph, stations and places, basemap.

`importer.import_city` turns one OSM file into a city folder (import it from its module: nothing else needs
the OSM reader); `City.open` reads that folder. The layers of the basemap and the files of the folder are
described in docs/guide/city.md.
"""

from safecity.city.city import City, CityInfo
from safecity.city.gazetteer import Entry, EntryKind
from safecity.city.graph import RoadGraph

__all__ = ["City", "CityInfo", "Entry", "EntryKind", "RoadGraph"]
