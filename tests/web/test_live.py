"""The live feed: snapshot and changes join without gap or repeat, and nobody gets what is not for them."""

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from operations.builders import alarm, city
from safecity.access.policy import Role
from safecity.model.base import derived_id
from safecity.model.observation import Observation, ObservationKind
from safecity.operations import alarms, calls, incidents, registry
from safecity.operations.command import Order
from safecity.operations.relay import Relay
from safecity.web.hub import QUEUE
from web_house import House, Socket, serving

pytestmark = pytest.mark.engines

ANNA = Order(actor="Anna")


async def _close_code(socket: Socket) -> int:
    async with asyncio.timeout(30):
        try:
            while True:
                await socket.link.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 0


async def _settle(house: House) -> None:
    await registry.register(house.deps.db, Order(actor="system:setup"), city())


async def test_snapshot_then_changes(house: House, relay: Relay) -> None:
    await _settle(house)
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        snapshot = await socket.hear("snapshot")
        assert len(snapshot["entities"]["unit"]) == 3
        assert snapshot["entities"]["alarm"] == []
        await alarms.receive(house.deps.db, [alarm("one")])
        opened = await socket.hear("change")
        assert opened["seq"] > snapshot["seq"]
        found = {change["kind"]: change for change in opened["changes"]}
        assert found["incident"]["value"]["state"] == "new"
        assert found["alarm"]["value"] is None
        await incidents.acknowledge(house.deps.db, ANNA, alarm("one").incident_id)
        assert (await socket.hear("change"))["changes"][0]["value"]["acknowledged_by"] == "Anna"


async def test_a_lost_link_resumes_with_what_was_missed(house: House, relay: Relay) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        since = (await socket.hear("snapshot"))["seq"]
        await alarms.receive(house.deps.db, [alarm("one")])
        since = (await socket.hear("change"))["seq"]
    await alarms.receive(house.deps.db, [alarm("two"), alarm("three")])
    async with house.socket(person) as other:
        await other.say(type="hello", since=since)
        await other.hear("resumed")
        missed = [(await other.hear("change"))["seq"] for _ in range(2)]
        assert since < missed[0] < missed[1]
        await incidents.acknowledge(house.deps.db, ANNA, alarm("two").incident_id)
        assert (await other.hear("change"))["seq"] > missed[1]


async def test_a_seq_from_the_future_begins_anew(house: House, relay: Relay) -> None:
    await _settle(house)
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=10_000_000)
        assert (await _first(socket))["type"] == "snapshot"


async def test_a_restarted_server_resumes_what_the_bus_still_has(house: House, relay: Relay) -> None:
    await _settle(house)
    await alarms.receive(house.deps.db, [alarm("one"), alarm("two")])
    person = await house.person(Role.DISPATCHER)
    async with serving(house.deps, house.clock) as again:
        await asyncio.wait_for(again.app.hub.reader.caught_up.wait(), 15)
        async with again.socket(person) as socket:
            await socket.say(type="hello", since=2)
            assert (await _first(socket))["type"] == "resumed"
            assert (await socket.hear("change"))["seq"] == 3
    await house.deps.bus.js.purge_stream("CHANGES")
    async with serving(house.deps, house.clock) as again, again.socket(person) as socket:
        await socket.say(type="hello", since=2)
        assert (await _first(socket))["type"] == "snapshot"


async def _first(socket: Socket) -> dict[str, Any]:
    while True:
        message = json.loads(await socket.link.recv())
        if message["type"] not in ("status", "positions"):
            return dict(message)


async def test_everybody_gets_only_what_they_may_see(house: House, relay: Relay) -> None:
    await _settle(house)
    field = await house.person(Role.FIELD, name="f-11")
    async with house.socket(field) as socket:
        await socket.say(type="hello", since=None)
        kinds = set((await socket.hear("snapshot"))["entities"])
        assert kinds == {"incident", "alarm", "unit", "assignment", "station"}
        ringing = calls.RingingCall(call_id="c1", received_at=house.clock.now(), caller_number="+998")
        await calls.receive(house.deps.db, ANNA, ringing)
        await alarms.receive(house.deps.db, [alarm("one")])
        change = await socket.hear("change")
        assert {item["kind"] for item in change["changes"]} == {"incident", "alarm"}


async def test_a_machine_follows_with_its_token(house: House) -> None:
    machine = await house.machine(Role.SIMULATOR)
    async with house.socket(machine) as socket:
        await socket.say(type="hello", since=None)
        assert "call" in (await socket.hear("snapshot"))["entities"]


