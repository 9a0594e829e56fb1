"""Simulated vehicles: they follow their assignments, drive on the road graph, and say where they are."""

import asyncio
from collections import deque
from enum import StrEnum
from typing import Final

import msgspec
import structlog

from safecity.clock import Clock
from safecity.errors import NotFound, SafeCityError
from safecity.model.base import Place, distance_m, utc_text
from safecity.model.observation import ObservationKind
from safecity.model.observation import Unit as Measure
from safecity.model.unit import Assignment, AssignmentState, Unit, UnitCommand
from safecity.simulator.api import Machine
from safecity.simulator.feed import Feed
from safecity.simulator.pace import Pace
from safecity.simulator.road import Drive, Point, Roads
from safecity.simulator.scenario import rng_for

log = structlog.get_logger()

PERIOD_S: Final = 1.0
"""Positions come once a second of real time, at any pace."""
KEPT_BATCHES: Final = 300
"""Seconds of positions that are kept while the server is away; of older ones nobody needs to know."""
TURNOUT_S: Final = (20.0, 60.0)
"""From the order to rolling, in the station: within the 60 to 80 s that NFPA 1710 allows."""
TURNOUT_ON_ROAD_S: Final = (3.0, 10.0)
ON_SCENE_S: Final = (60.0, 150.0)
"""Much shorter than in life, so that who watches the demo sees an incident end."""
RETRY_S: Final = 10.0
AT_HOME_M: Final = 30.0


class Phase(StrEnum):
    """What a crew is doing."""

    FREE = "free"
    TURNOUT = "turnout"
    DRIVING = "driving"
    WORKING = "working"
    RETURNING = "returning"


class Vehicle:
    """One vehicle with its crew, as it is in the simulated world."""

    def __init__(self, unit: Unit) -> None:
        """Stand in the station."""
        self.unit = unit
        self.phase = Phase.FREE
        self.assignment_id = ""
        self.position: Point = (unit.home.lon, unit.home.lat)
        self.speed_mps = 0.0
        self.heading_deg = 0.0
        self.drive: Drive | None = None
        self.drive_began_s = 0.0
        self.until_s = 0.0
        self.said: asyncio.Task[None] | None = None

    @property
    def at_home(self) -> bool:
        """Whether it stands in its station."""
        return self.phase is Phase.FREE and self.drive is None

    def begin(self, drive: Drive, phase: Phase, now_s: float) -> None:
        """Begin to drive."""
        self.drive, self.drive_began_s, self.phase = drive, now_s, phase

    def move(self, now_s: float) -> bool:
        """Move to where the drive is at simulated second `now_s`; return whether it has arrived."""
        if self.drive is None:
            return False
        lon, lat, self.speed_mps, self.heading_deg = self.drive.at(now_s - self.drive_began_s)
        self.position = (lon, lat)
        if now_s - self.drive_began_s < self.drive.duration_s:
            return False
        self.drive, self.speed_mps = None, 0.0
        return True


