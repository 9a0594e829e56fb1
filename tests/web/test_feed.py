"""The ring of the newest changes: it says what was missed, or that it does not know."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.model.journal import Change, EntityKind, Feed
from safecity.web.feed import Ring


def _feed(seq: int, value: bytes = b"null") -> Feed:
    return Feed(seq=seq, changes=(Change(kind=EntityKind.UNIT, id="u1", value=msgspec.Raw(value)),))


def test_an_empty_ring_knows_nothing() -> None:
    ring = Ring()
    assert ring.since(0) is None
    assert ring.last_seq is None


@pytest.mark.parametrize(
    ("since", "missed"), [(2, [3, 5, 9]), (3, [5, 9]), (4, [5, 9]), (9, []), (12, []), (1, None), (0, None)]
)
def test_since(since: int, missed: list[int] | None) -> None:
    ring = Ring()
    for seq in (3, 5, 9):
        ring.add(_feed(seq))
    found = ring.since(since)
    assert (None if found is None else [feed.seq for feed in found]) == missed


@given(st.sets(st.integers(1, 400), min_size=1), st.integers(1, 20), st.integers(0, 401))
def test_since_never_leaves_out_a_change(seqs: set[int], size: int, since: int) -> None:
    ring = Ring(size)
    for seq in sorted(seqs):
        ring.add(_feed(seq))
    found = ring.since(since)
    if found is not None:
        assert [feed.seq for feed in found] == sorted(seq for seq in seqs if seq > since)


def test_a_feed_that_was_published_twice_is_known_again() -> None:
    ring = Ring()
    for seq in (3, 5):
        ring.add(_feed(seq))
    assert ring.holds(_feed(3))
    assert not ring.holds(_feed(4))
    assert not ring.holds(_feed(5, b"1"))
    assert not ring.holds(_feed(6))
