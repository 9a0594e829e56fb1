"""Commands on cameras and holds: what they change, what they refuse, what they write down."""

import asyncio
import itertools
import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from operations.builders import CAMERA_KEY, MARKET, NOON, VIEWER, alarm, setup
from safecity.access.sealed import Account, KeyRing
from safecity.errors import Conflict, Forbidden, Invalid, NotFound
from safecity.model.base import Place
from safecity.model.journal import FEED, EntityKind, Entry, Feed
from safecity.model.observation import Observation, ObservationKind
from safecity.model.source import Camera, CameraState
from safecity.model.video import CAMERAS_PER_SHARD, Calibration, CameraSetup, Hold, Mask, RetentionPolicy
from safecity.model.video_rule import ZoneIntrusion
from safecity.operations import alarms, cameras, holds, registry
from safecity.operations.camera_privacy import GRID, check_reveals
from safecity.operations.camera_words import what_changed
from safecity.operations.cameras import SetupAnswer
from safecity.operations.command import Order
from safecity.operations.holds import HoldAnswer, NewHold
from safecity.store import journal
from safecity.store.database import Database

pytestmark = pytest.mark.engines

ANNA = Order(actor="Anna")
SEAL = CAMERA_KEY.public
LINE = ((0.1, 0.5), (0.3, 0.5), (0.6, 0.5), (0.9, 0.5))
LAWN = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
HOUR = NewHold(start=NOON, end=NOON + timedelta(hours=1), reason="break-in")


async def _entries(database: Database) -> list[Entry]:
    async with database.reading() as tx:
        assert (await journal.check(tx)).ok
        return await journal.page(tx, 0, 1000)


async def _last_feed(database: Database) -> Feed:
    payload = await database.pool.fetchval(
        "SELECT payload FROM outbox WHERE subject = $1 ORDER BY id DESC LIMIT 1", FEED
    )
    return msgspec.json.decode(payload, type=Feed)


async def test_an_added_camera_is_seen_set_up_and_sealed(database: Database) -> None:
    answer = msgspec.json.decode(
        await cameras.add(database, ANNA, setup(name=" Gate "), VIEWER, SEAL), type=SetupAnswer
    )
    assert (answer.setup.name, answer.camera.name, answer.has_account) == ("Gate", "Gate", True)
    assert answer.camera.state is CameraState.CONNECTING
    sealed = await database.pool.fetchval("SELECT sealed FROM camera_account WHERE camera_id = 'gate'")
    assert CAMERA_KEY.open(bytes(sealed), "gate") == VIEWER
    listed = await cameras.listed(database)
    assert (listed.seqs, set(listed.accounts)) == ({"gate": answer.seq}, {"gate"})
    with pytest.raises(Conflict, match="already"):
        await cameras.add(database, ANNA, setup(), Account(), SEAL)


async def test_the_same_key_adds_once_and_keeps_nothing_of_the_account(database: Database) -> None:
    order = Order(actor="Anna", key="k1")
    first = await cameras.add(database, order, setup(), VIEWER, SEAL)
    assert await cameras.add(database, order, setup(), VIEWER, SEAL) == first
    with pytest.raises(Conflict, match="another command"):
        await cameras.add(database, order, setup("other"), VIEWER, SEAL)
    receipt = await database.pool.fetchrow("SELECT * FROM command_receipt")
    other = Account(user="viewer", password="something else")
    assert await cameras.add(database, order, setup(), other, SEAL) == first
    assert "grey" not in str(dict(receipt or {}))


async def test_shards_fill_one_after_the_other_also_at_the_same_moment(database: Database) -> None:
    await asyncio.gather(
        *(
            cameras.add(database, ANNA, setup(f"c{n}", shard=7), Account(), SEAL)
            for n in range(CAMERAS_PER_SHARD + 2)
        )
    )
    await cameras.remove(database, ANNA, "c3")
    await cameras.add(database, ANNA, setup("late"), Account(), SEAL)
    rows = await database.pool.fetch("SELECT shard, count(*) AS n FROM camera_setup GROUP BY shard")
    assert sum(row["n"] for row in rows) == CAMERAS_PER_SHARD + 2
    assert max(row["n"] for row in rows) == CAMERAS_PER_SHARD


