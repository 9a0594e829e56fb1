"""What cameras send: codecs, sizes, both streams, TCP and UDP, accounts; and why a camera is refused."""

import itertools
import socket
import threading

import pytest

from safecity.clock import SystemClock
from safecity.errors import Invalid
from safecity.model.source import CameraState
from safecity.model.video import CameraSetup, StreamRole, Transport
from safecity.simulator.camera import CameraClips
from safecity.simulator.camera_rtp import read_clip
from safecity.simulator.camera_sound import tone
from safecity.video.camera import CameraConfig
from safecity.video.stream.admission import Admission
from safecity.video.stream.source import SoundInfo, SoundPacket

from .conftest import PASSWORD, PLACE, CameraStreet, wait_for
from .recording import Taker


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize(
    ("film", "codec", "size"), [("small", "h264", (320, 240)), ("hevc", "hevc", (640, 360))]
)
def test_each_codec_is_recorded_over_each_transport(open_street, recording, transport, film, codec, size):
    street = open_street(film)
    one = recording(street.config(0, transport=transport))
    wait_for(lambda: one.has(4), "a recording")
    one.close()
    assert one.states == [(CameraState.LIVE, "")]
    (played,) = one.played()
    assert played[:3] == (codec, *size)
    assert played[3] >= 20
    assert one.session.counters.damaged == 0
    assert one.recorder.counters.lost_packets == 0


def test_an_hevc_stream_is_described_as_browsers_and_players_want_it(open_street):
    taker = Taker(open_street("hevc").config(0))
    with taker:
        wait_for(lambda: len(taker.packets) > 3, "pictures")
    (info,) = taker.infos
    assert info.mime.startswith('video/mp4; codecs="hvc1.1.')
    assert b"hvc1" in info.init
    assert b"hev1" not in info.init
    # array_completeness of the first array (ISO/IEC 14496-15, section 8.3.3.1)
    assert info.record[23] & 0x80
    assert info.codec == "hevc"


def test_a_4k_stream_is_recorded_and_plays(open_street, recording):
    one = recording(open_street("4k").config(0))
    wait_for(lambda: one.has(2), "a recording", 30.0)
    one.close()
    codec, width, height, pictures = one.played()[0]
    assert (codec, width, height) == ("hevc", 3840, 2160)
    assert pictures >= 3


