"""Which network finds objects, as configured: its file, how a picture goes in, and what comes out.

A description is a TOML file beside the network:

    file = "yolox_nano.onnx"
    family = "yolox"
    [classes]
    person = [0]
    car = [2]
"""

import tomllib
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import msgspec

from safecity.config import DetectorFamily, VideoSection
from safecity.errors import Configuration
from safecity.model.video_rule import ObjectClass

COCO: Final[dict[ObjectClass, tuple[int, ...]]] = {
    ObjectClass.PERSON: (0,),
    ObjectClass.BICYCLE: (1,),
    ObjectClass.CAR: (2,),
    ObjectClass.MOTORCYCLE: (3,),
    ObjectClass.BUS: (5,),
    ObjectClass.TRUCK: (7,),
}
"""Class numbers of networks trained on the 80 classes of COCO."""
MEAN_BGR: Final = (103.53, 116.28, 123.675)
STD_BGR: Final = (57.375, 57.12, 58.395)
"""Normalisation of the training pictures (NanoDet's configuration, ImageNet statistics)."""
RAW_MEAN: Final = (0.0, 0.0, 0.0)
RAW_STD: Final = (1.0, 1.0, 1.0)
SIDE_PX: Final = 416
"""Side of the input of NanoDet and YOLOX-nano."""

Channel = Annotated[float, msgspec.Meta(ge=0, le=255)]
Divisor = Annotated[float, msgspec.Meta(gt=0, le=1000)]
Side = Annotated[int, msgspec.Meta(ge=32, le=4096)]
ClassNumber = Annotated[int, msgspec.Meta(ge=0, le=9999)]


class ChannelOrder(StrEnum):
    """Order of the colours in the network's input."""

    BGR = "bgr"
    RGB = "rgb"


class DetectorDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network and how to use it.

    file: ONNX, or OpenVINO's .xml with its .bin beside it; a relative path begins at the description.
    width_px, height_px: size of the input where the network leaves it open; otherwise the network's own.
    mean, std: (pixel - mean) / std is what goes in, in the order of `channels`; None means as the family has
    it. pad: grey level, 0 to 255, around a picture of another shape. strides_px: of the network's levels.
    classes: which of the network's classes are ours; several may be one. The others are left out.
    """

    file: str
    family: DetectorFamily = DetectorFamily.NANODET
    width_px: Side = SIDE_PX
    height_px: Side = SIDE_PX
    channels: ChannelOrder = ChannelOrder.BGR
    mean: tuple[Channel, Channel, Channel] | None = None
    std: tuple[Divisor, Divisor, Divisor] | None = None
    pad: Annotated[int, msgspec.Meta(ge=0, le=255)] = 114
    strides_px: tuple[Annotated[int, msgspec.Meta(ge=1, le=256)], ...] = (8, 16, 32)
    classes: dict[ObjectClass, tuple[ClassNumber, ...]] = msgspec.field(default_factory=lambda: dict(COCO))

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and std, the family's own where none is given."""
        is_nanodet = self.family is DetectorFamily.NANODET
        mean: tuple[float, ...] = MEAN_BGR if is_nanodet else RAW_MEAN
        std: tuple[float, ...] = STD_BGR if is_nanodet else RAW_STD
        if self.channels is ChannelOrder.RGB:
            mean, std = mean[::-1], std[::-1]
        return self.mean or mean, self.std or std


def shipped_description() -> DetectorDescription:
    """Return the network that comes with the program."""
    return DetectorDescription(file=str(resources.files("safecity.video") / "models" / "nanodet.xml"))


def describe_detector(settings: VideoSection) -> DetectorDescription:
    """Return the network that the configuration names. Raises Configuration when there is none."""
    if not settings.detector_model:
        return shipped_description()
    path = Path(settings.detector_model)
    if not path.is_file():
        raise Configuration(f"video.detector_model names {path}, which is no file; empty means NanoDet")
    if path.suffix == ".toml":
        return _read(path)
    return DetectorDescription(file=str(path), family=settings.detector_family)


def _read(path: Path) -> DetectorDescription:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        description = msgspec.convert(raw, DetectorDescription)
    except OSError as error:
        raise Configuration(f"the detector description {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Configuration(f"the detector description {path} is not valid: {error}") from error
    if not description.classes or not description.strides_px:
        raise Configuration(
            f"the detector description {path} names no classes or no strides; give one or more"
        )
    return msgspec.structs.replace(description, file=str(path.parent / description.file))
