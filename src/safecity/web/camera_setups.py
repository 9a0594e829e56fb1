"""Administration of cameras: setups, accounts, holds, trying and finding. No answer holds an account."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

import msgspec
from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter, SkipValidation

from safecity.access.limiter import RateLimiter
from safecity.access.policy import Action, Object, may
from safecity.access.sealed import Account, Sealer
from safecity.bus.subjects import live_start
from safecity.clock import Clock
from safecity.errors import Forbidden, NotFound, TooMany, Unavailable
from safecity.model.base import Noun
from safecity.model.video import CameraSetup, StreamRole, Transport
from safecity.operations import cameras, holds
from safecity.operations.camera_checks import checked_device_address, checked_stream_address
from safecity.operations.cameras import RemovalAnswer, SetupAnswer, SetupList
from safecity.operations.finding_cameras import DescribedCamera, FoundCamera, described, find
from safecity.operations.holds import HoldAnswer, NewHold
from safecity.video.calibration import Density
from safecity.video.calibration import density as density_of
from safecity.video.stream.probe import ProbeRequest, ProbeResult, probe
from safecity.web.answers import documented, json_answer, kind_of
from safecity.web.deps import WebDeps
from safecity.web.gate import SOME_GROUND, Gate, Identity, needs
from safecity.web.provide import Deps, PathId, TheOrder, Who

TRIES: Final = 20
TRIES_WITHIN_S: Final = 300.0
"""Addresses that one administrator may try in that time: enough to set cameras up, useless to scan a net."""

AT_ONCE: Final = 2
SIZE_WITHIN_S: Final = 2.0
MAX_PX: Final = 20_000

_SETUP: Final = "The camera's setup after the command, its version, and what people see of it."


class NewCamera(Noun, frozen=True, forbid_unknown_fields=True):
    """A camera to add, with its account; shard and simulated are not for clients to say."""

    setup: CameraSetup
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Name the camera without its account."""
        return f"NewCamera({self.setup.id!r})"


class NewSetup(Noun, frozen=True, forbid_unknown_fields=True):
    """A setup in place of the present one.

    seq: the version that was edited, as /api/camera-setups or the last command gave it; a newer one is not
    overwritten.
    """

    setup: CameraSetup
    seq: int


class NewAccount(Noun, frozen=True, forbid_unknown_fields=True):
    """With what a camera lets us in; both empty takes the account away."""

    user: str
    password: str

    def __repr__(self) -> str:
        """Say nothing of it."""
        return "NewAccount()"


class Trial(Noun, frozen=True, forbid_unknown_fields=True):
    """An address to try, with an account."""

    url: str
    user: str = ""
    password: str = ""
    transport: Transport = Transport.TCP

    def __repr__(self) -> str:
        """Say nothing of address and account."""
        return "Trial()"


class Device(Noun, frozen=True, forbid_unknown_fields=True):
    """An ONVIF device service to ask, with an account."""

    onvif_url: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Say nothing of address and account."""
        return "Device()"


class _Size(Noun, frozen=True):
    """What a video process says of a stream, as far as it is needed here."""

    width: int = 0
    height: int = 0
    code: str = ""
    message: str = ""


class Trials:
    """Lets addresses be tried a few at a time, and so many by each person; each is written down first."""

    def __init__(self, clock: Clock) -> None:
        """Count by `clock`, in this process."""
        self._by_actor = RateLimiter(clock, TRIES, TRIES_WITHIN_S)
        self._running = asyncio.Semaphore(AT_ONCE)

    async def run(self, deps: WebDeps, actor: str, trial: Trial) -> ProbeResult:
        """Try an address; raises Invalid for what is no address of a camera, TooMany past the limits."""
        where = checked_stream_address(trial.url)
        account = Account(user=trial.user, password=trial.password)
        async with self._counted(deps, actor, f"a camera was looked for at {where}"):
            request = ProbeRequest(
                url=trial.url,
                user=account.user,
                password=account.password,
                transport=trial.transport,
                files_dir=deps.settings.video.files_dir,
            )
            return await probe(request)

    async def describe(self, deps: WebDeps, actor: str, device: Device) -> DescribedCamera:
        """Ask a device for its streams; raises Invalid and Unavailable with its reason, TooMany as `run`."""
        where = checked_device_address(device.onvif_url)
        account = Account(user=device.user, password=device.password)
        async with self._counted(deps, actor, f"a camera was asked for its streams at {where}"):
            return await described(device.onvif_url, account, deps.clock)

    async def search(self, deps: WebDeps, actor: str) -> list[FoundCamera]:
        """Search this machine's network; raises TooMany as `run`."""
        async with self._counted(deps, actor, "cameras were searched for in the network"):
            return await find()

    @asynccontextmanager
    async def _counted(self, deps: WebDeps, actor: str, text: str) -> AsyncIterator[None]:
        if self._running.locked():
            raise TooMany("other cameras are being tried now; try again in some seconds")
        self._by_actor.count(actor)
        async with self._running:
            await _note_trial(deps, actor, text)
            yield