async def test_what_people_see_follows_the_setup_and_keeps_its_state(database: Database) -> None:
    await cameras.add(database, ANNA, setup(), VIEWER, SEAL)
    await registry.camera_state(database, _report("live", recording=True, after_s=1))
    place = Place(lon=13.3, lat=53.6, text="Yard")
    rules = (ZoneIntrusion(name="lawn", polygon=LAWN),)
    masks = (Mask(name="window", polygon=LAWN),)
    after = setup(name="Yard", place=place, rules=rules, masks=masks, shard=5, simulated=False)
    await cameras.change_setup(database, ANNA, "gate", after)
    async with database.reading() as tx:
        camera, kept = await tx.get(Camera, "gate"), await tx.get(CameraSetup, "gate")
    assert (camera.name, camera.place, camera.state, camera.recording) == ("Yard", place, "live", True)
    assert (kept.shard, kept.rules, kept.masks) == (0, rules, masks)
    last = (await _entries(database))[-1]
    assert (last.actor, last.action) == ("Anna", "camera.change")
    assert last.text == "Yard changed: name, place, rule 'lawn' added, mask 'window' added"


def _report(state: str, *, recording: bool, after_s: float) -> Observation:
    return Observation(
        source_id="gate",
        kind=ObservationKind.DEVICE,
        event_time=NOON + timedelta(seconds=after_s),
        receive_time=NOON,
        property="camera_state",
        detail={"state": state, "recording": recording},
    )


async def test_two_administrators_do_not_overwrite_each_other(database: Database) -> None:
    await cameras.add(database, ANNA, setup(), Account(), SEAL)
    seq = (await cameras.listed(database)).seqs["gate"]
    await cameras.change_setup(database, ANNA, "gate", setup(name="Yard"), seq)
    with pytest.raises(Conflict, match="somebody else"):
        await cameras.change_setup(database, Order(actor="Boris"), "gate", setup(name="Door"), seq)
    newer = (await cameras.listed(database)).seqs["gate"]
    await cameras.set_account(database, ANNA, "gate", VIEWER, SEAL)
    await cameras.change_setup(database, Order(actor="Boris"), "gate", setup(name="Door"), newer)


async def test_a_change_that_changes_nothing_is_no_entry(database: Database) -> None:
    await cameras.add(database, ANNA, setup(), Account(), SEAL)
    before = len(await _entries(database))
    await cameras.change_setup(database, ANNA, "gate", setup())
    assert len(await _entries(database)) == before


async def test_a_camera_that_is_switched_off_says_so_until_it_is_switched_on(database: Database) -> None:
    await cameras.add(database, ANNA, setup(), Account(), SEAL)
    await cameras.change_setup(database, ANNA, "gate", setup(enabled=False))
    assert not await registry.camera_state(database, _report("live", recording=True, after_s=9))
    async with database.reading() as tx:
        camera = await tx.get(Camera, "gate")
    assert (camera.state, camera.state_reason, camera.recording) == ("lost", cameras.SWITCHED_OFF, False)
    await cameras.change_setup(database, ANNA, "gate", setup())
    assert await registry.camera_state(database, _report("live", recording=True, after_s=9))


async def test_removing_takes_it_from_tables_feed_and_accounts_and_not_from_the_past(
    database: Database,
) -> None:
    await cameras.add(database, ANNA, setup(), VIEWER, SEAL)
    answer = json.loads(await cameras.remove(database, ANNA, "gate"))
    assert "until their retention ends" in answer["message"]
    feed = await _last_feed(database)
    gone = {(change.kind, change.id) for change in feed.changes if change.is_gone}
    assert gone == {(EntityKind.CAMERA, "gate"), (EntityKind.CAMERA_SETUP, "gate")}
    for table in ("camera", "camera_setup", "camera_account"):
        assert await database.pool.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608
    with pytest.raises(NotFound):
        await cameras.remove(database, ANNA, "gate")
    assert not await registry.camera_state(database, _report("live", recording=True, after_s=9))
    async with database.reading() as tx:
        assert [e.action for e in await journal.history(tx, "camera/gate")] == ["camera.add", "camera.remove"]
    await cameras.add(database, ANNA, setup(), Account(), SEAL)
    await _entries(database)


