"""Commands on cameras: added, set up, given an account, removed.

A camera is two entities, which change together: the setup, for those who configure it, and what everybody
sees of it. Its account is neither: it lies sealed in a table of its own, outside journal, feed and answers.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from safecity.access.sealed import Account, KeyRing, Sealer, UnknownKey
from safecity.errors import Conflict, Invalid
from safecity.model.base import Noun
from safecity.model.source import Camera, CameraState
from safecity.model.video import CAMERAS_PER_SHARD, CameraSetup
from safecity.operations.camera_checks import check_not_told, checked_setup
from safecity.operations.camera_privacy import check_new, check_reveals
from safecity.operations.camera_words import what_changed
from safecity.operations.command import Order, execute
from safecity.store.database import Database
from safecity.store.transaction import Transaction

CAMERAS_LOCK: Final = 0x5AFEC174
"""Advisory lock under which shards are given and accounts are sealed, so that no two do it at once."""

SWITCHED_OFF: Final = "switched off"


class SetupAnswer(Noun, frozen=True):
    """What a command on a camera's setup answers. `seq`: which version of it this is."""

    seq: int
    setup: CameraSetup
    camera: Camera
    has_account: bool


class RemovalAnswer(Noun, frozen=True):
    """What the removal of a camera answers."""

    seq: int
    camera_id: str
    message: str


class SetupList(Noun, frozen=True):
    """All setups. seqs: version of each, to be named by who changes it. accounts: since when it has one."""

    setups: tuple[CameraSetup, ...]
    seqs: dict[str, int]
    accounts: dict[str, datetime]


async def add(
    database: Database,
    order: Order,
    setup: CameraSetup,
    account: Account,
    sealer: Sealer,
    *,
    may_reveal: bool = False,
) -> bytes:
    """Add a camera; it gets the first video process that has room.

    may_reveal: whether who orders it may see pictures without masks. Raises Conflict when its id is taken,
    Invalid for an address that cannot be kept or a simulated camera, Forbidden as `check_new`.
    """
    if setup.simulated:
        raise Invalid("only the simulated city has simulated cameras; leave 'simulated' out")
    setup = checked_setup(setup)
    check_not_told(setup, account)

    async def body(tx: Transaction) -> SetupAnswer:
        await _lock(tx)
        if await tx.find(CameraSetup, setup.id, lock=True) is not None:
            raise Conflict(f"there is a camera with the id '{setup.id}' already; choose another")
        await check_new(tx, setup, may_reveal=may_reveal)
        after = replace(setup, shard=await _free_shard(tx))
        camera = _followed(after, await tx.find(Camera, setup.id, lock=True), tx.now)
        tx.put(after)
        tx.put(camera)
        seq = await _journal(tx, order, after.id, "camera.add", f"{after.name} added")
        await _keep_account(tx, after.id, account, sealer, seq)
        return SetupAnswer(seq=seq, setup=after, camera=camera, has_account=bool(account))

    # What is kept of the request to recognise a repeat must not help to guess the password.
    return await execute(database, order, "camera.add", setup, body)


async def change_setup(
    database: Database,
    order: Order,
    camera_id: str,
    setup: CameraSetup,
    seq: int | None = None,
    *,
    may_reveal: bool = False,
) -> bytes:
    """Replace a camera's setup. Its id, its video process and whether it is simulated stay.

    seq: the version that was edited. may_reveal: whether who orders it may see pictures without masks. Raises
    Conflict when there is a newer version, NotFound without a camera, Forbidden as `check_reveals`.
    """
    if setup.id != camera_id:
        raise Invalid(f"the setup names camera '{setup.id}', the address '{camera_id}'; ids never change")
    setup = checked_setup(setup)

    async def body(tx: Transaction) -> SetupAnswer:
        before = await tx.get(CameraSetup, camera_id, lock=True)
        known = await tx.get(Camera, camera_id, lock=True)
        version = await _version(tx, camera_id)
        if seq is not None and seq != version:
            raise Conflict(
                f"somebody else changed the setup of {before.name} meanwhile; load it and try again"
            )
        after = replace(setup, shard=before.shard, simulated=before.simulated)
        check_reveals(before, after, may_reveal=may_reveal)
        words, has_account = what_changed(before, after), await _has_account(tx, camera_id)
        if not words:
            return SetupAnswer(seq=version, setup=before, camera=known, has_account=has_account)
        camera = _followed(after, known, tx.now)
        tx.put(after)
        if camera != known:
            tx.put(camera)
        new = await _journal(tx, order, camera_id, "camera.change", f"{after.name} changed: {words}")
        return SetupAnswer(seq=new, setup=after, camera=camera, has_account=has_account)

    return await execute(database, order, "camera.change", [setup, seq], body)


