"""Who hears pictures on a real nats-server: who must, and nobody else."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from engines import NatsServer, until
from safecity.bus.batcher import MicroBatcher
from safecity.bus.connection import Bus, can_store, connect
from safecity.bus.consumer import Reader
from safecity.bus.logins import PERMISSIONS, BusLogin
from safecity.bus.subjects import WRITE_EVENTS, live, live_start, playback, snapshot, still, view
from safecity.clock import SystemClock
from safecity.commands.access import DEVICE_ID
from safecity.model.journal import FEED, Feed
from safecity.model.observation import Observation, ObservationKind
from safecity.model.video import StreamRole
from safecity.web.feed import FeedReader

pytestmark = pytest.mark.engines

LIVE = live("gate", StreamRole.MAIN)
PICTURES = (LIVE, view("gate"))
QUESTIONS = (still("gate"), playback("gate"), snapshot("gate"), live_start("gate", StreamRole.MAIN))
HEARERS = {LIVE: {BusLogin.VIEWING, BusLogin.WEB}, view("gate"): {BusLogin.WEB}}
ASKERS = {question: {BusLogin.WEB} for question in QUESTIONS[:3]} | {QUESTIONS[3]: set(HEARERS[LIVE])}


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    """One server for all: nothing here changes it."""
    with NatsServer() as running:
        yield running


@pytest.fixture
async def ours(server: NatsServer) -> AsyncIterator[Bus]:
    """A connection that may everything, with all streams and consumers."""
    opened = await server.ready()
    yield opened
    await opened.close()


class Someone:
    """A client with a login, and what the server refused it."""

    def __init__(self, server: NatsServer, login: BusLogin) -> None:
        self._url, self._login = server.url_of(login), login
        self.refused: list[str] = []

    async def __aenter__(self) -> "Someone":
        async def on_error(error: Exception) -> None:
            self.refused.append(str(error).lower())

        self.client: Client = await nats.connect(
            self._url, inbox_prefix=self._login.inbox, error_cb=on_error, allow_reconnect=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


@pytest.mark.parametrize("login", PERMISSIONS)
@pytest.mark.parametrize(
    "subject", [*PICTURES, *QUESTIONS[:3], "live.*.*", "live.>", "_INBOX.web.>", "_INBOX.>", ">"]
)
async def test_only_who_must_hears(server: NatsServer, login: BusLogin, subject: str) -> None:
    serving = {BusLogin.VIEWING} if subject in QUESTIONS else set()
    allowed = HEARERS.get(subject, serving)
    if subject == "live.*.*":
        allowed = HEARERS[LIVE]
    if subject == f"{login.inbox}.>":
        allowed = {login}
    heard: list[bytes] = []

    async def on_message(message: object) -> None:
        heard.append(getattr(message, "data", b""))

    async with Someone(server, login) as someone, Someone(server, BusLogin.SETUP) as everybody:
        await someone.client.subscribe(subject, cb=on_message)
        await someone.client.flush()
        sent = LIVE if subject == ">" or "*" in subject else subject.replace(".>", ".gate.main")
        await everybody.client.publish(sent, b"picture")
        await everybody.client.flush()
        await someone.client.flush()
        if login in allowed:
            await until(lambda: heard == [b"picture"])
            assert someone.refused == []
        else:
            await until(lambda: any("permissions violation" in words for words in someone.refused))
            assert heard == []


@pytest.mark.parametrize("login", PERMISSIONS)
@pytest.mark.parametrize("subject", QUESTIONS)
async def test_only_who_must_asks(server: NatsServer, login: BusLogin, subject: str) -> None:
    answerer = BusLogin.VIDEO if subject == QUESTIONS[3] else BusLogin.VIEWING
    asked: list[bytes] = []
    async with Someone(server, answerer) as viewing, Someone(server, login) as someone:

        async def answer(message: object) -> None:
            asked.append(b"asked")
            await message.respond(b"picture")  # type: ignore[attr-defined]

        await viewing.client.subscribe(subject, cb=answer)
        await viewing.client.flush()
        question = asyncio.ensure_future(someone.client.request(subject, b"", timeout=5))
        if login in ASKERS[subject]:
            assert (await question).data == b"picture"
            return
        await until(lambda: any("permissions violation" in words for words in someone.refused))
        question.cancel()
        await asyncio.gather(question, return_exceptions=True)
        assert asked == []


@pytest.mark.parametrize("login", PERMISSIONS)
async def test_nobody_makes_a_stream_of_pictures(server: NatsServer, ours: Bus, login: BusLogin) -> None:
    async with Someone(server, login) as someone:
        with pytest.raises((APIError, TimeoutError)):
            await someone.client.jetstream(timeout=0.2).add_stream(name="STOLEN", subjects=["live.>"])
    assert "STOLEN" not in {info.config.name for info in await ours.js.streams_info()}


async def test_each_does_its_work_with_its_own_login(server: NatsServer, ours: Bus) -> None:
    logins = (BusLogin.VIDEO, BusLogin.CORE, BusLogin.WEB)
    video, core, web = [await connect(server.url_of(a), a, inbox=a.inbox) for a in logins]
    try:
        now = SystemClock().now()
        seen = Observation("gate", ObservationKind.VIDEO, now, now, "zone_intrusion", 0.9)
        await MicroBatcher(video).put([seen])
        async for messages in Reader(core, WRITE_EVENTS).batches():
            await messages[0].ack_sync()
            break
        assert await can_store(web)
        feeds: list[Feed] = []
        reader = FeedReader(web, SystemClock(), lambda feed, _age: feeds.append(feed), lambda: None)
        reading = asyncio.create_task(reader.run())
        await asyncio.wait_for(reader.caught_up.wait(), 10)
        assert FEED.startswith("change.")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    finally:
        for bus in (video, core, web):
            await bus.close()


def test_no_device_can_be_called_like_a_login() -> None:
    assert not any(DEVICE_ID.fullmatch(login) for login in PERMISSIONS)
