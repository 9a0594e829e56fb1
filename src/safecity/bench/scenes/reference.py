"""What happens in the pedestrian film, by boxes that others made and the plain meaning of each rule.

The boxes are in MOT Challenge form: picture from 1, number, left, top, width, height. An entry is a foot
point that is in the zone for the rule's dwell after a second outside; a crossing is a foot point that goes
from one side of the line to the other between its ends; a crowd is as many foot points for as long.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LineString, Point, Polygon  # type: ignore[import-untyped]

from safecity.bench.scenes.clips import EVERYWHERE, WATCHED_EVERYWHERE, Clip, Truth
from safecity.model.video_rule import (
    Congestion,
    Crowd,
    LineCrossing,
    StoppedVehicle,
    VideoEventKind,
    ZoneIntrusion,
)

FPS: Final = 10.0
SIZE_PX: Final = (768.0, 576.0)
AWAY_S: Final = 1.0
CLEAR: Final = 0.012
"""Share of the height by which a foot point must have come over a line to be on its other side."""

ZONES: Final = (
    ZoneIntrusion(
        name="lawn",
        polygon=((0.0, 0.6), (0.42, 0.64), (0.6, 0.78), (0.9, 0.92), (0.9, 1.0), (0.0, 1.0)),
        cool_down_s=0.0,
    ),
    ZoneIntrusion(
        name="roadway",
        polygon=((0.72, 0.28), (0.86, 0.14), (0.95, 0.16), (0.88, 0.32), (0.8, 0.33)),
        cool_down_s=0.0,
    ),
)
LINES: Final = (
    LineCrossing(name="road", start=(0.45, 0.25), end=(0.45, 0.66), cool_down_s=0.0),
    LineCrossing(name="junction", start=(0.68, 0.3), end=(0.68, 0.75), cool_down_s=0.0),
)
CROWD: Final = Crowd(
    name="junction crowd",
    polygon=((0.25, 0.2), (0.75, 0.2), (0.75, 0.8), (0.25, 0.8)),
    min_persons=5,
    min_duration_s=4.0,
)
NEGATIVES: Final = (
    StoppedVehicle(name="no stopping", polygon=EVERYWHERE, min_still_s=5.0),
    Congestion(name="jam", polygon=EVERYWHERE, min_vehicles=2, min_duration_s=5.0),
)

Boxes = dict[int, list[tuple[float, float, float]]]
"""For each number: seconds and foot point (as shares of the picture), in order."""


def pedestrians(reference: Path, film: str) -> Clip:
    """Return the pedestrian film with what happens in it by the boxes of `reference`."""
    feet = _feet(np.loadtxt(reference, delimiter=","))
    truth = [found for zone in ZONES for found in entries(feet, zone)]
    truth += [found for line in LINES for found in crossings(feet, line)]
    truth += crowds(feet, CROWD)
    return Clip(
        name=film,
        film=film,
        rules=(*ZONES, *LINES, CROWD, *NEGATIVES, *WATCHED_EVERYWHERE),
        truth=tuple(truth),
    )


def _feet(rows: NDArray[np.float64]) -> Boxes:
    feet: Boxes = {}
    for picture, number, left, top, width, height, *_ in rows.tolist():
        place = ((left + width / 2) / SIZE_PX[0], (top + height) / SIZE_PX[1])
        feet.setdefault(int(number), []).append(((picture - 1) / FPS, *place))
    return {number: sorted(places) for number, places in feet.items()}


def entries(feet: Boxes, zone: ZoneIntrusion) -> list[Truth]:
    """Return who entered a zone and stayed for its dwell."""
    area, found = Polygon(zone.polygon), []
    for places in feet.values():
        since_s, last_s, told = None, -np.inf, False
        for time_s, x, y in places:
            if not area.contains(Point(x, y)):
                continue
            if since_s is None or time_s - last_s > AWAY_S:
                since_s, told = time_s, False
            last_s = time_s
            if not told and time_s - since_s >= zone.min_dwell_s:
                told = True
                found.append(
                    Truth(kind=VideoEventKind.ZONE_INTRUSION, rule=zone.name, at_s=time_s, within_s=2.5)
                )
    return found


def crossings(feet: Boxes, line: LineCrossing) -> list[Truth]:
    """Return who crossed a line, and which way."""
    scale = np.array((SIZE_PX[0] / SIZE_PX[1], 1.0))
    start, end = np.array(line.start) * scale, np.array(line.end) * scale
    along = (end - start) / np.linalg.norm(end - start)
    drawn, found = LineString((start, end)), []
    for places in feet.values():
        before: tuple[int, NDArray[np.float64]] | None = None
        for time_s, x, y in places:
            place = np.array((x, y)) * scale
            away = place - start
            distance = float(along[0] * away[1] - along[1] * away[0])
            if abs(distance) < CLEAR:
                continue
            side = 1 if distance > 0 else -1
            if before and before[0] != side and LineString((before[1], place)).intersects(drawn):
                way = "forward" if side > 0 else "backward"
                found.append(Truth(kind=VideoEventKind.LINE_CROSSING, rule=line.name, at_s=time_s, way=way))
            before = (side, place)
    return found


def crowds(feet: Boxes, crowd: Crowd) -> list[Truth]:
    """Return when a crowd had lasted for as long as its rule wants."""
    area = Polygon(crowd.polygon)
    counts: dict[float, int] = {}
    for places in feet.values():
        for time_s, x, y in places:
            counts[time_s] = counts.get(time_s, 0) + area.contains(Point(x, y))
    found, since_s, is_on = [], None, False
    for time_s in sorted(counts):
        low = crowd.end_share * crowd.min_persons
        if not (counts[time_s] < low if is_on else counts[time_s] >= crowd.min_persons):
            since_s = None
            continue
        since_s = time_s if since_s is None else since_s
        if time_s - since_s >= crowd.min_duration_s:
            is_on, since_s = not is_on, None
            if is_on:
                found.append(Truth(kind=VideoEventKind.CROWD, rule=crowd.name, at_s=time_s, within_s=4.0))
    return found
