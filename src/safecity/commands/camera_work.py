"""What `safecity camera` does: each command against the database of the running installation."""

import argparse
from typing import TYPE_CHECKING, Any

from safecity.commands.running import database_of, folder_of, operator, say, secret_from, table
from safecity.errors import Invalid, NotFound

if TYPE_CHECKING:
    from safecity.access.sealed import Account
    from safecity.model.video import CameraSetup, Hold
    from safecity.store.database import Database


def _account_of(given: argparse.Namespace) -> "Account":
    from safecity.access.sealed import Account

    if not given.user:
        return Account()
    return Account(user=given.user, password=secret_from(given.password_file, "password of the camera"))


async def list_cameras(given: argparse.Namespace) -> None:
    """Print all cameras."""
    import msgspec

    from safecity.model.source import Camera
    from safecity.operations.cameras import listed

    async with database_of(given) as database:
        found = await listed(database)
        async with database.reading() as tx:
            seen = {camera.id: camera for camera in await tx.current(Camera)}
    if given.json:
        say(msgspec.json.encode(found).decode())
        return
    rows = [("id", "name", "state", "recording", "account", "shard", "rules", "masks")]
    for setup in found.setups:
        camera = seen.get(setup.id)
        rows.append(
            (
                setup.id,
                setup.name,
                str(camera.state) if camera else "-",
                "yes" if camera and camera.recording else "no",
                "yes" if setup.id in found.accounts else "no",
                str(setup.shard),
                str(len(setup.rules)),
                str(len(setup.masks)),
            )
        )
    table(rows)


async def show_camera(given: argparse.Namespace) -> None:
    """Print one camera's setup."""
    import msgspec

    async with database_of(given) as database:
        setup, _, has_account = await _setup(database, given.id)
    if given.json:
        say(msgspec.json.encode(setup).decode())
        return
    fields: dict[str, Any] = msgspec.to_builtins(setup)
    for name, value in fields.items():
        say(f"{name:18} {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")
    say(f"{'account':18} {'set' if has_account else 'none'}")


async def add_camera(given: argparse.Namespace) -> None:
    """Add a camera."""
    from safecity.model.base import Place
    from safecity.model.video import CameraSetup
    from safecity.operations import cameras

    place = Place(lon=given.lon, lat=given.lat, text=given.place or "")
    bare = CameraSetup(id=given.id, name=given.name, place=place, url=given.url)
    setup, account = _changed(bare, given), _account_of(given)
    async with database_of(given) as database:
        keys = folder_of(given).camera_keys.public
        # Who has the installation's files has its recordings: the command line acts as their owner.
        await cameras.add(database, operator(), setup, account, keys, may_reveal=True)
    say(f"{setup.name} added; 'safecity camera list' tells how it is")


async def change_camera(given: argparse.Namespace) -> None:
    """Change what is named."""
    from safecity.operations import cameras

    async with database_of(given) as database:
        before, seq, _ = await _setup(database, given.id)
        after = _changed(before, given)
        await cameras.change_setup(database, operator(), given.id, after, seq, may_reveal=True)
        after, new_seq, _ = await _setup(database, given.id)
    say(f"{after.name} changed" if new_seq != seq else f"{after.name} is like that already")


async def remove_camera(given: argparse.Namespace) -> None:
    """Remove a camera."""
    import msgspec

    from safecity.operations import cameras
    from safecity.operations.cameras import RemovalAnswer

    async with database_of(given) as database:
        answer = await cameras.remove(database, operator(), given.id)
    say(msgspec.json.decode(answer, type=RemovalAnswer).message)


async def set_account(given: argparse.Namespace) -> None:
    """Set or take away an account."""
    from safecity.operations import cameras

    if bool(given.user) == given.none:
        raise Invalid("name the account with --user NAME, or take it away with --none")
    account = _account_of(given)
    async with database_of(given) as database:
        keys = folder_of(given).camera_keys.public
        await cameras.set_account(database, operator(), given.id, account, keys)
    say(f"account of camera {given.id} " + ("set" if account else "taken away"))


async def rotate_key(given: argparse.Namespace) -> None:
    """Seal all accounts anew."""
    from safecity.operations import cameras

    async with database_of(given) as database:
        count, lost = await cameras.rotate_key(database, operator(), folder_of(given).camera_keys)
    say(f"{count} accounts were sealed anew")
    if lost:
        say(f"no key opened the accounts of {', '.join(lost)}; set them again with 'safecity camera account'")


async def discover_cameras(given: argparse.Namespace) -> None:
    """Print the cameras that answer a search."""
    from safecity.operations.finding_cameras import find

    found = await find()
    if not found:
        say("no camera answered; those in other networks must be added by their address")
        return
    table([("name", "address", "onvif"), *((one.name, one.address, one.onvif_url) for one in found)])


