"""What one machine's installation consists of: its folder, its secrets, its ports, its run file."""

import errno
import os
import socket
from pathlib import Path
from typing import Final

import msgspec
import structlog

from safecity.access.policy import Role
from safecity.access.sealed import KeyRing
from safecity.bus.engine import DeviceLogin, write_secret
from safecity.bus.logins import BusLogin
from safecity.config import Settings, load
from safecity.errors import Configuration, StorageFull

log = structlog.get_logger()

MACHINE_TOKENS: Final = {
    "simulated-telephony": (Role.TELEPHONY,),
    "simulated-gateway": (Role.GATEWAY,),
    "simulated-field": (Role.SIMULATOR,),
    "simulated-call-takers": (Role.SIMULATOR,),
    "simulated-operator": (Role.DISPATCHER,),
}
"""Bearer tokens of the simulated city: name, roles. Vehicles and call-takers share the simulator's role."""

MIN_FREE_MB: Final = 200
"""Below this the engines cannot even start safely."""


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the roles of one running installation share; written by the supervisor, mode 0600.

    nats_url: without a login where the bus is the embedded one (`own_bus`): each process takes its own.
    """

    data_dir: str
    config_path: str
    database_url: str
    nats_url: str
    web_host: str
    web_port: int
    mqtt_host: str
    mqtt_port: int
    rtsp_port: int
    simulated: bool
    own_bus: bool = False
    prepared_anew: bool = False
    speed: float = 1.0
    scripted_operator: bool = False

    def __repr__(self) -> str:
        """Name the folder, never the logins."""
        return f"RunFile({self.data_dir!r})"


class Folder:
    """An installation's data folder and the names of everything in it."""

    def __init__(self, root: Path) -> None:
        """Use `root`; call `prepare` before anything is written."""
        self.root = root.absolute()

    def prepare(self) -> None:
        """Make the folder.

        Raises Configuration when that is not possible, StorageFull when the disk has no room.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in (self.secrets, self.logs, self.recordings, self.nats):
                path.mkdir(exist_ok=True, mode=0o700)
            if os.geteuid() == 0:
                # PostgreSQL then runs as another user, who must be able to walk to its own folder.
                self.root.chmod(self.root.stat().st_mode | 0o011)
            free_mb = self.free_mb()
        except OSError as error:
            raise Configuration(
                f"the data folder {self.root} cannot be used: {error.strerror}; "
                "name another one with --data DIR"
            ) from error
        if free_mb < MIN_FREE_MB:
            raise StorageFull(
                f"only {free_mb} MB are free where {self.root} lies, at least {MIN_FREE_MB} MB are needed; "
                "free space or name another folder with --data DIR"
            )

    def free_mb(self) -> int:
        """Return the megabytes that are free where the folder lies."""
        disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize // 1_000_000

    @property
    def secrets(self) -> Path:
        """Folder of passwords and tokens, for the owner only."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        """Folder of each process's log."""
        return self.root / "logs"

    @property
    def nats(self) -> Path:
        """Folder of the embedded NATS server."""
        return self.root / "nats"

    @property
    def postgres(self) -> Path:
        """Folder of the embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def recordings(self) -> Path:
        """Folder of camera recordings."""
        return self.root / "recordings"

    @property
    def demo_city(self) -> Path:
        """Folder of the city that the program brings."""
        return self.root / "city"

    @property
    def run_file(self) -> Path:
        """The run file."""
        return self.root / "run.json"

    @property
    def devices_file(self) -> Path:
        """Logins of MQTT devices."""
        return self.secrets / "devices.json"

    @property
    def former_cameras_file(self) -> Path:
        """Addresses and logins of cameras in the open, as versions before camera setups kept them."""
        return self.secrets / "cameras.json"

    @property
    def camera_keys(self) -> KeyRing:
        """The keys to the cameras' accounts."""
        return KeyRing(self.secrets / "camera-key")

    def roster_file(self, shard: int) -> Path:
        """What a video process was last told, for a start without PostgreSQL."""
        return self.secrets / f"roster-{shard}.json"

    @property
    def scenario_file(self) -> Path:
        """What stands in the simulated city."""
        return self.root / "scenario.json"

    @property
    def report_file(self) -> Path:
        """What the simulated city did, written when it stops."""
        return self.root / "simulation.json"

    @property
    def simulated_cameras_file(self) -> Path:
        """What the camera simulator serves, with its accounts."""
        return self.secrets / "simulated-cameras.json"

    def is_prepared(self, fingerprint: str) -> bool:
        """Return whether the city and the simulated city were prepared for just this."""
        mark = self.root / "prepared"
        return mark.exists() and mark.read_text(encoding="ascii") == fingerprint

    def mark_prepared(self, fingerprint: str) -> None:
        """Note what was prepared."""
        (self.root / "prepared").write_text(fingerprint, encoding="ascii")

    def secret(self, name: str) -> str:
        """Return a secret by name, made anew when there is none."""
        return write_secret(self.secrets / name)

    def bus_passwords(self) -> dict[BusLogin, str]:
        """Return the passwords of our own processes on the embedded bus."""
        return {login: self.secret(login.secret_name) for login in BusLogin}

    def bus_url(self, run: RunFile, login: BusLogin) -> str:
        """Return the address of the bus with a login; one that is configured has its own in it."""
        if not run.own_bus:
            return run.nats_url
        return run.nats_url.replace("://", f"://{login}:{self.secret(login.secret_name)}@")

    def devices(self) -> list[DeviceLogin]:
        """Return the logins of the MQTT devices."""
        if not self.devices_file.exists():
            return []
        return msgspec.json.decode(self.devices_file.read_bytes(), type=list[DeviceLogin])

    def write_private(self, path: Path, content: bytes) -> None:
        """Write a file that only we may read, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_bytes(content)
        partial.replace(path)

    def write_run(self, run: RunFile) -> None:
        """Write the run file."""
        self.write_private(self.run_file, msgspec.json.encode(run))

    def read_run(self) -> RunFile:
        """Return the run file; raises Configuration when the installation does not run."""
        try:
            return msgspec.json.decode(self.run_file.read_bytes(), type=RunFile)
        except FileNotFoundError as error:
            raise Configuration(
                f"nothing runs in {self.root}; start it with 'safecity demo' or 'safecity up', or name the "
                "right folder with --data DIR"
            ) from error
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Configuration(f"the run file {self.run_file} cannot be read: {error}") from error


def settings_of(run: RunFile) -> Settings:
    """Return the settings that a running installation was started with."""
    return load(Path(run.config_path) if run.config_path else None)


def city_folder(folder: Folder, run: RunFile) -> Path:
    """Return the folder of the city that this installation runs on."""
    configured = settings_of(run).city
    return Path(configured) if configured else folder.demo_city


def free_port(host: str, wanted: int, what: str) -> int:
    """Return `wanted` when it is free at `host`, else another free port, saying so.

    Raises Configuration when the address itself cannot be used.
    """
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if port and error.errno in (errno.EADDRINUSE, errno.EACCES):
                    log.warning(
                        f"port {port} for {what} is in use or not allowed; a free one is taken instead"
                    )
                    continue
                raise Configuration(
                    f"the address {host}:{port} for {what} cannot be used: {error}"
                ) from error
            return int(probe.getsockname()[1])
    raise Configuration(f"no port is free at {host} for {what}")