TheGate = NamedDependency[SkipValidation[Gate]]
TheTrials = NamedDependency[SkipValidation[Trials]]
Width = Annotated[int | None, QueryParameter(name="width_px", ge=1, le=MAX_PX, description="Picture width.")]
Height = Annotated[
    int | None, QueryParameter(name="height_px", ge=1, le=MAX_PX, description="Picture height.")
]


@get("/api/camera-setups", opt=needs(Action.SEE_CAMERA_SETUP, "camera_setup"))
async def setups(deps: Deps) -> SetupList:
    """Return the setup of every camera, its version, and whether it has an account."""
    return await cameras.listed(deps.db)


@post(
    "/api/cameras",
    opt=needs(Action.CONFIGURE_CAMERA, "camera"),
    status_code=200,
    responses=documented(SetupAnswer, _SETUP),
)
async def add(
    data: JSONBody[NewCamera], deps: Deps, order: TheOrder, who: Who, gate: TheGate
) -> Response[bytes]:
    """Add a camera; it is connected within seconds. Showing people as they are needs the right to unmask."""
    account, sealer = Account(user=data.user, password=data.password), _sealer(deps)
    async with _revealing(gate, who, data.setup.id) as may_reveal:
        made = await cameras.add(deps.db, order, data.setup, account, sealer, may_reveal=may_reveal)
    return json_answer(made)


@put(
    "/api/cameras/{camera_id:str}/setup",
    opt=needs(Action.CONFIGURE_CAMERA, "camera", "camera_id"),
    responses=documented(SetupAnswer, _SETUP),
)
async def change(
    camera_id: PathId, data: JSONBody[NewSetup], deps: Deps, order: TheOrder, who: Who, gate: TheGate
) -> Response[bytes]:
    """Replace a camera's setup: streams, place, rules, masks, calibration, retention.

    What shows more than before (a mask smaller or gone, people as they are) needs the right to unmask too.
    """
    setup, seq = data.setup, data.seq
    async with _revealing(gate, who, camera_id) as may_reveal:
        made = await cameras.change_setup(deps.db, order, camera_id, setup, seq, may_reveal=may_reveal)
    return json_answer(made)


@put(
    "/api/cameras/{camera_id:str}/account",
    opt=needs(Action.CONFIGURE_CAMERA, "camera", "camera_id"),
    responses=documented(SetupAnswer, _SETUP),
)
async def set_account(
    camera_id: PathId, data: JSONBody[NewAccount], deps: Deps, order: TheOrder
) -> Response[bytes]:
    """Give a camera its account; it is sealed at once and never shown again."""
    account = Account(user=data.user, password=data.password)
    return json_answer(await cameras.set_account(deps.db, order, camera_id, account, _sealer(deps)))


@delete(
    "/api/cameras/{camera_id:str}",
    opt=needs(Action.CONFIGURE_CAMERA, "camera", "camera_id"),
    status_code=200,
    responses=documented(RemovalAnswer, "What became of the camera and its recordings."),
)
async def remove(camera_id: PathId, deps: Deps, order: TheOrder) -> Response[bytes]:
    """Remove a camera; its recordings stay until their retention ends."""
    return json_answer(await cameras.remove(deps.db, order, camera_id))


