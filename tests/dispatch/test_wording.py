"""Durations and distances as people say them."""

import pytest

from safecity.dispatch.wording import duration, metres


@pytest.mark.parametrize(
    ("seconds_s", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (599.6, "10 min"), (725, "12 min")],
)
def test_durations(seconds_s: float, text: str) -> None:
    assert duration(seconds_s) == text


@pytest.mark.parametrize(
    ("distance_m", "text"), [(0, "0 m"), (344, "340 m"), (994, "990 m"), (996, "1.0 km"), (12_345, "12.3 km")]
)
def test_distances(distance_m: float, text: str) -> None:
    assert metres(distance_m) == text