async def test_a_row_that_outlives_its_removal_is_found(database: Database) -> None:
    await cameras.add(database, ANNA, setup(), Account(), SEAL)
    doc = await database.pool.fetchval("SELECT doc FROM camera WHERE id = 'gate'")
    await cameras.remove(database, ANNA, "gate")
    await database.pool.execute("INSERT INTO camera (id, seq, doc) VALUES ('gate', 1, $1)", doc)
    async with database.reading() as tx:
        report = await journal.check(tx)
    assert [finding.text for finding in report.findings] == ["camera gate is not what the journal says"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "rtsp://10.0.0.7/live?user=viewer&password=grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/user=admin_password=grey-cranes-7_channel=1"},
        {"url": "rtsp://10.0.0.7/live?loginuse=viewer&loginpas=grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/live?usr=viewer&psw=grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/live?%70assword=grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/live?%2570assword=grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/live%3Fkey=grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/live?channel=1;secret=grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/live?grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/live#grey-cranes-7"},
        {"url": "rtsp://10.0.0.7/viewer:grey-cranes-7%40camera"},
        {
            "calibration": Calibration(
                picture=LINE, ground=((13.0, 53.0), (13.1, 53.0), (13.1, 53.1), (13.0, 53.1))
            )
        },
        {"url": "rtsp://10.0.0.7/a\r\nDESCRIBE"},
        {"url": "rtsp://10.0.0.7/a b"},
        {"url": "rtsp://10.0.0.7/" + "a" * 500},
        {"sub_url": "rtsp://10.0.0.7/?pwd=grey-cranes-7"},
        {"onvif_url": "http://viewer:grey-cranes-7@10.0.0.7/onvif/device_service"},
        {"onvif_url": "file:///etc/passwd"},
        {"heading_deg": 360.0},
        {"field_of_view_deg": 0.0},
        {"name": "  "},
        {"retention": RetentionPolicy(max_age_days=-1)},
        {"heading_deg": float("nan")},
        {"name": "a\x00b"},
        {"masks": (Mask(name="x" * 300, polygon=LAWN),)},
        {"simulated": True},
    ],
)
async def test_what_cannot_be_a_camera_is_refused_without_repeating_it(
    database: Database, wrong: dict[str, object]
) -> None:
    with pytest.raises(Invalid) as refused:
        await cameras.add(database, ANNA, setup(**wrong), Account(), SEAL)
    assert "grey-cranes" not in str(refused.value)
    assert await _entries(database) == []


@pytest.mark.parametrize("path", ["live/viewer/grey-cranes-7/ch1", "viewer/grey%2Dcranes%252D7"])
async def test_an_address_that_tells_the_password_in_its_path_is_refused(
    database: Database, path: str
) -> None:
    telling = setup(url=f"rtsp://10.0.0.7/{path}")
    with pytest.raises(Invalid, match="tells its password"):
        await cameras.add(database, ANNA, telling, VIEWER, SEAL)
    await cameras.add(database, ANNA, telling, Account(), SEAL)
    with pytest.raises(Invalid, match="tells its password"):
        await cameras.set_account(database, ANNA, "gate", VIEWER, SEAL)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://10.0.0.7:554/cam/realmonitor?channel=1&subtype=0&unicast=true&proto=Onvif",
        "rtsp://10.0.0.7/Streaming/Channels/101?transportmode=unicast&profile=Profile_1",
        "rtsp://10.0.0.7/axis-media/media.amp?videocodec=h264&resolution=1280x720&streamtype=unicast",
        "rtsp://10.0.0.7/rtsp_tunnel?h26x=4&line=1&inst=1",
        "file:///films/gate%20at%20night@5fps.mp4",
    ],
)
async def test_addresses_that_say_which_stream_are_kept(database: Database, url: str) -> None:
    await cameras.add(database, ANNA, setup(url=url), Account(), SEAL)


async def test_ids_never_change_and_unknown_cameras_are_not_found(database: Database) -> None:
    with pytest.raises(Invalid, match="never change"):
        await cameras.change_setup(database, ANNA, "gate", setup("door"))
    with pytest.raises(NotFound):
        await cameras.change_setup(database, ANNA, "gate", setup())
    with pytest.raises(NotFound):
        await cameras.set_account(database, ANNA, "gate", VIEWER, SEAL)