def test_b_frames_keep_their_order_and_times(open_street, recording):
    street = open_street("bidirectional")
    one = recording(street.config(0))
    taker = Taker(street.config(0))
    with taker:
        wait_for(lambda: one.has(4) and len(taker.packets) > 60, "pictures")
    one.close()
    assert one.session.counters.discontinuities == 0
    assert one.played()[0][3] >= 20
    assert taker.infos[0].reorder_depth == 2
    assert {packet.shift_ticks // 3600 for packet in taker.packets} == {1, 2, 3, 4}
    shown = sorted(packet.ticks + packet.shift_ticks for packet in taker.packets)
    assert {b - a for a, b in itertools.pairwise(shown[:-4])} == {3600}
    decoded = [packet.ticks for packet in taker.packets]
    assert decoded == sorted(set(decoded))


def test_main_and_sub_stream_are_two_sessions_of_one_camera(open_street):
    street = open_street("small", sub="sub")
    config = street.config(0, sub=True)
    with Taker(config, role=StreamRole.MAIN) as main, Taker(config, role=StreamRole.SUB) as sub:
        wait_for(lambda: main.infos and sub.infos, "both streams")
    assert (main.infos[0].width, sub.infos[0].width) == (320, 192)


def test_a_sub_stream_that_is_not_there_is_said(open_street):
    with pytest.raises(Invalid, match="no sub-stream"):
        Taker(open_street("small").config(0), role=StreamRole.SUB)


def test_a_basic_account_is_enough_when_the_camera_asks_for_it(open_street):
    street = open_street("small", basic=True)
    with Taker(street.config(0)) as taker:
        wait_for(lambda: taker.infos, "pictures")
    with Taker(street.config(0, password="wrong")) as taker:
        wait_for(lambda: taker.session.state[0] is CameraState.REFUSED, "a refusal")
    assert taker.session.state[1] == "wrong user or password"


def test_the_camera_tells_how_wrong_its_clock_is(open_street):
    with Taker(open_street("small").config(0)) as taker:
        wait_for(lambda: taker.session.counters.clock_error_s is not None, "a sender report", 20.0)
    assert abs(taker.session.counters.clock_error_s) < 1.0


def _setup(url: str, transport: Transport = Transport.TCP) -> CameraConfig:
    setup = CameraSetup(id="other", name="Other", url=url, transport=transport, place=PLACE)
    return CameraConfig(setup=setup, user="viewer", password=PASSWORD)


def test_each_refusal_and_loss_has_its_own_sentence(open_street):
    street = open_street("small", udp=False)
    silent = socket.create_server(("127.0.0.1", 0))
    speaker = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        while True:
            try:
                connection, _ = speaker.accept()
            except OSError:
                return
            connection.sendall(b"220 this is no camera\r\n\r\n")
            connection.close()

    greeter = threading.Thread(target=greet)
    greeter.start()
    base = f"rtsp://127.0.0.1:{street.port}"
    expected = [
        (_setup(f"{base}/cam/9"), CameraState.REFUSED, "the camera has no stream at this path"),
        (
            street.config(0, transport=Transport.UDP),
            CameraState.REFUSED,
            "the camera does not send by UDP; try TCP",
        ),
        (_setup("rtsp://camera.invalid/x"), CameraState.LOST, "the camera's host name is not known"),
        (_setup("rtsp://127.0.0.1:1/x"), CameraState.LOST, "nothing answers at the camera's address"),
        (
            _setup(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"),
            CameraState.LOST,
            "nothing answers at the camera's address in time",
        ),
    ]
    try:
        for config, state, reason in expected:
            with Taker(config) as taker:
                wait_for(lambda: taker.states, reason)
            assert taker.states[0] == (state, reason)
        with Taker(_setup(f"rtsp://127.0.0.1:{speaker.getsockname()[1]}/x")) as taker:
            wait_for(lambda: taker.states, "an answer that is no RTSP")
        assert taker.states[0][0] is CameraState.LOST
    finally:
        silent.close()
        speaker.shutdown(socket.SHUT_RDWR)
        speaker.close()
        greeter.join(5)


def test_a_codec_that_cannot_be_used_is_named(open_street, monkeypatch):
    street = open_street("small")
    # The simulator sends only what we record; the description is made to name something else.
    monkeypatch.setattr("safecity.simulator.camera_payload.ClipCodec.rtp_name", "H263-1998")
    with Taker(street.config(0)) as taker:
        wait_for(lambda: taker.states, "a refusal")
    assert taker.states[0] == (CameraState.REFUSED, "the camera sends h263; set it to H.264 or H.265")


def test_streams_of_one_device_share_their_attempts(open_street):
    street = open_street("small", cameras=3, sub="sub")
    admission = Admission(SystemClock())
    configs = [street.config(number, password="wrong", sub=True) for number in range(3)]
    takers = [
        Taker(config, role=role, admission=admission, lasting=True)
        for config in configs
        for role in StreamRole
    ]
    for taker in takers:
        taker.__enter__()
    wait_for(lambda: all(taker.states for taker in takers), "all to be refused")
    for taker in takers:
        taker.__exit__(None, None, None)
    assert {taker.states[0] for taker in takers} == {(CameraState.REFUSED, "wrong user or password")}
    assert sum(taker.session.counters.connects for taker in takers) == 1


class Ear:
    """Keeps the sound of a camera."""

    def __init__(self) -> None:
        self.infos: list[SoundInfo] = []
        self.packets: list[SoundPacket] = []

    def begin_sound(self, info: SoundInfo) -> None:
        self.infos.append(info)

    def add_sound(self, packet: SoundPacket) -> None:
        self.packets.append(packet)


@pytest.mark.parametrize("transport", list(Transport))
def test_sound_comes_only_when_it_is_asked_for_and_beside_its_pictures(films, transport):
    street = CameraStreet(CameraClips(main=read_clip(films("small")), sound=tone()), (0.0,))
    try:
        ear = Ear()
        with Taker(street.config(0, transport=transport), sound=ear) as taker:
            wait_for(lambda: len(ear.packets) > 20 and len(taker.packets) > 40, "sound and pictures")
        (info,) = ear.infos
        assert (info.codec, info.rate_hz, info.channels, info.config) == ("aac", 16_000, 1, tone().config)
        ticks = [packet.ticks for packet in ear.packets]
        assert {b - a for a, b in itertools.pairwise(ticks)} == {5760}
        assert taker.packets[0].ticks - 90_000 < ticks[-1] < taker.packets[-1].ticks + 90_000
        assert taker.session.counters.discontinuities == 0
        with Taker(street.config(0, transport=transport)) as taker:
            wait_for(lambda: len(taker.packets) > 10, "pictures")
    finally:
        street.close()
