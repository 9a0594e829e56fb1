"""Masked live views: nobody is shown, whatever happens; one view for all; changes at once."""

import asyncio
import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from safecity.bus.connection import Bus
from safecity.bus.subjects import PEEK, live, live_start
from safecity.clock import ManualClock, SystemClock
from safecity.config import VideoSection
from safecity.errors import SafeCityError, Unavailable
from safecity.model.video import CameraSetup, StreamRole
from safecity.store.database import Database
from safecity.video.live import FragmentKind, LiveView
from safecity.video.masking.hidden import small_of
from safecity.video.masking.planes import layers
from safecity.video.viewing.desk import Desk
from safecity.video.viewing.masked import BEHIND_S, MaskedView
from safecity.video.viewing.setups import OneFinder, Setups, Veils
from safecity.video.viewing.veil import NO_FINDER, NO_SETUP, Veil

from .viewing_parts import Found, decoded, detail, kept, mask, setup

BOX = (0.3, 0.3, 0.6, 0.8)
TRUTH = Path(__file__).parents[3] / "shared" / "data" / "mot" / "PETS09-S2L1-cem.txt"


class Stage:
    """A masked view worked by hand: packets in, fragments out, no threads."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.sent: list[tuple[FragmentKind, bytes]] = []
        self.begun = 0
        self.view = MaskedView("cam", self.clock, self._send, self._begin)

    def _send(self, _: str, kind: FragmentKind, data: bytes) -> None:
        self.sent.append((kind, data))

    def _begin(self) -> None:
        self.begun += 1
        self.view.live.start(StreamRole.SUB)

    def play(self, film, begin: int, end: int, veil: Veil, interval_s: float = 0.1, late_s: float = 0.0):
        info, packets = film
        for packet in packets[begin:end]:
            self.view.mailbox.put(StreamRole.MAIN, info, packet)
            self.clock.advance(late_s)
            waiting = self.view.mailbox.take()
            if waiting is not None:
                self.view.process(waiting, veil, interval_s)

    def pictures(self) -> list[Any]:
        """Return all that viewers got, from the first picture on."""
        start = self.view.live.start(StreamRole.SUB)
        keys = [n for n, (kind, _) in enumerate(self.sent) if kind is FragmentKind.KEYFRAME]
        return decoded(start.init, [data for kind, data in self.sent[keys[0] :] if kind != "init"])


def test_ten_pictures_a_second_with_a_keyframe_every_two_seconds(film):
    stage = Stage()
    stage.play(film, 0, 62, Veil(setup(), Found()))
    kinds = [kind for kind, _ in stage.sent]
    assert [n + 1 for n, kind in enumerate(kinds) if kind is FragmentKind.KEYFRAME] == [20, 40, 60]
    frames = stage.pictures()
    assert [frame.pts for frame in frames] == [n * 9000 for n in range(20, 62)]
    assert {(frame.width, frame.height) for frame in frames} == {(640, 480)}


def test_a_new_viewer_gets_the_group_that_is_on_show(film):
    stage = Stage()
    stage.play(film, 0, 33, Veil(setup(), Found()))
    start = stage.view.live.start(StreamRole.SUB)
    assert [frame.pts for frame in decoded(start.init, start.fragments)] == [n * 9000 for n in range(20, 33)]


def test_a_person_is_gone_in_every_picture_and_the_street_is_not(film):
    info, packets = film
    stage = Stage()
    stage.play(film, 0, 60, Veil(setup(), Found(BOX)))
    from safecity.video.picture import PictureDecoder

    decoder = PictureDecoder(info)
    clear = {f.pts: small_of(f) for packet in packets[:60] for f in decoder.decode(packet)}
    frames = stage.pictures()
    assert len(frames) == 40
    for frame in frames:
        assert detail(frame, BOX) < 0.2 * detail(clear[frame.pts], BOX)
        assert detail(frame, (0.7, 0.3, 1, 0.8)) > 0.3 * detail(clear[frame.pts], (0.7, 0.3, 1, 0.8))


@pytest.mark.skipif(not TRUTH.exists(), reason="the published tracks of the demo film are not here")
def test_the_people_of_the_demo_film_are_hidden_by_the_real_detector(film):
    """Every picture of 6 s, everybody in it: the share of their detail that is left, in the whole path."""
    from safecity.video.detector import make_detector
    from safecity.video.masking.hidden import CONFIDENCE
    from safecity.video.picture import PictureDecoder

    info, packets = film
    finder = make_detector(VideoSection(detector_confidence=CONFIDENCE))
    stage = Stage()
    stage.play(film, 0, 80, Veil(setup(), finder))
    decoder = PictureDecoder(info)
    clear = {f.pts: small_of(f) for packet in packets[:80] for f in decoder.decode(packet)}
    people: dict[int, list[tuple[float, float, float, float]]] = {}
    with TRUTH.open(encoding="ascii") as file:
        for row in csv.reader(file):
            number, left, top, width, height = int(row[0]), *map(float, row[2:6])
            box = (left / 768, top / 576, (left + width) / 768, (top + height) / 576)
            if min(box) >= 0 and max(box) <= 1:
                people.setdefault((number - 1) * 9000, []).append(box)
    shares = [
        kept(clear[frame.pts], frame, box) for frame in stage.pictures() for box in people.get(frame.pts, [])
    ]
    assert len(shares) > 200
    hidden = sum(share < 0.2 for share in shares) / len(shares)
    assert hidden >= 0.95, f"{hidden:.3f} of {len(shares)} sightings"


@pytest.mark.parametrize(
    ("veil", "why"),
    [
        (Veil(None, Found()), NO_SETUP),
        (Veil(setup(), None), NO_FINDER),
        (Veil(setup(), Found(fails=True)), ""),
    ],
)
def test_without_certainty_all_is_coarse(film, veil, why):
    stage = Stage()
    stage.play(film, 0, 45, veil)
    for frame in stage.pictures():
        inner = layers(frame)[0].samples.astype(int)[10:70, 10:70]
        assert abs(inner - inner.mean()).max() < 12
    assert stage.view.coarse == why
    assert stage.view.counters.coarse == stage.view.counters.pictures == 45


def test_who_is_missed_for_a_moment_stays_hidden(film):
    class Blinks(Found):
        def detect(self, frame):
            found = super().detect(frame)
            return found if self.asked % 3 else Found().detect(frame)

    stage = Stage()
    stage.play(film, 0, 60, Veil(setup(), Blinks(BOX)))
    energies = [detail(frame, BOX) for frame in stage.pictures()]
    plain = Stage()
    plain.play(film, 0, 60, Veil(setup(), Found()))
    clear = [detail(frame, BOX) for frame in plain.pictures()]
    assert all(one < 0.3 * other for one, other in zip(energies, clear, strict=True))


@pytest.mark.parametrize("number", [30, 31])
def test_who_comes_in_between_two_searches_is_hidden_at_once(film, number):
    class ComesIn(Found):
        def detect(self, frame):
            found = super().detect(frame)
            return found if frame.pts >= number * 9000 else Found().detect(frame)

    stage, plain = Stage(), Stage()
    stage.play(film, 0, 40, Veil(setup(), ComesIn(BOX)))
    plain.play(film, 0, 40, Veil(setup(), Found()))
    for frame, clear in zip(stage.pictures(), plain.pictures(), strict=True):
        is_in = frame.pts >= number * 9000
        assert (detail(frame, BOX) < 0.3 * detail(clear, BOX)) is is_in, frame.pts


def test_a_new_mask_is_in_the_very_next_picture_and_begins_a_group(film):
    stage = Stage()
    stage.play(film, 0, 30, Veil(setup(), Found()))
    masked = Veil(setup(masks=(mask(0.1, 0.1, 0.5, 0.5),)), Found())
    before = len(stage.sent)
    stage.play(film, 30, 45, masked)
    assert stage.sent[before][0] is FragmentKind.KEYFRAME
    for frame in stage.pictures()[10:]:
        rows = layers(frame)[0].samples[60:230, 80:310]
        assert rows.mean() < 20


def test_a_veil_that_becomes_coarse_tells_viewers_to_begin_anew(film):
    stage = Stage()
    stage.play(film, 0, 25, Veil(setup(), Found()))
    assert FragmentKind.INIT not in [kind for kind, _ in stage.sent]
    stage.play(film, 25, 30, Veil(None, None))
    assert [kind for kind, _ in stage.sent].count(FragmentKind.INIT) == 1
    assert stage.view.coarse == NO_SETUP


def test_with_little_time_there_are_fewer_pictures_never_clearer_ones(film):
    stage = Stage()
    stage.play(film, 0, 100, Veil(setup(), Found(BOX)), interval_s=0.5)
    assert stage.view.counters.pictures == 20
    assert stage.view.counters.searches == 20
    late = Stage()
    late.play(film, 0, 100, Veil(setup(), Found(BOX)), late_s=0.5)
    assert late.view.counters.pictures == 10
    assert late.view.counters.skipped == 90
    behind = Stage()
    behind.play(film, 0, 100, Veil(setup(), Found(BOX)), late_s=BEHIND_S + 1)
    assert behind.view.counters.pictures == 5


def test_the_past_is_decoded_and_not_shown(film):
    stage = Stage()
    stage.view.leave_out(30 * 9000)
    stage.play(film, 20, 40, Veil(setup(), Found()))
    assert stage.view.counters.pictures == 10
    start = stage.view.live.start(StreamRole.SUB)
    assert decoded(start.init, start.fragments)[0].pts == 30 * 9000


def test_a_detector_that_comes_late_ends_the_coarse_time():
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    made: list[int] = []

    def make() -> Found:
        made.append(1)
        if len(made) == 1:
            raise RuntimeError("no such file")
        return Found()

    veils = Veils(OneFinder(make, clock))
    assert veils.of("cam").coarse == NO_SETUP
    veils.know("cam", setup())
    first = veils.of("cam")
    assert first.coarse == NO_FINDER
    assert veils.of("cam") is first
    clock.advance(31)
    assert veils.of("cam").coarse == ""
    same = veils.of("cam")
    veils.know("cam", setup(heading_deg=90.0))
    assert veils.of("cam") is same
    veils.know("cam", setup(blur_persons=False))
    assert veils.of("cam") is not same
    veils.know("cam", None)
    assert veils.of("cam").coarse == NO_SETUP


def test_the_picture_to_draw_on_hides_people_whatever_the_setup_says():
    veils = Veils(OneFinder(Found, ManualClock(datetime(2026, 1, 1, tzinfo=UTC))))
    veils.know("cam", setup(blur_persons=False))
    assert not veils.of("cam").searches
    strict = veils.of("cam", strict=True)
    assert strict.searches
    assert veils.of("cam", strict=True) is strict
    assert not veils.of("cam").searches


@pytest.mark.engines
@pytest.mark.parametrize("defect", ["not a setup", "no such setup", "no table"])
async def test_a_setup_that_cannot_be_read_ends_nothing_and_hides_its_own_camera(
    database: Database, defect: str
) -> None:
    veils = Veils(OneFinder(Found, ManualClock(datetime(2026, 1, 1, tzinfo=UTC))))
    setups = Setups(database, veils)
    for camera_id in ("cam", "other"):
        await _put(database, setup(camera_id))
    await setups.refresh("cam", "other")
    assert [veils.of(id_).coarse for id_ in ("cam", "other")] == ["", ""]
    if defect == "no table":
        await database.pool.execute("ALTER TABLE camera_setup RENAME TO elsewhere")
    else:
        wrong = {"not a setup": '{"id": 7}', "no such setup": '{"id": "a b", "name": "x", "url": "x"}'}[
            defect
        ]
        await database.pool.execute("UPDATE camera_setup SET doc = $1 WHERE id = 'cam'", wrong)
    await setups.refresh("cam", "other")
    await _put_masks(database, defect)
    await setups.refresh("cam", "other")
    # Where nothing can be read what was known still counts; what is read and not understood hides all.
    known = defect == "no table"
    assert [veils.of(id_).coarse for id_ in ("cam", "other")] == ["" if known else NO_SETUP, ""]
    assert veils.of("other").searches is known


async def _put_masks(database: Database, defect: str) -> None:
    if defect != "no table":
        await _put(database, setup("other", blur_persons=False))


class Shard:
    """A recording process on the bus: plays the film for ever at its own pace, under both names."""

    def __init__(self, bus: Bus, film) -> None:
        self.bus = bus
        self.info, self.packets = film
        self.asked: list[bytes] = []
        self.live = LiveView("cam", SystemClock(), self._publish)
        self._loop = asyncio.get_running_loop()
        self._subscriptions: list[Any] = []
        self._playing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        async def on_start(words: bytes) -> bytes:
            self.asked.append(words)
            try:
                return msgspec.msgpack.encode(self.live.start(StreamRole.SUB, keep=words != PEEK))
            except SafeCityError as error:
                return msgspec.msgpack.encode({"code": error.code, "message": str(error)})

        for role in StreamRole:
            self._subscriptions.append(await self.bus.serve(live_start("cam", role), on_start))
        self.live.begin(self.info)
        self._playing = asyncio.create_task(self._play())

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)

    async def _play(self) -> None:
        number = 0
        while True:
            loops, index = divmod(number, len(self.packets))
            packet = self.packets[index]
            self.live.add(packet._replace(ticks=packet.ticks + loops * len(self.packets) * 9000))
            number += 1
            await asyncio.sleep(0.1)

    def _publish(self, camera_id: str, name: StreamRole, kind: FragmentKind, data: bytes) -> None:
        headers = {"Kind": kind.value}
        self._loop.create_task(self.bus.client.publish(live(camera_id, name), data, headers=headers))


@pytest.mark.engines
async def test_a_view_on_the_bus(bus: Bus, database: Database, film, tmp_path) -> None:
    """Begins for the first viewer, follows a new setup, survives a restart of the recording process."""
    await _put(database, setup())
    sent: list[FragmentKind] = []
    shard = Shard(bus, film)
    await shard.start()
    desk = Desk(
        tmp_path,
        VideoSection(),
        database,
        bus,
        SystemClock(),
        lambda _id, kind, _data: sent.append(kind),
        make_finder=lambda: Found(BOX),
    )
    working = asyncio.create_task(desk.run())
    try:
        start, coarse = await _begun(desk)
        assert (start.width, coarse) == (640, "")
        assert decoded(start.init, start.fragments)
        await _until(lambda: len(sent) > 3)
        await _put(database, setup(masks=(mask(0, 0, 0.5, 0.5),)))
        await _until_black(desk)
        still = await desk.still("cam", masked=True)
        assert still.jpeg.startswith(b"\xff\xd8")
        assert still.at.timestamp() in [packet.time_s for packet in film[1]]
        assert (await desk.still("cam", masked=False)).coarse == ""
        assert PEEK in shard.asked
        await shard.stop()
        again = Shard(bus, film)
        await again.start()
        await _until(lambda: FragmentKind.INIT in sent)
        start, _ = await _begun(desk)
        assert decoded(start.init, start.fragments)
        await again.stop()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _put(database: Database, one: CameraSetup) -> None:
    async with database.writing() as tx:
        tx.put(one)
        await tx.journal(actor="test", action="test", object_kind="camera", object_id="cam", text="set up")


async def _begun(desk: Desk) -> Any:
    async with asyncio.timeout(40):
        while True:
            try:
                return await desk.start("cam")
            except Unavailable:
                await asyncio.sleep(0.1)


async def _until(condition) -> None:
    async with asyncio.timeout(40):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.05)


async def _until_black(desk: Desk) -> None:
    async with asyncio.timeout(40):
        while True:
            start, _ = await _begun(desk)
            last = decoded(start.init, start.fragments)[-1]
            if layers(last)[0].samples[20:200, 20:280].mean() < 20:
                return
            await asyncio.sleep(0.2)