async def test_nothing_written_down_holds_the_account(database: Database) -> None:
    await cameras.add(database, Order(actor="Anna", key="1"), setup(), VIEWER, SEAL)
    await cameras.set_account(database, Order(actor="Anna", key="2"), "gate", VIEWER, SEAL)
    texts = [entry.text for entry in await _entries(database)]
    assert texts == ["Gate added", "account of Gate set"]
    for table in ("journal", "outbox", "command_receipt", "camera", "camera_setup", "camera_account"):
        for row in await database.pool.fetch(f"SELECT * FROM {table}"):  # noqa: S608
            held = b" ".join(v if isinstance(v, bytes) else str(v).encode() for v in row.values())
            assert b"grey-cranes" not in held, table
            assert b"viewer" not in held, table


async def test_a_new_key_opens_everything_and_the_old_one_nothing(database: Database, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "camera-key")
    ring.ensure()
    old = ring.path.read_text()
    for name in ("one", "two"):
        await cameras.add(database, ANNA, setup(name), VIEWER, ring)
    assert await cameras.rotate_key(database, ANNA, ring) == (2, ())
    assert ring.path.read_text() != old
    rows = await database.pool.fetch("SELECT camera_id, sealed FROM camera_account")
    assert {ring.open(bytes(row["sealed"]), row["camera_id"]) for row in rows} == {VIEWER}
    assert (await _entries(database))[-1].text == "new camera key, 2 accounts sealed anew"


async def test_a_rotation_that_fails_leaves_everything_openable(database: Database, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "camera-key")
    ring.ensure()
    await cameras.add(database, ANNA, setup(), VIEWER, ring)
    await database.pool.execute("ALTER TABLE camera_account RENAME COLUMN changed_at TO changed")
    await database.pool.execute("ALTER TABLE camera_account ALTER seq TYPE bigint, ADD CHECK (seq < 2)")
    with pytest.raises(Exception, match="violates check"):
        await cameras.rotate_key(database, ANNA, ring)
    sealed = await database.pool.fetchval("SELECT sealed FROM camera_account")
    assert KeyRing(ring.path).open(bytes(sealed), "gate") == VIEWER


async def test_a_hold_stands_until_it_is_released_also_for_a_removed_camera(database: Database) -> None:
    await cameras.add(database, ANNA, setup(), Account(), SEAL)
    await alarms.receive(database, [alarm("one")])
    incident = alarm("one").incident_id
    wanted = msgspec.structs.replace(HOUR, incident_id=incident)
    answer = msgspec.json.decode(await holds.hold(database, ANNA, "gate", wanted), type=HoldAnswer)
    async with database.reading() as tx:
        assert await tx.current(Hold) == [answer.hold]
        assert (await journal.history(tx, f"incident/{incident}"))[-1].text == (
            "recordings of Gate from 2026-11-22T12:00:00.000Z to 2026-11-22T13:00:00.000Z are held: break-in"
        )
    await cameras.remove(database, ANNA, "gate")
    await holds.hold(database, Order(actor="Anna", key="again"), "gate", HOUR)
    await holds.release_hold(database, Order(actor="Boris"), answer.hold.id)
    with pytest.raises(Conflict, match="Boris"):
        await holds.release_hold(database, ANNA, answer.hold.id)
    async with database.reading() as tx:
        assert len(await tx.current(Hold)) == 1
        assert len(await tx.select(Hold, "camera_id = 'gate'")) == 2
    await _entries(database)


@pytest.mark.parametrize(
    ("camera_id", "wrong", "says"),
    [
        ("gate", {"reason": " "}, "reason"),
        ("gate", {"end": NOON}, "after"),
        ("gate", {"end": NOON + timedelta(days=40)}, "31 days"),
        ("gate", {"start": NOON.replace(tzinfo=None)}, "time zone"),
        ("gate", {"incident_id": "none"}, "no incident"),
        ("door", {}, "no camera"),
    ],
)
async def test_a_hold_that_cannot_be_is_refused(
    database: Database, camera_id: str, wrong: dict[str, object], says: str
) -> None:
    await cameras.add(database, ANNA, setup(), Account(), SEAL)
    with pytest.raises((Invalid, NotFound), match=says):
        await holds.hold(database, ANNA, camera_id, msgspec.structs.replace(HOUR, **wrong))


def _box(name: str, left: float, right: float) -> Mask:
    return Mask(name=name, polygon=((left, 0.2), (right, 0.2), (right, 0.7), (left, 0.7)))


WINDOW = _box("window", 0.2, 0.6)


