"""Commands on incidents, calls and units: one transaction each, with its journal entry."""
