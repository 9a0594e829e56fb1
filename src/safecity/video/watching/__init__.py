"""Watching a stream: motion gate, tracker, rules, in a thread that recording never waits for."""
