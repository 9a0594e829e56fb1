"""Persons and vehicles in a picture, by a network on OpenVINO: arrays in and arrays out.

The network that comes with the program is NanoDet; another is used by configuration alone. It finds kinds of
things. Nothing here tells one person from another.
"""

from safecity.config import DetectorFamily
from safecity.video.detector.boxes import EMPTY, Detections, Floats, Numbers, iou, suppress
from safecity.video.detector.description import (
    DetectorDescription,
    describe_detector,
    shipped_description,
)
from safecity.video.detector.network import Detector, make_detector

__all__ = [
    "EMPTY",
    "Detections",
    "Detector",
    "DetectorDescription",
    "DetectorFamily",
    "Floats",
    "Numbers",
    "describe_detector",
    "iou",
    "make_detector",
    "shipped_description",
    "suppress",
]
