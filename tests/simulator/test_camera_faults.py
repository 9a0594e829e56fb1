"""The camera simulator's transports, codecs and faults, looked at with FFmpeg's own RTSP client."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.clock import SystemClock
from safecity.errors import Configuration, Invalid, NotFound
from safecity.simulator.camera import CameraClips, CameraServer, Fault, SimulatedCamera
from safecity.simulator.camera_digest import is_basic
from safecity.simulator.camera_fault import CameraClock, damage
from safecity.simulator.camera_film import FilmRecipe, kept_film
from safecity.simulator.camera_payload import ClipCodec, parameter_sets, payloads
from safecity.simulator.camera_rtp import frame_of, packets, read_clip

SMALL = FilmRecipe(width_px=320, height_px=240, fps=25, bitrate_kbps=300, gop_s=0.4, length_s=2.0)
SUB = FilmRecipe(width_px=192, height_px=144, fps=10, bitrate_kbps=100, gop_s=0.5, length_s=2.0)
HEVC = FilmRecipe(
    width_px=640, height_px=360, fps=15, bitrate_kbps=900, gop_s=0.4, length_s=2.0, codec=ClipCodec.HEVC
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> CameraClips:
    """Return a camera with a sub-stream, another size and another codec."""
    folder = tmp_path_factory.mktemp("films")
    main, sub, hevc = (read_clip(kept_film(folder, recipe)) for recipe in (SMALL, SUB, HEVC))
    return CameraClips(main=main, sub=sub, other_codec=hevc, other_size=sub)


class Stand:
    """A server with one camera, and what a viewer of it gets."""

    def __init__(self, server: CameraServer, port: int) -> None:
        self.server = server
        self.port = port

    async def pull(
        self, count: int, *, path: str = "/cam", transport: str = "tcp", account: str = "u:p"
    ) -> list:
        """Return codec, width, time stamp and size of `count` packets."""
        return await asyncio.to_thread(self._pull, count, path, transport, account)

    def _pull(self, count: int, path: str, transport: str, account: str) -> list:
        options = {
            "rtsp_transport": transport,
            "timeout": "2000000",
            "probesize": "32",
            "analyzeduration": "0",
        }
        url = f"rtsp://{account}@127.0.0.1:{self.port}{path}"
        found = []
        with av.open(url, options=options, timeout=(4, 2)) as container:
            context = container.streams.video[0].codec_context
            for packet in container.demux(video=0):
                if packet.size:
                    found.append((context.name, context.width, packet.pts, packet.size))
                if len(found) == count:
                    break
        return found

    async def watch(self, seconds_s: float, act: Callable[[], None], **how) -> list:
        """Return the packets of `seconds_s` of film; `act` is called when some of them have come."""
        viewer = asyncio.create_task(self.pull(int(seconds_s * 25), **how))
        async with asyncio.timeout(10):
            while not self.server.viewers("/cam"):  # noqa: ASYNC110  the viewer is in another thread
                await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.3, act)
        return await viewer


@pytest.fixture
async def stand(clips):
    server = CameraServer([SimulatedCamera(path="/cam", user="u", password="p")], clips, SystemClock())
    yield Stand(server, await server.start())
    await server.stop()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("path", "width"), [("/cam", 320), ("/cam/sub", 192)])
async def test_both_streams_come_over_both_transports(stand, transport, path, width):
    found = await stand.pull(20, path=path, transport=transport)
    assert {(codec, size) for codec, size, _, _ in found} == {("h264", width)}
    steps = {b - a for (_, _, a, _), (_, _, b, _) in itertools.pairwise(found[1:])}
    assert steps == ({3600} if path == "/cam" else {9000})
    assert stand.server.viewers(path) in {0, 1}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_hevc_is_whole_at_the_other_end(stand, clips, transport):
    stand.server.set_fault("/cam", Fault.CODEC)
    found = await stand.pull(15, transport=transport)
    assert {(codec, size) for codec, size, _, _ in found} == {("hevc", 640)}


async def test_a_stopped_clock_repeats_itself_and_a_drifting_one_steps_wider(stand):
    found = await stand.watch(1.0, lambda: stand.server.set_fault("/cam", Fault.CLOCK_STOPPED))
    assert found[-1][2] == found[-2][2]
    stand.server.set_fault("/cam", Fault.CLOCK_DRIFT, 0.5)
    found = await stand.pull(10)
    assert {b - a for (_, _, a, _), (_, _, b, _) in itertools.pairwise(found[1:])} == {5400}


@pytest.mark.parametrize(("fault", "sign"), [(Fault.CLOCK_FORWARD, 1), (Fault.CLOCK_BACK, -1)])
async def test_a_clock_jump_is_one_jump(stand, fault, sign):
    found = await stand.watch(1.2, lambda: stand.server.set_fault("/cam", fault, 100.0))
    steps = [b - a for (_, _, a, _), (_, _, b, _) in itertools.pairwise(found[1:])]
    # FFmpeg takes a step back for a step over the end of the 32 bits.
    assert {step % 2**32 for step in steps} == {3600, (3600 + sign * 9_000_000) % 2**32}


async def test_another_size_comes_in_the_same_connection(stand, clips):
    found = await stand.watch(1.2, lambda: stand.server.set_fault("/cam", Fault.RESOLUTION))
    assert len(found) == 30


async def test_connections_end_when_the_account_changes(stand):
    with pytest.raises(av.error.HTTPUnauthorizedError):
        await stand.pull(1, account="u:wrong")
    stand.server.set_fault("/cam", Fault.PASSWORD)
    with pytest.raises(av.error.HTTPUnauthorizedError):
        await stand.pull(1)
    stand.server.set_account("/cam", "u", "new")
    stand.server.set_fault("/cam", None)
    assert await stand.pull(1, account="u:new")
    assert await stand.pull(1, account="u:new", path="/cam/sub")
    with pytest.raises(av.error.HTTPUnauthorizedError):
        await stand.pull(1)


async def test_a_slow_link_takes_what_it_is_allowed(stand):
    loop = asyncio.get_running_loop()
    stand.server.set_fault("/cam", Fault.SLOW, 20_000)
    begun_s = loop.time()
    found = await stand.pull(40)
    passed_s = loop.time() - begun_s
    # The first picture is let through whole; then the link is paid for.
    assert sum(size for *_, size in found[1:-1]) <= 20_000 * (passed_s + 1.5)


async def test_datagrams_are_lost_and_most_pictures_come(stand):
    stand.server.set_fault("/cam", Fault.LOSS, 0.2)
    assert len(await stand.pull(30, transport="udp")) == 30


async def test_a_camera_may_have_no_udp_and_ask_for_a_basic_account(clips):
    camera = SimulatedCamera(path="/cam", user="u", password="p", udp=False, basic=True)
    server = CameraServer([camera], clips, SystemClock())
    stand = Stand(server, await server.start())
    try:
        assert await stand.pull(3)
        with pytest.raises(av.error.HTTPUnauthorizedError):
            await stand.pull(3, account="u:wrong")
        with pytest.raises(OSError, match="Protocol not supported"):
            await stand.pull(3, transport="udp")
    finally:
        await server.stop()
    assert not is_basic("Basic !!", "u", "p")


def test_a_fault_without_its_film_and_a_film_that_is_not_there_are_refused(clips):
    camera = SimulatedCamera(path="/cam", user="u", password="p")
    server = CameraServer([camera], clips.main, SystemClock())
    with pytest.raises(Invalid):
        server.set_fault("/cam", Fault.CODEC)
    other = SimulatedCamera(path="/cam", user="u", password="p", film="none")
    with pytest.raises(NotFound):
        CameraServer([other], clips, SystemClock())
    named = CameraServer([other], clips, SystemClock(), {"none": clips})
    assert named.viewers("/cam/sub") == 0


@given(st.binary(min_size=3, max_size=9000))
def test_hevc_fragments_put_together_are_the_nal(nal: bytes):
    parts = list(payloads(nal, ClipCodec.HEVC))
    if len(parts) == 1:
        assert parts[0] == nal
        return
    assert all((part[0] >> 1) & 0x3F == 49 and len(part) <= 1400 for part in parts)
    assert parts[0][2] & 0x80
    assert parts[-1][2] & 0x40
    assert not any(part[2] & 0xC0 for part in parts[1:-1])
    header = bytes(((parts[0][0] & 0x81) | (parts[0][2] & 0x3F) << 1, parts[0][1]))
    assert header + b"".join(part[3:] for part in parts) == nal


@given(st.lists(st.binary(min_size=1, max_size=1400), min_size=1, max_size=5), st.integers(0, 2**16 - 1))
def test_packets_are_numbered_and_dated_for_each_viewer(parts: list[bytes], sequence: int):
    frame = frame_of(parts, is_key=True, start_ticks=0, shift_ticks=7200)
    data = bytes(packets(frame, 2, sequence, 2**32 - 3600, 0xDEADBEEF))
    position = 0
    for number, part in enumerate(parts):
        assert data[position : position + 2] == b"$\x02"
        size = int.from_bytes(data[position + 2 : position + 4], "big")
        rtp = data[position + 4 : position + 4 + size]
        assert int.from_bytes(rtp[2:4], "big") == (sequence + number) & 0xFFFF
        assert int.from_bytes(rtp[4:8], "big") == 3600
        assert int.from_bytes(rtp[8:12], "big") == 0xDEADBEEF
        assert bool(rtp[1] & 0x80) == (number == len(parts) - 1)
        assert rtp[12:] == part
        position += 4 + size
    assert position == len(data)
    assert frame.data[6:8] == b"\0\0"


@given(st.integers(0, 2**20), st.integers(1, 30))
def test_damage_changes_pictures_and_never_the_packets_around_them(seed, count):
    frame = frame_of([bytes(200)] * count, is_key=False, start_ticks=0)
    data = packets(frame, 0, 1, 0, 1)
    whole = bytes(data)
    damage(data, frame, random.Random(seed))
    assert len(data) == len(whole)
    for start in frame.starts:
        assert data[start : start + 16] == whole[start : start + 16]


def test_a_camera_clock_goes_on_from_where_the_last_fault_left_it():
    clock = CameraClock()
    clock.set_fault(Fault.CLOCK_FORWARD, 10.0, 1000)
    assert clock.read(1000) == 901_000
    clock.set_fault(Fault.CLOCK_STOPPED, 0.0, 2000)
    assert clock.read(50_000) == 902_000
    clock.set_fault(None, 0.0, 50_000)
    assert clock.read(50_000) == 902_000
    assert clock.read(50_001) == 902_001


@pytest.mark.parametrize("codec", list(ClipCodec))
@given(data=st.binary(max_size=60))
def test_a_record_without_parameter_sets_is_said(codec, data):
    with contextlib.suppress(Configuration):
        assert all(parameter_sets(data, codec, "film.mp4"))
    with pytest.raises(Configuration, match=r"film\.mp4"):
        parameter_sets(b"", codec, "film.mp4")


def test_films_are_made_to_measure_and_kept(tmp_path: Path):
    recipe = FilmRecipe(
        width_px=320, height_px=180, fps=20, bitrate_kbps=300, gop_s=0.5, length_s=2.0, start_s=3.0
    )
    path = kept_film(tmp_path, recipe)
    clip = read_clip(path)
    assert (clip.length_s, clip.key_before(9), clip.key_before(10)) == (2.0, 0, 10)
    assert 100 < path.stat().st_size * 8 / 2.0 / 1000 < 500
    before = path.stat().st_mtime_ns
    assert kept_film(tmp_path, recipe).stat().st_mtime_ns == before
    quiet = kept_film(tmp_path, FilmRecipe(**{**_fields(recipe), "quiet": True, "noise": 4.0}))
    with av.open(str(quiet)) as container:
        pictures = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]
    differences = [abs(b - a).mean() for a, b in itertools.pairwise(pictures)]
    assert 0 < max(differences) < 8


def _fields(recipe: FilmRecipe) -> dict:
    return {name: getattr(recipe, name) for name in FilmRecipe.__struct_fields__}