@pytest.mark.parametrize(
    ("masks", "blur_persons", "shown"),
    [
        ((), True, "what mask 'window' covers"),
        ((_box("window", 0.2, 0.598),), True, "what mask 'window' covers"),
        ((_box("window", 0.21, 0.9),), True, "what mask 'window' covers"),
        ((WINDOW,), False, "people"),
        ((), False, "people, what mask 'window' covers"),
        ((_box("renamed", 0.2, 0.6),), True, ""),
        ((_box("larger", 0.1, 0.6), _box("another", 0.7, 0.9)), True, ""),
        ((_box("left half", 0.2, 0.4), _box("right half", 0.4, 0.6)), True, ""),
    ],
)
async def test_who_may_not_unmask_hides_more_and_never_less(
    database: Database, masks: tuple[Mask, ...], blur_persons: bool, shown: str
) -> None:
    await cameras.add(database, ANNA, setup(masks=(WINDOW,)), Account(), SEAL)
    after = setup(masks=masks, blur_persons=blur_persons)
    if shown:
        with pytest.raises(Forbidden, match="right to see pictures without masks") as refused:
            await cameras.change_setup(database, ANNA, "gate", after)
        assert f"({shown})" in str(refused.value)
        assert (await cameras.listed(database)).setups[0].masks == (WINDOW,)
        await cameras.change_setup(database, ANNA, "gate", after, may_reveal=True)
    else:
        await cameras.change_setup(database, ANNA, "gate", after)
    kept = (await cameras.listed(database)).setups[0]
    assert (kept.masks, kept.blur_persons) == (masks, blur_persons)


def test_a_mask_cannot_creep_away_in_small_steps() -> None:
    steps = [setup(masks=(_box("window", 0.2, 0.6 - step / 10_000),)) for step in range(40)]
    refused = []
    for before, after in itertools.pairwise(steps):
        try:
            check_reveals(before, after, may_reveal=False)
        except Forbidden:
            refused.append(after.masks[0].polygon[1][0])
    assert refused[0] > 0.6 - 2 / GRID


async def test_a_camera_is_not_added_anew_to_show_what_was_hidden(database: Database) -> None:
    with pytest.raises(Forbidden, match="people"):
        await cameras.add(database, ANNA, setup(blur_persons=False), Account(), SEAL)
    await cameras.add(database, ANNA, setup(masks=(WINDOW,)), Account(), SEAL)
    await database.pool.execute(
        "INSERT INTO recording (camera_id, path, number, start_time, end_time, size_bytes, codec, recovered, "
        "chain_before, chain_after) VALUES ('gate', 'a.mp4', 1, now(), now(), 1, 'h264', false, $1, $1)",
        bytes(32),
    )
    await cameras.remove(database, ANNA, "gate")
    with pytest.raises(Forbidden, match="earlier camera"):
        await cameras.add(database, ANNA, setup(), Account(), SEAL)
    await cameras.add(database, ANNA, setup(), Account(), SEAL, may_reveal=True)


def test_every_field_of_a_setup_has_words() -> None:
    before = setup(rules=(ZoneIntrusion(name="a", polygon=LAWN), ZoneIntrusion(name="b", polygon=LAWN)))
    other = {
        "name": "Yard",
        "place": Place(lon=0, lat=0),
        "url": "rtsp://10.0.0.8/x",
        "sub_url": "rtsp://10.0.0.8/y",
        "transport": "udp",
        "onvif_url": "http://10.0.0.8/onvif",
        "heading_deg": 1.0,
        "field_of_view_deg": 1.0,
        "rules": before.rules[::-1],
        "masks": (Mask(name="m", polygon=LAWN),),
        "blur_persons": False,
        "calibration": "given",
        "retention": RetentionPolicy(max_age_days=1),
        "audio": True,
        "enabled": False,
    }
    assert set(CameraSetup.__struct_fields__) - set(other) == {"id", "simulated", "shard"}
    for field, value in other.items():
        words = what_changed(before, msgspec.structs.replace(before, **{field: value}))
        assert words, field
        assert "10.0.0" not in words
    assert what_changed(before, before) == ""
    fewer = msgspec.structs.replace(before, rules=(ZoneIntrusion(name="a", polygon=LAWN, min_dwell_s=9),))
    assert what_changed(before, fewer) == "rule 'b' removed, rule 'a' changed"
    assert MARKET.text not in what_changed(before, msgspec.structs.replace(before, place=Place(lon=0, lat=0)))
