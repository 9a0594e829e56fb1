"""The timeline says truly what can be played, what not and why, what happened, and what is held."""

from datetime import datetime, timedelta

import pytest

from operations.builders import city
from safecity.access.policy import Role
from safecity.clock import ManualClock
from safecity.model.observation import Observation, ObservationKind
from safecity.model.video import Hold
from safecity.operations import registry
from safecity.operations.command import Order
from safecity.store import observations, recordings
from safecity.store.observations import Delivery
from safecity.store.recordings import DeletionRow, GapRow, GapSpan, RecordingRow, Span
from safecity.web.timeline import merged, without
from web_house import House

pytestmark = pytest.mark.engines

CAMERA = "camera-1"
LINK = bytes(32)


def text(moment: datetime) -> str:
    """Return a moment as the answers write it."""
    return moment.isoformat().replace("+00:00", "Z")


def file_row(number: int, start: datetime, end: datetime) -> RecordingRow:
    return RecordingRow(
        path=f"{start:%Y-%m-%d}/{start:%H%M%S}.000Z.mp4",
        number=number,
        start=start,
        end=end,
        size_bytes=10,
        codec="h264",
        recovered=False,
        chain_before=LINK,
        chain_after=LINK,
    )


async def _recorded(house: House, clock: ManualClock) -> datetime:
    """Two minutes, a gap of three, a minute of which ten seconds are missing, one that was deleted."""
    await registry.register(house.deps.db, Order(actor="system:setup"), city())
    begin = clock.now() - timedelta(hours=1)
    minute = timedelta(minutes=1)
    rows = [
        file_row(1, begin, begin + minute),
        file_row(2, begin + minute, begin + 2 * minute),
        file_row(4, begin + 5 * minute, begin + 6 * minute),
        file_row(6, begin + 8 * minute, begin + 9 * minute),
    ]
    still = begin + 5 * minute + timedelta(seconds=20)
    gaps = [
        GapRow(number=3, start=begin + 2 * minute, end=begin + 5 * minute, reason="the disk is full"),
        GapRow(number=5, start=still, end=still + timedelta(seconds=10), reason="no picture came"),
    ]
    async with house.deps.db.writing() as tx:
        await recordings.copy(tx, CAMERA, [*rows, *gaps])
        deleted = DeletionRow(path=rows[3].path, at=clock.now(), reason="age")
        await recordings.copy(tx, CAMERA, [deleted])
    return begin


def _span(begin: datetime, start_s: float, end_s: float) -> dict[str, str]:
    return {
        "start": text(begin + timedelta(seconds=start_s)),
        "end": text(begin + timedelta(seconds=end_s)),
    }


async def _ask(house: House, start: datetime, end: datetime, role: Role = Role.DISPATCHER):
    person = await house.person(role)
    return await person.get(f"/api/cameras/{CAMERA}/timeline", params={"from": text(start), "to": text(end)})


async def test_recordings_are_joined_cut_and_without_what_is_missing_or_deleted(
    house: House, clock: ManualClock
) -> None:
    begin = await _recorded(house, clock)
    answer = await _ask(house, begin + timedelta(seconds=30), begin + timedelta(hours=1))
    assert answer.status_code == 200
    said = answer.json()
    assert said["recordings"] == [_span(begin, 30, 120), _span(begin, 300, 320), _span(begin, 330, 360)]
    assert said["gaps"] == [
        {**_span(begin, 120, 300), "reason": "the disk is full", "lasts": False},
        {**_span(begin, 320, 330), "reason": "no picture came", "lasts": False},
    ]
    assert (said["events"], said["holds"], said["truncated"]) == ([], [], False)


async def test_the_file_being_written_and_an_outage_that_lasts_are_shown(
    house: House, clock: ManualClock
) -> None:
    begin = await _recorded(house, clock)
    now = clock.now()
    async with house.deps.db.writing() as tx:
        await recordings.note_recording(tx, {CAMERA: now - timedelta(seconds=40)})
        lasting = GapRow(number=7, start=begin + timedelta(minutes=20), end=None, reason="the camera is off")
        await recordings.copy(tx, CAMERA, [lasting])
    clock.advance(5)
    said = (await _ask(house, begin + timedelta(minutes=10), clock.now())).json()
    assert said["recordings"] == [{"start": text(now - timedelta(seconds=40)), "end": text(now)}]
    assert said["gaps"] == [
        {
            "start": text(begin + timedelta(minutes=20)),
            "end": text(clock.now()),
            "reason": "the camera is off",
            "lasts": True,
        }
    ]
    clock.advance(60)
    async with house.deps.db.reading() as tx:
        assert await recordings.unfinished(tx, CAMERA, 30.0) is None


async def test_events_and_holds_belong_to_it(house: House, clock: ManualClock) -> None:
    begin = await _recorded(house, clock)
    event = Observation(
        source_id=CAMERA,
        kind=ObservationKind.VIDEO,
        event_time=begin + timedelta(seconds=70),
        receive_time=clock.now(),
        property="zone_intrusion",
        value=0.8,
        detail={"rule": "lawn", "why": "a person is on the lawn", "snapshot": "s-1"},
    )
    await observations.write(house.deps.db, "test", 1, [Delivery(seq=1, observations=[event])])
    hold = Hold(
        id="hold-1",
        camera_id=CAMERA,
        start=begin,
        end=begin + timedelta(minutes=2),
        reason="evidence",
        by="Malika",
        at=clock.now(),
    )
    async with house.deps.db.writing() as tx:
        tx.put(hold)
        await tx.journal(actor="Malika", action="recording.hold", object_kind="hold", object_id=hold.id)
    said = (await _ask(house, begin, begin + timedelta(minutes=10))).json()
    assert said["events"] == [
        {
            "at": text(event.event_time),
            "kind": "zone_intrusion",
            "rule": "lawn",
            "why": "a person is on the lawn",
            "score": 0.8,
            "snapshot": "s-1",
        }
    ]
    assert [found["id"] for found in said["holds"]] == ["hold-1"]


async def test_bounds_rights_and_absent_cameras(house: House, clock: ManualClock) -> None:
    begin = await _recorded(house, clock)
    assert (await _ask(house, begin, begin)).status_code == 400
    person = await house.person(Role.FIELD, name="field-1")
    query = {"from": text(begin), "to": text(begin + timedelta(days=8))}
    assert (await person.get(f"/api/cameras/{CAMERA}/timeline", params=query)).status_code == 403
    dispatcher = await house.person(Role.DISPATCHER, name="Nodir")
    assert (await dispatcher.get(f"/api/cameras/{CAMERA}/timeline", params=query)).status_code == 400
    naive = {"from": "2026-11-22T09:00:00", "to": "2026-11-22T10:00:00"}
    assert (await dispatcher.get(f"/api/cameras/{CAMERA}/timeline", params=naive)).status_code == 400
    query["to"] = text(begin + timedelta(days=1))
    assert (await dispatcher.get("/api/cameras/nobody/timeline", params=query)).status_code == 404


def test_a_gap_that_only_touches_a_recording_takes_nothing_from_it(clock: ManualClock) -> None:
    t = [clock.now() + timedelta(seconds=s) for s in range(20)]
    spans = merged([Span(start=t[5], end=t[9]), Span(start=t[0], end=t[5])])
    assert spans == [Span(start=t[0], end=t[9])]
    late = GapSpan(start=t[9], end=t[12], reason="x")
    assert without([*spans, Span(start=t[11], end=t[15])], [late]) == [
        *spans,
        Span(start=t[11], end=t[15]),
    ]
