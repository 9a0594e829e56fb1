"""The clips of the event table, what truly happens in them, and how the rules do."""
