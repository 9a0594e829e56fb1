"""The demo's cameras: two views of one film, with zones that people in it really enter.

The film is PETS 2009 S2L1, view 1 (79.5 s). People walk on its roads all the time; now and then one crosses
the lawn, takes the footpath behind the houses, or walks where only vehicles drive. With the zones below that
is one or two events a minute and camera.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from safecity.model.base import Place
from safecity.model.video import CameraSetup
from safecity.model.video_rule import ZoneIntrusion
from safecity.simulator.camera import SUB_PATH, SimulatedCamera
from safecity.video.camera import CameraConfig


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """How one demo camera looks at the film. `offset_s`: where in it the camera starts."""

    name: str
    offset_s: float
    rules: tuple[ZoneIntrusion, ...]


LAWN: Final = ZoneIntrusion(
    name="lawn",
    polygon=((0.0, 0.6), (0.42, 0.64), (0.6, 0.78), (0.9, 0.92), (0.9, 1.0), (0.0, 1.0)),
)
FOOTPATH: Final = ZoneIntrusion(name="footpath", polygon=((0.0, 0.0), (0.4, 0.0), (0.42, 0.27), (0.0, 0.3)))
ROADWAY: Final = ZoneIntrusion(
    name="roadway", polygon=((0.72, 0.28), (0.86, 0.14), (0.95, 0.16), (0.88, 0.32), (0.8, 0.33))
)

SCENES: Final = (
    Scene(name="Lawn and footpath", offset_s=70.0, rules=(LAWN, FOOTPATH)),
    Scene(name="Roadway", offset_s=40.0, rules=(ROADWAY,)),
)
"""The first camera sees an entry in its first 7 and 20 s, the second in its first 34 s."""

REPEAT_OFFSET_S: Final = 23.0
"""Further cameras repeat the scenes, so much later in the film each round."""


def film_path() -> Path:
    """Return the film that the cameras play."""
    return Path(str(resources.files("safecity.simulator") / "data" / "pedestrians.mp4"))


def demo_cameras(
    places: Sequence[Place], user: str, passwords: Sequence[str], host: str = "127.0.0.1", port: int = 0
) -> tuple[list[SimulatedCamera], list[CameraConfig]]:
    """Return a camera for each of `places`: as the simulator serves it, and as the video room is told of it.

    passwords: one for each camera, made for this installation. port: where the simulator listens.
    """
    served: list[SimulatedCamera] = []
    told: list[CameraConfig] = []
    for number, (place, password) in enumerate(zip(places, passwords, strict=True)):
        round_, index = divmod(number, len(SCENES))
        scene = SCENES[index]
        path = f"/cam/{number + 1}"
        offset_s = scene.offset_s + round_ * REPEAT_OFFSET_S
        served.append(SimulatedCamera(path=path, user=user, password=password, offset_s=offset_s))
        told.append(
            CameraConfig(
                setup=CameraSetup(
                    id=f"cam-{number + 1}",
                    name=f"{scene.name} {number + 1}",
                    url=f"rtsp://{host}:{port}{path}",
                    sub_url=f"rtsp://{host}:{port}{path}{SUB_PATH}",
                    place=place,
                    rules=scene.rules,
                    simulated=True,
                ),
                user=user,
                password=password,
            )
        )
    return served, told
