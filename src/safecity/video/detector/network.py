"""The compiled network: a decoded picture goes in, objects come out."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from safecity.config import DetectorFamily, VideoSection
from safecity.errors import Configuration
from safecity.video.detector.boxes import Detections, Floats
from safecity.video.detector.classes import Classes
from safecity.video.detector.description import (
    DetectorDescription,
    describe_detector,
    shipped_description,
)
from safecity.video.detector.nanodet import centres, decode_nanodet
from safecity.video.detector.yolox import cells, decode_columns, decode_rows, decode_yolox

Shape = tuple[int, ...]
Decoder = Callable[[Sequence[Floats], float], Detections]

_TO_LAST: Final = [0, 2, 3, 1]
_TO_FIRST: Final = [0, 3, 1, 2]
"""Orders of a transposition from channels first to channels last, and back."""


class Detector:
    """The compiled network. One for a process; its calls wait for each other."""

    def __init__(
        self,
        description: DetectorDescription | None = None,
        *,
        confidence: float = 0.35,
        threads: int = 1,
    ) -> None:
        """Compile the network of `description`, by default the one that comes with the program.

        confidence: score from which a detection counts. threads: of the processor, for one picture.
        Raises Configuration when the file is no network, or none of the described family.
        """
        used = description or shipped_description()
        compiled, self._width_px, self._height_px = _compile(used, threads)
        self._decode = _make_decoder(
            used,
            self._width_px,
            self._height_px,
            [
                tuple(int(n) for n in output.get_partial_shape().get_max_shape())
                for output in compiled.outputs
            ],
        )
        self._request: Any = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)
        self._format = f"{used.channels}24"
        self._pad = used.pad
        self._input = np.full((1, self._height_px, self._width_px, 3), used.pad, dtype=np.uint8)
        self._shape = (0, 0)
        self._confidence = confidence
        self._lock = threading.Lock()

    def detect(self, frame: Any, confidence: float | None = None) -> Detections:
        """Return the objects in a decoded picture (av.VideoFrame).

        confidence: score from which a detection counts this time, by default the detector's own.
        """
        least = self._confidence if confidence is None else confidence
        with self._lock:
            scale = self._letterbox(frame)
            self._request.infer({0: self._input})
            outputs = [self._request.get_output_tensor(i).data[0] for i in range(self._outputs)]
            found = self._decode(outputs, least)
        boxes = found.boxes / np.float32(scale)
        np.clip(boxes[:, 0::2], 0, frame.width, out=boxes[:, 0::2])
        np.clip(boxes[:, 1::2], 0, frame.height, out=boxes[:, 1::2])
        return Detections(boxes, found.scores, found.classes)

    def _letterbox(self, frame: Any) -> float:
        """Fill the input with the picture, scaled to fit, at the top left; return the scale."""
        scale: float = min(self._width_px / frame.width, self._height_px / frame.height)
        width = min(max(round(frame.width * scale), 1), self._width_px)
        height = min(max(round(frame.height * scale), 1), self._height_px)
        if self._shape != (height, width):
            self._input[:] = self._pad
            self._shape = (height, width)
        small = frame.reformat(width=width, height=height, format=self._format, interpolation="BILINEAR")
        self._input[0, :height, :width] = small.to_ndarray()
        return scale


def make_detector(settings: VideoSection) -> Detector:
    """Return the detector that the configuration names. Raises Configuration when it cannot be used."""
    return Detector(
        describe_detector(settings),
        confidence=settings.detector_confidence,
        threads=settings.detector_threads,
    )


def _compile(description: DetectorDescription, threads: int) -> tuple[Any, int, int]:
    """Return the compiled network, which takes (1, height, width, 3) bytes, its width and height in px."""
    import openvino as ov
    from openvino.preprocess import PrePostProcessor

    core = ov.Core()
    path = Path(description.file)
    if not path.is_file():
        raise Configuration(f"the detector's network {path} is no file; correct video.detector_model")
    try:
        model = core.read_model(str(path))
    except RuntimeError as error:
        raise Configuration(
            f"{path} is no network that can be read; give an ONNX file, or an OpenVINO .xml with its .bin"
        ) from error
    height, width = _input_size(model, description)
    _keep_channels_first(model)
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    mean, std = description.normalisation()
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(list(mean)).scale(list(std))
    options = {
        # OpenVINO silently chooses bf16 on some processors, and with it other results.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        return core.compile_model(steps.build(), "CPU", options), width, height
    except RuntimeError as error:
        raise Configuration(f"the network {path} cannot be compiled for this processor: {error}") from error


def _shape(output: Any) -> Shape:
    """Return an output's shape; what it leaves open is as large as can be, or -1 without a limit."""
    return tuple(int(size) for size in output.get_partial_shape().get_max_shape())


