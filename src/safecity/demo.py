"""Running an installation in the foreground: what is printed, when it ends, what it sums up."""

import asyncio
import signal
import sys
from datetime import datetime
from urllib.parse import quote

import msgspec

from safecity.access.accounts import create_link, has_accounts
from safecity.access.policy import FIRST_ACCOUNT_ROLES
from safecity.access.policy import Role as AccessRole
from safecity.app import Installation, Plan, running
from safecity.clock import Clock, SystemClock
from safecity.deployment import Folder
from safecity.errors import Invalid
from safecity.memory import Watch
from safecity.store.database import open_database


async def run(plan: Plan, *, for_s: float | None, headless: bool, as_json: bool) -> int:
    """Start, tell how to sign in, run until a signal or for `for_s` seconds, stop; return the exit status."""
    clock = SystemClock()
    say = _to_standard_error
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    begun = clock.now()
    starting = asyncio.current_task()
    interrupt = asyncio.create_task(_cancel_when(end, starting))
    figures: bytes | None = None
    try:
        async with running(plan, say) as installation:
            interrupt.cancel()
            took_s = (clock.now() - begun).total_seconds()
            say(f"the city runs ({took_s:.1f} s)")
            if not headless:
                say(await _how_to_sign_in(installation, clock))
            with Watch() as memory:
                await _until(end, for_s)
                if plan.simulated and as_json:
                    figures = await _figures(installation, begun, memory)
            say("stopping ...")
    except asyncio.CancelledError:
        say("stopped before everything was up")
        return 130
    stopped = (clock.now() - begun).total_seconds()
    say(f"stopped after {stopped:.0f} s; start again to go on where it was")
    if figures is not None:
        sys.stdout.write(figures.decode() + "\n")
    return 0


async def _figures(installation: Installation, begun: datetime, memory: Watch) -> bytes:
    # What counting needs is loaded when there is something to count: the supervisor lives for months.
    from safecity import summary

    return msgspec.json.encode(await summary.collect(installation, begun, memory))


async def new_link(folder: Folder, role: str) -> str:
    """Return a one-time sign-in link of a running installation; raises Invalid for an unknown role."""
    if role not in list(AccessRole):
        raise Invalid(f"there is no role '{role}'; the roles are {', '.join(AccessRole)}")
    run = folder.read_run()
    clock = SystemClock()
    database = await open_database(run.database_url, clock, size=1, patience_s=5)
    try:
        token = await create_link(database, (AccessRole(role),), clock)
    finally:
        await database.close()
    return _link(f"http://{run.web_host}:{run.web_port}", token)


async def _how_to_sign_in(installation: Installation, clock: Clock) -> str:
    database = await open_database(installation.run.database_url, clock, size=1)
    try:
        if await has_accounts(database):
            return (
                f"\n  console   {installation.url}\n  sign in with your name and password; "
                "'safecity link' makes a link for a new person\n"
            )
        token = await create_link(database, FIRST_ACCOUNT_ROLES, clock)
    finally:
        await database.close()
    return f"\n  console   {installation.url}\n  sign in   {_link(installation.url, token)}   (once)\n"


def _link(url: str, token: str) -> str:
    return f"{url}/#/welcome?token={quote(token)}"


async def _until(end: asyncio.Event, for_s: float | None) -> None:
    try:
        await asyncio.wait_for(end.wait(), for_s)
    except TimeoutError:
        return


async def _cancel_when(end: asyncio.Event, task: "asyncio.Task[object] | None") -> None:
    await end.wait()
    if task is not None:
        task.cancel()


def _to_standard_error(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()
