"""Starting, watching, restarting and stopping the processes of one machine."""

import asyncio
import ctypes
import os
import pwd
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
import structlog

from safecity.errors import Unavailable

log = structlog.get_logger()

BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
STEADY_S = 10.0
"""A process that ran this long starts its next backoff from the beginning."""

MAX_LOG_BYTES = 20_000_000
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a child gets when its parent dies."""


class State(StrEnum):
    """How a process is."""

    STARTING = "starting"
    RUNNING = "running"
    DOWN = "down"


Ready = Callable[[], Awaitable[bool]]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One process to keep running.

    ready: asked every 50 ms after the start until true. stop_signal: asks it to end in good order.
    before: run before each start, for example to clear a stale lock. stop_within_s: how long it may take to
    end by itself before it is killed.
    """

    name: str
    command: Sequence[str]
    log_path: Path
    ready: Ready
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    run_as: int | None = None
    stop_signal: int = signal.SIGTERM
    before: Callable[[], None] | None = None
    ready_within_s: float = 60.0
    stop_within_s: float = 2.0


class Child:
    """One program with its present process."""

    def __init__(self, program: Program) -> None:
        """Prepare; nothing runs yet."""
        self.program = program
        self.state = State.DOWN
        self.restarts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process else None

    async def start(self) -> None:
        """Start it and return when it is ready.

        Raises Unavailable with the end of its log when it does not become ready.
        """
        await self._spawn()
        try:
            await asyncio.wait_for(self._until_ready(), self.program.ready_within_s)
        except TimeoutError as error:
            raise Unavailable(self._why("did not become ready in time")) from error
        self.state = State.RUNNING
        self._watch = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """End it: by its own signal first, by SIGKILL when it does not listen."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
        process = self._process
        if process is None or process.returncode is not None:
            self.state = State.DOWN
            return
        _signal(process, self.program.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self.program.stop_within_s)
        except TimeoutError:
            log.warning("killed, because it did not stop", process=self.program.name)
            _signal_group(process, signal.SIGKILL)
            await process.wait()
        self.state = State.DOWN

    async def _spawn(self) -> None:
        program = self.program
        if program.before is not None:
            program.before()
        self.state = State.STARTING
        _rotate(program.log_path)
        with program.log_path.open("ab") as log_file:
            self._process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                env={**os.environ, **program.environment},
                start_new_session=True,
                cwd="/",
                preexec_fn=_before_exec(program),
            )

    async def _until_ready(self) -> None:
        while not await self.program.ready():
            if self._process is None or self._process.returncode is not None:
                raise Unavailable(self._why("ended while it started"))
            await asyncio.sleep(0.05)

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            if self._process is None:
                return
            started = loop.time()
            code = await self._process.wait()
            if self._stopping:
                return
            self.state = State.STARTING
            self.restarts += 1
            attempt = 0 if loop.time() - started > STEADY_S else attempt
            pause_s = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
            attempt += 1
            log.warning(self._why(f"ended by itself with {code} and starts again in {pause_s} s"))
            await asyncio.sleep(pause_s)
            await self._restart()

    async def _restart(self) -> None:
        try:
            await self._spawn()
            await asyncio.wait_for(self._until_ready(), self.program.ready_within_s)
        except Exception as error:
            # Whatever it was, trying again is the only thing that can help.
            log.warning("not ready yet", process=self.program.name, error=str(error) or repr(error))
            if self._process is not None and self._process.returncode is None:
                _signal_group(self._process, signal.SIGKILL)
        else:
            self.state = State.RUNNING

    def _why(self, what: str) -> str:
        try:
            tail = self.program.log_path.read_text(errors="replace").splitlines()[-5:]
        except OSError:
            tail = []
        return f"{self.program.name} {what}; its log {self.program.log_path} ends with: " + " | ".join(tail)


class Supervisor:
    """The programs of one machine, in waves: what a wave needs was started by the waves before it."""

    def __init__(self) -> None:
        """Supervise nothing yet."""
        self.children: dict[str, Child] = {}
        self._wave_of: dict[str, int] = {}

    async def start(self, *programs: Program, wave: int = 0) -> None:
        """Start programs side by side and return when all are ready."""
        children = [Child(program) for program in programs]
        self.children |= {child.program.name: child for child in children}
        self._wave_of |= {program.name: wave for program in programs}
        try:
            async with asyncio.TaskGroup() as group:
                for child in children:
                    group.create_task(child.start())
        except ExceptionGroup as failed:
            # The others of the wave were told to give up; the first reason is the one to tell.
            raise failed.exceptions[0] from failed

    async def stop(self, *names: str) -> None:
        """Stop the named programs, side by side."""
        await asyncio.gather(*(self.children[name].stop() for name in names if name in self.children))

    async def drop(self, name: str) -> None:
        """Stop a program and forget it."""
        await self.stop(name)
        self.children.pop(name, None)
        self._wave_of.pop(name, None)

    async def stop_all(self) -> None:
        """Stop everything, the last wave first, so that it can finish with what it needs."""
        for wave in sorted(set(self._wave_of.values()), reverse=True):
            await self.stop(*(name for name, its in self._wave_of.items() if its == wave))

    def kill(self, name: str) -> None:
        """Kill a program that no longer does its work; it is started again like one that died."""
        child = self.children.get(name)
        if child is not None and child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)

    def states(self) -> dict[str, State]:
        """Return how each program is."""
        return {name: child.state for name, child in self.children.items()}


def _rotate(log_path: Path) -> None:
    """Put a long log aside at a start; the one before that goes."""
    if log_path.exists() and log_path.stat().st_size > MAX_LOG_BYTES:
        log_path.replace(log_path.with_suffix(".log.1"))


def _before_exec(program: Program) -> Callable[[], None]:
    """Return what the child does before it becomes the program: drop its rights, and die with its parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    group = None if program.run_as is None else pwd.getpwuid(program.run_as).pw_gid

    def before_exec() -> None:
        if program.run_as is not None and group is not None:
            os.setgroups([])
            os.setgid(group)
            os.setuid(program.run_as)
        # After the change of user: that clears the setting.
        libc.prctl(PR_SET_PDEATHSIG, program.stop_signal, 0, 0, 0)

    return before_exec


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def _signal_group(process: asyncio.subprocess.Process, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


async def accepts(host: str, port: int) -> bool:
    """Return whether something accepts TCP connections there."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1.0)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
