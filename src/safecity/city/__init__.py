"""The fixed city: import from OpenStreetMap, road graph, places, basemap."""
