"""Films made to measure from the demo film: other sizes, rates and codecs, busy or quiet.

The demo film is small and slow (768x576, 10 pictures a second). Here it is scaled and re-encoded as a city
camera would send it. Sensor noise is added, so that every picture costs its bits as with a real sensor; a
quiet film is one still picture under such noise, in which nothing ever happens.
"""

import hashlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final

import av
import av.video.reformatter
import msgspec
import numpy as np
from numpy.typing import NDArray

from safecity.simulator.camera_data import film_path
from safecity.simulator.camera_payload import ClipCodec

NOISE_FIELDS: Final = 8
"""Different noise pictures, used in turn: an encoder cannot foresee them, and making them costs once."""
_RECIPE: Final = 1
"""Raised when the same recipe gives another film; part of the name of files that are kept."""
_ENCODERS: Final = {ClipCodec.H264: "libx264", ClipCodec.HEVC: "libx265"}


class FilmRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a film is made.

    bitrate_kbps: of 1000 bits, kept nearly constant as cameras do. gop_s: between keyframes. start_s and
    length_s: the part of the demo film (it lasts 79.5 s and is repeated when more is wanted). quiet: one
    still picture. noise: standard deviation of the sensor noise in grey levels. b_frames: bidirectional
    pictures in a row.
    """

    width_px: Annotated[int, msgspec.Meta(ge=16, multiple_of=2)] = 1920
    height_px: Annotated[int, msgspec.Meta(ge=16, multiple_of=2)] = 1080
    fps: Annotated[int, msgspec.Meta(ge=1)] = 25
    bitrate_kbps: Annotated[int, msgspec.Meta(ge=16)] = 4000
    gop_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    start_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    length_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    codec: ClipCodec = ClipCodec.H264
    quiet: bool = False
    noise: Annotated[float, msgspec.Meta(ge=0)] = 1.5
    b_frames: Annotated[int, msgspec.Meta(ge=0, le=4)] = 0

    @property
    def name(self) -> str:
        """Return a file name that only this recipe has."""
        digest = hashlib.sha256(msgspec.json.encode((_RECIPE, self))).hexdigest()[:12]
        kind = "quiet" if self.quiet else "busy"
        return f"{self.codec}-{self.width_px}x{self.height_px}-{self.fps}-{kind}-{digest}.mp4"


SUB_RECIPE: Final = FilmRecipe(
    width_px=384, height_px=288, fps=10, bitrate_kbps=250, length_s=79.5, noise=0.0
)
"""The demo cameras' sub-stream: the whole film at half its width and height."""


def kept_film(folder: Path, recipe: FilmRecipe, source: Path | None = None) -> Path:
    """Return the film of `recipe` in `folder`, made now when it isn't there yet.

    source: another film than the demo's; then `folder` must be its own. Raises OSError when `folder` cannot
    be written.
    """
    path = folder / recipe.name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        render_film(recipe, unfinished, source)
        unfinished.replace(path)
    return path


def render_film(recipe: FilmRecipe, path: Path, source: Path | None = None) -> None:
    """Write the film of `recipe` to `path` as MP4. source: what it is made from, the demo film by default."""
    with av.open(str(path), "w", format="mp4") as out:
        stream: Any = out.add_stream(_ENCODERS[recipe.codec], rate=recipe.fps)
        stream.width, stream.height, stream.pix_fmt = recipe.width_px, recipe.height_px, "yuv420p"
        stream.bit_rate = recipe.bitrate_kbps * 1000
        time_base = Fraction(1, recipe.fps)
        stream.codec_context.time_base = time_base
        stream.options = _options(recipe)
        noise = _noise(recipe)
        for number, picture in enumerate(_pictures(recipe, source or film_path())):
            frame = _frame(picture, noise, number, recipe)
            frame.pts = number
            frame.time_base = time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _options(recipe: FilmRecipe) -> dict[str, str]:
    gop = max(round(recipe.gop_s * recipe.fps), 1)
    common = [
        f"keyint={gop}",
        f"min-keyint={gop}",
        "scenecut=0",
        f"bframes={recipe.b_frames}",
        f"vbv-maxrate={recipe.bitrate_kbps}",
        f"vbv-bufsize={recipe.bitrate_kbps}",
    ]
    if recipe.codec is ClipCodec.HEVC:
        parameters = [*common, "log-level=none", "open-gop=0", "pools=1", "frame-threads=1"]
        return {"preset": "ultrafast", "x265-params": ":".join(parameters)}
    return {"preset": "ultrafast", "x264-params": ":".join([*common, "threads=1"])}


def _pictures(recipe: FilmRecipe, source: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the recipe's pictures, planar YUV 4:2:0 of shape (height * 3 / 2, width), one for each moment."""
    count = round(recipe.length_s * recipe.fps)
    if recipe.quiet:
        still = next(_source_pictures(recipe, source))[1]
        yield from (still for _ in range(count))
        return
    made = 0
    previous: NDArray[np.uint8] | None = None
    for time_s, picture in _source_pictures(recipe, source):
        while previous is not None and made < count and made / recipe.fps < time_s:
            yield previous
            made += 1
        if made >= count:
            return
        previous = picture


def _source_pictures(recipe: FilmRecipe, source: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield the source's pictures in the wanted size, endlessly, with their time since the recipe's start."""
    reformatter = av.video.reformatter.VideoReformatter()
    offset_s = 0.0
    skip_s = recipe.start_s
    while True:
        end_s = 0.0
        with av.open(str(source)) as container:
            for frame in container.decode(video=0):
                end_s = (frame.time or 0.0) + float(1 / (container.streams.video[0].average_rate or 25))
                time_s = offset_s + (frame.time or 0.0) - skip_s
                if time_s < 0:
                    continue
                scaled = reformatter.reformat(frame, recipe.width_px, recipe.height_px, "yuv420p")
                picture: NDArray[np.uint8] = scaled.to_ndarray()  # type: ignore[assignment]
                yield time_s, picture
        offset_s += end_s


def _noise(recipe: FilmRecipe) -> NDArray[np.int16] | None:
    if not recipe.noise:
        return None
    rng = np.random.default_rng(recipe.width_px)
    fields = rng.normal(0.0, recipe.noise, (NOISE_FIELDS, recipe.height_px, recipe.width_px))
    return np.round(fields).astype(np.int16)


def _frame(
    picture: NDArray[np.uint8], noise: NDArray[np.int16] | None, number: int, recipe: FilmRecipe
) -> av.VideoFrame:
    if noise is not None:
        # Shifted each time by another amount, so that the fields never repeat in the same places.
        field = np.roll(noise[number % NOISE_FIELDS], 17 * number % recipe.width_px, axis=1)
        picture = picture.copy()
        luma = picture[: recipe.height_px]
        np.clip(luma + field, 0, 255, out=luma, casting="unsafe")
    return av.VideoFrame.from_ndarray(picture, format="yuv420p")