async def set_account(
    database: Database, order: Order, camera_id: str, account: Account, sealer: Sealer
) -> bytes:
    """Give a camera an account, or take it away with an empty one. Nothing of it is answered or journaled."""

    async def body(tx: Transaction) -> SetupAnswer:
        await _lock(tx)
        setup = await tx.get(CameraSetup, camera_id, lock=True)
        what = "set" if account else "taken away"
        check_not_told(setup, account)
        seq = await _journal(tx, order, camera_id, "camera.account", f"account of {setup.name} {what}")
        await _keep_account(tx, camera_id, account, sealer, seq)
        version, camera = await _version(tx, camera_id), await tx.get(Camera, camera_id)
        return SetupAnswer(seq=version, setup=setup, camera=camera, has_account=bool(account))

    return await execute(database, order, "camera.account", [camera_id, bool(account)], body)


async def remove(database: Database, order: Order, camera_id: str) -> bytes:
    """Remove a camera: its setup, its account and what people see of it.

    What it recorded stays until its retention ends, and longer where it is held.
    """

    async def body(tx: Transaction) -> RemovalAnswer:
        setup = await tx.get(CameraSetup, camera_id, lock=True)
        await tx.find(Camera, camera_id, lock=True)
        tx.remove(CameraSetup, camera_id)
        tx.remove(Camera, camera_id)
        await tx.connection.execute("DELETE FROM camera_account WHERE camera_id = $1", camera_id)
        message = f"{setup.name} removed; its recordings stay until their retention ends"
        seq = await _journal(tx, order, camera_id, "camera.remove", message)
        return RemovalAnswer(seq=seq, camera_id=camera_id, message=message)

    return await execute(database, order, "camera.remove", camera_id, body)


async def register(
    database: Database, order: Order, cameras: Sequence[tuple[CameraSetup, Account]], sealer: Sealer
) -> int:
    """Add what is not there yet, as one journal entry; return how many were new. Others stay as they are."""
    async with database.writing() as tx:
        await _lock(tx)
        new = [(s, a) for s, a in cameras if await tx.find(CameraSetup, s.id, lock=True) is None]
        if not new:
            return 0
        free = await _free_places(tx, len(new))
        for (setup, _), shard in zip(new, free, strict=True):
            after = replace(checked_setup(setup), shard=shard)
            tx.put(after)
            tx.put(_followed(after, await tx.find(Camera, setup.id, lock=True), tx.now))
        seq = await tx.journal(
            actor=order.actor,
            action="camera.add",
            object_kind="registry",
            object_id="city",
            text=f"{len(new)} cameras registered",
        )
        for setup, account in new:
            await _keep_account(tx, setup.id, account, sealer, seq)
        return len(new)