async def test_positions_come_from_the_bus(house: House) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        await socket.hear("snapshot")
        fix = Observation(
            source_id="f-11",
            kind=ObservationKind.POSITION,
            event_time=house.clock.now(),
            receive_time=house.clock.now(),
            property="position",
            value=12.5,
            lon=69.25,
            lat=41.3,
            heading_deg=90.0,
        )
        await house.deps.batcher.put([fix])
        time_ms = int(house.clock.now().timestamp() * 1000)
        assert (await socket.hear("positions"))["fixes"] == [["f-11", 69.25, 41.3, 12.5, 90.0, time_ms]]
    async with house.socket(person) as other:
        await other.say(type="hello", since=None)
        assert (await other.hear("snapshot"))["positions"][0][0] == "f-11"


async def test_status_tells_of_roles_and_alarms(house: House) -> None:
    await _settle(house)
    await alarms.receive(house.deps.db, [alarm("one")])
    house.clock.advance(1)
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        beat = {"role": "intake", "pid": 1, "at": "2026-11-22T09:00:00Z", "counters": {"readings_total": 5}}
        await house.deps.bus.client.publish("status.intake", json.dumps(beat).encode())
        await house.deps.bus.client.publish("status.broken", b"not json")
        while (status := await socket.hear("status"))["roles"]["intake"] != "running":
            assert status["roles"]["intake"] == "starting"
        assert (status["cameras"], status["recording"], status["simulated"]) == (1, 0, True)
        assert status["roles"]["database"] == "running"


async def test_ping_is_answered(house: House) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        await socket.say(type="ping", t=1234.5)
        assert await socket.hear("pong") == {"type": "pong", "t": 1234.5}


@pytest.mark.parametrize(
    "first", ["", "{", '{"type":"ping","t":1}', '{"type":"hello","since":"x"}', "[]", "x" * 5000]
)
async def test_a_strange_first_message_ends_it(house: House, first: str) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.link.send(first)
        assert await _close_code(socket) == 1008


async def test_signing_out_ends_the_feed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        await socket.hear("snapshot")
        assert (await person.delete("/api/session")).status_code == 204
        assert await _close_code(socket) == 4401


async def test_a_slow_console_is_sent_away_and_the_others_go_on(house: House, relay: Relay) -> None:
    person = await house.person(Role.DISPATCHER)
    hub = house.app.hub
    async with house.socket(person) as slow, house.socket(person) as quick:
        for socket in (slow, quick):
            await socket.say(type="hello", since=None)
            await socket.hear("snapshot")
        follower = next(iter(hub.followers))
        for _ in range(QUEUE + 1):
            follower.offer("x")
        codes = await asyncio.gather(
            *(asyncio.wait_for(_close_code(s), 5) for s in (slow, quick)), return_exceptions=True
        )
        assert sorted(isinstance(code, TimeoutError) for code in codes) == [False, True]
        assert 1013 in codes


async def test_a_gap_in_the_stream_makes_everybody_begin_anew(house: House, relay: Relay) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        await socket.hear("snapshot")
        await alarms.receive(house.deps.db, [alarm("one")])
        await socket.hear("change")
        stream = await house.deps.bus.js.stream_info("CHANGES")
        await house.deps.bus.js.delete_stream("CHANGES")
        await house.deps.bus.js.add_stream(stream.config)
        assert await _close_code(socket) == 1012
    await alarms.receive(house.deps.db, [alarm("two")])
    async with house.socket(person) as other:
        await other.say(type="hello", since=None)
        held = {i["id"] for i in (await other.hear("snapshot"))["entities"]["incident"]}
        assert derived_id("incident", "one") in held


async def test_a_restarted_bus_leaves_no_gap(house: House, relay: Relay, nats_server: Any) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        await socket.hear("snapshot")
        await asyncio.to_thread(nats_server.kill)
        for name in ("one", "two", "three"):
            await alarms.receive(house.deps.db, [alarm(name)])
        await asyncio.to_thread(nats_server.start)
        heard = [await socket.hear("change") for _ in range(3)]
        opened = [c["id"] for message in heard for c in message["changes"] if c["kind"] == "incident"]
        assert opened == [alarm(name).incident_id for name in ("one", "two", "three")]


async def test_a_change_that_is_published_after_the_snapshot_with_it_is_not_sent_again(house: House) -> None:
    await alarms.receive(house.deps.db, [alarm("one")])
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.say(type="hello", since=None)
        snapshot = await socket.hear("snapshot")
        assert len(snapshot["entities"]["incident"]) == 1
        relay = asyncio.create_task(Relay(house.deps.db, house.deps.bus).run())
        await incidents.acknowledge(house.deps.db, ANNA, alarm("one").incident_id)
        change = await socket.hear("change")
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
    assert change["seq"] > snapshot["seq"]
    assert change["changes"][0]["value"]["state"] == "acknowledged"
