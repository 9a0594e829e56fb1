"""`safecity camera`: cameras added, set up, tried, held and removed from the machine's own terminal."""

import argparse
from datetime import datetime
from pathlib import Path

from safecity.commands import camera_work as work_on
from safecity.commands.running import Work, add_command, add_group

EPILOG = """examples:
  safecity camera add gate --name "North gate" --lon 69.2401 --lat 41.3111 \\
      --url rtsp://10.0.0.7/main --sub-url rtsp://10.0.0.7/sub --user viewer
  safecity camera change gate --rules gate.toml     rules, masks and calibration from a file
  safecity camera account gate --user viewer        asks for the password; it is never an argument
  safecity camera hold gate --from 2026-01-31T12:00Z --to 2026-01-31T13:00Z --reason "break-in"
"""


def add_camera_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `camera` with everything that can be done to one."""
    cameras = add_group(commands, "camera", "list, add, set up, try, hold and remove cameras", EPILOG)
    _add_views(cameras)
    _add_changes(cameras)
    _add_trials(cameras)
    _add_holds(cameras)


def _add(
    cameras: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    words: str,
    example: str,
    work: Work,
) -> argparse.ArgumentParser:
    return add_command(cameras, name, words, f"camera {example}", work)


def _add_views(cameras: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listed = _add(cameras, "list", "list all cameras with their states", "list", work_on.list_cameras)
    listed.add_argument("--json", action="store_true", help="print them as JSON")
    shown = _add(
        cameras, "show", "show one camera's setup; never its account", "show gate", work_on.show_camera
    )
    shown.add_argument("id", metavar="ID")
    shown.add_argument("--json", action="store_true", help="print it as JSON")


def _add_changes(cameras: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    add = _add(
        cameras,
        "add",
        "add a camera",
        'add gate --name "North gate" --lon 69.24 --lat 41.31 --url rtsp://10.0.0.7/main --user viewer',
        work_on.add_camera,
    )
    add.add_argument(
        "id", metavar="ID", help="1 to 64 letters, digits, hyphens or underscores; never changes"
    )
    _add_fields(add, required=True)
    _add_account(add)
    change = _add(
        cameras,
        "change",
        "change what is named, leave the rest",
        "change gate --rules gate.toml",
        work_on.change_camera,
    )
    change.add_argument("id", metavar="ID")
    _add_fields(change, required=False)
    remove = _add(
        cameras,
        "remove",
        "remove a camera; its recordings stay until their retention ends",
        "remove gate",
        work_on.remove_camera,
    )
    remove.add_argument("id", metavar="ID")
    account = _add(
        cameras,
        "account",
        "set or take away a camera's account",
        "account gate --user viewer",
        work_on.set_account,
    )
    account.add_argument("id", metavar="ID")
    _add_account(account)
    account.add_argument("--none", action="store_true", help="take the account away")
    _add(
        cameras,
        "rotate-key",
        "make a new camera key and seal all accounts anew",
        "rotate-key",
        work_on.rotate_key,
    )


def _add_trials(cameras: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _add(
        cameras,
        "discover",
        "search the network for cameras that speak ONVIF",
        "discover",
        work_on.discover_cameras,
    )
    describe = _add(
        cameras,
        "describe",
        "ask a camera by ONVIF for the addresses of its streams",
        "describe http://10.0.0.7/onvif/device_service --user viewer",
        work_on.describe_camera,
    )
    describe.add_argument("onvif_url", metavar="URL")
    _add_account(describe)
    probe = _add(
        cameras,
        "probe",
        "try an address for at most 5 s, without adding it",
        "probe rtsp://10.0.0.7/main --user viewer",
        work_on.probe_camera,
    )
    probe.add_argument("url", metavar="URL")
    probe.add_argument("--transport", choices=["tcp", "udp"], default="tcp", help="default: tcp")
    _add_account(probe)


def _add_holds(cameras: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    hold = _add(
        cameras,
        "hold",
        "keep recordings until the hold is released",
        'hold gate --from 2026-01-31T12:00Z --to 2026-01-31T13:00Z --reason "break-in"',
        work_on.hold_recordings,
    )
    hold.add_argument("id", metavar="ID")
    hold.add_argument("--from", dest="start", type=_moment, required=True, metavar="TIME", help="RFC 3339")
    hold.add_argument("--to", dest="end", type=_moment, required=True, metavar="TIME", help="RFC 3339")
    hold.add_argument("--reason", required=True, help="why, in words")
    hold.add_argument("--incident", default="", metavar="ID", help="the incident they are kept for")
    _add(cameras, "holds", "list what is held", "holds", work_on.list_holds)
    release = _add(
        cameras,
        "release",
        "release a hold: retention counts again",
        "release 01JD...",
        work_on.release_hold,
    )
    release.add_argument("hold", metavar="HOLD")


def _add_fields(command: argparse.ArgumentParser, *, required: bool) -> None:
    add = command.add_argument
    add("--name", required=required, help="what people call it")
    add("--lon", type=float, required=required, metavar="DEG", help="longitude, WGS 84")
    add("--lat", type=float, required=required, metavar="DEG", help="latitude, WGS 84")
    add("--place", metavar="TEXT", help="where it stands, in words")
    add("--url", required=required, help="main stream: rtsp://HOST[:PORT]/PATH or file:///FILE, no account")
    add("--sub-url", metavar="URL", help="smaller stream of the same picture, to watch and show")
    add("--onvif-url", metavar="URL", help="ONVIF device service, for the camera's own events")
    add("--transport", choices=["tcp", "udp"], help="how pictures travel; default: tcp")
    add("--heading", type=float, metavar="DEG", help="where it looks, clockwise from north")
    add("--view", type=float, metavar="DEG", help="field of view; default: 60")
    add("--rules", type=Path, metavar="FILE", help="TOML with [[rule]], [[mask]] and [calibration]")
    add("--retention-days", type=float, metavar="DAYS", help="how long recordings stay; 0: as configured")
    add("--retention-gb", type=float, metavar="GB", help="space of recordings at most; 0: as configured")
    add("--sound", action=argparse.BooleanOptionalAction, help="record sound too, where policy allows it")
    add("--blur", action=argparse.BooleanOptionalAction, help="make people unrecognisable; default: yes")
    add("--on", action=argparse.BooleanOptionalAction, help="connect and record; default: yes")


def _add_account(command: argparse.ArgumentParser) -> None:
    command.add_argument("--user", default="", help="user name at the camera")
    command.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="holds the password; without it standard input is read, or you are asked",
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' must look like 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"'{text}' needs a time zone: 2026-01-31T12:00:00Z")
    return moment
