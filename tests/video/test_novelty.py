"""What is new in a picture since the last search, outside of what is covered anyway."""

import av
import numpy as np
import pytest

from safecity.video.viewing.novelty import Novelty

NOBODY = np.zeros((0, 4), dtype=np.float32)
SIZE = (640, 360)


def street(seed: int = 1, noise: float = 6.0) -> np.ndarray:
    """Return a street of grey tones with fresh sensor noise."""
    width, height = SIZE
    tones = np.linspace(40, 180, width)[None, :].repeat(height, axis=0)
    grain = np.random.default_rng(seed).normal(0, noise, (height, width))
    return np.clip(tones + grain, 0, 255).astype(np.uint8)


def picture(luma: np.ndarray) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")


def with_somebody(luma: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    changed = luma.copy()
    changed[top:bottom, left:right] //= 2
    return changed


@pytest.fixture
def searched() -> Novelty:
    """An empty street that was searched."""
    novelty = Novelty()
    novelty.searched(picture(street()))
    return novelty


def test_everything_is_new_before_the_first_search_and_after_another_size():
    novelty = Novelty()
    assert novelty.is_in(picture(street()), NOBODY)
    novelty.searched(picture(street()))
    assert novelty.is_in(picture(street()[:180, :320]), NOBODY)


@pytest.mark.parametrize("seed", range(2, 8))
def test_noise_is_not_new(searched, seed):
    assert not searched.is_in(picture(street(seed)), NOBODY)


@pytest.mark.parametrize("place", [(0, 100, 10, 160), (300, 200, 312, 240), (628, 0, 640, 30)])
def test_a_sliver_of_somebody_who_comes_in_is_new(searched, place):
    assert searched.is_in(picture(with_somebody(street(2), *place)), NOBODY)


def test_what_moves_under_a_cover_is_not_new_and_what_leaves_it_is(searched):
    covered = np.array([[300, 100, 360, 260]], dtype=np.float32)
    inside = picture(with_somebody(street(2), 300, 100, 360, 260))
    assert not searched.is_in(inside, covered)
    assert searched.is_in(picture(with_somebody(street(2), 300, 100, 400, 260)), covered)
    assert searched.is_in(inside, covered + 200)
