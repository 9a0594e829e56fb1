"""Observations to alarms to incidents, each with its reason."""