@post(
    "/api/cameras/{camera_id:str}/holds",
    opt=needs(Action.HOLD_RECORDING, "camera", "camera_id"),
    status_code=200,
    responses=documented(HoldAnswer, "The hold."),
)
async def hold(camera_id: PathId, data: JSONBody[NewHold], deps: Deps, order: TheOrder) -> Response[bytes]:
    """Keep a stretch of recordings until the hold is released."""
    return json_answer(await holds.hold(deps.db, order, camera_id, data))


@delete(
    "/api/holds/{hold_id:str}",
    opt=needs(Action.HOLD_RECORDING, "hold", "hold_id"),
    status_code=200,
    responses=documented(HoldAnswer, "The released hold."),
)
async def release_hold(hold_id: PathId, deps: Deps, order: TheOrder) -> Response[bytes]:
    """Release a hold: retention counts again."""
    return json_answer(await holds.release_hold(deps.db, order, hold_id))


@post("/api/cameras/probe", opt=needs(Action.CONFIGURE_CAMERA, "camera"), status_code=200)
async def try_address(data: JSONBody[Trial], deps: Deps, order: TheOrder, trials: TheTrials) -> ProbeResult:
    """Try an address with an account for at most 5 s: does a picture come, and of what kind."""
    return await trials.run(deps, order.actor, data)


@post("/api/cameras/discover", opt=needs(Action.CONFIGURE_CAMERA, "camera"), status_code=200)
async def discover(deps: Deps, order: TheOrder, trials: TheTrials) -> list[FoundCamera]:
    """Search the network of this machine for cameras that speak ONVIF; takes 3 s."""
    return await trials.search(deps, order.actor)


@post("/api/cameras/describe", opt=needs(Action.CONFIGURE_CAMERA, "camera"), status_code=200)
async def describe_device(
    data: JSONBody[Device], deps: Deps, order: TheOrder, trials: TheTrials
) -> DescribedCamera:
    """Ask a camera by ONVIF what it is and at which addresses its streams are."""
    return await trials.describe(deps, order.actor, data)


@get("/api/cameras/{camera_id:str}/density", opt=needs(Action.SEE_CAMERA_SETUP, "camera", "camera_id"))
async def density(camera_id: PathId, deps: Deps, width_px: Width = None, height_px: Height = None) -> Density:
    """Return how many pixels a metre has in the picture of a calibrated camera, against IEC 62676-4.

    Without a size the camera's video process is asked for that of the main stream.
    """
    async with deps.db.reading() as tx:
        setup = await tx.get(CameraSetup, camera_id)
    if setup.calibration is None:
        raise NotFound(f"{setup.name} is not calibrated; give four points of its picture and of the map")
    if width_px is None or height_px is None:
        width_px, height_px = await _size(deps, camera_id)
    return density_of(setup.calibration, width_px, height_px)


async def _size(deps: WebDeps, camera_id: str) -> tuple[int, int]:
    answer = await deps.bus.request(live_start(camera_id, StreamRole.MAIN), b"peek", SIZE_WITHIN_S)
    size = msgspec.msgpack.decode(answer, type=_Size)
    if size.code:
        raise kind_of(size.code)(size.message)
    return size.width, size.height


async def _note_trial(deps: WebDeps, actor: str, text: str) -> None:
    async with deps.db.writing() as tx:
        await tx.journal(
            actor=actor,
            action="camera.probe",
            object_kind="camera",
            object_id="address",
            text=text,
        )


@asynccontextmanager
async def _revealing(gate: Gate, who: Identity, camera_id: str) -> AsyncIterator[bool]:
    """Give whether somebody may unmask; a command that is refused for want of it is written down."""
    camera = Object(kind="camera", id=camera_id)
    try:
        yield may(who.actor, Action.UNMASK, camera, SOME_GROUND)
    except Forbidden as error:
        await gate.note_refusal(who.actor, Action.UNMASK, camera, str(error))
        raise


def _sealer(deps: WebDeps) -> Sealer:
    if deps.camera_keys is None:
        raise Unavailable("this process has no camera key; accounts cannot be kept")
    return deps.camera_keys


HANDLERS = (
    setups,
    add,
    change,
    set_account,
    remove,
    hold,
    release_hold,
    try_address,
    discover,
    describe_device,
    density,
)