class VehicleFleet:
    """All simulated vehicles."""

    def __init__(
        self,
        units: tuple[Unit, ...],
        roads: Roads,
        feed: Feed,
        field: Machine,
        gateway: Machine,
        clock: Clock,
        pace: Pace,
        seed: int,
        period_s: float = PERIOD_S,
    ) -> None:
        """Follow `feed`; command as `field`, report positions as `gateway` every `period_s` real seconds."""
        self._period_s = period_s
        self.vehicles = {unit.id: Vehicle(unit) for unit in units}
        self._roads = roads
        self._feed = feed
        self._field = field
        self._gateway = gateway
        self._clock = clock
        self._pace = pace
        self._rng = rng_for(seed, "crews")
        self._batches: deque[list[dict[str, object]]] = deque(maxlen=KEPT_BATCHES)
        self._news = asyncio.Event()
        self._placed = False
        self.acknowledged = 0
        self.refused = 0
        self.commands = 0

    @property
    def held(self) -> int:
        """How many positions wait for the server."""
        return sum(len(batch) for batch in self._batches)

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            while True:
                if self._feed.ready:
                    self._place_where_last_seen()
                    self._follow_orders(group)
                self._report()
                await asyncio.sleep(self._period_s)

    def _place_where_last_seen(self) -> None:
        """Begin where the system last saw each vehicle: a simulation that starts again goes on."""
        if self._placed:
            return
        self._placed = True
        for unit_id, position in self._feed.last_seen.items():
            vehicle = self.vehicles.get(unit_id)
            if vehicle is not None and vehicle.phase is Phase.FREE:
                vehicle.position = position
                self._go_home(vehicle)

    def _follow_orders(self, group: asyncio.TaskGroup) -> None:
        orders = {order.unit_id: order for order in self._feed.all(Assignment) if order.is_active}
        for vehicle in self.vehicles.values():
            self._live(vehicle, orders.get(vehicle.unit.id), group)

    def _live(self, vehicle: Vehicle, order: Assignment | None, group: asyncio.TaskGroup) -> None:
        """Take one step of a vehicle's life: its order first, then time."""
        now_s = self._pace.elapsed_s()
        arrived = vehicle.move(now_s)
        if order is None and vehicle.assignment_id:
            vehicle.assignment_id = ""
            if vehicle.phase is not Phase.RETURNING:
                self._go_home(vehicle)
        elif order is not None and order.id != vehicle.assignment_id:
            self._take_order(vehicle, order)
        elif order is not None and vehicle.phase is Phase.TURNOUT and now_s >= vehicle.until_s:
            self._say(vehicle, UnitCommand.DEPART, order, group)
            self._set_off(vehicle, order.place)
        elif order is not None and vehicle.phase is Phase.DRIVING and arrived:
            self._say(vehicle, UnitCommand.ARRIVE, order, group)
            vehicle.phase = Phase.WORKING
            vehicle.until_s = now_s + self._rng.uniform(*ON_SCENE_S)
        elif order is not None and vehicle.phase is Phase.WORKING and now_s >= vehicle.until_s:
            self._say(vehicle, UnitCommand.CLEAR, order, group)
            self._go_home(vehicle)
        elif vehicle.phase is Phase.RETURNING and arrived:
            vehicle.phase = Phase.FREE

    def _take_order(self, vehicle: Vehicle, order: Assignment) -> None:
        """Begin an order in the state that the system has it in."""
        now_s = self._pace.elapsed_s()
        vehicle.assignment_id = order.id
        if order.state is AssignmentState.DISPATCHED:
            turnout_s = self._rng.uniform(*(TURNOUT_S if vehicle.at_home else TURNOUT_ON_ROAD_S))
            vehicle.phase, vehicle.until_s = Phase.TURNOUT, now_s + turnout_s
        elif order.state is AssignmentState.EN_ROUTE:
            self._set_off(vehicle, order.place)
        else:
            vehicle.phase, vehicle.drive, vehicle.speed_mps = Phase.WORKING, None, 0.0
            vehicle.until_s = now_s + self._rng.uniform(*ON_SCENE_S)

    def _set_off(self, vehicle: Vehicle, place: Place) -> None:
        self._drive(vehicle, (place.lon, place.lat), Phase.DRIVING)

    def _go_home(self, vehicle: Vehicle) -> None:
        home = vehicle.unit.home
        if distance_m(*vehicle.position, home.lon, home.lat) < AT_HOME_M:
            vehicle.drive, vehicle.phase, vehicle.position = None, Phase.FREE, (home.lon, home.lat)
            return
        self._drive(vehicle, (home.lon, home.lat), Phase.RETURNING)

    def _drive(self, vehicle: Vehicle, end: Point, phase: Phase) -> None:
        """Set off for `end`; a vehicle on the move goes on to the next junction first."""
        now_s = self._pace.elapsed_s()
        lead = vehicle.drive.to_next_node(now_s - vehicle.drive_began_s) if vehicle.drive else None
        try:
            drive = self._roads.drive(vehicle.position, end, urgent=phase is Phase.DRIVING, lead=lead)
        except NotFound as error:
            log.warning("no way", unit=vehicle.unit.call_sign, error=str(error))
            vehicle.drive, vehicle.phase = None, Phase.FREE
        else:
            vehicle.begin(drive, phase, now_s)

    def _say(
        self, vehicle: Vehicle, command: UnitCommand, order: Assignment, group: asyncio.TaskGroup
    ) -> None:
        # One after the other: "arrived" must not overtake "on the way".
        vehicle.said = group.create_task(self._tell(vehicle, command, order, vehicle.said))

    async def _tell(
        self, vehicle: Vehicle, command: UnitCommand, order: Assignment, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            await self._field.post(f"/api/units/{vehicle.unit.id}/{command}", {}, f"{order.id}-{command}")
        except SafeCityError as error:
            # A dispatcher was quicker, or called it back. What counts is what the feed says next.
            log.info("command refused", unit=vehicle.unit.call_sign, command=command, error=str(error))
            if command is UnitCommand.CLEAR:
                await self._pace.sleep(RETRY_S)
                vehicle.assignment_id = ""
        else:
            self.commands += 1

    def _report(self) -> None:
        moment = utc_text(self._clock.now())
        self._batches.append([_position(vehicle, moment) for vehicle in self.vehicles.values()])
        self._news.set()

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._batches:
                batch = self._batches.popleft()
                try:
                    answer = await self._gateway.post("/api/telemetry", {"observations": batch})
                except SafeCityError as error:
                    self.refused += len(batch)
                    log.warning("positions refused", error=str(error))
                else:
                    said = msgspec.json.decode(answer, type=_Accepted)
                    self.acknowledged += said.accepted
                    self.refused += len(batch) - said.accepted


class _Accepted(msgspec.Struct):
    """The answer of the telemetry way in."""

    accepted: int


def _position(vehicle: Vehicle, moment: str) -> dict[str, object]:
    lon, lat = vehicle.position
    return {
        "source_id": vehicle.unit.id,
        "kind": ObservationKind.POSITION,
        "event_time": moment,
        "property": "position",
        "value": round(vehicle.speed_mps, 2),
        "unit": Measure.METRE_PER_SECOND,
        "lon": round(lon, 7),
        "lat": round(lat, 7),
        "heading_deg": round(vehicle.heading_deg, 1) % 360.0,
    }
