"""The cameras of a simulated city: as the simulator serves them, and as the city has set them up."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from safecity.access.sealed import Account
from safecity.model.video import CameraSetup
from safecity.simulator.camera import SimulatedCamera
from safecity.simulator.camera_data import demo_cameras
from safecity.simulator.scenario import Scenario

USER: Final = "viewer"


def camera_setups(
    scenario: Scenario, password_of: Callable[[str], str]
) -> tuple[list[SimulatedCamera], list[tuple[CameraSetup, Account]]]:
    """Return each camera of a scenario as it is served, and its setup with its account.

    password_of: gives the lasting password of a camera by its id. Addresses are simulator:///PATH: where the
    simulator listens differs from start to start.
    """
    passwords = [password_of(camera.id) for camera in scenario.cameras]
    served, told = demo_cameras([camera.place for camera in scenario.cameras], USER, passwords)
    setups = [
        replace(
            config.setup,
            id=camera.id,
            name=camera.name,
            url=_lasting(config.setup.url),
            sub_url=_lasting(config.setup.sub_url),
            heading_deg=camera.heading_deg,
            field_of_view_deg=camera.field_of_view_deg,
        )
        for config, camera in zip(told, scenario.cameras, strict=True)
    ]
    accounts = [Account(user=config.user, password=config.password) for config in told]
    return served, list(zip(setups, accounts, strict=True))


def _lasting(url: str) -> str:
    return f"simulator://{urlsplit(url).path}" if url else ""
