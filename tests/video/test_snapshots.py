"""Snapshots show nobody, are whole files under the event's id, and hold nobody up."""

import threading
from datetime import UTC, datetime

import av
import msgspec
import numpy as np
import pytest

from safecity.clock import SystemClock
from safecity.model.video import CameraSetup, Mask
from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import EMPTY, Detections
from safecity.video.room import VideoRoom
from safecity.video.watching import snapshots as module
from safecity.video.watching.snapshots import Snapshot, Snapshots, private_jpeg, snapshot_path

from .conftest import PLACE, CameraStreet, wait_for
from .rooms import EVERYWHERE, SETTINGS, SOON, Told, until

AT = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
SETUP = CameraSetup(
    id="cam",
    name="Cam",
    url="rtsp://camera/x",
    place=PLACE,
    masks=(Mask(name="window", polygon=((0, 0), (0.25, 0), (0.25, 0.5), (0, 0.5))),),
)
SOMEBODY = np.array([[200, 40, 260, 200]], dtype=np.float32)
NOBODY = np.zeros((0, 4), dtype=np.float32)


def picture() -> av.VideoFrame:
    """Return a picture with much fine detail everywhere."""
    rng = np.random.default_rng(1)
    return av.VideoFrame.from_ndarray(
        rng.integers(0, 255, (240, 320, 3)).astype(np.uint8), format="rgb24"
    ).reformat(format="yuv420p")


def snapshot(persons, setup: CameraSetup = SETUP, id_: str = "01ABC") -> Snapshot:
    return Snapshot(id_, AT, picture(), persons, setup)


def decoded(data: bytes):
    (frame,) = av.CodecContext.create("mjpeg", "r").decode(av.Packet(data))
    return frame.to_ndarray(format="gray").astype(float)


def detail(luma, left: int, top: int, right: int, bottom: int) -> float:
    """Return how much neighbouring pixels differ: flat areas have none."""
    part = luma[top:bottom, left:right]
    return float(np.abs(np.diff(part, axis=1)).mean())


def nobody_found(_):
    return EMPTY


def test_whoever_is_found_with_care_is_hidden_also_on_a_bicycle():
    asked = []

    def search(small):
        asked.append((small.width, small.height))
        classes = np.array([CLASSES.index(ObjectClass.PERSON), CLASSES.index(ObjectClass.BICYCLE)])
        boxes = np.array([[120, 60, 160, 220], [20, 130, 70, 220]], dtype=np.float32)
        return Detections(boxes, np.array([0.21, 0.25], np.float32), classes)

    luma = decoded(private_jpeg(snapshot(NOBODY), search))
    assert asked == [(320, 240)]
    assert detail(luma, 122, 62, 158, 218) < 12
    assert detail(luma, 22, 132, 68, 218) < 12
    assert detail(luma, 190, 10, 310, 230) > 30


def test_a_snapshot_is_as_small_as_every_masked_picture():
    large = picture().reformat(width=1920, height=1080)
    asked = msgspec.structs.replace(snapshot(SOMEBODY * 6), frame=large)
    luma = decoded(private_jpeg(asked, nobody_found))
    assert luma.shape == (360, 640)
    left, top, right, bottom = (int(side) for side in SOMEBODY[0] * 2)
    assert detail(luma, left, top, right, min(bottom, 360)) < 12


@pytest.mark.parametrize("defect", [False, True])
def test_a_snapshot_is_coarse_when_nobody_can_look_for_people(defect):
    def search(_):
        if defect:
            raise RuntimeError("no network today")

    assert detail(decoded(private_jpeg(snapshot(SOMEBODY), search)), 100, 10, 300, 230) < 6


def test_masks_are_painted_and_people_are_blocks_and_the_rest_is_clear():
    luma = decoded(private_jpeg(snapshot(SOMEBODY), nobody_found))
    assert detail(luma, 2, 2, 78, 118) < 1
    assert detail(luma, 202, 42, 258, 198) < 12
    assert detail(luma, 100, 10, 180, 230) > 30


def test_a_picture_in_which_nobody_knows_where_people_are_is_coarse_all_over():
    luma = decoded(private_jpeg(snapshot(None), nobody_found))
    assert detail(luma, 100, 10, 300, 230) < 6


def test_a_camera_whose_people_may_be_seen_still_has_its_masks():
    setup = msgspec.structs.replace(SETUP, blur_persons=False)
    luma = decoded(private_jpeg(snapshot(None, setup), nobody_found))
    assert detail(luma, 2, 2, 78, 118) < 1
    assert detail(luma, 202, 42, 258, 198) > 30


def test_a_snapshot_is_written_whole_under_its_day_and_id(tmp_path):
    writer = Snapshots(tmp_path, nobody_found)
    torn = snapshot_path(tmp_path, "cam", AT, "old").with_suffix(".partial")
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"half")
    writer.start()
    assert writer.take(snapshot(NOBODY))
    assert writer.stop(5)
    path = tmp_path / "cam" / "snapshots" / "2026-03-01" / "01ABC.jpg"
    assert path.read_bytes()[:2] == b"\xff\xd8"
    assert [p.name for p in path.parent.iterdir()] == ["01ABC.jpg"]
    assert writer.counters.written == 1


def test_too_many_waiting_are_refused_and_a_disk_that_refuses_costs_only_pictures(tmp_path, monkeypatch):
    go_on = threading.Event()

    def slow(snapshot, search):
        go_on.wait(10)
        return b"jpeg"

    monkeypatch.setattr(module, "private_jpeg", slow)
    monkeypatch.setattr(module, "WAITING_PIXELS", 3 * 320 * 240)
    (tmp_path / "cam").write_text("a file where a folder should be")
    writer = Snapshots(tmp_path, nobody_found)
    writer.start()
    taken = [writer.take(snapshot(NOBODY, id_=f"id{n}")) for n in range(5)]
    assert taken == [True, True, True, False, False]
    go_on.set()
    wait_for(lambda: writer.counters.failed == 3, "three failures")
    assert writer.take(snapshot(NOBODY))
    assert writer.stop(5)
    assert writer.counters.dropped == 2


def test_a_picture_that_cannot_be_made_private_is_not_written(tmp_path):
    writer = Snapshots(tmp_path, nobody_found)
    writer.start()
    broken = snapshot(np.zeros((1, 3), dtype=np.float32))
    assert writer.take(broken)
    assert writer.take(snapshot(SOMEBODY, id_="whole"))
    assert writer.stop(5)
    assert [p.name for p in tmp_path.glob("cam/snapshots/*/*")] == ["whole.jpg"]
    assert (writer.counters.failed, writer.counters.written) == (1, 1)


async def test_each_event_of_a_room_names_its_snapshot(street: CameraStreet, tmp_path):
    told = Told()
    config = street.config(0, rules=(EVERYWHERE,))
    room = VideoRoom([config], tmp_path, told.publish, SystemClock(), settings=SETTINGS, backoff=SOON)
    await room.start()
    try:
        await until(told.events, "an event", 90.0)
        event = told.events()[0]
        assert event.detail is not None
        assert event.detail["snapshot"] == event.id
        assert event.detail["rule"] == "everywhere"
        path = snapshot_path(tmp_path, "cam-0", event.event_time, event.id)
        await until(path.exists, "the snapshot")
    finally:
        await room.stop()
    with av.open(str(path), format="mjpeg") as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (640, 480)
