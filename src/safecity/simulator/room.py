"""The simulated city as one thing that starts and stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity.bus.engine import DeviceLogin
from safecity.city import City
from safecity.clock import Clock
from safecity.config import SimulatorSection
from safecity.model.base import Noun
from safecity.model.incident import Incident
from safecity.model.observation import ObservationKind
from safecity.simulator.api import Machine, Token, http_client
from safecity.simulator.call_takers import ACTOR, CallTakers
from safecity.simulator.callers import Switchboard
from safecity.simulator.feed import Feed
from safecity.simulator.operator import ScriptedOperator
from safecity.simulator.pace import Pace
from safecity.simulator.road import Roads
from safecity.simulator.scenario import Scenario, rng_for
from safecity.simulator.sensors import SensorFleet
from safecity.simulator.story import Happening, Story
from safecity.simulator.units import VehicleFleet

log = structlog.get_logger()

OPEN_LIMIT: Final = 40
"""With so many open incidents nothing new happens: a demo left alone does not drown its next visitor."""
LOOK_S: Final = 0.1
LIMIT_LOOK_S: Final = 5.0
SENSORS_WAIT_S: Final = 15.0
LONGEST_REST_S: Final = 30.0


class MachineName(StrEnum):
    """The machine accounts of the simulated city, as its tokens and the journal name them."""

    TELEPHONY = "simulated-telephony"
    FIELD = "simulated-field"
    GATEWAY = "simulated-gateway"
    CALL_TAKERS = ACTOR
    OPERATOR = "simulated-operator"


class Endpoints(Noun, frozen=True):
    """Where the city is: its address, a file with the bearer token of each machine, the sensor listener."""

    web_url: str
    tokens: Mapping[MachineName, Path]
    mqtt_host: str
    mqtt_port: int
    devices: tuple[DeviceLogin, ...] = msgspec.field(default=())

    def __repr__(self) -> str:
        """Leave the logins out."""
        return f"Endpoints({self.web_url!r}, {self.mqtt_host!r}:{self.mqtt_port})"


class SimulationReport(Noun, frozen=True):
    """What was done, by the city's own acknowledgements.

    acknowledged: observations by kind that were accepted for good; none of them may be missing in the store.
    held: what still waited for an acknowledgement at the end; it may or may not be there.
    """

    acknowledged: dict[str, int]
    held: dict[str, int]
    refused: dict[str, int]
    happenings: int
    calls: int
    calls_abandoned: int
    calls_closed: int
    unit_commands: int
    incidents_acknowledged: int
    incidents_dispatched: int
    incidents_closed: int
    mqtt_connects: int
    http_retries: int


class SimulatedCity:
    """Everybody and everything that lives in the simulated city, except its cameras."""

    def __init__(
        self,
        city: City,
        scenario: Scenario,
        endpoints: Endpoints,
        settings: SimulatorSection,
        *,
        clock: Clock,
        speed: float = 1.0,
        scripted_operator: bool = False,
    ) -> None:
        """Prepare `scenario` on the roads of `city`; nothing is sent before `run`.

        Must be called in a running event loop. Raises Invalid for an impossible speed, and Configuration when
        a sensor has no login.
        """
        seed = scenario.seed
        self.pace = Pace(clock, speed)
        self._scenario = scenario
        self._settings = settings
        # Kept over a new start of the part that tells it: every happening comes once.
        self._story = iter(Story(scenario, settings.calls_per_hour))
        self._http = http_client(endpoints.web_url)
        tokens = {name: Token(path) for name, path in endpoints.tokens.items()}
        self._machines = {
            name: Machine(self._http, token, rng_for(seed, name)) for name, token in tokens.items()
        }
        run = f"{int(clock.now().timestamp()):x}"

        def feed(name: MachineName) -> Feed:
            return Feed(endpoints.web_url, tokens[name], rng_for(seed, f"{name}-feed"))

        self._field_feed = feed(MachineName.FIELD)
        self._room_feed = feed(MachineName.CALL_TAKERS)
        self._operator_feed = feed(MachineName.OPERATOR) if scripted_operator else None
        self.sensors = SensorFleet(
            scenario.sensors,
            {login.device_id: login for login in endpoints.devices},
            (endpoints.mqtt_host, endpoints.mqtt_port),
            clock,
            self.pace,
            seed,
        )
        self.vehicles = VehicleFleet(
            scenario.units,
            Roads(city.graph),
            self._field_feed,
            self._machines[MachineName.FIELD],
            self._machines[MachineName.GATEWAY],
            clock,
            self.pace,
            seed,
        )
        self.switchboard = Switchboard(self._machines[MachineName.TELEPHONY], clock, self.pace, run)
        self.call_takers = CallTakers(
            settings.call_takers,
            self._machines[MachineName.CALL_TAKERS],
            self._room_feed,
            self.switchboard,
            self.pace,
            seed,
        )
        self.operator = (
            ScriptedOperator(self._machines[MachineName.OPERATOR], self._operator_feed, self.pace, seed, run)
            if self._operator_feed
            else None
        )
        self._happened = 0
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Live until `stop` or cancellation. A defect in one part restarts that part and nothing else."""
        self._task = asyncio.current_task()
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "field feed": self._field_feed.run,
            "call-taker feed": self._room_feed.run,
            "sensors": self.sensors.run,
            "vehicles": self.vehicles.run,
            "call-takers": self.call_takers.run,
            "story": self._tell_story,
        }
        if self.operator and self._operator_feed:
            parts |= {"operator feed": self._operator_feed.run, "operator": self.operator.run}
        try:
            async with asyncio.TaskGroup() as group:
                for name, part in parts.items():
                    group.create_task(_kept_alive(name, part))
        finally:
            self._task = None

    async def stop(self) -> SimulationReport:
        """Stop everything, wait at most two seconds for what is under way, and return what was done."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.sensors.stop()
        await self._http.aclose()
        return self.report()

    def report(self) -> SimulationReport:
        """Return what was done so far."""
        operator = self.operator
        return SimulationReport(
            acknowledged={
                ObservationKind.READING: self.sensors.acknowledged,
                ObservationKind.POSITION: self.vehicles.acknowledged,
                ObservationKind.CALL: self.call_takers.submitted,
            },
            held={
                ObservationKind.READING: self.sensors.held,
                ObservationKind.POSITION: self.vehicles.held,
            },
            refused={
                ObservationKind.READING: self.sensors.refused,
                ObservationKind.POSITION: self.vehicles.refused,
                ObservationKind.CALL: self.switchboard.busy,
            },
            happenings=self._happened,
            calls=self.switchboard.acknowledged,
            calls_abandoned=self.switchboard.abandoned,
            calls_closed=self.call_takers.closed,
            unit_commands=self.vehicles.commands,
            incidents_acknowledged=operator.acknowledged if operator else 0,
            incidents_dispatched=operator.dispatched if operator else 0,
            incidents_closed=operator.closed if operator else 0,
            mqtt_connects=self.sensors.connects,
            http_retries=sum(machine.retries for machine in self._machines.values()),
        )

    async def _tell_story(self) -> None:
        await self._until_noticed()
        late_s = self.pace.elapsed_s()
        async with asyncio.TaskGroup() as group:
            for told in self._story:
                happening = told.later(late_s)
                await self.pace.until(happening.at_s)
                late_s += await self._rest_while_full()
                await self._happen(happening, group)

    async def _until_noticed(self) -> None:
        """Wait until somebody would notice an event: the server answers and the sensors are there."""
        while not self._room_feed.ready:  # noqa: ASYNC110 - a mirror has no event of its own
            await asyncio.sleep(LOOK_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SENSORS_WAIT_S):
                while self.sensors.connected < len(self._scenario.sensors):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_S)

    async def _rest_while_full(self) -> float:
        """Wait while too many incidents are open; return the simulated seconds that it took."""
        began_s = self.pace.elapsed_s()
        while len(self._room_feed.all(Incident)) >= OPEN_LIMIT:  # noqa: ASYNC110
            await asyncio.sleep(LIMIT_LOOK_S)
        return self.pace.elapsed_s() - began_s

    async def _happen(self, happening: Happening, group: asyncio.TaskGroup) -> None:
        self._happened += 1
        log.info(
            "simulated event", type=happening.type, place=happening.place.text, calls=len(happening.calls)
        )
        for effect in happening.effects:
            self.sensors.disturb(effect)
        for silence in happening.silences:
            self.sensors.silence(silence)
        self.switchboard.make_calls(happening, group)


async def _kept_alive(name: str, part: Callable[[], Awaitable[None]]) -> None:
    rest_s = 1.0
    while True:
        try:
            await part()
        except Exception:
            log.exception("a part of the simulation failed and starts again", part=name)
        await asyncio.sleep(rest_s)
        rest_s = min(LONGEST_REST_S, rest_s * 2)
