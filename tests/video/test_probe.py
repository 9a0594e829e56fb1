"""A camera is tried before it is added: what comes, or why nothing does, and never for long."""

import asyncio
import socket

import pytest

from safecity.clock import SystemClock
from safecity.model.source import CameraState
from safecity.simulator.camera_data import film_path
from safecity.video.stream.probe import ProbeRequest, ProbeResult, probe
from safecity.video.stream.probing import look


def _request(street, password=None):
    config = street.config(0)
    return ProbeRequest(
        url=config.setup.url, user=config.user, password=config.password if password is None else password
    )


async def test_a_camera_that_answers_is_described(street):
    found = await probe(_request(street))
    assert found == ProbeResult(state=CameraState.LIVE, codec="h264", width=768, height=576, fps=found.fps)
    assert 5 < found.fps < 30


async def test_a_wrong_password_is_told_without_repeating_it(street):
    found = await probe(_request(street, password="wrong-cranes"))
    assert found.state is CameraState.REFUSED
    assert "password" in found.reason
    assert "wrong-cranes" not in repr(found)


@pytest.mark.parametrize("talks", [False, True])
async def test_who_is_no_camera_is_told_so(talks):
    async def answer(reader, writer):
        if talks:
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        found = await probe(ProbeRequest(url=f"rtsp://127.0.0.1:{port}/x"))
    assert found.state in (CameraState.LOST, CameraState.REFUSED)
    assert found.reason
    assert "SSH" not in found.reason


def test_a_film_is_tried_where_films_may_lie(tmp_path):
    film = tmp_path / "gate.mp4"
    film.write_bytes(film_path().read_bytes())
    url, clock = film.as_uri(), SystemClock()
    found = look(ProbeRequest(url=url, files_dir=str(tmp_path)), clock)
    assert (found.state, found.width, found.height) == (CameraState.LIVE, 768, 576)
    (tmp_path / "films").mkdir()
    for elsewhere in ("", str(tmp_path / "films")):
        assert look(ProbeRequest(url=url, files_dir=elsewhere), clock).state is CameraState.REFUSED


def test_nobody_there_is_told_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = look(ProbeRequest(url=f"rtsp://127.0.0.1:{port}/x"), SystemClock())
    assert found.state is CameraState.LOST
    assert found.reason


def test_a_request_is_silent_in_logs():
    assert "cranes" not in repr(ProbeRequest(url="rtsp://h/x", user="u", password="cranes"))
