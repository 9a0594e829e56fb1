"""The whole room on real streams: what it publishes, shows, records, and how it ends."""

import io
import json
import time

import av
import pytest

from safecity.clock import SystemClock
from safecity.errors import Configuration, NotFound
from safecity.model.observation import Observation
from safecity.model.source import CameraState
from safecity.model.video import CAMERAS_PER_SHARD, StreamRole
from safecity.simulator.camera import Fault
from safecity.simulator.camera_data import SCENES, demo_cameras, film_path
from safecity.video.live import FragmentKind
from safecity.video.recording.custody import verify
from safecity.video.recording.index import FileEntry
from safecity.video.room import VideoRoom

from .conftest import PLACE, CameraStreet
from .rooms import EVERYWHERE, SETTINGS, SOON, Told, until


async def test_a_room_records_watches_shows_and_tells(street: CameraStreet, tmp_path):
    told = Told(failures=1)
    entries = []
    configs = [street.config(0, rules=(EVERYWHERE,)), street.config(1, password="wrong")]
    room = VideoRoom(
        configs,
        tmp_path,
        told.publish,
        SystemClock(),
        settings=SETTINGS,
        backoff=SOON,
    )
    room.on_entry(entries.append)
    pieces: list[tuple[str, StreamRole, FragmentKind, bytes]] = []
    room.on_fragment(lambda *piece: pieces.append(piece))
    await room.start()
    try:
        await until(lambda: "live" in told.states("cam-0"), "a live camera")
        await until(lambda: told.states("cam-1")[-1:] == ["refused"], "a refused camera")
        start = await room.live_start("cam-0")
        await until(lambda: len(pieces) > 5, "live fragments")
        data = start.init + b"".join(start.fragments) + b"".join(piece for *_, piece in pieces)
        with av.open(io.BytesIO(data)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 5
        with pytest.raises(NotFound):
            await room.live_start("cam-9")
        await until(told.events, "an intrusion", 90.0)
        states = {camera.id: camera for camera in room.cameras()}
        assert states["cam-0"].state is CameraState.LIVE
        assert states["cam-0"].recording
        assert states["cam-1"].state_reason == "wrong user or password"
        street.set_fault(0, Fault.DROP)
        await until(lambda: told.states("cam-0")[-1] == "lost", "the loss")
        figures = room.figures()[0]
        assert figures.packets > 0
        assert figures.outages == 1
    finally:
        await room.stop()
    event = told.events()[0]
    assert event.source_id == "cam-0"
    assert event.property == "zone_intrusion"
    assert event.detail["why"].startswith("person entered zone 'everywhere' (score 0.")
    assert event.detail["class"] == "person"
    assert 0.35 <= event.value <= 1
    assert (event.lon, event.lat) == (PLACE.lon, PLACE.lat)
    assert abs((event.receive_time - event.event_time).total_seconds()) < 10
    assert len([entry for entry in entries if isinstance(entry, FileEntry)]) == 1
    assert verify("cam-0", tmp_path / "cam-0").is_whole
    assert "Xk3" not in json.dumps([str(o) for o in told.observations])


async def test_recording_goes_on_when_nobody_takes_the_events(street: CameraStreet, tmp_path):
    async def never(observation: Observation) -> None:
        raise ConnectionError("no bus")

    room = VideoRoom([street.config(1)], tmp_path, never, SystemClock(), settings=SETTINGS)
    await room.start()
    await until(lambda: room.figures()[0].recorded_octets > 0, "a fragment on disk")
    began = time.monotonic()
    await room.stop()
    assert time.monotonic() - began < 5
    assert verify("cam-1", tmp_path / "cam-1").files == 1


def test_a_room_has_a_limit_and_ids_are_its_own(street: CameraStreet, tmp_path):
    config = street.config(0)
    for configs in ([config] * 2, [config] * (CAMERAS_PER_SHARD + 1)):
        with pytest.raises(Configuration):
            VideoRoom(configs, tmp_path, Told().publish, SystemClock())


def test_demo_cameras_come_in_pairs_with_accounts_of_their_own():
    served, told = demo_cameras([PLACE] * 5, "viewer", [f"secret-{n}" for n in range(5)], port=8554)
    assert [camera.path for camera in served] == [f"/cam/{n}" for n in range(1, 6)]
    assert [config.setup.rules for config in told] == [SCENES[n % 2].rules for n in range(5)]
    assert len({camera.offset_s for camera in served}) == 5
    assert all(
        config.setup.simulated and config.address().endswith(f":8554/cam/{n + 1}")
        for n, config in enumerate(told)
    )
    assert film_path().exists()
