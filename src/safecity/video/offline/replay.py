"""Tracker and rules on what was detected, picture by picture."""

import msgspec

from safecity.model.video import CameraSetup
from safecity.model.video_rule import CameraHealth, ObjectClass, ObjectLeft, SmokeFlame
from safecity.video.event import VideoEvent
from safecity.video.offline.film import note_classes, object_counts
from safecity.video.offline.recorded import Look, Recording
from safecity.video.offline.report import Report
from safecity.video.rules import RuleEngine
from safecity.video.watching.tracker import Tracker


class _Follower:
    """One film's tracks and rules, and the counts of both."""

    def __init__(self, setup: CameraSetup) -> None:
        """Follow nothing yet, by the rules of `setup`."""
        self.engine = RuleEngine(setup)
        self.looked_at = 0
        self._tracker = Tracker()
        self._classes: dict[int, ObjectClass] = {}

    def look(self, look: Look, width_px: int, height_px: int) -> list[VideoEvent]:
        """Return what became certain with a picture of this size."""
        self.looked_at += 1
        tracks = self._tracker.update(look.found, look.film_s)
        note_classes(self._classes, tracks)
        events = self.engine.look(tracks, look.film_s, width_px, height_px)
        return [msgspec.structs.replace(event, time_s=round(event.time_s, 3)) for event in events]

    def objects(self) -> dict[str, int]:
        """Return how many objects of each class were followed; one that was lost and found counts twice."""
        return object_counts(self._classes)


def replay(recording: Recording, setup: CameraSetup) -> Report:
    """Return what the rules of `setup` say to recorded detections.

    Rules on the picture itself say nothing: see `rules_that_need_pictures`.
    """
    follower = _Follower(setup)
    events = [
        event
        for look in recording.looks
        for event in follower.look(look, recording.width_px, recording.height_px)
    ]
    return Report(
        film=recording.film,
        film_s=recording.looks[-1].film_s if recording.looks else 0.0,
        pictures=len(recording.looks),
        looked_at=follower.looked_at,
        damaged=0,
        events=tuple(events),
        objects=follower.objects(),
        counted=follower.engine.counts,
    )


def rules_that_need_pictures(setup: CameraSetup) -> list[str]:
    """Return the names of the rules that recorded detections are not enough for."""
    return [rule.name for rule in setup.rules if isinstance(rule, CameraHealth | ObjectLeft | SmokeFlame)]
