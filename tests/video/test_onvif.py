"""Cameras are found, described and heard by ONVIF, and what a device sends to harm is refused."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.clock import ManualClock, SystemClock
from safecity.errors import Invalid, SafeCityError, Unavailable
from safecity.model.base import Place
from safecity.model.observation import Observation, ObservationKind
from safecity.model.video import CameraSetup
from safecity.simulator.onvif_device import Demand, OnvifDevice, OnvifFault, SimulatedStream
from safecity.simulator.onvif_words import probe_match
from safecity.video.camera import CameraConfig
from safecity.video.onvif import (
    CameraEvent,
    CameraEventKind,
    EventSubscription,
    Hearing,
    camera_event_observation,
    describe,
    discover,
)
from safecity.video.onvif.discovery import read_match
from safecity.video.onvif.events import read_notification
from safecity.video.onvif.soap import Soap
from safecity.video.onvif.xml import parse

USER, PASSWORD = "onvif-viewer", "s<cr&t/päss"
STREAMS = (
    SimulatedStream(token="small", url="rtsp://192.168.77.7:554/sub", width_px=640, height_px=360, fps=10),
    SimulatedStream(token="large", url="rtsp://admin:12345@192.168.77.7:554/main?a=1", codec="H265"),
    SimulatedStream(token="picture", url="rtsp://192.168.77.7/mjpeg", codec="JPEG", width_px=2560),
)
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOAP = Soap("http://192.0.2.1:8080/onvif/device_service", USER, PASSWORD, SystemClock())
MOTION = ("VideoSource/MotionAlarm", "State")


@asynccontextmanager
async def device(**options: object) -> AsyncIterator[OnvifDevice]:
    made = OnvifDevice(SystemClock(), USER, PASSWORD, STREAMS, **options)  # type: ignore[arg-type]
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def listening(
    camera: OnvifDevice, **options: object
) -> AsyncIterator[tuple[EventSubscription, list[CameraEvent]]]:
    events: list[CameraEvent] = []
    settings = {"pull_s": 1, "lease_s": 60, "backoff_s": (0.02, 0.1)} | options
    subscription = EventSubscription(camera.url, USER, PASSWORD, SystemClock(), **settings)  # type: ignore[arg-type]
    work = asyncio.create_task(subscription.run(events.append))
    try:
        yield subscription, events
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def until(condition: Callable[[], object], what: str, limit_s: float = 15.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {limit_s} s for {what}"
        await asyncio.sleep(0.01)


async def test_a_camera_is_found_by_its_answer_and_on_no_other_host() -> None:
    async with device() as camera:
        target = await camera.start_beacon()
        found = await discover(0.5, targets=(target,))
        assert [(one.name, one.address, one.onvif_url) for one in found] == [
            ("Simulated camera (S1)", "127.0.0.1", camera.url)
        ]


async def test_a_machine_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.net_if_addrs", dict)
    with pytest.raises(Unavailable, match="no network"):
        await discover(0.05)


async def test_answers_to_nobodys_question_and_noise_are_left_out() -> None:
    class Chatter(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for said in (b"", b"\xff" * 60_000, probe_match("urn:uuid:another", "http://127.0.0.1/onvif")):
                self.transport.sendto(said, addr)  # type: ignore[attr-defined]

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Chatter, local_addr=("127.0.0.1", 0)
    )
    try:
        assert await discover(0.3, targets=(transport.get_extra_info("sockname"),)) == []
    finally:
        transport.close()


async def test_a_network_without_cameras_gives_none() -> None:
    assert await discover(0.05, targets=(("127.0.0.1", 9),)) == []


@pytest.mark.parametrize("demand", list(Demand))
@pytest.mark.parametrize("is_profile_t", [True, False])
async def test_streams_of_profiles_s_and_t_are_described(demand: Demand, is_profile_t: bool) -> None:
    async with device(demand=demand, is_profile_t=is_profile_t) as camera:
        told = await describe(camera.url, USER, PASSWORD, SystemClock())
        assert PASSWORD.encode() not in bytes(camera.received)
    assert (told.manufacturer, told.model, told.is_profile_t) == ("Safe City", "Simulated 1", is_profile_t)
    assert told.has_events
    assert [(p.token, p.codec, p.width_px, p.height_px, p.fps) for p in told.profiles] == [
        ("picture", "mjpeg", 2560, 1080, 25),
        ("large", "hevc", 1920, 1080, 25),
        ("small", "h264", 640, 360, 10),
    ]
    main, sub = told.main(), told.sub()
    assert main is not None
    assert sub is not None
    assert main.stream_url == "rtsp://127.0.0.1:554/main?a=1", "no account, and the host that was asked"
    assert sub.stream_url == "rtsp://127.0.0.1:554/sub"


async def test_a_clock_that_is_years_wrong_does_not_matter() -> None:
    async with device(ahead=timedelta(days=-3000)) as camera:
        assert (await describe(camera.url, USER, PASSWORD, SystemClock())).model == "Simulated 1"


async def test_a_device_from_before_get_services_is_described() -> None:
    async with device(is_profile_t=False) as camera:
        camera.fault = OnvifFault.OLD
        told = await describe(camera.url, USER, PASSWORD, SystemClock())
        assert len(told.profiles) == 3
        assert told.has_events


@pytest.mark.parametrize("demand", list(Demand))
async def test_a_wrong_password_is_said(demand: Demand) -> None:
    async with device(demand=demand) as camera:
        with pytest.raises(Invalid, match="refuses this user or password") as caught:
            await describe(camera.url, USER, "wrong", SystemClock())
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OnvifFault.ENTITIES, "document type"),
        (OnvifFault.HUGE, "larger than a megabyte"),
        (OnvifFault.GARBAGE, "not XML"),
    ],
)
async def test_a_hostile_device_is_refused(fault: OnvifFault, words: str) -> None:
    async with device() as camera:
        camera.fault = fault
        with pytest.raises(Invalid, match=words):
            await describe(camera.url, USER, PASSWORD, SystemClock())


async def test_who_does_not_answer_is_unavailable() -> None:
    async with device() as camera:
        url = camera.url
    with pytest.raises(Unavailable, match="does not answer"):
        await describe(url, USER, PASSWORD, SystemClock())


@pytest.mark.parametrize("url", ["ftp://camera/onvif", "http://", "http://user:pass@camera/onvif", "camera"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="ONVIF address"):
        Soap(url, USER, PASSWORD, SystemClock())


async def test_a_cameras_own_events_arrive_once_for_each_change() -> None:
    async with device() as camera, listening(camera) as (subscription, events):
        await until(lambda: camera.subscriptions, "the subscription")
        camera.say(*MOTION, "true")
        camera.say(*MOTION, "true")
        camera.say("RuleEngine/TamperDetector/Tamper", "IsTamper", "1")
        camera.say("Device/Trigger/DigitalInput", "LogicalState", "true", "input-1")
        camera.say("Device/HardwareFailure/FanFailure", "Failed", "true")
        camera.say(*MOTION, "false")
        await until(lambda: len(events) >= 4, "four events")
        assert [(event.kind, event.active) for event in events] == [
            (CameraEventKind.MOTION, True),
            (CameraEventKind.TAMPER, True),
            (CameraEventKind.DIGITAL_INPUT, True),
            (CameraEventKind.MOTION, False),
        ]
        assert events[2].source == "Source=input-1"
        assert len({event.at for event in events}) == 4
        assert subscription.problem == ""
    assert camera.subscriptions == 0, "it was given back"


async def test_a_lost_subscription_is_made_anew_and_nothing_is_told_twice() -> None:
    async with device() as camera, listening(camera) as (subscription, events):
        await until(lambda: camera.subscriptions, "the subscription")
        camera.say(*MOTION, "true")
        await until(lambda: events, "the event")
        camera.forget_subscriptions()
        await until(lambda: subscription.subscriptions >= 2 and camera.subscriptions, "a new subscription")
        camera.say("RuleEngine/TamperDetector/Tamper", "IsTamper", "true")
        await until(lambda: len(events) >= 2, "the next event")
        assert [event.kind for event in events] == [CameraEventKind.MOTION, CameraEventKind.TAMPER]


async def test_what_changed_while_nobody_listened_is_told() -> None:
    async with device() as camera:
        camera.say(*MOTION, "true")
        camera.say("Device/Trigger/DigitalInput", "LogicalState", "false")
        async with listening(camera) as (_, events):
            await until(lambda: events, "the state")
            camera.say(*MOTION, "false")
            await until(lambda: len(events) == 2, "its end")
            assert [(event.active, event.initial) for event in events] == [(True, True), (False, False)]


async def test_a_subscription_is_renewed_and_one_that_cannot_be_is_replaced() -> None:
    async with device() as camera, listening(camera, lease_s=1) as (subscription, _):
        await until(lambda: subscription.renewals >= 2, "two renewals")
        assert subscription.subscriptions == 1
        camera.fault = OnvifFault.NO_RENEWAL
        await until(lambda: subscription.subscriptions >= 2, "a new subscription")


@pytest.mark.parametrize("fault", [OnvifFault.ENTITIES, OnvifFault.GARBAGE, OnvifFault.HUGE])
async def test_a_device_that_goes_mad_is_asked_again_until_it_is_sane(fault: OnvifFault) -> None:
    async with device() as camera, listening(camera) as (subscription, events):
        await until(lambda: camera.subscriptions, "the subscription")
        camera.fault = fault
        await until(lambda: subscription.problem, "the problem")
        camera.fault = None
        await until(lambda: not subscription.problem, "its end")
        camera.say(*MOTION, "true")
        await until(lambda: events, "an event")


async def test_a_wrong_account_is_told_and_rarely_tried() -> None:
    async with device() as camera:
        subscription = EventSubscription(camera.url, USER, "wrong", SystemClock(), backoff_s=(0.01, 30.0))
        work = asyncio.create_task(subscription.run(lambda event: None))
        await until(lambda: "password" in subscription.problem, "the refusal")
        tries = len(camera.calls)
        await asyncio.sleep(0.2)
        assert len(camera.calls) == tries
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def test_an_event_is_an_observation_of_the_device() -> None:
    setup = CameraSetup(id="cam-1", name="Gate", place=Place(lon=13.26, lat=53.55), url="rtsp://camera/1")
    event = CameraEvent(
        kind=CameraEventKind.TAMPER,
        topic="RuleEngine/TamperDetector/Tamper",
        source="",
        active=True,
        initial=False,
        at=NOW,
    )
    fact = camera_event_observation(event, setup, ManualClock(NOW))
    assert (fact.source_id, fact.kind, fact.property) == ("cam-1", ObservationKind.DEVICE, "camera_event")
    assert fact.value == 1
    assert fact.detail is not None
    assert fact.detail["kind"] == "tamper"
    assert fact.event_time == NOW


def notification(utc: str, value: str = "true") -> CameraEvent | None:
    return read_notification(
        parse(
            f'<N><Topic>tns1:VideoSource/tnsx:MotionAlarm</Topic><Message><Message UtcTime="{utc}">'
            f'<Data><SimpleItem Name="State" Value="{value}"/></Data></Message></Message></N>'.encode()
        ),
        NOW,
        timedelta(seconds=10),
    )


def test_times_are_put_right_and_lies_are_not_believed() -> None:
    right, lie, nonsense = (
        notification(text) for text in ("2026-11-22T12:00:05Z", "2031-01-01T00:00:00Z", "yesterday")
    )
    assert right is not None
    assert right.at == NOW - timedelta(seconds=5)
    assert lie is not None
    assert nonsense is not None
    assert lie.at == nonsense.at == NOW
    assert notification("2026-11-22T12:00:05Z", "perhaps") is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>" * 100 + b"</a>" * 100,
        b"<a>" + b"<b/>" * 30_000 + b"</a>",
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b"<a>&undefined;</a>",
        b'<?xml version="1.0" encoding="made-up"?><a/>',
        b"<a" + b" " * 1_000_001,
    ],
)
def test_hostile_xml_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        parse(data)


@given(st.binary(max_size=400) | st.text(alphabet="<>/ab=\"' &;!?[]x:", max_size=200).map(str.encode))
def test_whatever_a_device_sends_is_read_or_refused(data: bytes) -> None:
    try:
        root = parse(data)
    except Invalid:
        return
    read_notification(root, NOW, timedelta())
    assert read_match(root, "192.0.2.1") is None


@given(st.text(max_size=60))
def test_addresses_that_a_device_names_never_lead_to_another_host(told: str) -> None:
    for url in (told, f"http://{told}", f"http://evil.example/{told}"):
        try:
            here = SOAP.here(url)
        except SafeCityError:
            continue
        assert here.startswith(("http://192.0.2.1:", "http://192.0.2.1/", "https://192.0.2.1"))


def hears(camera: OnvifDevice, camera_id: str = "cam-1", **changes: object) -> CameraConfig:
    setup = CameraSetup(
        id=camera_id,
        name="Gate",
        place=Place(lon=13.26, lat=53.55),
        url="rtsp://camera/1",
        onvif_url=camera.url,
        **changes,  # type: ignore[arg-type]
    )
    return CameraConfig(setup=setup, user=USER, password=PASSWORD)


async def test_a_shard_hears_the_cameras_that_it_has_and_no_others() -> None:
    told: list[Observation] = []

    async def publish(observation: Observation) -> None:
        told.append(observation)

    async with device() as one, device() as other:
        hearing = Hearing(publish, SystemClock())
        try:
            await hearing.apply([hears(one), hears(other, "cam-2"), hears(other, "cam-3", enabled=False)])
            await until(lambda: one.subscriptions and other.subscriptions == 1, "two subscriptions")
            one.say(*MOTION, "true")
            await until(lambda: told, "the event")
            assert (told[0].source_id, told[0].property) == ("cam-1", "camera_event")
            await hearing.apply([hears(one)])
            await until(lambda: other.subscriptions == 0, "the second given back")
            assert one.calls.count("CreatePullPointSubscription") == 1
            assert hearing.counters()["cameras_heard"] == 1
        finally:
            await hearing.stop()
        assert one.subscriptions == 0


async def test_a_bus_that_fails_ends_no_hearing() -> None:
    told: list[Observation] = []

    async def publish(observation: Observation) -> None:
        if not told and not failed:
            failed.append(observation)
            raise Unavailable("the bus is away; try again later")
        told.append(observation)

    failed: list[Observation] = []
    async with device() as camera:
        hearing = Hearing(publish, SystemClock())
        try:
            await hearing.apply([hears(camera)])
            await until(lambda: camera.subscriptions, "the subscription")
            camera.say(*MOTION, "true")
            camera.say(*MOTION, "false")
            await until(lambda: told, "the second event")
            assert hearing.dropped == 1
        finally:
            await hearing.stop()
