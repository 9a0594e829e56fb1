"""The embedded NATS server: its configuration file, its logins, its command line."""

import os
import secrets
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import bcrypt
import msgspec

from safecity.bus.logins import BusLogin, permissions
from safecity.bus.subjects import MQTT_ROOT
from safecity.errors import Configuration

BCRYPT_COST = 4
"""Enough here: the passwords are 128 random bits, not words that could be guessed."""

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
MAX_STORE_BYTES = 1 << 40
"""What streams may reserve in all. By default it is a share of the free disk, and a disk that is fuller at
the next start would refuse the streams that ran before. Each stream has its own limit."""


class DeviceLogin(msgspec.Struct, frozen=True):
    """What a device needs to publish: topic sensors/<device_id>/<property>."""

    device_id: str
    password: str

    def __repr__(self) -> str:
        """Name the device, never the password."""
        return f"DeviceLogin({self.device_id!r})"


def server_binary() -> Path:
    """Return the nats-server program of this installation, or one found on the PATH.

    Raises Configuration when there is none.
    """
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise Configuration(
            "nats-server is not installed; run 'make setup', or set NATS_URL to a server of yours"
        )
    return Path(found)


def new_secret() -> str:
    """Return 128 random bits as text."""
    return secrets.token_urlsafe(16)


def write_secret(path: Path) -> str:
    """Return the secret kept in `path`, made anew (128 random bits, mode 0600) when there is none."""
    known = path.read_text(encoding="ascii").strip() if path.exists() else ""
    if known:
        return known
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = new_secret()
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    with partial.open("w", encoding="ascii") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return secret


def write_config(
    directory: Path,
    *,
    port: int,
    mqtt_host: str,
    mqtt_port: int,
    passwords: Mapping[BusLogin, str],
    devices: list[DeviceLogin],
) -> Path:
    """Write nats.conf under `directory` (mode 0600) and return its path.

    passwords: of our own processes; each login may do what `logins` says and connect as a bus client only,
    but that of the set-up, which makes the MQTT streams too.
    `sync_interval: always` makes JetStream write to disk before it acknowledges. Each device has its own
    login, may speak MQTT only, and may publish below sensors/<device_id>/ and nowhere else.
    """
    directory.mkdir(parents=True, exist_ok=True)
    users = [
        *(_internal(login, password) for login, password in passwords.items()),
        *(
            f'    {{user: "{device.device_id}", password: "{_hashed(device.password)}", '
            'allowed_connection_types: ["MQTT"], '
            f'permissions: {{publish: ["{MQTT_ROOT}.{device.device_id}.>"], subscribe: {{deny: ">"}}}}}}'
            for device in devices
        ),
    ]
    text = "\n".join(
        [
            f'listen: "127.0.0.1:{port}"',
            "server_name: safecity",
            f"max_payload: {MAX_PAYLOAD_BYTES}",
            f'jetstream {{ store_dir: "{directory / "jetstream"}", max_file_store: {MAX_STORE_BYTES}, '
            "sync_interval: always }",
            f'mqtt {{ listen: "{mqtt_host}:{mqtt_port}" }}',
            "authorization {",
            "  users = [",
            *users,
            "  ]",
            "}",
            "",
        ]
    )
    path = directory / "nats.conf"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _internal(login: BusLogin, password: str) -> str:
    rights = permissions(login)
    limits = f', allowed_connection_types: ["STANDARD"], {rights}' if rights else ""
    return f'    {{user: "{login}", password: "{_hashed(password)}"{limits}}}'


def _hashed(password: str) -> str:
    # nats-server reads the $2a$ spelling of bcrypt.
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_COST, prefix=b"2a")).decode()


def command(config: Path) -> list[str]:
    """Return the argument list that runs the server with `config`."""
    return [str(server_binary()), "-c", str(config)]
