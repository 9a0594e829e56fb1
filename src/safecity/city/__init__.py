"""The fixed city: OpenStreetMap import, road graph, stations and places, basemap.

`import_city` turns one OSM file into a city folder; `City.open` reads that folder. The layers of the basemap
and the files of the folder are described in docs/guide/city.md.
"""

from safecity.city.city import City, CityInfo
from safecity.city.gazetteer import Entry, EntryKind
from safecity.city.graph import RoadGraph
from safecity.city.importer import import_city

__all__ = ["City", "CityInfo", "Entry", "EntryKind", "RoadGraph", "import_city"]
