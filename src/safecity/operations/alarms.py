"""Alarms from fusion become incidents, or join the incident that fusion proposes."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from safecity.model.base import Agency, derived_id
from safecity.model.call import Call
from safecity.model.incident import Alarm, Incident, IncidentCommand, IncidentState, Link
from safecity.model.observation import ObservationKind
from safecity.operations.calls import SOURCE_PREFIX
from safecity.operations.incidents import moved
from safecity.store.database import TRIES, Database, Raced
from safecity.store.transaction import Transaction

ACTOR: Final = "system:fusion"


async def receive(database: Database, alarms: Sequence[Alarm]) -> int:
    """Bring alarms into their incidents, one transaction each; return how many were new.

    An alarm that was brought in before changes nothing. Each has its own transaction because the journal's
    head is locked last: two alarms in one would lock it before the second one's incident.
    """
    return sum([await _with_retries(database, alarm) for alarm in alarms])


async def _with_retries(database: Database, alarm: Alarm) -> bool:
    for last in (False,) * (TRIES - 1) + (True,):
        try:
            async with database.writing() as tx:
                return await _receive_one(tx, alarm)
        except Raced:
            if last:
                raise
    raise AssertionError("unreachable")


async def _receive_one(tx: Transaction, alarm: Alarm) -> bool:
    if await tx.find(Alarm, alarm.id) is not None:
        return False
    id_, incident = await _target(tx, alarm)
    link = Link(
        alarm_id=alarm.id,
        source_id=alarm.source_id,
        source_name=alarm.source_name,
        observation_kind=alarm.observation_kind,
        at=tx.now,
        reason=alarm.link_reason,
    )
    if incident is None:
        await _open(tx, id_, alarm, link)
    else:
        await _join(tx, incident, alarm, link)
    return True


async def _target(tx: Transaction, alarm: Alarm) -> tuple[str, Incident | None]:
    """Return the id of the incident that the alarm belongs to, and that incident if it is open already."""
    incident = await tx.find(Incident, alarm.incident_id, lock=True)
    if incident is not None and not incident.is_open:
        # It was closed while the alarm was on its way: the alarm must not vanish into a closed incident.
        return _successor_id(alarm), await tx.find(Incident, _successor_id(alarm), lock=True)
    return alarm.incident_id, incident


def _successor_id(alarm: Alarm) -> str:
    return derived_id("after-close", alarm.incident_id, alarm.id)


async def _open(tx: Transaction, id_: str, alarm: Alarm, link: Link) -> None:
    incident = Incident(
        id=id_,
        number=await _next_number(tx),
        type=alarm.type,
        state=IncidentState.NEW,
        priority=alarm.priority,
        priority_reason=alarm.priority_reason,
        place=alarm.place,
        opened_at=tx.now,
        event_time=alarm.event_time,
        action_text=alarm.action_text,
        response_time_s=alarm.response_time_s,
        agencies=alarm.agencies,
        links=(link,),
        simulated=alarm.simulated,
    )
    await _write(
        tx, incident, alarm, "incident.open", f"incident {incident.number} opened: {alarm.reason.text}"
    )


async def _join(tx: Transaction, incident: Incident, alarm: Alarm, link: Link) -> None:
    more_urgent = alarm.priority < incident.priority
    after = replace(
        incident,
        state=moved(incident, IncidentCommand.LINK),
        links=(*incident.links, link),
        agencies=_united(incident.agencies, alarm.agencies),
        priority=alarm.priority if more_urgent else incident.priority,
        priority_reason=alarm.priority_reason if more_urgent else incident.priority_reason,
        type=alarm.type if more_urgent else incident.type,
        action_text=alarm.action_text if more_urgent else incident.action_text,
        response_time_s=alarm.response_time_s if more_urgent else incident.response_time_s,
    )
    text = f"{alarm.source_name} linked: {alarm.link_reason.text}; {alarm.reason.text}"
    await _write(tx, after, alarm, "incident.link", text)


async def _write(tx: Transaction, incident: Incident, alarm: Alarm, action: str, text: str) -> None:
    tx.put(incident)
    tx.put(replace(alarm, incident_id=incident.id))
    touched = []
    if alarm.observation_kind is ObservationKind.CALL:
        call = await tx.find(Call, alarm.source_id.removeprefix(SOURCE_PREFIX), lock=True)
        if call is not None:
            tx.put(replace(call, incident_id=incident.id))
            touched.append(f"call/{call.id}")
    await tx.journal(
        actor=ACTOR,
        action=action,
        object_kind="incident",
        object_id=incident.id,
        text=text,
        touched=touched,
    )


async def _next_number(tx: Transaction) -> str:
    year = tx.now.year
    last = await tx.connection.fetchval(
        "INSERT INTO incident_counter (year, last) VALUES ($1, 1) "
        "ON CONFLICT (year) DO UPDATE SET last = incident_counter.last + 1 RETURNING last",
        year,
    )
    return f"{year}-{last:04d}"


def _united(first: tuple[Agency, ...], second: tuple[Agency, ...]) -> tuple[Agency, ...]:
    return first + tuple(agency for agency in second if agency not in first)
