"""Three quarters of a shard's cameras are lost at once; a 4K camera; one that sends HEVC."""

import threading
from pathlib import Path

from safecity.clock import SystemClock
from safecity.model.source import CameraState
from safecity.model.video import StreamRole
from safecity.simulator.camera import Fault
from safecity.video.recording.custody import verify
from safecity.video.recording.index import FileEntry
from safecity.video.room import VideoRoom
from safecity.video.stream.session import Backoff

from .rooms import EVERYWHERE, SETTINGS, SOON, Told, until

CAMERAS, LOST = 12, 9
PATIENT = Backoff(first_s=0.4, limit_s=30.0)


def by_id(room: VideoRoom):
    return {figures.camera_id: figures for figures in room.figures()}


async def test_nine_of_twelve_lost_at_once_cost_the_other_three_nothing(open_street, tmp_path: Path):
    street = open_street("small", cameras=CAMERAS, sub="sub")
    told = Told()
    configs = [street.config(n, sub=True) for n in range(CAMERAS)]
    room = VideoRoom(configs, tmp_path, told.publish, SystemClock(), settings=SETTINGS, backoff=PATIENT)
    await room.start()
    try:
        await until(lambda: all(f.recorded_octets for f in room.figures()), "all recordings", 60.0)
        threads = threading.active_count()
        before = by_id(room)
        for number in range(LOST):
            street.set_fault(number, Fault.DROP)
        lost = [f"cam-{n}" for n in range(LOST)]
        await until(lambda: all(told.states(id_)[-1] == "lost" for id_ in lost), "nine losses")
        await until(lambda: all(by_id(room)[id_].connects >= 4 for id_ in lost), "attempts", 40.0)
        assert threading.active_count() <= threads
        kept = [f"cam-{n}" for n in range(LOST, CAMERAS)]
        for id_ in kept:
            now = by_id(room)[id_]
            assert now.state is CameraState.LIVE
            assert now.packets > before[id_].packets
            assert (now.outages, now.gaps) == (0, before[id_].gaps)
            assert now.lost_packets == before[id_].lost_packets
        for number in range(LOST):
            street.set_fault(number, None)
        await until(lambda: all(told.states(id_)[-1] == "live" for id_ in lost), "nine returns", 60.0)
        attempts = [by_id(room)[id_].connects for id_ in lost]
        # Both streams, tried after 0.4 s, 0.8 s, 1.6 s ...: the waits grow, however long it lasts.
        assert max(attempts) <= 2 * 8
        assert threading.active_count() <= threads
    finally:
        await room.stop()
    for number in range(CAMERAS):
        found = verify(f"cam-{number}", tmp_path / f"cam-{number}")
        assert found.is_whole
        assert found.files >= (2 if number < LOST else 1)


async def test_a_4k_hevc_camera_is_recorded_watched_and_shown_as_it_is(open_street, tmp_path: Path):
    street = open_street("4k")
    told = Told()
    entries = []
    config = street.config(0, rules=(EVERYWHERE,))
    room = VideoRoom([config], tmp_path, told.publish, SystemClock(), settings=SETTINGS, backoff=SOON)
    room.on_entry(entries.append)
    await room.start()
    try:
        await until(lambda: by_id(room)["cam-0"].recorded_octets > 1_000_000, "a 4K recording", 60.0)
        await until(lambda: by_id(room)["cam-0"].frames_gated > 0, "a picture at the gate", 90.0)
        start = await room.live_start("cam-0", StreamRole.SUB)
        assert (start.width, start.height) == (3840, 2160)
        assert 'codecs="hvc1' in start.mime
        assert by_id(room)["cam-0"].lost_packets == 0
    finally:
        await room.stop()
    assert any(isinstance(entry, FileEntry) for entry in entries)
    assert verify("cam-0", tmp_path / "cam-0").is_whole


async def test_an_hevc_camera_with_an_h264_sub_stream_is_watched_by_the_small_one(
    open_street, tmp_path: Path
):
    street = open_street("hevc", sub="sub")
    told = Told()
    room = VideoRoom(
        [street.config(0, sub=True)], tmp_path, told.publish, SystemClock(), settings=SETTINGS, backoff=SOON
    )
    await room.start()
    try:
        await until(lambda: by_id(room)["cam-0"].recorded_octets > 0, "a recording")
        await until(lambda: by_id(room)["cam-0"].frames_gated > 3, "pictures at the gate", 90.0)
        assert 'codecs="hvc1' in (await room.live_start("cam-0")).mime
        assert 'codecs="avc1' in (await room.live_start("cam-0", StreamRole.SUB)).mime
        assert by_id(room)["cam-0"].analysis_failures == 0
    finally:
        await room.stop()
    assert verify("cam-0", tmp_path / "cam-0").is_whole
