"""Recommendations: the best units, a reason for each pick and each miss, nothing dropped silently."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import graph_from_arcs
from safecity.city import City, RoadGraph
from safecity.clock import ManualClock
from safecity.config import DispatchSection
from safecity.dispatch import DispatchRoom, recommend
from safecity.model.base import Agency, Place, Priority, Reason, ReasonCode
from safecity.model.incident import Incident, IncidentState, IncidentType
from safecity.model.unit import Capability, Fix, Recommendation, Unit, UnitState
from safecity.rules.run_cards import load_run_cards

ENGINE, LADDER, RESCUE = Capability.ENGINE, Capability.LADDER, Capability.RESCUE
SETTINGS = DispatchSection(stale_position_s=60.0, turnout_s=30.0)
FAR_AWAY = Place(lon=90.0, lat=45.0)


START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
STREET = graph_from_arcs(60, [(i, i + 1, 10.0) for i in range(59)] + [(i + 1, i, 10.0) for i in range(59)])
"""A street of 60 nodes, 100 m and 10 s apart, two-way."""


class Town:
    """Units and fixes on the street, and an incident at node 0."""

    def __init__(self, graph: RoadGraph, clock: ManualClock) -> None:
        self.graph = graph
        self.clock = clock
        self.units: list[Unit] = []
        self.fixes: dict[str, Fix] = {}
        self.incident = Incident(
            id="i1",
            number="2026-0001",
            type=IncidentType.FIRE_BUILDING,
            state=IncidentState.NEW,
            priority=Priority.HIGH,
            priority_reason=Reason(code=ReasonCode.PRIORITY_RULE),
            place=self.at(0),
            opened_at=clock.now(),
            event_time=clock.now(),
        )

    def at(self, node: int) -> Place:
        return Place(lon=float(self.graph.node_lon[node]), lat=0.0)

    def unit(
        self,
        name: str,
        node: int,
        *capabilities: Capability,
        state: UnitState = UnitState.AVAILABLE,
        age_s: float = 0.0,
        home: Place = FAR_AWAY,
        fix: bool = True,
    ) -> None:
        """Add a unit; it is on the road unless its home is where it stands."""
        self.units.append(
            Unit(
                id=name,
                call_sign=name,
                agency=Agency.FIRE,
                capabilities=capabilities,
                station_id="s",
                home=home,
                state=state,
            )
        )
        if fix:
            place = self.at(node)
            moment = self.clock.now() - timedelta(seconds=age_s)
            self.fixes[name] = Fix(
                unit_id=name, lon=place.lon, lat=place.lat, speed_mps=0, heading_deg=0, fix_time=moment
            )

    def ask(self, *slots: Capability) -> Recommendation:
        return recommend(self.graph, self.incident, self.units, self.fixes, slots, SETTINGS, self.clock)


@pytest.fixture
def town(clock: ManualClock) -> Town:
    return Town(STREET, clock)


def test_the_closest_by_road_with_its_reason(town: Town) -> None:
    town.unit("near", 5, ENGINE)
    town.unit("far", 20, ENGINE)
    town.unit("nearest-but-no-engine", 1, LADDER)
    answer = town.ask(ENGINE)
    (pick,) = answer.picks
    assert (pick.unit_id, pick.capability) == ("near", ENGINE)
    assert pick.travel_time_s == 50.0
    assert pick.distance_m == 500.0
    assert pick.reason.code is ReasonCode.CLOSEST_BY_ROAD
    assert pick.reason.params["runner_up"] == "far"
    assert pick.reason.params["runner_up_time_s"] == 200.0
    assert (
        pick.reason.text == "Closest engine by road: arrives in 50 s over 500 m; next is far in 3 min 20 s."
    )
    assert answer.shortfalls == ()
    assert answer.computed_at == town.clock.now()


def test_turnout_counts_for_a_unit_in_its_station(town: Town) -> None:
    town.unit("in-station", 5, ENGINE, home=town.at(5))
    town.unit("on-the-road", 7, ENGINE)
    pick = town.ask(ENGINE).picks[0]
    assert pick.unit_id == "on-the-road"
    assert pick.reason.params["runner_up_time_s"] == 80.0


def test_turnout_is_said(town: Town) -> None:
    town.unit("in-station", 5, ENGINE, home=town.at(5))
    pick = town.ask(ENGINE).picks[0]
    assert pick.travel_time_s == 50.0
    assert pick.reason.params["turnout_s"] == 30.0
    assert pick.reason.params["arrival_s"] == 80.0
    assert "arrives in 1 min 20 s over 500 m, crew turnout included" in pick.reason.text


def test_the_only_capable_unit_says_so(town: Town) -> None:
    town.unit("ladder", 50, LADDER)
    town.unit("engine", 1, ENGINE)
    (pick,) = town.ask(LADDER).picks
    assert pick.reason.code is ReasonCode.ONLY_CAPABLE
    assert "runner_up" not in pick.reason.params


def test_a_stale_position_is_flagged_and_not_hidden(town: Town) -> None:
    town.unit("old", 3, ENGINE, age_s=300.0)
    town.unit("new", 10, ENGINE)
    (pick,) = town.ask(ENGINE).picks
    assert pick.unit_id == "old"
    assert pick.reason.code is ReasonCode.STALE_POSITION
    assert pick.reason.params["position_age_s"] == 300.0
    assert "5 min old" in pick.reason.text


def test_a_unit_without_a_position_is_taken_to_be_at_home(town: Town) -> None:
    town.unit("silent", 0, ENGINE, home=town.at(4), fix=False)
    (pick,) = town.ask(ENGINE).picks
    assert pick.reason.code is ReasonCode.STALE_POSITION
    assert pick.travel_time_s == 40.0
    assert "position_age_s" not in pick.reason.params
    assert "ask by radio" in pick.reason.text


@pytest.mark.parametrize("state", [state for state in UnitState if state is not UnitState.AVAILABLE])
def test_only_available_units_are_picked_and_the_miss_says_why(town: Town, state: UnitState) -> None:
    town.unit("busy", 1, ENGINE, state=state)
    answer = town.ask(ENGINE)
    assert answer.picks == ()
    (miss,) = answer.shortfalls
    assert miss.reason.code is ReasonCode.NO_UNIT_AVAILABLE
    assert sum(float(miss.reason.params[k]) for k in ("busy", "out_of_service", "off_duty")) == 1
    assert miss.reason.text.startswith("No engine is free: 1 ")


def test_a_capability_that_nobody_has(town: Town) -> None:
    town.unit("engine", 1, ENGINE)
    (miss,) = town.ask(RESCUE).shortfalls
    assert miss.reason.text == "No unit is equipped as rescue."


def test_a_unit_on_the_moon_is_named_and_not_dropped(town: Town) -> None:
    town.unit("moon", 1, ENGINE)
    town.fixes["moon"] = Fix(
        unit_id="moon", lon=-120.0, lat=60.0, speed_mps=0, heading_deg=0, fix_time=town.clock.now()
    )
    answer = town.ask(ENGINE)
    assert answer.picks == ()
    assert answer.shortfalls[0].reason.code is ReasonCode.NO_ROUTE
    assert answer.shortfalls[0].reason.params["cut_off"] == "moon"


def test_one_unit_fills_one_slot(town: Town) -> None:
    town.unit("both", 1, ENGINE, LADDER)
    answer = town.ask(ENGINE, LADDER)
    assert len(answer.picks) == 1
    assert len(answer.shortfalls) == 1
    assert answer.shortfalls[0].reason.params["already_recommended"] == 1


def test_a_versatile_unit_is_kept_for_what_only_it_can_do(town: Town) -> None:
    town.unit("both", 1, ENGINE, RESCUE)
    town.unit("plain", 30, ENGINE)
    answer = town.ask(ENGINE, RESCUE)
    assert {(p.unit_id, p.capability) for p in answer.picks} == {("plain", ENGINE), ("both", RESCUE)}


def test_an_empty_run_card_asks_for_nobody(town: Town) -> None:
    town.unit("engine", 1, ENGINE)
    answer = town.ask()
    assert (answer.picks, answer.shortfalls) == ((), ())


def test_no_units_at_all(town: Town) -> None:
    assert len(town.ask(ENGINE, ENGINE, LADDER).shortfalls) == 3


KINDS = (ENGINE, LADDER, RESCUE)
CREWS = st.lists(
    st.tuples(
        st.integers(0, 59),
        st.sets(st.sampled_from(KINDS), min_size=1),
        st.sampled_from(list(UnitState)[:3]),
        st.booleans(),
    ),
    max_size=9,
)


@settings(deadline=None, max_examples=150)
@given(CREWS, st.lists(st.sampled_from(KINDS), max_size=4))
def test_it_is_the_best_of_all_ways_to_fill_the_slots(
    crews: Sequence[tuple[int, set[Capability], UnitState, bool]], slots: list[Capability]
) -> None:
    town = Town(STREET, ManualClock(START))
    for number, (node, capabilities, state, in_station) in enumerate(crews):
        home = town.at(node) if in_station else FAR_AWAY
        town.unit(f"u{number}", node, *sorted(capabilities), state=state, home=home)
    answer = town.ask(*slots)
    assert len(answer.picks) + len(answer.shortfalls) == len(slots)
    assert len({p.unit_id for p in answer.picks}) == len(answer.picks)
    cost_s = sum(float(p.reason.params["arrival_s"]) for p in answer.picks)
    assert (len(answer.shortfalls), cost_s) == best_by_trying_all(crews, slots)
    for said in (*answer.picks, *answer.shortfalls):
        assert said.reason.text
    for pick in answer.picks:
        if "runner_up_time_s" in pick.reason.params:
            assert float(pick.reason.params["runner_up_time_s"]) >= float(pick.reason.params["arrival_s"])


def best_by_trying_all(
    crews: Sequence[tuple[int, set[Capability], UnitState, bool]], slots: list[Capability]
) -> tuple[int, float]:
    free = {i: crew for i, crew in enumerate(crews) if crew[2] is UnitState.AVAILABLE}
    options = [[None, *(i for i, crew in free.items() if slot in crew[1])] for slot in slots]
    best = (len(slots), 0.0)
    for choice in itertools.product(*options):
        sent = [i for i in choice if i is not None]
        if len(set(sent)) == len(sent):
            cost_s = sum(free[i][0] * 10.0 + (30.0 if free[i][3] else 0.0) for i in sent)
            best = min(best, (len(slots) - len(sent), cost_s))
    return best


def test_the_room_answers_for_the_demo_city(demo_city: City, clock: ManualClock) -> None:
    room = DispatchRoom(demo_city.graph, load_run_cards(), DispatchSection(), clock)
    room.warm()
    engine_homes = demo_city.stations_of(Agency.FIRE)
    units = [
        Unit(
            id=f"u{i}",
            call_sign=f"F {i}",
            agency=Agency.FIRE,
            capabilities=(ENGINE,),
            station_id=station.id,
            home=station.place,
        )
        for i, station in enumerate(engine_homes)
    ]
    fixes: Mapping[str, Fix] = {
        unit.id: Fix(
            unit_id=unit.id,
            lon=unit.home.lon,
            lat=unit.home.lat,
            speed_mps=0,
            heading_deg=0,
            fix_time=clock.now(),
        )
        for unit in units
    }
    lon, lat = demo_city.center
    incident = Incident(
        id="i",
        number="2026-0001",
        type=IncidentType.FIRE_BUILDING,
        state=IncidentState.NEW,
        priority=Priority.HIGH,
        priority_reason=Reason(code=ReasonCode.PRIORITY_RULE),
        place=Place(lon=lon, lat=lat),
        opened_at=clock.now(),
        event_time=clock.now(),
    )
    answer = room.recommend(incident, units, fixes)
    assert engine_homes[int(answer.picks[0].unit_id[1:])].name.startswith("Berufsfeuerwehr")
    assert [p.capability for p in answer.picks] == [ENGINE, ENGINE]
    assert {s.capability for s in answer.shortfalls} == {LADDER, Capability.AMBULANCE, Capability.PATROL}
