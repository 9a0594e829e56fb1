"""kill -9 of each process of a running city: nothing acknowledged is lost, all comes back by itself."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from running_city import PROCESSES, RunningCity
from safecity.model.base import utc_text

pytestmark = [pytest.mark.faults, pytest.mark.engines, pytest.mark.timeout(900)]

STEADY_S = 1.0
SETTLE_S = 60.0


class Senders:
    """A gateway and a telephony system that go on sending, and remember what was acknowledged."""

    def __init__(self, city: RunningCity) -> None:
        self.city = city
        self.readings: set[int] = set()
        self.calls: set[str] = set()
        self._began = datetime.now(UTC)
        self._next_reading = 0
        self._end = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_readings())
            group.create_task(self._send_calls())

    def stop(self) -> None:
        self._end.set()

    async def _send_readings(self) -> None:
        async with httpx.AsyncClient(headers=self.city.token("simulated-gateway"), timeout=10) as client:
            while not self._end.is_set():
                numbers = range(self._next_reading, self._next_reading + 20)
                self._next_reading += 20
                body = {"observations": [self._reading(number) for number in numbers]}
                if await self._accepted(client, "/api/telemetry", body, ""):
                    self.readings.update(numbers)
                await asyncio.sleep(0.02)

    async def _send_calls(self) -> None:
        number = 0
        async with httpx.AsyncClient(headers=self.city.token("simulated-telephony"), timeout=10) as client:
            while not self._end.is_set():
                number += 1
                id_ = f"fault-call-{number}"
                body = {"call_id": id_, "received_at": utc_text(datetime.now(UTC)), "line": "112"}
                if await self._accepted(client, "/api/calls", body, id_):
                    self.calls.add(id_)
                await asyncio.sleep(0.1)

    def _reading(self, number: int) -> dict[str, object]:
        return {
            "source_id": "fault-gateway",
            "kind": "reading",
            "event_time": utc_text(self._began + timedelta(milliseconds=number)),
            "property": "count",
            "value": number,
        }

    async def _accepted(self, client: httpx.AsyncClient, path: str, body: object, key: str) -> bool:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            reply = await client.post(self.city.url + path, json=body, headers=headers)
        except httpx.HTTPError:
            return False
        assert reply.status_code in (202, 503), f"{path}: {reply.status_code} {reply.text}"
        return reply.status_code == 202


async def _kill(city: RunningCity, name: str) -> None:
    before = city.pid_of(name)
    assert before is not None, f"{name} does not run"
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while city.pid_of(name) in (None, before):
        assert time.monotonic() < deadline, f"{name} did not come back\n{city.logs()}"
        await asyncio.sleep(0.05)
    await city.healthy()


async def _stored(city: RunningCity, senders: Senders) -> tuple[set[int], set[str]]:
    readings = await city.rows("SELECT value FROM observation WHERE source_id = 'fault-gateway'")
    calls = await city.rows("SELECT id FROM call WHERE id LIKE 'fault-call-%'")
    return {int(row["value"]) for row in readings}, {row["id"] for row in calls}


async def test_kill_9_of_each_process_in_turn() -> None:
    with RunningCity("--headless", "--speed", "5") as city:
        await city.healthy()
        senders = Senders(city)
        sending = asyncio.create_task(senders.run())
        for name in PROCESSES:
            await asyncio.sleep(STEADY_S)
            await _kill(city, name)
        await asyncio.sleep(STEADY_S)
        senders.stop()
        await sending
        assert len(senders.readings) > 500
        assert len(senders.calls) > 20
        deadline = time.monotonic() + SETTLE_S
        while True:
            readings, calls = await _stored(city, senders)
            if senders.readings <= readings and senders.calls <= calls:
                break
            missing = len(senders.readings - readings), len(senders.calls - calls)
            assert time.monotonic() < deadline, f"acknowledged and lost: {missing}\n{city.logs()}"
            await asyncio.sleep(0.2)
        report = city.check("--recordings")
        assert report["ok"], report
        assert len(report["recordings"]) == 2
        assert city.stop() == 0
