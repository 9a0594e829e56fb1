"""The city's policy as data: parsed and checked when it is read."""
