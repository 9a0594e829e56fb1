"""Safe City: open software for a city's public-safety operations centre."""

__version__ = "0.1.0"
