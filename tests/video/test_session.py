"""Real streams from the simulator: states, refusals, outages, and what a kill leaves on the disk."""

import os
import signal
import subprocess
import sys
import threading

import av
import msgspec
import pytest

from safecity.clock import SystemClock
from safecity.errors import Invalid
from safecity.model.source import CameraState
from safecity.model.video import CameraSetup
from safecity.model.video_rule import ZoneIntrusion
from safecity.simulator.camera import Fault
from safecity.video.camera import CameraConfig
from safecity.video.recording.custody import verify
from safecity.video.recording.index import FileEntry, GapEntry
from safecity.video.recording.recovery import recover
from safecity.video.stream.session import StreamSession

from .conftest import PASSWORD, PLACE, wait_for
from .recording import QUICK


def test_a_wrong_password_is_refused_with_the_reason(street, recording):
    one = recording(street.config(0, password="wrong"))
    wait_for(lambda: one.is_in(CameraState.REFUSED), "a refusal")
    assert one.session.state[1] == "wrong user or password"
    wait_for(lambda: one.session.counters.connects >= 3, "more attempts")
    assert one.states == [(CameraState.REFUSED, "wrong user or password")]
    assert one.recorder.counters.files == 0


def test_a_dead_camera_is_lost_once_leaves_one_gap_and_comes_back(street, recording):
    one = recording(street.config(1))
    wait_for(lambda: one.recorder.counters.fragments >= 2, "a recording")
    street.set_fault(1, Fault.DROP)
    wait_for(lambda: one.is_in(CameraState.LOST), "the loss")
    connects = one.session.counters.connects
    wait_for(lambda: one.session.counters.connects >= connects + 3, "more attempts")
    street.set_fault(1, None)
    wait_for(lambda: one.is_in(CameraState.LIVE), "the return")
    wait_for(lambda: any(isinstance(entry, GapEntry) for entry in one.told), "the gap")
    one.close()
    names = [state for state, _ in one.states]
    assert names[0] is CameraState.LIVE
    assert names[-1] is CameraState.LIVE
    assert set(names[1:-1]) == {CameraState.LOST}
    gaps = [entry for entry in one.told if isinstance(entry, GapEntry)]
    files = [entry for entry in one.told if isinstance(entry, FileEntry)]
    assert len(gaps) == 1
    assert len(files) == 2
    assert abs((gaps[0].start - files[0].end).total_seconds()) < 0.2
    assert verify("cam-1", one.folder).is_whole
    assert not [thread for thread in threading.enumerate() if thread.name == "stream-cam-1"]


def test_a_frozen_camera_stalls_then_is_lost(street, recording):
    one = recording(street.config(0))
    wait_for(lambda: one.is_in(CameraState.LIVE), "pictures")
    street.set_fault(0, Fault.FREEZE)
    wait_for(lambda: one.is_in(CameraState.LOST), "the loss")
    assert CameraState.LOST in [state for state, _ in one.states]


def test_the_stall_is_noticed_before_the_connection_dies(street, tmp_path):
    heard: list[CameraState] = []

    class Deaf:
        def begin(self, info): ...
        def add(self, packet): ...
        def end(self, reason): ...

    session = StreamSession(
        street.config(0),
        Deaf(),
        lambda state, _: heard.append(state),
        SystemClock(),
        timeout_s=5.0,
        backoff=QUICK,
    )
    session.start()
    wait_for(lambda: session.state[0] is CameraState.LIVE, "pictures")
    street.set_fault(0, Fault.FREEZE)
    wait_for(lambda: session.watch() or session.state[0] is CameraState.STALLED, "the stall")
    street.set_fault(0, None)
    wait_for(lambda: session.state[0] is CameraState.LIVE, "pictures again")
    session.stop()
    assert session.join(6)
    assert heard == [CameraState.LIVE, CameraState.STALLED, CameraState.LIVE]
    assert session.counters.outages == 0


