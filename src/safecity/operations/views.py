"""What people read of one incident, put together."""

from datetime import datetime

import msgspec

from safecity.model.base import Noun, distance_m
from safecity.model.call import Call
from safecity.model.incident import Alarm, Incident
from safecity.model.source import Camera
from safecity.model.unit import Assignment
from safecity.store import journal
from safecity.store.database import Database
from safecity.store.transaction import Transaction

NEAREST_CAMERAS = 5
CAMERA_REACH_M = 2000.0
"""A camera further away than this shows nothing of the place."""


class TimelineLine(Noun, frozen=True):
    """One line of an incident's history."""

    seq: int
    at: datetime
    actor: str
    action: str
    text: str


class NearCamera(Noun, frozen=True):
    """A camera near an incident."""

    camera_id: str
    name: str
    distance_m: float


class IncidentDetail(Noun, frozen=True):
    """Everything about one incident."""

    incident: Incident
    alarms: tuple[Alarm, ...]
    calls: tuple[Call, ...]
    assignments: tuple[Assignment, ...]
    timeline: tuple[TimelineLine, ...]
    cameras: tuple[NearCamera, ...]


async def incident_detail(database: Database, incident_id: str) -> bytes:
    """Return the detail of an incident as JSON; raises NotFound when there is none."""
    async with database.reading() as tx:
        incident = await tx.get(Incident, incident_id)
        entries = await journal.history(tx, f"incident/{incident_id}")
        detail = IncidentDetail(
            incident=incident,
            alarms=tuple(await tx.select(Alarm, "incident_id = $1", incident_id)),
            calls=tuple(await tx.select(Call, "incident_id = $1", incident_id)),
            assignments=tuple(await tx.select(Assignment, "incident_id = $1", incident_id)),
            timeline=tuple(
                TimelineLine(seq=e.seq, at=e.at, actor=e.actor, action=e.action, text=e.text) for e in entries
            ),
            cameras=await _near_cameras(tx, incident),
        )
    return msgspec.json.encode(detail)


async def _near_cameras(tx: Transaction, incident: Incident) -> tuple[NearCamera, ...]:
    place = incident.place
    near = [
        NearCamera(
            camera_id=camera.id,
            name=camera.name,
            distance_m=round(distance_m(place.lon, place.lat, camera.place.lon, camera.place.lat), 1),
        )
        for camera in await tx.current(Camera)
    ]
    within = sorted((n for n in near if n.distance_m <= CAMERA_REACH_M), key=lambda n: n.distance_m)
    return tuple(within[:NEAREST_CAMERAS])
