"""What an analysis found: events and counts, as data, lines of JSON and a table."""

from collections import defaultdict

import msgspec

from safecity.video.event import VideoEvent


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a film.

    film_s: its length. pictures: that the gate saw. looked_at: of these, in how many objects were looked for.
    damaged: packets that could not be decoded. events: with time_s in seconds of film. objects: followed
    objects by class. counted: what each rule has counted, told as an event or not.
    """

    film: str
    film_s: float
    pictures: int
    looked_at: int
    damaged: int
    events: tuple[VideoEvent, ...]
    objects: dict[str, int]
    counted: dict[str, dict[str, int]]

    def summary(self) -> dict[str, object]:
        """Return everything but the single events, as plain data."""
        return {
            "film": self.film,
            "film_s": round(self.film_s, 2),
            "pictures": self.pictures,
            "looked_at": self.looked_at,
            "damaged": self.damaged,
            "events": len(self.events),
            "rules": self.by_rule(),
            "objects": self.objects,
            "counted": self.counted,
        }

    def by_rule(self) -> dict[str, dict[str, int]]:
        """Return how many events each rule told, by class of object or, without one, by kind."""
        counts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for event in self.events:
            counts[event.rule][event.object_class or event.kind] += 1
        return {rule: dict(kinds) for rule, kinds in counts.items()}


def event_line(event: VideoEvent) -> str:
    """Return an event as one line of JSON."""
    plain = {
        "at_s": round(event.time_s, 3),
        "kind": event.kind,
        "rule": event.rule,
        "why": event.why,
        "score": event.score,
        "class": event.object_class,
        "track": event.track,
        "box": event.box,
        "ground": event.ground,
        "speed_mps": event.speed_mps,
        "count": event.count,
        "experimental": event.experimental,
    }
    return msgspec.json.encode(plain).decode()


def table(report: Report) -> str:
    """Return the events and counts as text for people."""
    lines = [f"{'at':>9}  {'event':16} {'rule':20} {'score':>5}  why"]
    for event in report.events:
        why = event.why + (" (experimental)" if event.experimental else "")
        lines.append(f"{_clock(event.time_s):>9}  {event.kind:16} {event.rule:20} {event.score:5.2f}  {why}")
    objects = ", ".join(f"{count} {kind}" for kind, count in sorted(report.objects.items()))
    lines.append("")
    lines.append(f"{report.film}: {_clock(report.film_s)}, {len(report.events)} events")
    lines.append(f"looked closely at {report.looked_at} of {report.pictures} pictures")
    lines.append(f"followed: {objects or 'nothing'}")
    if report.damaged:
        lines.append(f"{report.damaged} damaged packets were left out")
    for rule, counts in sorted(report.counted.items()):
        told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        lines.append(f"counted by '{rule}': {told or 'nothing'}")
    return "\n".join(lines)


def _clock(seconds_s: float) -> str:
    minutes, rest = divmod(seconds_s, 60)
    return f"{int(minutes)}:{rest:05.2f}"
