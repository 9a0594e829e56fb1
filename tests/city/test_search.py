"""Search forgives spelling, alphabet and haste."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safecity.city import City, EntryKind
from safecity.city.search import fold, tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "strasse"),
        ("Mühlenweg", "muehlenweg"),
        ("Mühlenweg", "MUHLENWEG"),
        ("O‘zbekiston", "Ўзбекистон"),
        ("Oʻzbekiston", "o'zbekiston"),
        ("Õzbekiston", "Özbekiston"),
        ("Şahrisabz", "Shahrisabz"),
        ("Çilonzor", "Chilonzor"),
        ("Чилонзор", "Chilonzor"),
        ("Тошкент", "Toshkent"),
        ("Gʻafur Gʻulom", "Ғафур Ғулом"),
        ("Жуковского", "Zhukovskogo"),
    ],
)
def test_equal_when_folded(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_case_never_matters(text: str) -> None:
    assert fold(text.upper().lower()) == fold(text.upper())
    assert all(token == token.strip() != "" for token in tokens(text))


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_words_are_answered(demo_city: City, text: str) -> None:
    assert len(demo_city.search(text, 5)) <= 5


@pytest.mark.parametrize(
    "query", ["Ziegelbergstraße 50", "ziegelbergstr. 50", "50 ziegelbergstrasse", "Ziegelberg 50"]
)
def test_an_address(demo_city: City, query: str) -> None:
    first = demo_city.search(query)[0]
    assert first.kind is EntryKind.ADDRESS
    assert first.name == "Ziegelbergstraße 50"
    assert (first.lon, first.lat) == pytest.approx((13.27, 53.556), abs=0.02)


def test_a_street_before_its_addresses(demo_city: City) -> None:
    found = demo_city.search("Ziegelbergstraße", 5)
    assert found[0].kind is EntryKind.STREET
    assert {entry.kind for entry in found[1:]} == {EntryKind.ADDRESS}


def test_unfinished_words(demo_city: City) -> None:
    assert any(e.name == "Dr.-Bonhoeffer-Klinikum" for e in demo_city.search("bonhoef klin"))


def test_equal_names_are_told_apart_by_place(demo_city: City) -> None:
    villages = {entry.text for entry in demo_city.search("Dorfstraße", 6) if entry.kind is EntryKind.STREET}
    assert len(villages) == 6
    assert demo_city.search("dorfstr weitin")[0].text == "Dorfstraße, Weitin"


def test_a_crossing(demo_city: City) -> None:
    for query in ("Ziegelbergstraße / Friedrich-Engels-Ring", "friedrich-engels-ring & ziegelberg"):
        first = demo_city.search(query)[0]
        assert first.kind is EntryKind.CROSSING
        assert (first.lon, first.lat) == pytest.approx((13.266, 53.557), abs=0.01)


def test_nothing_for_nothing(demo_city: City) -> None:
    for query in ("", "   ", "/", "zzzzqqq", "---"):
        assert demo_city.search(query) == ()
