"""A recorder to be killed: it records, deletes and prunes as fast as it can, and says what it has done.

Lines on the standard output: "file SIZE PATH" once so much of a file is written, and each index entry as JSON
once it is on disk.
"""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import av
import msgspec

from safecity.clock import SystemClock
from safecity.logging import configure
from safecity.model.video import RetentionPolicy
from safecity.simulator.camera_data import film_path
from safecity.video.recording.archive import Archive, Retention
from safecity.video.recording.index import Entry
from safecity.video.recording.recorder import Recorder
from safecity.video.stream.bitstream import CODECS, StreamInfo, VideoPacket, describe, join_sample

CAMERA = "cam"


def film() -> tuple[StreamInfo, list[VideoPacket]]:
    """Return six seconds of the demo film as packets."""
    packets: list[VideoPacket] = []
    info: StreamInfo | None = None
    with av.open(str(film_path())) as container:
        for packet in container.demux(video=0):
            data, nals, position = bytes(packet), [], 0
            while position < len(data):
                size = int.from_bytes(data[position : position + 4], "big")
                nals.append(data[position + 4 : position + 4 + size])
                position += 4 + size
            if info is None:
                record = container.streams.video[0].codec_context.extradata
                sps_size = int.from_bytes(record[6:8], "big")
                pps = record[8 + sps_size + 3 :]
                info = describe(CODECS["h264"], (record[8 : 8 + sps_size], pps), nals)
            packets.append(VideoPacket(join_sample(nals), 0, 0, 9000, packet.is_keyframe, 0.0))
            if len(packets) == 60:
                break
    assert info is not None
    return info, packets


def say(line: str) -> None:
    os.write(1, (line + "\n").encode())


def on_entry(entry: Entry) -> None:
    say(msgspec.json.encode(entry).decode())


def main(directory: Path) -> None:
    configure(json=True, role="recorder")
    info, packets = film()
    clock = SystemClock()
    archive = Archive(
        directory,
        Retention(max_age_s=1e9, min_free_bytes=0),
        clock,
        on_entry,
        prune_after=timedelta(0),
        prune_least=3,
        tidy_period_s=0.02,
    )
    archive.set_holds(())
    found = archive.add_camera(CAMERA, RetentionPolicy(max_gb=0.0006))
    archive.start()
    recorder = Recorder(
        CAMERA,
        archive.folder(CAMERA),
        archive,
        clock,
        link=found.link,
        last_end=found.last_end,
        outage=found.outage,
        segment_s=2.0,
    )
    recorder.begin(info)
    began_s = clock.now().timestamp()
    said = 0
    number = 0
    while True:
        packet = packets[number % len(packets)]
        ticks = number * 9000
        recorder.add(packet._replace(ticks=ticks, time_s=began_s + ticks / 90_000))
        number += 1
        while recorder.counters.files > archive.counters.entered + 2:
            time.sleep(0.001)  # a camera does not outrun the disk either
        file = recorder._file
        if file is not None and recorder.counters.fragments > said:
            said = recorder.counters.fragments
            say(f"file {file.size} {file.path.relative_to(archive.folder(CAMERA))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
