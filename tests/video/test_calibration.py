"""A known camera's picture gives back the places, speeds and densities that it was made from."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rule_parts import engine, walk
from safecity.errors import Invalid
from safecity.model.base import distance_m
from safecity.model.video import Calibration
from safecity.model.video_rule import Crowd, ZoneIntrusion
from safecity.video.calibration import DensityLevel, Ground, density, level_of

LON, LAT = 69.24, 41.31
M_PER_DEG = np.array((83_741.0, 111_066.0))
"""Of longitude and latitude at 41.31 degrees; tables of WGS 84."""
WIDTH, HEIGHT = 1920, 1080


class View:
    """A pinhole camera at 0,0 that looks north and down."""

    def __init__(self, height_m: float, down_deg: float, focal_px: float) -> None:
        self.height_m, self.focal_px = height_m, focal_px
        self.sine, self.cosine = math.sin(math.radians(down_deg)), math.cos(math.radians(down_deg))

    def depth(self, north: float) -> float:
        return north * self.cosine + self.height_m * self.sine

    def picture(self, east: float, north: float) -> tuple[float, float]:
        down = self.height_m * self.cosine - north * self.sine
        return (
            (self.focal_px * east / self.depth(north) + WIDTH / 2) / WIDTH,
            (self.focal_px * down / self.depth(north) + HEIGHT / 2) / HEIGHT,
        )

    def calibration(self, *places: tuple[float, float]) -> Calibration:
        return Calibration(
            picture=tuple(self.picture(*place) for place in places),
            ground=tuple(degrees(*place) for place in places),
        )


def degrees(east: float, north: float) -> tuple[float, float]:
    return LON + east / M_PER_DEG[0], LAT + north / M_PER_DEG[1]


MAST = View(height_m=6.0, down_deg=25.0, focal_px=1000.0)
FOUR = ((-3.0, 8.0), (3.0, 8.0), (5.0, 25.0), (-5.0, 25.0))
views = st.builds(View, st.floats(3, 30), st.floats(15, 70), st.floats(500, 3000))
places = st.tuples(st.floats(-15, 15), st.floats(5, 60))


@settings(deadline=None, max_examples=60)
@given(views, places)
def test_the_ground_gives_back_where_it_was(view, place):
    far_m = view.height_m / math.tan(math.asin(view.sine)) * 1.5
    four = ((-2.0, 6.0), (2.0, 6.0), (far_m / 5, far_m + 6), (-far_m / 5, far_m + 6))
    ground = Ground(view.calibration(*four))
    point = np.array([view.picture(*place)])
    found = ground.lon_lat(ground.metres(point))
    assert distance_m(*found[0], *degrees(*place)) < 0.01 + 1e-4 * place[1]
    assert ground.picture(found) == pytest.approx(point, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(views, places)
def test_the_density_is_that_of_the_camera(view, place):
    ground = Ground(view.calibration((-2, 6), (2, 6), (8, 40), (-8, 40)))
    found = float(ground.px_per_m(np.array([view.picture(*place)]), WIDTH)[0])
    assert found == pytest.approx(view.focal_px / view.depth(place[1]), rel=1e-3)


def test_above_the_horizon_is_no_ground():
    ground = Ground(MAST.calibration(*FOUR))
    assert np.isnan(ground.metres(np.array([(0.5, -0.5)]))).all()


@pytest.mark.parametrize(
    ("four", "word"),
    [
        (((-3.0, 8.0), (0.0, 8.0), (3.0, 8.0), (0.0, 20.0)), "on one line"),
        (((-3.0, 8.0), (-3.0, 8.0), (3.0, 8.0), (0.0, 20.0)), "on one line"),
        (((-3.0, 8.0), (3.0, 8.0), (3.001, 8.001), (0.0, 20.0)), "on one line"),
    ],
)
def test_degenerate_points_are_refused(four, word):
    with pytest.raises(Invalid, match=word):
        Ground(MAST.calibration(*four))


def test_a_wrong_order_and_a_mirror_image_are_refused():
    good = MAST.calibration(*FOUR)
    a, b, c, d = good.ground
    with pytest.raises(Invalid, match="order"):
        Ground(Calibration(picture=good.picture, ground=(a, b, d, c)))
    with pytest.raises(Invalid, match="mirror"):
        Ground(Calibration(picture=good.picture, ground=(b, a, d, c)))
    with pytest.raises(Invalid, match="degrees"):
        Ground(Calibration(picture=good.picture, ground=((a[0], 91.0), b, c, d)))


corner = st.tuples(st.floats(0, 1), st.floats(0, 1))


@settings(deadline=None, max_examples=100)
@given(st.tuples(corner, corner, corner, corner), st.tuples(corner, corner, corner, corner))
def test_any_points_are_refused_or_give_finite_figures_back(picture, ground):
    try:
        found = Ground(Calibration(picture=picture, ground=tuple((LON + x, LAT + y) for x, y in ground)))
    except Invalid:
        return
    back = found.lon_lat(found.metres(np.array(picture)))
    assume(np.isfinite(back).all())
    assert back == pytest.approx(np.array([(LON + x, LAT + y) for x, y in ground]), abs=1e-6)


def test_densities_are_told_by_the_levels_of_the_standard():
    found = density(MAST.calibration(*FOUR), WIDTH, HEIGHT)
    assert found.warning == ""
    assert 0 < found.least_px_per_m < found.most_px_per_m < 300
    assert all(place.level is level_of(place.px_per_m) for place in found.places)
    near, far = found.places[-3], found.places[2]
    assert near.px_per_m > far.px_per_m
    assert [level_of(px) for px in (12, 12.5, 25, 62.5, 125, 250, 999, 1000)] == [
        DensityLevel.TOO_COARSE,
        DensityLevel.MONITOR,
        DensityLevel.DETECT,
        DensityLevel.OBSERVE,
        DensityLevel.RECOGNISE,
        DensityLevel.IDENTIFY,
        DensityLevel.IDENTIFY,
        DensityLevel.INSPECT,
    ]


def test_a_picture_that_shows_faces_is_warned_of():
    close = View(height_m=2.5, down_deg=35.0, focal_px=1800.0)
    found = density(close.calibration((-0.6, 2.5), (0.6, 2.5), (0.9, 5.0), (-0.9, 5.0)), WIDTH, HEIGHT)
    assert found.most_px_per_m > 500
    assert "over 500: faces are plain to see" in found.warning


def test_an_event_of_a_calibrated_camera_has_a_place_and_a_speed():
    """The rules' pictures are square here, so the camera's are taken as shares."""
    zone = ZoneIntrusion(name="z", polygon=((0, 0), (1, 0), (1, 1), (0, 1)), min_dwell_s=2.0)
    rules = engine(zone, calibration=MAST.calibration(*FOUR))
    path = [[(1, *MAST.picture(1.0, 9.0 + 1.4 * 0.2 * n))] for n in range(15)]
    (event,) = walk(rules, path)
    assert event.speed_mps == pytest.approx(1.4, abs=0.02)
    assert distance_m(*event.ground, *degrees(1.0, 9.0 + 1.4 * 2.0)) < 0.1


def test_a_calibrated_crowd_is_judged_by_the_square_metre():
    polygon = tuple(MAST.picture(*place) for place in FOUR)
    calibration = MAST.calibration(*FOUR)
    area_m2 = (6.0 + 10.0) / 2 * 17.0
    assert Ground(calibration).area_m2(np.array(polygon)) == pytest.approx(area_m2, rel=1e-3)
    rule = Crowd(name="c", polygon=polygon, min_per_m2=0.1, min_duration_s=2.0)
    people = [(n, *MAST.picture(-2.0 + 0.3 * n, 12.0 + 0.5 * n)) for n in range(14)]
    assert walk(engine(rule, calibration=calibration), [people[:12]] * 60) == []
    (event,) = walk(engine(rule, calibration=calibration), [people] * 60)
    assert "0.10 a square metre, the limit is 14" in event.why


def test_a_calibration_that_cannot_be_is_left_out_not_fatal():
    same = ((0.1, 0.1), (0.1, 0.1), (0.1, 0.1), (0.1, 0.1))
    rules = engine(calibration=Calibration(picture=same, ground=same))
    assert walk(rules, [[]]) == []
