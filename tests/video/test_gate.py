"""The gate opens for what moves, stays shut for noise, and learns what stays."""

import itertools

import av
import numpy as np
import pytest

from safecity.video.watching.gate import STILL_S, MotionGate

from .conftest import CLIP_PATH


def street_scene(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(40, 200, (72, 96)).astype(np.float32)


def noisy(scene: np.ndarray, step: int) -> np.ndarray:
    return scene + np.random.default_rng(1000 + step).normal(0, 2, scene.shape).astype(np.float32)


def with_person(scene: np.ndarray, column: int) -> np.ndarray:
    seen = scene.copy()
    seen[30:40, column : column + 4] = 20
    return seen


def test_noise_alone_never_opens_it():
    gate, scene = MotionGate(), street_scene()
    assert not any(gate.look_at(noisy(scene, n), n * 0.2).active for n in range(300))


def test_a_person_opens_it_and_is_not_learned_while_walking():
    gate, scene = MotionGate(), np.full((72, 96), 120, dtype=np.float32)
    for n in range(50):
        gate.look_at(noisy(scene, n), n * 0.2)
    seen = [gate.look_at(noisy(with_person(scene, n), n), 10 + n * 0.2) for n in range(80)]
    assert all(motion.active for motion in seen)
    assert not gate.look_at(noisy(scene, 999), 27.0).active


def test_what_stays_for_half_a_minute_becomes_background():
    gate, scene = MotionGate(), np.full((72, 96), 120, dtype=np.float32)
    for n in range(50):
        gate.look_at(noisy(scene, n), n * 0.5)
    parked = with_person(scene, 40)
    steps = round(STILL_S / 0.5)
    seen = [gate.look_at(parked, 25 + n * 0.5).active for n in range(steps + 5)]
    assert all(seen[: steps - 2])
    assert not seen[-1]


def test_a_change_of_light_is_learned_anew():
    gate, scene = MotionGate(), street_scene()
    for n in range(20):
        gate.look_at(scene, n * 0.2)
    assert gate.look_at(255 - scene, 5.0).active
    assert gate.resets == 1
    assert not gate.look_at(255 - scene, 5.2).active


@pytest.mark.parametrize("shape", [(72, 96), (54, 96), (1, 96)])
def test_any_shape_of_picture_is_taken(shape):
    gate = MotionGate()
    gate.look_at(np.zeros((10, 96), dtype=np.float32), 0.0)
    assert not gate.look_at(np.zeros(shape, dtype=np.float32), 1.0).active


def test_the_film_moves_and_its_frozen_picture_does_not():
    gate, frozen = MotionGate(), MotionGate()
    with av.open(str(CLIP_PATH)) as container:
        frames = list(itertools.islice(container.decode(video=0), 40))
    moving = [gate.look(frame, n / 10).active for n, frame in enumerate(frames)]
    assert sum(moving) > 30
    assert not any(frozen.look(frames[0], n / 10).active for n in range(30))
