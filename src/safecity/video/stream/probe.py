"""Trying a camera's address before it is added: does a picture come, and of what kind.

The try runs in a process of its own that is killed when its time is over: what an unknown device sends can
hold up or crash a native library, and that must cost nobody else anything. The account goes in by a pipe.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Final

import msgspec

from safecity.model.base import Noun
from safecity.model.source import CameraState
from safecity.model.video import Transport

WITHIN_S: Final = 5.0
"""How long a camera may take."""
START_S: Final = 15.0
"""How long the process may take to load the media libraries, on a slow and busy machine."""

NO_ANSWER: Final = "the try took too long and was ended"


class ProbeRequest(Noun, frozen=True):
    """What to try. files_dir: where a file:// camera's films must lie; empty refuses them."""

    url: str
    user: str = ""
    password: str = ""
    transport: Transport = Transport.TCP
    files_dir: str = ""

    def __repr__(self) -> str:
        """Say nothing of address and account."""
        return "ProbeRequest()"


class ProbeResult(Noun, frozen=True):
    """How a camera answered: `codec` to `fps` only when a picture came, `reason` only when none did."""

    state: CameraState
    reason: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0


async def probe(request: ProbeRequest) -> ProbeResult:
    """Return how a camera answers, within `WITHIN_S` after the process has loaded. Never raises for it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "safecity.video.stream.probing"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(WITHIN_S + START_S):
            answer, _ = await process.communicate(msgspec.json.encode(request))
        return msgspec.json.decode(answer, type=ProbeResult)
    except TimeoutError:
        return ProbeResult(state=CameraState.LOST, reason=NO_ANSWER)
    except msgspec.MsgspecError:
        return ProbeResult(state=CameraState.LOST, reason="the camera's stream ended the try; see its manual")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
