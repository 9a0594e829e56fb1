"""A whole installation for tests: `safecity demo` as its users start it, in a folder of its own."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import httpx
import psutil

from engines import short_directory
from safecity.deployment import Folder, RunFile

START_S = 240.0
STOP_S = 60.0
ROLES = ("intake", "fusion", "operations", "dispatch", "video", "web", "simulator")
PROCESSES = ("nats-server", "postgres", *ROLES)
LINK = re.compile(r"sign in\s+(http\S+)")


class RunningCity:
    """The demo city as a process tree; everything it starts ends with it."""

    def __init__(self, *options: str, environment: dict[str, str] | None = None) -> None:
        """Prepare; `options` are those of `safecity demo`."""
        self.directory = short_directory("safecity-city-")
        self.folder = Folder(self.directory)
        self._options = options
        # Ports of this test only: other cities may run on the same machine.
        self._environment = {
            "SAFECITY_WEB_PORT": "0",
            "SAFECITY_BUS_PORT": "0",
            "SAFECITY_BUS_MQTT_PORT": "0",
            **(environment or {}),
        }
        self._output = self.directory / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the city runs."""
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "safecity.cli", "demo", "--data", str(self.directory), *self._options],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while "the city runs" not in self.output() or (not self._headless and "console" not in self.output()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the city did not start:\n{self.output()}\n{self.logs()}")
            time.sleep(0.1)

    @property
    def _headless(self) -> bool:
        return "--headless" in self._options

    def output(self) -> str:
        """Return what it printed so far."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def logs(self) -> str:
        """Return the end of each log, for the message of a failed test."""
        logs = {
            path.name: path.read_text(errors="replace") for path in sorted(self.folder.logs.glob("*.log"))
        }
        return "\n".join(
            line for name, text in logs.items() for line in (f"--- {name}", *text.splitlines()[-8:])
        )

    @property
    def run(self) -> RunFile:
        """The run file."""
        return self.folder.read_run()

    @property
    def url(self) -> str:
        """Address of the console."""
        return f"http://{self.run.web_host}:{self.run.web_port}"

    @property
    def link(self) -> str:
        """The one-time sign-in link that was printed."""
        found = LINK.search(self.output())
        assert found, self.output()
        return found[1]

    def token(self, name: str) -> dict[str, str]:
        """Return the header with which a simulated machine is let in."""
        return {"Authorization": f"Bearer {self.folder.secret(f'token-{name}')}"}

    def pid_of(self, name: str) -> int | None:
        """Return the process id of a role or engine, None while it is away."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            if child.status() == psutil.STATUS_ZOMBIE or not words:
                continue
            if Path(words[0]).name == name or ("run" in words and words[words.index("run") + 1] == name):
                return child.pid
        return None

    async def healthy(self, patience_s: float = 90.0) -> None:
        """Wait until every role runs."""
        deadline = time.monotonic() + patience_s
        answer = ""
        async with httpx.AsyncClient() as client:
            while time.monotonic() < deadline:
                try:
                    reply = await client.get(f"{self.url}/health", timeout=5)
                    answer = reply.text
                    if reply.json()["status"] == "ok":
                        return
                except (httpx.HTTPError, ValueError, KeyError):
                    pass
                await asyncio.sleep(0.1)
        raise AssertionError(f"not healthy: {answer}\n{self.logs()}")

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Return rows from the city's database."""
        connection = await asyncpg.connect(self.run.database_url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    def check(self, *options: str) -> dict[str, Any]:
        """Return what `safecity check --json` says of the running city."""
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "safecity.cli",
                "check",
                "--json",
                "--data",
                str(self.directory),
                *options,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Stop as Ctrl-C does; return the exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(STOP_S)
        finally:
            self._end()

    def _end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        """Start; leave nothing behind when that fails."""
        try:
            self.start()
        except BaseException:
            self._end()
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, however it is, and remove its folder."""
        self._end()
        shutil.rmtree(self.directory, ignore_errors=True)
