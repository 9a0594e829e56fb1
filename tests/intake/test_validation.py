"""The limits that every way in shares."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from operations.builders import NOON
from safecity.intake.validation import Gate, Matter, Untrue
from safecity.model.base import Place
from safecity.model.observation import Observation, ObservationKind

GATE = Gate((69.1, 41.2, 69.4, 41.4))
FIX = Observation(
    source_id="f-11",
    kind=ObservationKind.POSITION,
    event_time=NOON,
    receive_time=NOON,
    property="position",
    value=8.0,
    lon=69.25,
    lat=41.3,
    uncertainty_m=5.0,
    heading_deg=359.0,
)
READING = replace(FIX, kind=ObservationKind.READING, lon=None, lat=None, heading_deg=None)
NAN = float("nan")


def test_what_can_be_true_passes() -> None:
    GATE.check(FIX, NOON)
    GATE.check(READING, NOON)
    GATE.check(replace(READING, value=-1e9), NOON)


@pytest.mark.parametrize(
    ("observation", "matter"),
    [
        (replace(FIX, source_id=""), Matter.NAME),
        (replace(FIX, property="x" * 65), Matter.NAME),
        (replace(FIX, event_time=NOON.replace(tzinfo=None)), Matter.TIME),
        (replace(FIX, event_time=NOON + timedelta(minutes=6)), Matter.TIME),
        (replace(FIX, event_time=NOON - timedelta(hours=25)), Matter.TIME),
        (replace(FIX, value=NAN), Matter.FIGURE),
        (replace(FIX, value=100.1), Matter.FIGURE),
        (replace(FIX, heading_deg=360.0), Matter.FIGURE),
        (replace(READING, heading_deg=NAN), Matter.FIGURE),
        (replace(FIX, lon=None), Matter.PLACE),
        (replace(FIX, lon=None, lat=None), Matter.PLACE),
        (replace(FIX, lon=0.0, lat=0.0), Matter.PLACE),
        (replace(READING, lon=0.0, lat=0.0), Matter.PLACE),
        (replace(FIX, lon=NAN), Matter.PLACE),
        (replace(FIX, lon=71.0), Matter.PLACE),
        (replace(FIX, uncertainty_m=-1.0), Matter.PLACE),
        (replace(READING, uncertainty_m=NAN), Matter.PLACE),
    ],
)
def test_what_cannot_be_true_is_refused(observation: Observation, matter: Matter) -> None:
    with pytest.raises(Untrue) as refused:
        GATE.check(observation, NOON)
    assert refused.value.matter is matter


@pytest.mark.parametrize(
    ("place", "word"),
    [
        (Place(lon=0.0, lat=0.0), "lon 0"),
        (Place(lon=-0.1, lat=51.5), "near this city"),
        (Place(lon=69.25, lat=41.3, uncertainty_m=100_001.0), "uncertainty_m"),
        (Place(lon=69.25, lat=41.3, text="x" * 501), "500"),
    ],
)
def test_a_stated_place_is_in_or_near_the_city(place: Place, word: str) -> None:
    GATE.check_stated_place(Place(lon=69.25, lat=41.3, uncertainty_m=100_000.0, text="x" * 500))
    with pytest.raises(Untrue, match=word):
        GATE.check_stated_place(place)


def test_a_gate_at_zero_zero_still_takes_no_receiver_without_a_fix() -> None:
    with pytest.raises(Untrue):
        Gate((-1.0, -1.0, 1.0, 1.0)).check_place(0.0, 0.0)
