"""Identifiers, places, distances, the wire form of observations and the journal's canonical form."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.clock import ManualClock
from safecity.model.base import Place, derived_id, distance_m, new_id, utc_text
from safecity.model.journal import GENESIS, Change, EntityKind, Entry, chain_hash, decode_entry, encode_entry
from safecity.model.observation import Observation, ObservationKind, Unit, pack, unpack

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
texts = st.text(max_size=20)
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
observations = st.builds(
    Observation,
    source_id=texts,
    kind=st.sampled_from(ObservationKind),
    event_time=moments,
    receive_time=moments,
    property=texts,
    value=st.none() | st.floats(allow_nan=False),
    unit=st.sampled_from(Unit),
    lon=st.none() | st.floats(-180, 180),
    lat=st.none() | st.floats(-90, 90),
    detail=st.none() | st.dictionaries(texts, texts | st.booleans() | st.floats(allow_nan=False)),
)


@given(st.lists(observations, max_size=5))
def test_packets_come_back_as_they_went(packet: list[Observation]) -> None:
    assert unpack(pack(packet)) == packet


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_never_something_else(data: bytes) -> None:
    try:
        packet = unpack(data)
    except (msgspec.DecodeError, ValueError):
        return
    assert all(isinstance(observation, Observation) for observation in packet)


@given(observations)
def test_the_id_follows_from_what_names_the_fact(observation: Observation) -> None:
    again = msgspec.structs.replace(observation, receive_time=NOON, value=1.0, detail=None)
    assert again.id == observation.id
    later = msgspec.structs.replace(
        observation, event_time=observation.event_time + timedelta(microseconds=1)
    )
    assert later.id != observation.id


def test_ids_sort_by_time() -> None:
    clock = ManualClock(NOON)
    first = new_id(clock)
    clock.advance(0.001)
    assert first < new_id(clock)
    assert len(first) == len(derived_id("a", "b")) == 26
    assert derived_id("a", "b") != derived_id("ab", "")


def test_distance_between_known_points() -> None:
    # One degree of latitude is a 360th of the great circle over the poles.
    assert distance_m(13.26, 53.0, 13.26, 54.0) == pytest.approx(2 * math.pi * 6_371_008.8 / 360)
    # Tashkent to Samarkand, about 270 km as the crow flies.
    assert distance_m(69.2797, 41.3111, 66.9597, 39.6542) == pytest.approx(268_000, rel=0.01)


@pytest.mark.parametrize(("lon", "lat"), [(181, 0), (0, 91), (math.nan, 0), (0, math.inf)])
def test_a_place_is_on_earth(lon: float, lat: float) -> None:
    with pytest.raises(ValueError, match="must be degrees"):
        Place(lon=lon, lat=lat)
    with pytest.raises(ValueError, match="uncertainty_m"):
        Place(lon=0, lat=0, uncertainty_m=-1)


def test_times_are_written_in_one_form_only() -> None:
    assert utc_text(NOON) == "2026-11-22T12:00:00.000Z"
    with pytest.raises(ValueError, match="aware"):
        utc_text(datetime(2026, 1, 1))  # noqa: DTZ001


@given(st.integers(1, 2**40), texts, texts, st.dictionaries(texts, texts, max_size=3))
def test_an_entry_has_one_canonical_form(seq: int, actor: str, text: str, value: dict[str, str]) -> None:
    change = Change(kind=EntityKind.UNIT, id="u", value=msgspec.Raw(msgspec.json.encode(value)))
    entry = Entry(
        seq=seq,
        at=NOON,
        actor=actor,
        action="a",
        object_kind="k",
        object_id="o",
        text=text,
        changes=(change,),
    )
    payload = encode_entry(entry)
    assert encode_entry(decode_entry(payload)) == payload


def test_the_chain_depends_on_every_byte_and_on_order() -> None:
    # FIPS 180-4: SHA-256 of 32 zero bytes.
    assert chain_hash(GENESIS, b"").hex().startswith("66687aadf862bd776c8fc18b8e9f8e20")
    one = chain_hash(chain_hash(GENESIS, b"first"), b"second")
    assert one != chain_hash(chain_hash(GENESIS, b"second"), b"first")
    assert one != chain_hash(chain_hash(GENESIS, b"firsT"), b"second")
