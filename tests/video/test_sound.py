"""Sound is kept only where the configuration and the camera's setup say so; only recordings hold it."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
import pytest

from safecity.clock import SystemClock
from safecity.simulator.camera import CameraClips
from safecity.simulator.camera_rtp import read_clip
from safecity.simulator.camera_sound import Sound, tone
from safecity.video.camera import CameraConfig
from safecity.video.recording import index
from safecity.video.recording.custody import verify
from safecity.video.recording.fmp4 import fragment
from safecity.video.recording.recovery import recover
from safecity.video.recording.sound import codec_name, has_sound, sound_of, with_sound
from safecity.video.room import VideoRoom
from safecity.video.stream.bitstream import TICKS_PER_S
from safecity.video.stream.source import SoundInfo, SoundPacket
from safecity.video.viewing.heard import filled
from safecity.video.viewing.playback import chunk
from safecity.video.viewing.reels import Library
from safecity.video.viewing.veil import Veil

from .conftest import CameraStreet
from .rooms import SETTINGS, SOON, Told, until
from .viewing_parts import Found, setup

UNIT_TICKS = 1024 * TICKS_PER_S // 16_000
AAC = SoundInfo("aac", tone().config, 16_000, 1)


class LawSound(Sound, frozen=True):
    """What most older cameras offer: G.711 (RFC 3551, section 4.5.14)."""

    def description(self) -> str:
        return "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000/1\r\na=control:track2\r\n"


@pytest.fixture
def open_sounding(films) -> Iterator:
    """Yield a function that opens a street whose camera offers sound."""
    opened: list[CameraStreet] = []

    def open_(sound: Sound) -> CameraStreet:
        opened.append(CameraStreet(CameraClips(main=read_clip(films("small")), sound=sound), (0.0,)))
        return opened[-1]

    yield open_
    for street in opened:
        street.close()


def asking(street: CameraStreet) -> CameraConfig:
    """Return the camera with a setup that asks for sound."""
    config = street.config(0)
    return msgspec.structs.replace(config, setup=msgspec.structs.replace(config.setup, audio=True))


async def recorded(config: CameraConfig, directory: Path, *, allowed: bool) -> tuple[list[str], Path]:
    """Record some seconds; return the reasons that were told, and the file."""
    told = Told()
    settings = msgspec.structs.replace(SETTINGS, audio_allowed=allowed)
    room = VideoRoom((config,), directory, told.publish, SystemClock(), settings=settings, backoff=SOON)
    await room.start()
    try:
        await until(lambda: room.figures()[0].packets > 50, "two seconds of pictures")
        await until(lambda: told.states("cam-0")[-1] == "live", "the state")
        live = await room.live_start("cam-0")
        assert not has_sound(live.init)
    finally:
        await room.stop()
    folder = directory / "cam-0"
    (entry,) = [entry for entry in index.read(folder) if isinstance(entry, index.FileEntry)]
    assert verify("cam-0", folder).is_whole
    with av.open(str(folder / entry.path)) as container:
        assert entry.has_sound is bool(container.streams.audio)
    return told.reasons("cam-0"), folder / entry.path


def heard(data: Path | bytes) -> tuple[int, float, float]:
    """Return how many pieces of sound decode, and when the first and the last begin, in seconds."""
    source = str(data) if isinstance(data, Path) else io.BytesIO(data)
    with av.open(source) as container:
        times = [frame.time for frame in container.decode(audio=0)]
    return len(times), *((times[0], times[-1]) if times else (0.0, 0.0))


@pytest.mark.parametrize(("allowed", "asked"), [(False, True), (True, False)])
async def test_no_sound_is_kept_unless_both_policy_and_setup_say_so(open_sounding, tmp_path, allowed, asked):
    street = open_sounding(tone())
    config = asking(street) if asked else street.config(0)
    reasons, path = await recorded(config, tmp_path, allowed=allowed)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert not any(reasons)


async def test_sound_that_policy_allows_is_recorded_beside_the_pictures(open_sounding, tmp_path):
    _, path = await recorded(asking(open_sounding(tone())), tmp_path, allowed=True)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        pictures = [frame.time for frame in container.decode(video=0)]
    assert len(pictures) > 45
    count, first_s, last_s = heard(path)
    assert first_s < 1.0
    assert abs(last_s - pictures[-1]) < 0.5
    assert count >= (last_s - first_s) * TICKS_PER_S / UNIT_TICKS - 2
    start = next(e.start for e in index.read(tmp_path / "cam-0") if isinstance(e, index.FileEntry))
    for speed in (1, 16):
        clear = chunk(Library(tmp_path), "cam-0", start, speed, None)
        assert clear.mime.endswith(', mp4a.40.2"')
        assert heard(clear.init + b"".join(clear.fragments))[0] > 20
    masked = chunk(Library(tmp_path), "cam-0", start, 1, Veil(setup("cam-0"), Found()))
    assert "mp4a" not in masked.mime
    with av.open(io.BytesIO(masked.init + b"".join(masked.fragments))) as container:
        assert not container.streams.audio


async def test_other_sound_is_left_out_and_the_state_says_so(open_sounding, tmp_path):
    law = LawSound(tone().config, tone().frames)
    reasons, path = await recorded(asking(open_sounding(law)), tmp_path, allowed=True)
    assert reasons[-1] == "no sound is recorded: the camera sends pcm_alaw, not AAC"
    with av.open(str(path)) as container:
        assert not container.streams.audio


async def test_sound_that_is_switched_off_ends_at_once_and_every_file_keeps_its_own(open_sounding, tmp_path):
    config = asking(open_sounding(tone()))
    settings = msgspec.structs.replace(SETTINGS, audio_allowed=True, segment_s=0.8)
    room = VideoRoom((config,), tmp_path, Told().publish, SystemClock(), settings=settings, backoff=SOON)
    await room.start()
    try:
        await until(lambda: room.figures()[0].files >= 3, "files with sound")
        quiet = msgspec.structs.replace(config, setup=msgspec.structs.replace(config.setup, audio=False))
        await room.apply([quiet])
        files = room.figures()[0].files
        await until(lambda: room.figures()[0].files > files + 1, "files without sound")
    finally:
        await room.stop()
    folder = tmp_path / "cam-0"
    entries = [entry for entry in index.read(folder) if isinstance(entry, index.FileEntry)]
    kinds = [entry.has_sound for entry in entries]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {True, False}
    for entry in entries:
        with av.open(str(folder / entry.path)) as container:
            assert bool(container.streams.audio) is entry.has_sound
    pieces = [(entry, heard(folder / entry.path)) for entry in entries if entry.has_sound]
    # A stream that has just begun, or is cut off, may leave a file before its first piece.
    assert all(count for _, (count, _, _) in pieces[1:-1])
    entries = [entry for entry, (count, _, _) in pieces if count]
    sounding = [sound for _, sound in pieces if sound[0]]
    # Not one piece is missing between two files that follow each other, or counted twice.
    ends = [entry.start.timestamp() + last_s for entry, (_, _, last_s) in zip(entries, sounding, strict=True)]
    starts = [
        entry.start.timestamp() + first_s for entry, (_, first_s, _) in zip(entries, sounding, strict=True)
    ]
    unit_s = UNIT_TICKS / TICKS_PER_S
    steps = [start - end for end, start in zip(ends[1:-1], starts[2:], strict=True)]
    assert all(unit_s / 2 < step < 4 * unit_s for step in steps), steps
    assert verify("cam-0", folder).is_whole


KILLED = """
import asyncio, sys
from pathlib import Path
import msgspec
from safecity.clock import SystemClock
from safecity.config import VideoSection
from safecity.video.camera import CameraConfig
from safecity.video.room import VideoRoom

