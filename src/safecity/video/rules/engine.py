"""All rules of one camera: tracks and pictures in, events out."""

from typing import Any, Protocol

import msgspec
import numpy as np
import structlog

from safecity.errors import Invalid
from safecity.model.video import CameraSetup
from safecity.model.video_rule import (
    CameraHealth,
    Congestion,
    Crowd,
    LineCrossing,
    ObjectLeft,
    SmokeFlame,
    StoppedVehicle,
    VideoRule,
    WrongWay,
    ZoneIntrusion,
)
from safecity.video.calibration import Ground
from safecity.video.event import VideoEvent
from safecity.video.rules.gathering import CongestionWatch, CrowdWatch
from safecity.video.rules.health import HealthWatch
from safecity.video.rules.left import LeftWatch
from safecity.video.rules.line import LineWatch
from safecity.video.rules.scene import Scene, Trails
from safecity.video.rules.small import Scalers, Small
from safecity.video.rules.smoke import SmokeWatch
from safecity.video.rules.still import StillWatch
from safecity.video.rules.way import WayWatch
from safecity.video.rules.zone import ZoneWatch
from safecity.video.watching.tracker import Tracks

log = structlog.get_logger()


class SceneRule(Protocol):
    """A rule on tracks. counts: what it has counted since the program started, told or not."""

    counts: dict[str, int]

    def look(self, scene: Scene) -> list[VideoEvent]:
        """Return what became certain with this look."""
        ...


class PictureRule(Protocol):
    """A rule on pictures. pictures_fps: how many a second it needs."""

    counts: dict[str, int]
    pictures_fps: float

    def look_at_picture(self, small: Small, time_s: float, *, moving: bool) -> list[VideoEvent]:
        """Return what became certain with this picture."""
        ...


class RuleEngine:
    """The rules of one camera. Used by one thread. Times are seconds of film and never run backwards."""

    def __init__(self, setup: CameraSetup) -> None:
        """Watch what the rules of `setup` name, and the camera itself."""
        self._scalers: Scalers = {}
        self._scenes: dict[str, SceneRule] = {}
        self._pictures: dict[str, PictureRule] = {}
        self._rules: dict[str, VideoRule] = {}
        self._calibration = setup.calibration
        self._ground = _ground(setup)
        self._trails = Trails(self._ground)
        self.configure(setup)

    def configure(self, setup: CameraSetup) -> None:
        """Watch what the rules of `setup` name from now on; a rule that stays goes on with what it knows."""
        if setup.calibration != self._calibration:
            self._calibration = setup.calibration
            self._ground = _ground(setup)
            self._trails = Trails(self._ground)
            # A density is by the ground's area; all other rules take the ground from the scene.
            self._rules = {name: rule for name, rule in self._rules.items() if not isinstance(rule, Crowd)}
        wanted: dict[str, VideoRule] = {"": CameraHealth()}
        for rule in setup.rules:
            wanted["" if isinstance(rule, CameraHealth) else rule.name] = rule
        stays = {name for name, rule in wanted.items() if self._rules.get(name) == rule}
        self._scenes = {name: watch for name, watch in self._scenes.items() if name in stays}
        self._pictures = {name: watch for name, watch in self._pictures.items() if name in stays}
        for name, rule in wanted.items():
            if name not in stays:
                self._add(rule)
        self._rules = wanted

    def change_stream(self) -> None:
        """Go on with the camera's other stream: the same things in other pixels."""
        for watch in self._pictures.values():
            if isinstance(watch, HealthWatch | SmokeWatch):
                watch.change_stream()

    def _add(self, rule: VideoRule) -> None:
        match rule:
            case ZoneIntrusion():
                self._scenes[rule.name] = ZoneWatch(rule)
            case LineCrossing():
                self._scenes[rule.name] = LineWatch(rule)
            case WrongWay():
                self._scenes[rule.name] = WayWatch(rule)
            case StoppedVehicle():
                self._scenes[rule.name] = StillWatch(rule)
            case Congestion():
                self._scenes[rule.name] = CongestionWatch(rule)
            case Crowd():
                self._scenes[rule.name] = CrowdWatch(rule, self._ground)
            case ObjectLeft():
                self._pictures[rule.name] = LeftWatch(rule)
            case SmokeFlame():
                self._pictures[rule.name] = SmokeWatch(rule)
            case CameraHealth():
                self._pictures[""] = HealthWatch(rule)

    @property
    def needs_pictures_fps(self) -> float:
        """Return how many pictures a second `look_at_picture` needs, 0 for none."""
        return max((rule.pictures_fps for rule in self._pictures.values()), default=0.0)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Return what each rule has counted, by its name; also what it did not tell within a cool-down."""
        rules: dict[str, SceneRule | PictureRule] = {**self._scenes, **self._pictures}
        return {name: dict(rule.counts) for name, rule in rules.items() if name}

    def look(self, tracks: Tracks, film_s: float, width_px: int, height_px: int) -> list[VideoEvent]:
        """Return what became certain when a picture of this size was looked at closely."""
        noting = [watch for watch in self._pictures.values() if isinstance(watch, LeftWatch | SmokeWatch)]
        if not self._scenes and not noting:
            return []
        scene = self._trails.scene(tracks, film_s, width_px, height_px)
        for watch in noting:
            watch.note(scene)
        return [event for rule in self._scenes.values() for event in rule.look(scene)]

    def look_at_picture(self, frame: Any, film_s: float, moving: bool) -> list[VideoEvent]:
        """Return what became certain with a decoded picture (av.VideoFrame); moving: the gate sees motion."""
        small = Small(frame, self._scalers)
        return [
            self._placed(event)
            for rule in self._pictures.values()
            for event in rule.look_at_picture(small, film_s, moving=moving)
        ]

    def wants_look(self, film_s: float) -> bool:
        """Return whether a rule's time is up, so that objects must be looked for though nothing moves.

        A vehicle or queue that stands sets off no motion gate. True until it was looked at.
        """
        due = [
            rule.due_s()
            for rule in (*self._scenes.values(), *self._pictures.values())
            if isinstance(rule, StillWatch | CongestionWatch | CrowdWatch | LeftWatch)
        ]
        return any(moment is not None and moment <= film_s for moment in due)

    def _placed(self, event: VideoEvent) -> VideoEvent:
        """Return an event of a picture with its place on the ground."""
        if self._ground is None or event.box is None:
            return event
        left, _, right, bottom = event.box
        metres = self._ground.metres(np.array([((left + right) / 2, bottom)]))
        if not np.isfinite(metres).all():
            return event
        lon, lat = self._ground.lon_lat(metres)[0]
        return msgspec.structs.replace(event, ground=(round(float(lon), 7), round(float(lat), 7)))


def _ground(setup: CameraSetup) -> Ground | None:
    """Return the ground of a calibrated camera; one that cannot be used is told and left out."""
    if setup.calibration is None:
        return None
    try:
        return Ground(setup.calibration)
    except Invalid as error:
        log.warning("a camera's calibration cannot be used", camera=setup.id, reason=str(error))
        return None