def test_nothing_at_the_address_is_a_loss_without_the_address(street, recording, capfd):
    setup = CameraSetup(id="gone", name="Gone", url="rtsp://127.0.0.1:1/x", place=PLACE)
    config = CameraConfig(setup=setup, user="u", password="hush-hush")
    one = recording(config)
    wait_for(lambda: one.is_in(CameraState.LOST), "the loss")
    assert one.session.state[1] == "nothing answers at the camera's address"
    captured = capfd.readouterr()
    assert "hush-hush" not in captured.out + captured.err + repr(one.states) + repr(config) + str(config)


def test_a_defect_in_our_own_code_is_logged_without_the_account_and_tried_again(street, capfd):
    class Broken:
        def begin(self, info):
            raise KeyError("defect")

        def add(self, packet): ...
        def end(self, reason): ...

    session = StreamSession(
        street.config(0), Broken(), lambda *_: None, SystemClock(), timeout_s=1.0, backoff=QUICK
    )
    session.start()
    wait_for(lambda: session.counters.connects >= 3, "more attempts")
    session.stop()
    assert session.join(5)
    captured = capfd.readouterr()
    assert session.state == (CameraState.LOST, "internal error; see the log")
    assert "defect" in captured.out + captured.err
    assert "rtsp://" not in captured.out + captured.err
    assert "Xk3" not in captured.out + captured.err


KILLED = """
import sys, time
from pathlib import Path
import msgspec
from safecity.clock import SystemClock
from safecity.video.recording.archive import Archive, Retention
from safecity.video.camera import CameraConfig
from safecity.video.recording.recorder import Recorder
from safecity.video.stream.session import StreamSession

config = msgspec.json.decode(sys.argv[1], type=CameraConfig)
clock = SystemClock()
archive = Archive(Path(sys.argv[2]), Retention(min_free_bytes=0), clock, lambda entry: None)
found = archive.open_camera(config.id)
recorder = Recorder(config.id, archive.folder(config.id), archive, clock, link=found.link, segment_s=3.0)
session = StreamSession(config, recorder, lambda state, reason: None, clock)
archive.start()
session.start()
while True:
    time.sleep(0.05)
    if archive.counters.entered >= 1 and recorder.counters.fragments >= 3:
        print("recording", flush=True)
        time.sleep(60)
"""


def test_after_sigkill_all_files_play_and_the_chain_is_repaired(street, tmp_path):
    config = msgspec.json.encode(street.config(0)).decode()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, config, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "recording\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    folder = tmp_path / "cam-0"
    files = sorted(folder.glob("*/*.mp4"))
    assert len(files) >= 2
    for path in files:
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= 1
    found = recover("cam-0", folder, SystemClock())
    assert found.repaired == 1
    assert len(found.files) == len(files)
    assert verify("cam-0", folder).is_whole


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../etc"},
        {"id": "a.b"},
        {"url": "http://camera/stream"},
        {"url": f"rtsp://viewer:{PASSWORD}@camera/stream"},
        {"url": "rtsp:///stream"},
    ],
)
def test_a_camera_that_cannot_be_is_refused(change):
    good = {"id": "a", "name": "A", "url": "rtsp://camera/stream", "place": PLACE}
    with pytest.raises(Invalid) as raised:
        CameraSetup(**{**good, **change})
    assert PASSWORD not in str(raised.value)


def test_the_public_camera_has_no_address_and_a_zone_is_an_area():
    setup = CameraSetup(id="a", name="A", url="rtsp://camera/x?a=b", place=PLACE)
    config = CameraConfig(setup=setup, user="u@x", password="p/w")
    assert config.address() == "rtsp://u%40x:p%2Fw@camera/x?a=b"
    assert b"p/w" not in msgspec.json.encode(setup.public())
    for polygon in (((0, 0), (1, 1)), ((0, 0), (1, 0), (1, 1.2))):
        with pytest.raises(Invalid):
            ZoneIntrusion(name="z", polygon=polygon)
