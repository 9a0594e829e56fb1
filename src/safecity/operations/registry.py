"""What stands in the city: stations, units, cameras, sensors; and what devices say of themselves."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from safecity.errors import Invalid
from safecity.model.base import Noun
from safecity.model.observation import Observation
from safecity.model.source import Camera, CameraState, Source, Station
from safecity.model.unit import Unit
from safecity.operations.cameras import SWITCHED_OFF
from safecity.operations.command import Order
from safecity.store.database import Database
from safecity.store.transaction import KIND_OF

Registered = Station | Unit | Camera | Source


async def register(database: Database, order: Order, entities: Sequence[Registered]) -> int:
    """Register what is not registered yet, as one journal entry; return how many were new."""
    async with database.writing() as tx:
        new = [entity for entity in entities if await tx.find(type(entity), entity.id) is None]
        if not new:
            return 0
        for entity in new:
            tx.put(entity)
        kinds = sorted({str(KIND_OF[type(entity)]) for entity in new})
        await tx.journal(
            actor=order.actor,
            action="registry.add",
            object_kind="registry",
            object_id="city",
            text=f"{len(new)} registered: {', '.join(kinds)}",
        )
        return len(new)


class CameraReport(Noun, frozen=True):
    """The detail of a camera_state observation."""

    state: CameraState
    reason: str = ""
    recording: bool = False


async def camera_state(database: Database, observation: Observation) -> bool:
    """Note what the video room says of a camera; return whether that was news.

    Raises Invalid when the detail cannot be read. An unknown camera, one that is switched off and an older
    report change nothing.
    """
    try:
        report = msgspec.convert(observation.detail or {}, CameraReport)
    except msgspec.ValidationError as error:
        raise Invalid(f"a camera report of {observation.source_id} cannot be read: {error}") from error
    async with database.writing() as tx:
        camera = await tx.find(Camera, observation.source_id, lock=True)
        if camera is None or camera.state_reason == SWITCHED_OFF:
            return False
        if camera.state_since and observation.event_time < camera.state_since:
            return False
        if (camera.state, camera.recording) == (report.state, report.recording):
            return False
        tx.put(
            replace(
                camera,
                state=report.state,
                state_since=observation.event_time,
                state_reason=report.reason,
                recording=report.recording,
            )
        )
        await tx.journal(
            actor="system:video",
            action="camera.state",
            object_kind="camera",
            object_id=camera.id,
            text=f"{camera.name} is {report.state}" + (f": {report.reason}" if report.reason else ""),
        )
        return True
