"""The camera simulator, looked at with FFmpeg's own RTSP client through PyAV."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safecity.simulator
from safecity.clock import SystemClock
from safecity.errors import Configuration, Invalid, NotFound
from safecity.simulator import camera_digest
from safecity.simulator.camera import CameraServer, Fault, SimulatedCamera
from safecity.simulator.camera_payload import payloads
from safecity.simulator.camera_rtp import Clip, frame_of, read_clip

CLIP_PATH = Path(safecity.simulator.__file__).parent / "data" / "pedestrians.mp4"
PASSWORD = "Xk3/p@ss:word"
OPTIONS = {"rtsp_transport": "tcp", "timeout": "3000000", "probesize": "32", "analyzeduration": "0"}


@pytest.fixture(scope="module")
def clip() -> Clip:
    return read_clip(CLIP_PATH)


@pytest.fixture
async def served(clip: Clip) -> AsyncIterator[tuple[CameraServer, Callable[[str, str], str]]]:
    cameras = [
        SimulatedCamera(path="/cam/1", user="viewer", password=PASSWORD),
        SimulatedCamera(path="/cam/2", user="viewer", password="another", offset_s=30.0),
    ]
    server = CameraServer(cameras, clip, SystemClock())
    port = await server.start()

    def url(path: str, account: str) -> str:
        return f"rtsp://{account}@127.0.0.1:{port}{path}"

    yield server, url
    await server.stop()


def pull(url: str, count: int) -> list[tuple[int | None, bool]]:
    """Return time stamp and keyframe flag of the first `count` packets; FFmpeg cannot date the very first."""
    found: list[tuple[int | None, bool]] = []
    with av.open(url, options=OPTIONS) as container:
        for packet in container.demux(video=0):
            found.append((packet.pts, packet.is_keyframe))
            if len(found) == count:
                break
    return found


def first_picture(url: str) -> int:
    """Return the mean brightness of the first whole picture, times 1000."""
    with av.open(url, options=OPTIONS) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (768, 576)
        return int(frame.to_ndarray(format="gray").mean() * 1000)


GOOD = "viewer:Xk3%2Fp%40ss%3Aword"


async def test_a_viewer_gets_decodable_pictures_with_rising_time_stamps(served):
    server, url = served
    packets = await asyncio.to_thread(pull, url("/cam/1", GOOD), 25)
    assert packets[0][1]
    steps = {b[0] - a[0] for a, b in itertools.pairwise(packets[1:])}
    assert steps == {9000}
    assert await asyncio.to_thread(first_picture, url("/cam/2", "viewer:another")) > 0
    assert server.viewers("/cam/1") == 0


async def test_many_viewers_see_the_same_camera(served):
    _, url = served
    counts = await asyncio.gather(*(asyncio.to_thread(pull, url("/cam/1", GOOD), 5) for _ in range(4)))
    assert all(len(packets) == 5 for packets in counts)


@pytest.mark.parametrize("account", ["viewer:wrong", "nobody:another"])
async def test_a_wrong_account_is_refused(served, account):
    _, url = served
    with pytest.raises(av.error.HTTPUnauthorizedError):
        await asyncio.to_thread(pull, url("/cam/2", account), 1)


async def test_an_unknown_path_is_not_found(served):
    _, url = served
    with pytest.raises(av.error.HTTPNotFoundError):
        await asyncio.to_thread(pull, url("/cam/9", GOOD), 1)


async def test_a_dropped_camera_is_gone_and_comes_back(served):
    server, url = served
    server.set_fault("/cam/1", Fault.DROP)
    with pytest.raises(av.error.FFmpegError):
        await asyncio.to_thread(pull, url("/cam/1", GOOD), 1)
    server.set_fault("/cam/1", None)
    assert await asyncio.to_thread(pull, url("/cam/1", GOOD), 1)
    with pytest.raises(NotFound):
        server.set_fault("/cam/9", Fault.DROP)


async def test_a_viewer_that_never_reads_does_not_hold_up_the_others(served, clip):
    _, url = served
    port = int(url("", "x:y").rsplit(":", maxsplit=1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    await _play_by_hand(reader, writer, port)
    packets = await asyncio.to_thread(pull, url("/cam/1", GOOD), 30)
    assert len(packets) == 30
    writer.transport.abort()


async def _play_by_hand(reader, writer, port):
    base = f"rtsp://127.0.0.1:{port}/cam/1"

    async def ask(method: str, url: str, extra: str = "") -> str:
        writer.write(f"{method} {url} RTSP/1.0\r\nCSeq: 1\r\n{extra}\r\n".encode())
        return (await reader.readuntil(b"\r\n\r\n")).decode()

    nonce = (await ask("DESCRIBE", base)).split('nonce="')[1].split('"')[0]

    def proof(method: str, url: str) -> str:
        ha1 = camera_digest._md5(f"viewer:{camera_digest.REALM}:{PASSWORD}")
        response = camera_digest._md5(f"{ha1}:{nonce}:{camera_digest._md5(f'{method}:{url}')}")
        return (
            f'Authorization: Digest username="viewer", realm="{camera_digest.REALM}", nonce="{nonce}", '
            f'uri="{url}", response="{response}"\r\n'
        )

    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
    setup = await ask("SETUP", f"{base}/track1", proof("SETUP", f"{base}/track1") + transport)
    assert "200 OK" in setup
    session = setup.split("Session: ")[1].split(";")[0]
    assert "200 OK" in await ask("PLAY", base, proof("PLAY", base) + f"Session: {session}\r\n")


async def test_garbage_ends_only_its_own_connection(served):
    _, url = served
    port = int(url("", "x:y").rsplit(":", maxsplit=1)[1])
    for garbage in (b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 40_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        writer.write_eof()
        answer = await reader.read(200)
        assert answer == b"" or answer.startswith(b"RTSP/1.0 400")
        writer.close()
    assert await asyncio.to_thread(pull, url("/cam/1", GOOD), 1)


def test_the_loop_has_continuous_time(clip):
    numbers = range(780, 1620)
    steps = {clip.ticks(n + 1) - clip.ticks(n) for n in numbers}
    assert steps == {9000}
    assert all(clip.number_at(clip.ticks(n)) == n for n in numbers)
    assert all(clip.frame(clip.key_before(n)).is_key and clip.key_before(n) <= n for n in numbers)


@given(st.binary(min_size=1, max_size=9000))
def test_payloads_put_together_are_the_nal(nal: bytes):
    parts = list(payloads(nal))
    if len(parts) == 1:
        assert parts[0] == nal
        return
    assert parts[0][1] & 0x80
    assert parts[-1][1] & 0x40
    header = bytes(((parts[0][0] & 0xE0) | (parts[0][1] & 0x1F),))
    assert header + b"".join(part[2:] for part in parts) == nal


def test_what_cannot_be_played_is_said(tmp_path):
    with pytest.raises(Invalid):
        SimulatedCamera(path="/cam/1", user="viewer", password="")
    silent = tmp_path / "mjpeg.mp4"
    with av.open(str(silent), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(Configuration):
        read_clip(silent)
    assert "secret" not in repr(SimulatedCamera(path="/c", user="u", password="secret"))
    assert frame_of((), is_key=False, start_ticks=0).starts == ()
