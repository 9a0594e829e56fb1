"""Heartbeats: who lives, who fell silent, what they count together."""

import json

import msgspec
import pytest
from prometheus_client.exposition import generate_latest

from safecity.clock import ManualClock
from safecity.video.reports import CameraFigures
from safecity.video.service import OF_EACH
from safecity.web.metrics import Metrics
from safecity.web.roles import FORGET_S, SILENT_S, STARTING_S, CameraBeat, RoleState, RoleWatch


def _beat(role: str, pid: int = 1, shard: int = 0, **counters: float) -> bytes:
    beat = {"role": role, "pid": pid, "shard": shard, "at": "2026-11-22T09:00:00Z", "counters": counters}
    return json.dumps(beat).encode()


def test_a_role_starts_runs_and_falls_silent(clock: ManualClock) -> None:
    watch = RoleWatch(clock, ["intake"])
    assert watch.states() == {"intake": RoleState.STARTING}
    watch.hear(_beat("intake"))
    clock.advance(SILENT_S)
    assert watch.states() == {"intake": RoleState.RUNNING}
    clock.advance(0.1)
    assert watch.states() == {"intake": RoleState.DOWN}


def test_a_role_that_never_comes_is_down(clock: ManualClock) -> None:
    watch = RoleWatch(clock, ["intake"])
    clock.advance(STARTING_S)
    assert watch.states() == {"intake": RoleState.DOWN}


def test_one_living_process_is_enough(clock: ManualClock) -> None:
    watch = RoleWatch(clock, [])
    watch.hear(_beat("fusion", 1))
    clock.advance(SILENT_S + 1)
    watch.hear(_beat("fusion", 2))
    assert watch.states() == {"fusion": RoleState.RUNNING}


def test_who_is_not_expected_is_forgotten_and_who_is_expected_never(clock: ManualClock) -> None:
    watch = RoleWatch(clock, ["intake"])
    watch.hear(_beat("intake"))
    watch.hear(_beat("bench"))
    clock.advance(FORGET_S + 1)
    assert watch.states() == {"intake": RoleState.DOWN}


def test_readings_are_summed_over_processes(clock: ManualClock) -> None:
    watch = RoleWatch(clock, [])
    for second in range(6):
        watch.hear(_beat("intake", 1, readings_total=100.0 * second))
        watch.hear(_beat("web", 2, readings_total=1000.0 + 50.0 * second))
        clock.advance(1)
    assert watch.readings_per_s() == 150.0
    assert watch.counters()["web"] == {"readings_total": 1250.0}


def test_a_restarted_process_never_makes_the_rate_negative(clock: ManualClock) -> None:
    watch = RoleWatch(clock, [])
    watch.hear(_beat("intake", 1, readings_total=9000.0))
    clock.advance(1)
    watch.hear(_beat("intake", 1, readings_total=3.0))
    assert watch.readings_per_s() == 0.0


@pytest.mark.parametrize("data", [b"", b"{}", b'{"role": 1}', b"\xff"])
def test_what_is_no_heartbeat_is_refused(clock: ManualClock, data: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        RoleWatch(clock, []).hear(data)


def test_a_role_is_as_well_as_its_worst_shard(clock: ManualClock) -> None:
    watch = RoleWatch(clock, ["video"])
    watch.hear(_beat("video", 1, packets_total=3))
    watch.hear(_beat("video", 2, shard=1, packets_total=4))
    assert watch.states() == {"video": RoleState.RUNNING}
    assert watch.counters() == {"video": {"packets_total": 7}}
    clock.advance(SILENT_S + 1)
    watch.hear(_beat("video", 1))
    assert watch.states() == {"video": RoleState.DOWN}
    watch.hear(_beat("video", 3, shard=1))
    assert watch.states() == {"video": RoleState.RUNNING}


def test_a_shard_that_is_no_more_is_forgotten(clock: ManualClock) -> None:
    watch = RoleWatch(clock, ["video"])
    watch.hear(_beat("video", 2, shard=1))
    clock.advance(FORGET_S + 1)
    watch.hear(_beat("video", 1))
    assert watch.states() == {"video": RoleState.RUNNING}


def test_figures_of_each_camera_are_those_of_living_processes(clock: ManualClock) -> None:
    watch = RoleWatch(clock, [])
    gate = {
        "id": "gate",
        "state": "live",
        "recording": True,
        "lost_packets": 3,
        "gaps": 1,
        "frames_dropped": 2,
    }
    yard = gate | {"id": "yard", "state": "lost", "recording": False, "clock_error_s": 1.5}
    watch.hear(json.dumps({**json.loads(_beat("video", 1)), "cameras": [gate | {"gaps": 9}]}).encode())
    clock.advance(SILENT_S / 2)
    watch.hear(json.dumps({**json.loads(_beat("video", 2, shard=1)), "cameras": [yard, gate]}).encode())
    assert [(camera.id, camera.gaps) for camera in watch.cameras()] == [("gate", 1), ("yard", 1)]
    text = generate_latest(Metrics(watch).registry).decode()
    assert 'safecity_camera_state{camera="yard",state="lost"} 1.0' in text
    assert 'safecity_camera_state{camera="yard",state="live"} 0.0' in text
    assert 'safecity_camera_lost_packets{camera="gate"} 3.0' in text
    assert 'safecity_camera_clock_error_s{camera="yard"} 1.5' in text
    assert 'safecity_camera_clock_error_s{camera="gate"}' not in text
    clock.advance(SILENT_S + 0.1)
    assert watch.cameras() == []
    assert "gate" not in generate_latest(Metrics(watch).registry).decode()


def test_video_processes_tell_of_cameras_what_is_read_here() -> None:
    assert {"id", *OF_EACH} == set(CameraBeat.__struct_fields__)
    assert set(OF_EACH) <= set(CameraFigures.__struct_fields__)