async def main():
    async def publish(observation): pass
    config = msgspec.json.decode(sys.argv[1], type=CameraConfig)
    settings = VideoSection(min_free_mb=0, audio_allowed=True)
    room = VideoRoom((config,), Path(sys.argv[2]), publish, SystemClock(), settings=settings)
    await room.start()
    while room.figures()[0].packets < 50:
        await asyncio.sleep(0.05)
    print("recording", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_after_sigkill_sound_and_pictures_are_there(open_sounding, tmp_path):
    config = msgspec.json.encode(asking(open_sounding(tone()))).decode()
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
    (path,) = folder.glob("*/*.mp4")
    assert heard(path)[0] > 5
    assert recover("cam-0", folder, SystemClock()).repaired == 1
    (entry,) = [entry for entry in index.read(folder) if isinstance(entry, index.FileEntry)]
    assert (entry.has_sound, entry.recovered) == (True, True)
    assert heard(path)[0] > 5
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 20
    assert verify("cam-0", folder).is_whole


def test_a_player_never_waits_for_sound():
    pieces = [SoundPacket(b"x", n * UNIT_TICKS, UNIT_TICKS, 0.0) for n in (3, 4)]
    late = filled(pieces, AAC, 0, 90_000)
    assert [piece.ticks for piece in late] == [0, 3 * UNIT_TICKS, 4 * UNIT_TICKS]
    assert late[-1].ticks + late[-1].duration_ticks == 90_000
    assert filled(pieces, AAC, 3 * UNIT_TICKS - 100, 90_000)[0] == pieces[0]
    (quiet,) = filled([], AAC, 9_000, 90_000)
    assert (quiet.ticks, quiet.duration_ticks) == (9_000, 81_000)
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = AAC.config
    decoder.sample_rate = AAC.rate_hz
    for frame in decoder.decode(av.Packet(quiet.data)):
        assert not frame.to_ndarray().any()


def test_a_header_with_sound_is_read_back_and_a_lost_piece_makes_no_hole(film):
    info, packets = film
    init = with_sound(info.init, AAC)
    assert sound_of(init) == AAC
    assert sound_of(info.init) is None
    assert with_sound(info.init, None) == info.init
    assert codec_name(AAC) == "mp4a.40.2"
    pieces = [SoundPacket(b"\x01\x40\x20\x07", n * UNIT_TICKS, UNIT_TICKS, 0.0) for n in (0, 1, 3, 4)]
    data = init + fragment(1, 0, packets[:10], 90_000, pieces)
    with av.open(io.BytesIO(data)) as container:
        read = [(p.pts, p.duration) for p in container.demux(audio=0) if p.size]
    assert read == [(0, 5760), (5760, 11520), (17280, 5760), (23040, 5760)]