def _input_size(model: Any, description: DetectorDescription) -> tuple[int, int]:
    """Return height and width of the network's input in pixels, after fixing what it leaves open."""
    wanted = [1, 3, description.height_px, description.width_px]
    refusal = Configuration(
        f"the network {description.file} doesn't take one picture of 3 colours, (1, 3, height, width)"
    )
    if len(model.inputs) != 1 or model.inputs[0].get_partial_shape().rank.is_dynamic:
        raise refusal
    shape = model.inputs[0].get_partial_shape()
    if len(shape) != 4:
        raise refusal
    sides = [size if side.is_dynamic else side.get_length() for side, size in zip(shape, wanted, strict=True)]
    if sides[:2] != [1, 3]:
        raise refusal
    if shape.is_dynamic:
        try:
            model.reshape(sides)
        except RuntimeError as error:
            raise Configuration(
                f"the network {description.file} cannot take {sides[3]} x {sides[2]} px; "
                "give its width_px and height_px"
            ) from error
    return sides[2], sides[3]


def _make_decoder(
    description: DetectorDescription, width_px: int, height_px: int, shapes: Sequence[Shape]
) -> Decoder:
    """Return what reads the outputs. Raises Configuration when their shapes are not those of the family."""
    classes = Classes(description.classes)
    strides = description.strides_px
    cell_counts = [(width_px // stride) * (height_px // stride) for stride in strides]
    used = classes.largest + 1

    def check(expected: str, *, fits: bool) -> None:
        if not fits:
            raise Configuration(
                f"the network {description.file} is no '{description.family}' with {used} classes or more at "
                f"{width_px} x {height_px} px: its outputs are {list(shapes)}, expected {expected}"
            )

    match description.family:
        case DetectorFamily.NANODET:
            levels = [centres(width_px, height_px, stride) for stride in strides]
            check(
                f"for each of the strides {strides} scores and distances of {cell_counts} cells",
                fits=_fits_nanodet(shapes, cell_counts, used),
            )
            return lambda outputs, confidence: decode_nanodet(outputs, levels, classes, confidence)
        case DetectorFamily.YOLOX:
            count = sum(cell_counts)
            grid = cells(width_px, height_px, strides)
            check(
                f"one of (1, {count}, 5 + classes)",
                fits=[s[:2] for s in shapes] == [(1, count)]
                and len(shapes[0]) == 3
                and shapes[0][2] >= 5 + used,
            )
            return lambda outputs, confidence: decode_yolox(outputs[0], grid, classes, confidence)
        case DetectorFamily.COLUMNS:
            fits = len(shapes) == 1 and len(shapes[0]) == 3 and 4 + used <= shapes[0][1]
            check("one of (1, 4 + classes, boxes)", fits=fits)
            return lambda outputs, confidence: decode_columns(outputs[0], classes, confidence)
        case DetectorFamily.ROWS:
            check("one of (1, boxes, 6)", fits=len(shapes) == 1 and shapes[0][2:] == (6,))
            return lambda outputs, confidence: decode_rows(outputs[0], classes, confidence)


def _fits_nanodet(shapes: Sequence[Shape], cell_counts: Sequence[int], classes: int) -> bool:
    levels = len(cell_counts)
    if len(shapes) != 2 * levels or any(len(shape) != 3 for shape in shapes):
        return False
    return all(
        scores[:2] == sides[:2] == (1, count) and scores[2] >= classes and sides[2] % 4 == 0 and sides[2] > 4
        for scores, sides, count in zip(shapes[:levels], shapes[levels:], cell_counts, strict=True)
    )


def _keep_channels_first(model: Any) -> None:
    """Take out the transpositions around each bias, which the conversion from another framework left.

    transpose, add, transpose back equals an add whose constant is shaped for the other order: the outputs are
    the same to the last bit and a fifth of the time is saved.
    """
    from openvino import opset13 as ops

    for there in list(model.get_ordered_ops()):
        add = _follower(there, "Transpose", "Add")
        back = _follower(add, "Add", "Transpose") if add is not None else None
        if add is None or back is None or _order(there) != _TO_LAST or _order(back) != _TO_FIRST:
            continue
        bias = next(node for node in (add.input_value(i).get_node() for i in (0, 1)) if node is not there)
        shape = bias.get_output_partial_shape(0)
        if shape.is_dynamic or not len(shape) or set(list(shape.to_shape())[:-1]) - {1}:
            continue
        channels = list(shape.to_shape())[-1]
        shaped = ops.reshape(bias, ops.constant(np.array([1, channels, 1, 1])), special_zero=False)
        back.output(0).replace(ops.add(there.input_value(0), shaped).output(0))
    model.validate_nodes_and_infer_types()


def _order(transpose: Any) -> list[int] | None:
    """Return the fixed order of a transposition, None when it is computed."""
    order = transpose.input_value(1).get_node()
    return [int(n) for n in order.get_data()] if order.get_type_name() == "Constant" else None


def _follower(node: Any, kind: str, following: str) -> Any | None:
    """Return the only user of `node`, if `node` is of `kind` and its user of the kind `following`."""
    if node.get_type_name() != kind:
        return None
    users = [target.get_node() for target in node.output(0).get_target_inputs()]
    return users[0] if len(users) == 1 and users[0].get_type_name() == following else None