async def rotate_key(database: Database, order: Order, keys: KeyRing) -> tuple[int, tuple[str, ...]]:
    """Seal every account anew to a new key; return how many, and the cameras whose account no key opened.

    Interrupted at any point, everything can still be opened and the command can be given again.
    """
    async with database.writing() as tx:
        await _lock(tx)
        keys.begin_rotation()
        rows = await tx.connection.fetch("SELECT camera_id, sealed FROM camera_account ORDER BY camera_id")
        fresh, lost = [], []
        for row in rows:
            camera_id = row["camera_id"]
            try:
                fresh.append((camera_id, keys.seal(keys.open(bytes(row["sealed"]), camera_id), camera_id)))
            except (Invalid, UnknownKey):
                lost.append(camera_id)
        text = f"new camera key, {len(fresh)} accounts sealed anew"
        seq = await _journal(tx, order, "", "camera.rotate_key", text)
        await tx.connection.executemany(
            "UPDATE camera_account SET sealed = $2, seq = $3 WHERE camera_id = $1",
            [(camera_id, sealed, seq) for camera_id, sealed in fresh],
        )
    keys.end_rotation()
    return len(fresh), tuple(lost)


async def listed(database: Database) -> SetupList:
    """Return all setups with their versions, and which cameras have an account."""
    async with database.reading() as tx:
        setups = await tx.current(CameraSetup)
        seqs = await tx.connection.fetch("SELECT id, seq FROM camera_setup")
        accounts = await tx.connection.fetch("SELECT camera_id, changed_at FROM camera_account")
    return SetupList(
        setups=tuple(setups),
        seqs={row["id"]: row["seq"] for row in seqs},
        accounts={row["camera_id"]: row["changed_at"] for row in accounts},
    )


def _followed(setup: CameraSetup, known: Camera | None, now: datetime) -> Camera:
    """Return the camera as people see it after a change of its setup; how it is stays as it was."""
    seen = setup.public()
    if not setup.enabled:
        since = known.state_since if known and known.state_reason == SWITCHED_OFF else now
        return replace(seen, state=CameraState.LOST, state_since=since, state_reason=SWITCHED_OFF)
    if known is None or known.state_reason == SWITCHED_OFF:
        return replace(seen, state_since=now)
    return replace(
        seen,
        state=known.state,
        state_since=known.state_since,
        state_reason=known.state_reason,
        recording=known.recording,
    )


async def _lock(tx: Transaction) -> None:
    await tx.connection.execute("SELECT pg_advisory_xact_lock($1)", CAMERAS_LOCK)


async def _free_shard(tx: Transaction) -> int:
    return (await _free_places(tx, 1))[0]


async def _free_places(tx: Transaction, count: int) -> list[int]:
    """Return the lowest shard with room for each of `count` new cameras."""
    rows = await tx.connection.fetch("SELECT shard, count(*) AS n FROM camera_setup GROUP BY shard")
    taken = {row["shard"]: row["n"] for row in rows}
    places: list[int] = []
    shard = 0
    while len(places) < count:
        room = CAMERAS_PER_SHARD - taken.get(shard, 0)
        places += [shard] * max(0, min(room, count - len(places)))
        shard += 1
    return places


async def _version(tx: Transaction, camera_id: str) -> int:
    return int(await tx.connection.fetchval("SELECT seq FROM camera_setup WHERE id = $1", camera_id))


async def _has_account(tx: Transaction, camera_id: str) -> bool:
    found = await tx.connection.fetchval("SELECT true FROM camera_account WHERE camera_id = $1", camera_id)
    return found is True


async def _keep_account(tx: Transaction, camera_id: str, account: Account, sealer: Sealer, seq: int) -> None:
    if not account:
        await tx.connection.execute("DELETE FROM camera_account WHERE camera_id = $1", camera_id)
        return
    await tx.connection.execute(
        "INSERT INTO camera_account (camera_id, sealed, seq, changed_at) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (camera_id) DO UPDATE SET sealed = excluded.sealed, seq = excluded.seq, "
        "changed_at = excluded.changed_at",
        camera_id,
        sealer.seal(account, camera_id),
        seq,
        tx.now,
    )


async def _journal(tx: Transaction, order: Order, camera_id: str, action: str, text: str) -> int:
    return await tx.journal(
        actor=order.actor,
        action=action,
        object_kind="camera",
        object_id=camera_id,
        text=text,
        purpose=order.purpose,
        command_key=order.key,
    )
