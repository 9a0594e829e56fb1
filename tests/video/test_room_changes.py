"""Cameras, rules and accounts change while a room runs; what did not change notices nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from safecity.clock import SystemClock
from safecity.errors import Configuration, NotFound, Unavailable
from safecity.model.source import CameraState
from safecity.model.video import CAMERAS_PER_SHARD, Hold, Mask, StreamRole
from safecity.simulator.camera import Fault
from safecity.video.camera import CameraConfig
from safecity.video.live import FragmentKind
from safecity.video.recording import index
from safecity.video.recording.claims import Claims
from safecity.video.recording.custody import verify
from safecity.video.recording.recorder import NEVER_SEEN
from safecity.video.room import VideoRoom

from .conftest import CameraStreet
from .rooms import EVERYWHERE, SETTINGS, SOON, Told, until


def changed(config: CameraConfig, **setup: object) -> CameraConfig:
    return msgspec.structs.replace(config, setup=msgspec.structs.replace(config.setup, **setup))


@contextlib.asynccontextmanager
async def running(tmp_path, told: Told, *configs: CameraConfig) -> AsyncIterator[VideoRoom]:
    room = VideoRoom((), tmp_path, told.publish, SystemClock(), settings=SETTINGS, backoff=SOON)
    await room.start()
    try:
        await room.apply(configs)
        yield room
    finally:
        await room.stop()


def figures(room: VideoRoom, camera_id: str):
    return next(figures for figures in room.figures() if figures.camera_id == camera_id)


def watched_px(watch) -> int:
    """Return the width of the pictures that are analysed, 0 before the first."""
    return watch._info.width if watch._info else 0


async def test_cameras_come_and_go_and_the_others_notice_nothing(street: CameraStreet, tmp_path):
    told = Told()
    first, second = street.config(0), street.config(1)
    async with running(tmp_path, told, first) as room:
        await until(lambda: figures(room, "cam-0").recorded_octets > 0, "a recording")
        await room.apply([first, second])
        await until(lambda: "live" in told.states("cam-1"), "the second camera")
        await until(lambda: figures(room, "cam-1").recorded_octets > 0, "its recording")
        await room.apply([second])
        assert [camera.id for camera in room.cameras()] == ["cam-1"]
        with pytest.raises(NotFound):
            await room.live_start("cam-0")
        await until(lambda: street.viewers(0) == 0, "the first camera to be left")
        assert verify("cam-0", tmp_path / "cam-0").files == 1
        await room.apply([first, second])
        await until(lambda: figures(room, "cam-0").recorded_octets > 0, "the first camera again")
        assert figures(room, "cam-1").outages == 0
        assert figures(room, "cam-1").connects <= 2 + figures(room, "cam-1").outages
        assert figures(room, "cam-1").gaps == 1  # until its first picture
    found = verify("cam-0", tmp_path / "cam-0")
    assert found.is_whole
    assert found.files == 2


async def test_rules_masks_and_names_change_without_a_lost_packet(street: CameraStreet, tmp_path):
    told = Told()
    plain = street.config(0)
    async with running(tmp_path, told, plain) as room:
        await until(lambda: figures(room, "cam-0").recorded_octets > 0, "a recording")
        mask = Mask(name="window", polygon=((0, 0), (0.2, 0), (0.2, 0.2)))
        await room.apply([changed(plain, rules=(EVERYWHERE,), masks=(mask,), name="Lawn")])
        await until(told.events, "an event of the new rule", 90.0)
        assert room.cameras()[0].name == "Lawn"
        assert figures(room, "cam-0").files == 1
        assert figures(room, "cam-0").gaps == 1  # until its first picture
        assert street.viewers(0) == 1
    assert verify("cam-0", tmp_path / "cam-0").files == 1


async def test_an_account_that_was_changed_is_used_at_once_and_recording_goes_on(
    street: CameraStreet, tmp_path
):
    told = Told()
    config = street.config(0)
    async with running(tmp_path, told, config) as room:
        await until(lambda: figures(room, "cam-0").recorded_octets > 0, "a recording")
        await room.live_start("cam-0")
        street.set_account(0, "viewer", "another")
        await until(lambda: told.states("cam-0")[-1] == "refused", "the refusal")
        await room.apply([msgspec.structs.replace(config, password="another")])
        await until(lambda: told.states("cam-0")[-1] == "live", "the new account")
        before = figures(room, "cam-0").recorded_octets
        await until(lambda: figures(room, "cam-0").recorded_octets > before, "more recording")
        assert figures(room, "cam-0").gaps == 2
    found = verify("cam-0", tmp_path / "cam-0")
    assert found.is_whole
    assert found.files == 2


async def test_a_camera_that_is_switched_off_rests_with_its_recordings(street: CameraStreet, tmp_path):
    told = Told()
    config = street.config(0)
    async with running(tmp_path, told, config) as room:
        await until(lambda: figures(room, "cam-0").recorded_octets > 0, "a recording")
        await room.apply([], resting=[changed(config, enabled=False).setup])
        assert room.cameras() == []
        await until(lambda: street.viewers(0) == 0, "the camera to be left")
        assert len(list(tmp_path.glob("cam-0/*/*.mp4"))) == 1


async def test_a_camera_that_another_process_records_waits_and_the_others_go_on(
    street: CameraStreet, tmp_path, monkeypatch
):
    monkeypatch.setattr("safecity.video.room.HANDING_OVER_S", -SETTINGS.rtsp_timeout_s)
    monkeypatch.setattr("safecity.video.room.OPEN_AGAIN_S", 0.1)
    elsewhere = Claims(tmp_path)
    assert elsewhere.take("cam-0")
    async with running(tmp_path, Told(), street.config(0), street.config(1)) as room:
        await until(lambda: figures(room, "cam-1").recorded_octets > 0, "the other camera")
        assert [camera.id for camera in room.cameras()] == ["cam-1"]
        assert not list(tmp_path.glob("cam-0/*/*.mp4"))
        elsewhere.give_back_all()
        await until(lambda: len(room.cameras()) == 2, "the camera to be taken over")


async def test_too_many_cameras_change_nothing(street: CameraStreet, tmp_path):
    config = street.config(0)
    async with running(tmp_path, Told(), config) as room:
        many = [changed(config, id=f"cam-{n}") for n in range(CAMERAS_PER_SHARD + 1)]
        with pytest.raises(Configuration):
            await room.apply(many)
        assert [camera.id for camera in room.cameras()] == ["cam-0"]


async def test_holds_reach_the_archive_before_anything_may_go(street: CameraStreet, tmp_path):
    now = datetime.now(UTC)
    hold = Hold(
        id="h",
        camera_id="cam-0",
        start=now - timedelta(hours=1),
        end=now + timedelta(hours=1),
        reason="evidence",
        by="somebody",
        at=now,
    )
    async with running(tmp_path, Told()) as room:
        await room.apply([street.config(0)], [hold])
        assert room._archive.held("cam-0").cover(now.timestamp(), now.timestamp())
        assert not room._archive.held("cam-1").cover(0.0, now.timestamp())
        await room.apply([street.config(0)], None)
        assert room._archive.held("cam-1").cover(0.0, now.timestamp()), "it isn't known what is held"


async def test_a_sub_stream_is_watched_and_the_main_stream_recorded(open_street, tmp_path):
    street = open_street("small", sub="sub")
    told = Told()
    async with running(tmp_path, told, street.config(0, sub=True)) as room:
        await until(lambda: street.viewers(0) and street.viewers(0, "/sub"), "both streams")
        sub = await _start(room, StreamRole.SUB, 192)
        assert (sub.width, sub.height) == (192, 144)
        main = await _start(room, StreamRole.MAIN, 320)
        assert (main.width, main.height) == (320, 240)
        await until(lambda: figures(room, "cam-0").frames_gated > 3, "pictures at the gate")
        watch = room._analysis.watches["cam-0"]
        assert (watch._info.width, watch._info.height) == (192, 144)
        assert figures(room, "cam-0").sub_state is CameraState.LIVE
        assert room.cameras()[0].state_reason == ""
    with contextlib.suppress(StopIteration):
        assert next(tmp_path.glob("cam-0/*/*.mp4")).stat().st_size > 10_000


async def test_a_lost_sub_stream_is_said_and_the_main_stream_takes_its_place(open_street, tmp_path):
    street = open_street("small", sub="sub")
    told = Told()
    async with running(tmp_path, told, street.config(0, sub=True)) as room:
        pieces: list[tuple[StreamRole, FragmentKind]] = []
        room.on_fragment(lambda _, name, kind, data: pieces.append((name, kind)))
        await _start(room, StreamRole.SUB, 192)
        watch = room._analysis.watches["cam-0"]
        await until(lambda: watched_px(watch) == 192, "analysis of the sub-stream")
        street.set_fault(0, Fault.DROP, sub="/sub")
        words = "the sub-stream is lost: nothing"
        await until(lambda: any(r.startswith("the sub-stream is lost") for r in told.reasons("cam-0")), words)
        assert told.states("cam-0")[-1] == "live"
        await until(lambda: (StreamRole.SUB, FragmentKind.INIT) in pieces, "the other header")
        shown = await room.live_start("cam-0", StreamRole.SUB, keep=False)
        assert (shown.width, shown.height) == (320, 240)
        watch = room._analysis.watches["cam-0"]
        await until(lambda: watched_px(watch) == 320, "analysis of the main stream")
        assert figures(room, "cam-0").gaps == 1  # until its first picture
        pieces.clear()
        street.set_fault(0, None, sub="/sub")
        await until(lambda: (StreamRole.SUB, FragmentKind.INIT) in pieces, "the sub-stream's header")
        await until(lambda: watched_px(watch) == 192, "analysis of the sub-stream")
        await until(lambda: told.reasons("cam-0")[-1] == "", "nothing more to say")
        assert figures(room, "cam-0").files == 1


async def test_a_sub_stream_may_be_added_and_taken_away(open_street, tmp_path):
    street = open_street("small", sub="sub")
    whole = street.config(0, sub=True)
    async with running(tmp_path, Told(), changed(whole, sub_url="")) as room:
        assert (await _start(room, StreamRole.SUB, 320)).width == 320
        await room.apply([whole])
        await _start(room, StreamRole.SUB, 192)
        await room.apply([changed(whole, sub_url="")])
        await _start(room, StreamRole.SUB, 320)
        await until(lambda: street.viewers(0, "/sub") == 0, "the sub-stream to be left")
        assert figures(room, "cam-0").outages == 0
        assert figures(room, "cam-0").files == 1


async def _start(room: VideoRoom, role: StreamRole, width_px: int):
    """Return what a viewer gets under `role` as soon as it is of this width."""
    found = []

    async def look() -> None:
        with contextlib.suppress(Unavailable):
            found.append(await room.live_start("cam-0", role))

    for _ in range(400):
        await look()
        if found and found[-1].width == width_px:
            return found[-1]
        await asyncio.sleep(0.05)
    raise AssertionError(f"no picture {width_px} px wide as {role}")


async def test_a_camera_that_never_connects_is_missing_since_it_was_admitted(street: CameraStreet, tmp_path):
    config = street.config(0, password="wrong")
    folder = tmp_path / "cam-0"
    for _ in range(2):
        told = Told()
        async with running(tmp_path, told, config) as room:
            await until(lambda: figures(room, "cam-0").state is CameraState.REFUSED, "the refusal")
            await until(lambda: index.read(folder), "the outage")
            assert not figures(room, "cam-0").gaps
    (outage,) = index.read(folder)
    assert isinstance(outage, index.OutageEntry)
    assert outage.reason == NEVER_SEEN
    async with running(tmp_path, Told(), street.config(0)) as room:
        await until(lambda: figures(room, "cam-0").recorded_octets > 0, "a recording")
    gap, file = index.read(folder)[1:3]
    assert isinstance(gap, index.GapEntry)
    assert isinstance(file, index.FileEntry)
    assert (gap.start, gap.reason) == (outage.start, NEVER_SEEN)
    assert gap.start < gap.end < file.end