async def describe_camera(given: argparse.Namespace) -> None:
    """Print what a camera says of itself by ONVIF."""
    from safecity.clock import SystemClock
    from safecity.operations.camera_checks import checked_device_address
    from safecity.operations.finding_cameras import described

    checked_device_address(given.onvif_url)
    told = await described(given.onvif_url, _account_of(given), SystemClock())
    say(f"{told.manufacturer} {told.model}, firmware {told.firmware}")
    rows = [
        (one.name, one.url or "(holds an account)", one.codec, f"{one.width} x {one.height}", f"{one.fps:g}")
        for one in told.streams
    ]
    table([("stream", "address", "codec", "size", "fps"), *rows])


async def probe_camera(given: argparse.Namespace) -> None:
    """Try an address."""
    from safecity.model.video import Transport
    from safecity.operations.camera_checks import checked_stream_address
    from safecity.video.stream.probe import ProbeRequest, probe

    checked_stream_address(given.url)
    account = _account_of(given)
    found = await probe(
        ProbeRequest(
            url=given.url,
            user=account.user,
            password=account.password,
            transport=Transport(given.transport),
            files_dir=_files_dir(given),
        )
    )
    if found.reason:
        raise NotFound(f"{found.state}: {found.reason}")
    say(f"{found.state}: {found.codec}, {found.width} x {found.height}, {found.fps} pictures a second")


def _files_dir(given: argparse.Namespace) -> str:
    """Return where films of cameras must lie, by the settings of the installation that runs."""
    from safecity.config import load
    from safecity.deployment import settings_of
    from safecity.errors import Configuration

    try:
        return settings_of(folder_of(given).read_run()).video.files_dir
    except Configuration:
        return load(None).video.files_dir


async def hold_recordings(given: argparse.Namespace) -> None:
    """Keep recordings."""
    import msgspec

    from safecity.operations import holds
    from safecity.operations.holds import HoldAnswer, NewHold

    wanted = NewHold(start=given.start, end=given.end, reason=given.reason, incident_id=given.incident)
    async with database_of(given) as database:
        answer = await holds.hold(database, operator(), given.id, wanted)
    made = msgspec.json.decode(answer, type=HoldAnswer).hold
    say(f"held; 'safecity camera release {made.id}' lets retention count again")


async def list_holds(given: argparse.Namespace) -> None:
    """Print what is held."""
    from safecity.model.video import Hold

    async with database_of(given) as database, database.reading() as tx:
        found = await tx.current(Hold)
    table([("hold", "camera", "from", "to", "by", "reason"), *(_row(hold) for hold in found)])


async def release_hold(given: argparse.Namespace) -> None:
    """Release a hold."""
    from safecity.operations import holds

    async with database_of(given) as database:
        await holds.release_hold(database, operator(), given.hold)
    say("released")


def _row(hold: "Hold") -> tuple[str, ...]:
    from safecity.model.base import utc_text

    return hold.id, hold.camera_id, utc_text(hold.start), utc_text(hold.end), hold.by, hold.reason


async def _setup(database: "Database", camera_id: str) -> tuple["CameraSetup", int, bool]:
    from safecity.operations.cameras import listed

    found = await listed(database)
    for setup in found.setups:
        if setup.id == camera_id:
            return setup, found.seqs[camera_id], camera_id in found.accounts
    raise NotFound(f"there is no camera with the id '{camera_id}'; 'safecity camera list' names them")


def _changed(before: "CameraSetup", given: argparse.Namespace) -> "CameraSetup":
    """Return the setup with everything that was named on the command line."""
    from msgspec.structs import replace

    from safecity.model.video import Transport
    from safecity.rules.camera_rules import load_camera_rules

    said: dict[str, Any] = {
        "name": given.name,
        "url": given.url,
        "sub_url": given.sub_url,
        "onvif_url": given.onvif_url,
        "transport": Transport(given.transport) if given.transport else None,
        "heading_deg": given.heading,
        "field_of_view_deg": given.view,
        "audio": given.sound,
        "blur_persons": given.blur,
        "enabled": given.on,
    }
    if given.rules is not None:
        drawn = load_camera_rules(given.rules)
        said |= {"rules": drawn.rules, "masks": drawn.masks, "calibration": drawn.calibration}
    place = {"lon": given.lon, "lat": given.lat, "text": given.place}
    limits = {"max_age_days": given.retention_days, "max_gb": given.retention_gb}
    return replace(
        before,
        place=replace(before.place, **{key: value for key, value in place.items() if value is not None}),
        retention=replace(
            before.retention, **{key: value or None for key, value in limits.items() if value is not None}
        ),
        **{key: value for key, value in said.items() if value is not None},
    )
