"""What the rules say: something happened in a picture, where, and why."""

import msgspec

from safecity.model.video_rule import ObjectClass, VideoEventKind


class VideoEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one camera.

    rule: the name that the rule has in the camera's setup, empty for what concerns the whole picture.
    why: the reason, an English sentence. time_s: seconds since 1970 UTC; until the watch has placed it in
    wall time, seconds of film. score: 0 to 1.
    box: left, top, right, bottom as shares of the picture. track: number in this camera's few seconds.
    ground: longitude and latitude in degrees, of a calibrated camera. count: objects, where it counts.
    experimental: not good enough to wake anybody; said on the screen.
    """

    kind: VideoEventKind
    rule: str
    why: str
    time_s: float
    score: float
    object_class: ObjectClass | None = None
    track: int | None = None
    box: tuple[float, float, float, float] | None = None
    ground: tuple[float, float] | None = None
    speed_mps: float | None = None
    count: float | None = None
    experimental: bool = False
