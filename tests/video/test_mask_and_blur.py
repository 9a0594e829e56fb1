"""Masks and blur: what was inside is really gone, in luma and chroma, and nothing outside has changed."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.model.base import Place
from safecity.model.video import CameraSetup, Mask
from safecity.video.masking.blur import BLOCKS, SMALLEST_BLOCK_PX, block_of, blur_persons, coarse, grown
from safecity.video.masking.mask import Masks, rasterise
from safecity.video.masking.planes import layers, own_copy

FORMATS = ["yuv420p", "yuvj420p", "yuv422p", "yuv444p"]
TRIANGLE = ((0.2, 0.2), (0.8, 0.3), (0.4, 0.9))


def noise(width: int, height: int, form: str = "yuv420p", seed: int = 1) -> av.VideoFrame:
    """Return a picture full of detail."""
    frame = av.VideoFrame(width, height, form)
    random = np.random.default_rng(seed)
    for layer in layers(frame):
        layer.samples[:] = random.integers(16, 235, layer.samples.shape)
    frame.pts = 7
    return frame


def planes_of(frame: av.VideoFrame) -> list[np.ndarray]:
    return [layer.samples.copy() for layer in layers(frame)]


def setup(*polygons: tuple) -> CameraSetup:
    masks = tuple(Mask(name=f"mask {i}", polygon=polygon) for i, polygon in enumerate(polygons))
    return CameraSetup(
        id="cam", name="Camera", place=Place(lon=69.2, lat=41.3), url="rtsp://camera/1", masks=masks
    )


def spread(bits: np.ndarray, layer) -> np.ndarray:
    """Return which samples of a plane belong to any of the set pixels, found one by one."""
    found = np.zeros(layer.samples.shape, dtype=bool)
    for row, column in np.argwhere(bits):
        found[row // layer.step_y, column // layer.step_x] = True
    return found


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 47), (33, 35)])
def test_a_mask_leaves_nothing_inside_and_everything_outside(form: str, width: int, height: int) -> None:
    frame = noise(width, height, form)
    before = planes_of(frame)
    painted = Masks(setup(TRIANGLE)).draw(frame)
    bits = rasterise(TRIANGLE, width, height)
    assert bits.any()
    assert not bits.all()
    for was, layer in zip(before, layers(painted), strict=True):
        inside = spread(bits, layer)
        black = (0 if form.startswith("yuvj") else 16) if layer.is_luma else 128
        assert (layer.samples[inside] == black).all()
        assert (layer.samples[~inside] == was[~inside]).all()
    for was, is_ in zip(before, planes_of(frame), strict=True):
        assert (was == is_).all()
    assert (painted.pts, painted.format.name) == (7, form)


def test_black_is_zero_in_a_full_range_picture() -> None:
    frame = noise(32, 32)
    frame.color_range = 2
    painted = Masks(setup(TRIANGLE)).draw(frame)
    assert layers(painted)[0].samples[rasterise(TRIANGLE, 32, 32)].max() == 0


def test_other_formats_are_painted_too() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((40, 40, 3), 200, np.uint8), format="bgr24")
    painted = Masks(setup(TRIANGLE)).draw(frame)
    assert painted.format.name == "yuv420p"
    assert layers(painted)[0].samples[rasterise(TRIANGLE, 40, 40)].max() == 16


def test_without_masks_the_picture_is_given_on() -> None:
    frame = noise(32, 32)
    assert Masks(setup()).draw(frame) is frame


def test_a_mask_for_two_sizes_of_picture() -> None:
    masks = Masks(setup(TRIANGLE))
    for width, height in ((64, 48), (32, 24), (64, 48)):
        painted = masks.draw(noise(width, height))
        assert (layers(painted)[0].samples == 16)[rasterise(TRIANGLE, width, height)].all()


def test_a_border_that_crosses_itself_leaves_no_hole() -> None:
    star = tuple(
        (0.5 + 0.45 * np.sin(k * 4 * np.pi / 5), 0.5 - 0.45 * np.cos(k * 4 * np.pi / 5)) for k in range(5)
    )
    assert rasterise(star, 100, 100)[45:55, 45:55].all()


@given(
    corners=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=7),
    width=st.integers(2, 40),
    height=st.integers(2, 40),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_whatever_lies_between_three_corners_is_masked(corners, width, height, where) -> None:
    """Any point of a triangle is a convex sum of its corners; its pixel must be set."""
    weights = np.sort(np.array(where[:2]))
    shares = np.diff(np.concatenate(([0.0], weights, [1.0])))
    x, y = shares @ np.array(corners[:3])
    bits = rasterise(corners[:3], width, height)
    assert bits[min(int(y * height), height - 1), min(int(x * width), width - 1)]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(320, 240), (321, 239)])
def test_people_become_at_most_six_blocks_and_nothing_else_changes(
    form: str, width: int, height: int
) -> None:
    frame = noise(width, height, form)
    before = planes_of(frame)
    box = np.array([[101.5, 41.0, 150.5, 181.0]], dtype=np.float32)
    painted = blur_persons(frame, box)
    area = grown(box[0], width, height)
    assert area is not None
    left, top, right, bottom = area
    assert left < 101 - 9
    assert bottom > 181 + 27
    inside = np.zeros((height, width), dtype=bool)
    inside[top:bottom, left:right] = True
    for was, layer in zip(before, layers(painted), strict=True):
        mine = spread(inside, layer)
        assert (layer.samples[~mine] == was[~mine]).all()
        rows, columns = np.where(mine)
        part = layer.samples[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(int)
        changes_down = (np.abs(np.diff(part, axis=0)).max(axis=1) > 0).sum()
        changes_across = (np.abs(np.diff(part, axis=1)).max(axis=0) > 0).sum()
        assert changes_down <= BLOCKS
        assert changes_across <= BLOCKS
    for was, is_ in zip(before, planes_of(frame), strict=True):
        assert (was == is_).all()


def test_detail_energy_in_a_box_is_gone() -> None:
    frame = noise(640, 360)
    area = (slice(60, 260), slice(120, 200))

    def energy(picture: av.VideoFrame, plane: int) -> float:
        rows, columns = (slice(s.start // (1 + (plane > 0)), s.stop // (1 + (plane > 0))) for s in area)
        part = layers(picture)[plane].samples[rows, columns].astype(float)
        return float((np.diff(part, axis=0) ** 2).mean() + (np.diff(part, axis=1) ** 2).mean())

    painted = blur_persons(frame, np.array([[120, 60, 200, 260]], np.float32))
    for plane in range(3):
        assert energy(painted, plane) < 0.001 * energy(frame, plane)


@given(
    st.lists(
        st.tuples(*[st.floats(-400, 900, width=32) | st.just(float("nan")) for _ in range(4)]), max_size=5
    )
)
def test_no_box_breaks_it(boxes) -> None:
    frame = noise(101, 77)
    painted = blur_persons(frame, np.array(boxes, np.float32).reshape(-1, 4))
    if any(np.isnan(box).any() for box in boxes):
        assert not (layers(painted)[0].samples == layers(frame)[0].samples).all()


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_rule_of_the_blocks(width: int, height: int) -> None:
    block_px = block_of((0, 0, width, height))
    assert block_px >= max(width, height) / BLOCKS
    assert block_px >= SMALLEST_BLOCK_PX


def test_small_people_lose_their_details_too() -> None:
    painted = blur_persons(noise(64, 64), np.array([[20, 20, 28, 40]], np.float32))
    part = layers(painted)[0].samples[16:44, 19:29]
    assert len(np.unique(part)) <= 4 * 2


def test_coarse_is_the_same_rule_for_the_whole_picture() -> None:
    for layer in layers(coarse(noise(640, 360))):
        assert len(np.unique(layer.samples)) <= BLOCKS * BLOCKS


def test_a_copy_shares_nothing_with_the_decoders_picture() -> None:
    frame = noise(48, 32)
    copy = own_copy(frame)
    for layer in layers(copy):
        layer.samples[:] = 0
    assert layers(frame)[0].samples.max() > 0


def test_painting_does_not_smear_over_the_film(film) -> None:
    """The decoder predicts the next pictures from its own, whatever is painted on copies."""
    from safecity.video.picture import PictureDecoder

    info, packets = film
    plain = PictureDecoder(info)
    painted = PictureDecoder(info)
    for packet in packets[:10]:
        for a, b in zip(plain.decode(packet), painted.decode(packet), strict=True):
            coarse(b)
            Masks(setup(TRIANGLE)).draw(b)
            assert (layers(a)[0].samples == layers(b)[0].samples).all()
