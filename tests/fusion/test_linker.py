"""Linking: the same thing becomes one incident, different things do not, and every link says why."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_parts import LAT, LON, METRE_LAT, START, an_alarm, incident_of, north
from safecity.fusion.grid import Grid
from safecity.fusion.kinship import SHARE, kin_log_odds
from safecity.fusion.linker import Linker, Proposal, Report
from safecity.model.base import Place, ReasonCode, distance_m
from safecity.model.incident import IncidentType as T

T0 = START.timestamp()
TYPES = st.sampled_from(list(T))


def linker() -> Linker:
    return Linker(link_distance_m=150.0, link_time_s=900.0)


def report(n: int, type_: T, place: Place, at_s: float = 0.0, source_id: str = "") -> Report:
    return Report(f"alarm-{n}", source_id or f"source-{n}", type_, place, T0 + at_s)


def propose(links: Linker, *reports: Report) -> list[Proposal]:
    return [links.propose(one, one.at_s) for one in reports]


def test_two_calls_about_one_fire_are_one_incident_and_say_why() -> None:
    first, second = propose(
        linker(),
        report(1, T.FIRE_BUILDING, north(0, 30), 0),
        report(2, T.FIRE_BUILDING, north(40, 30), 55),
    )
    assert second.incident_id == first.incident_id
    assert first.reason.code is ReasonCode.FIRST_REPORT
    assert second.reason.code is ReasonCode.LINKED_NEAR
    assert second.reason.text == "40 m and 55 s from the first report, same kind"
    assert second.reason.params["distance_m"] == 40
    assert second.reason.params["apart_s"] == 55


@pytest.mark.parametrize(
    ("first", "second", "metres", "seconds", "uncertainty_m", "linked"),
    [
        (T.FIRE_BUILDING, T.FIRE_BUILDING, 100, 120, 0, True),
        (T.FIRE_BUILDING, T.HEAT, 30, 60, 0, True),
        (T.FIRE_BUILDING, T.FIRE_OTHER, 80, 60, 20, True),
        (T.GAS, T.FIRE_BUILDING, 30, 200, 10, True),
        (T.TRAFFIC_COLLISION, T.MEDICAL, 40, 100, 20, True),
        (T.CRIME, T.INTRUSION, 50, 60, 0, True),
        (T.AIR_QUALITY, T.AIR_QUALITY, 1200, 600, 0, True),
        (T.FIRE_BUILDING, T.FIRE_BUILDING, 300, 60, 800, True),
        (T.FIRE_BUILDING, T.FIRE_BUILDING, 400, 60, 0, False),
        (T.FIRE_BUILDING, T.FIRE_BUILDING, 10, 3600, 0, False),
        (T.MEDICAL, T.MEDICAL, 120, 300, 0, False),
        (T.MEDICAL, T.MEDICAL, 900, 300, 1500, False),
        (T.FIRE_BUILDING, T.CRIME, 10, 10, 0, False),
        (T.GAS, T.DEVICE_FAULT, 0, 0, 0, False),
        (T.DEVICE_FAULT, T.DEVICE_FAULT, 0, 0, 0, False),
        (T.OTHER, T.MEDICAL, 120, 300, 0, False),
    ],
)
def test_what_links(
    first: T, second: T, metres: float, seconds: float, uncertainty_m: float, linked: bool
) -> None:
    one, other = propose(
        linker(),
        report(1, first, north(0, uncertainty_m)),
        report(2, second, north(metres, uncertainty_m), seconds),
    )
    assert (one.incident_id == other.incident_id) is linked


@given(
    first=TYPES,
    second=TYPES,
    metres=st.floats(0, 2000),
    seconds=st.floats(-1200, 1200),
    here_m=st.floats(0, 2000),
    there_m=st.floats(0, 2000),
)
def test_linking_is_symmetric(
    first: T, second: T, metres: float, seconds: float, here_m: float, there_m: float
) -> None:
    a, b = report(1, first, north(0, here_m), 0), report(2, second, north(metres, there_m), seconds)
    one, other = propose(linker(), a, b)
    third, fourth = propose(linker(), b, a)
    assert (one.incident_id == other.incident_id) is (third.incident_id == fourth.incident_id)


def test_the_same_source_stays_with_its_open_incident_however_long() -> None:
    first, second = propose(
        linker(), report(1, T.GAS, north(0), 0, "gas-1"), report(2, T.GAS, north(0), 7200, "gas-1")
    )
    assert second.incident_id == first.incident_id
    assert second.reason.code is ReasonCode.LINKED_SAME_SOURCE


def test_the_same_source_with_another_matter_is_another_incident() -> None:
    first, second = propose(
        linker(),
        report(1, T.INTRUSION, north(0), 0, "cam-1"),
        report(2, T.DEVICE_FAULT, north(0), 5, "cam-1"),
    )
    assert second.incident_id != first.incident_id


def test_the_likeliest_of_several_is_taken() -> None:
    links = linker()
    _, near, far = propose(
        links,
        report(1, T.MEDICAL, north(0)),
        report(2, T.FIRE_BUILDING, north(20)),
        report(3, T.FIRE_BUILDING, north(480)),
    )
    assert propose(links, report(4, T.FIRE_BUILDING, north(60)))[0].incident_id == near.incident_id
    assert propose(links, report(5, T.FIRE_BUILDING, north(430)))[0].incident_id == far.incident_id


def test_a_closed_incident_takes_no_more_reports() -> None:
    links = linker()
    first = propose(links, report(1, T.GAS, north(0), 0, "gas-1"))[0]
    links.forget(first.incident_id)
    assert propose(links, report(2, T.GAS, north(0), 5, "gas-1"))[0].incident_id != first.incident_id
    links.forget("never seen")


def test_an_incident_learned_from_the_store_takes_reports() -> None:
    links = linker()
    links.learn(incident_of(an_alarm("A", type_=T.GAS)))
    linked = propose(links, report(2, T.GAS, north(30), 60), report(3, T.GAS, north(0), 8000, "gas-1"))
    assert [one.incident_id for one in linked] == ["IA", "IA"]
    assert linked[1].reason.code is ReasonCode.LINKED_SAME_SOURCE


def test_replacing_keeps_what_is_not_confirmed_yet() -> None:
    links = linker()
    links.learn(incident_of(an_alarm("A", type_=T.GAS)))
    mine = propose(links, report(2, T.CRIME, north(5000)))[0]
    assert links.replace([]) == ["IA"]
    assert propose(links, report(3, T.CRIME, north(5000)))[0].incident_id == mine.incident_id
    links.forget_unconfirmed(T0 + 901)
    assert len(links) == 0


def test_kinship_is_symmetric_and_shares_add_up() -> None:
    assert sum(SHARE.values()) == pytest.approx(1.0)
    for first in T:
        for second in T:
            assert kin_log_odds(first, second) == kin_log_odds(second, first)
        if first is not T.DEVICE_FAULT:
            assert kin_log_odds(first, first) > max(
                kin_log_odds(first, other) for other in T if other is not first
            ) - math.log(4)


@given(
    seed=st.integers(0, 10_000),
    lat=st.floats(-80, 80),
    reach_m=st.floats(0, 3000),
    own_m=st.lists(st.floats(0, 2000), min_size=30, max_size=30),
)
def test_the_grid_misses_nothing_within_reach(
    seed: int, lat: float, reach_m: float, own_m: list[float]
) -> None:
    rng, grid, places = random.Random(seed), Grid(), {}
    for n, reach in enumerate(own_m):
        there = (LON + rng.uniform(-0.03, 0.03), lat + rng.uniform(-0.03, 0.03), reach)
        places[f"p{n}"] = there
        grid.put(f"p{n}", *there)
    near = list(grid.near(LON, lat, reach_m))
    assert len(near) == len(set(near))
    for id_, (lon, its_lat, reach) in places.items():
        if distance_m(LON, lat, lon, its_lat) <= reach_m + reach:
            assert id_ in near


def test_the_grid_looks_at_few_and_forgets_what_is_taken_out() -> None:
    grid, rng = Grid(), random.Random(1)
    for n in range(5000):
        grid.put(f"p{n}", LON + rng.uniform(-0.3, 0.3), LAT + rng.uniform(-0.2, 0.2), 150)
    assert len(list(grid.near(LON, LAT, 150))) < 100
    for n in range(5000):
        grid.remove(f"p{n}")
    assert list(grid.near(LON, LAT + 400 * METRE_LAT, 5000)) == []
