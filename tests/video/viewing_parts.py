"""Recordings and detectors for the tests of viewing."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np

from safecity.clock import ManualClock
from safecity.model.base import Place
from safecity.model.video import CameraSetup, Mask
from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import EMPTY, Detections
from safecity.video.masking.planes import layers
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.recorder import Recorder
from safecity.video.stream.bitstream import StreamInfo, VideoPacket

START = datetime(2026, 1, 1, tzinfo=UTC)
START_S = START.timestamp()
TICKS = 90_000
PERSON = CLASSES.index(ObjectClass.PERSON)


def setup(camera_id: str = "cam", **changes: Any) -> CameraSetup:
    """Return a camera's setup."""
    place = Place(lon=69.2, lat=41.3)
    return CameraSetup(id=camera_id, name="Camera", place=place, url="rtsp://camera/1", **changes)


def mask(left: float, top: float, right: float, bottom: float) -> Mask:
    """Return a rectangle as a mask."""
    return Mask(name="window", polygon=((left, top), (right, top), (right, bottom), (left, bottom)))


class Found:
    """Finds one person at the same place in every picture, given as shares of its size."""

    def __init__(self, *boxes: tuple[float, float, float, float], fails: bool = False) -> None:
        self.boxes = boxes
        self.fails = fails
        self.asked = 0

    def detect(self, frame: Any) -> Detections:
        self.asked += 1
        if self.fails:
            raise RuntimeError("no network today")
        if not self.boxes:
            return EMPTY
        size = np.array([frame.width, frame.height] * 2, np.float32)
        boxes = np.array(self.boxes, np.float32) * size
        count = len(self.boxes)
        return Detections(boxes, np.full(count, 0.9, np.float32), np.full(count, PERSON, np.intp))


class Recording:
    """A recorder that is fed by hand, in a folder of its own."""

    def __init__(self, directory: Path, segment_s: float = 4.0, camera_id: str = "cam") -> None:
        clock = ManualClock(START)
        retention = Retention(max_age_s=1e9, min_free_bytes=0)
        self.archive = Archive(directory, retention, clock, lambda _: None)
        found = self.archive.open_camera(camera_id)
        self.archive.start()
        self.folder = self.archive.folder(camera_id)
        self.recorder = Recorder(
            camera_id,
            self.folder,
            self.archive,
            clock,
            link=found.link,
            last_end=found.last_end,
            outage=found.outage,
            segment_s=segment_s,
        )

    def feed(self, info: StreamInfo, packets: list[VideoPacket], reason: str = "") -> None:
        """Record packets; with a reason the stream ends after them."""
        self.recorder.begin(info)
        for packet in packets:
            self.recorder.add(packet)
        if reason:
            self.recorder.end(reason)

    def close(self) -> None:
        """Have all on disk and in the index."""
        assert self.archive.stop(10)


def shifted(packets: list[VideoPacket], by_s: float) -> list[VideoPacket]:
    """Return packets that much later."""
    return [p._replace(time_s=p.time_s + by_s, ticks=p.ticks + round(by_s * TICKS)) for p in packets]


def at(seconds_s: float) -> datetime:
    """Return a moment of the recording."""
    return START + timedelta(seconds=seconds_s)


def decoded(init: bytes, fragments: Any) -> list[Any]:
    """Return the pictures of a stream of fragments, as a browser would decode it."""
    with av.open(io.BytesIO(init + b"".join(fragments))) as container:
        return list(container.decode(video=0))


def kept(clear: Any, masked: Any, box: tuple[float, float, float, float]) -> float:
    """Return the share of the fine detail of a clear picture that is still in the masked one inside a box.

    The regression of one's steps between neighbouring luma samples on the other's: new edges, of blocks or of
    coding, count only where they are the old ones.
    """
    whole = theirs = 0.0
    for axis in (0, 1):
        steps = []
        for frame in (clear, masked):
            luma = layers(frame)[0].samples
            height, width = luma.shape
            rows = slice(int(box[1] * height), int(box[3] * height))
            part = luma[rows, int(box[0] * width) : int(box[2] * width)].astype(float)
            steps.append(np.diff(part, axis=axis))
        whole += float((steps[0] ** 2).sum())
        theirs += float((steps[0] * steps[1]).sum())
    return theirs / max(whole, 1e-9)


def detail(frame: Any, box: tuple[float, float, float, float]) -> float:
    """Return the mean squared step between neighbouring luma samples inside a box (shares of the size)."""
    luma = layers(frame)[0].samples
    height, width = luma.shape
    left, top, right, bottom = box
    part = luma[int(top * height) : int(bottom * height), int(left * width) : int(right * width)].astype(
        float
    )
    return float((np.diff(part, axis=0) ** 2).mean() + (np.diff(part, axis=1) ** 2).mean())
