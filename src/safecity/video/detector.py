"""Persons and vehicles in a picture: NanoDet on OpenVINO, arrays in and arrays out.

The network is NanoDet (github.com/RangiLyu/nanodet, Apache-2.0) trained on the 80 classes of COCO, 416 x 416.
It finds kinds of things. Nothing here tells one person from another.
"""

import threading
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from safecity.model.video_rule import CLASSES, ObjectClass

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

SIDE_PX: Final = 416
STRIDES_PX: Final = (8, 16, 32)
BINS: Final = 11
"""Distances 0 to 10 strides, of which each side of a box has a distribution."""
PAD: Final = 114
"""Grey around a picture that isn't square, as in training."""
MEAN_BGR: Final = (103.53, 116.28, 123.675)
STD_BGR: Final = (57.375, 57.12, 58.395)
"""Normalisation of the training pictures (NanoDet's configuration, ImageNet statistics)."""
NMS_IOU: Final = 0.5
"""Two boxes of one class that overlap more are one object."""
CANDIDATES: Final = 200
"""Boxes that go into non-maximum suppression at most, the best first."""

_COCO: Final[dict[ObjectClass, int]] = {
    ObjectClass.PERSON: 0,
    ObjectClass.BICYCLE: 1,
    ObjectClass.CAR: 2,
    ObjectClass.MOTORCYCLE: 3,
    ObjectClass.BUS: 5,
    ObjectClass.TRUCK: 7,
}
_COLUMNS: Final = np.array([_COCO[kind] for kind in CLASSES])


class Detections(NamedTuple):
    """What is in one picture.

    boxes: (n, 4) left, top, right, bottom in pixels. classes: (n,) index into CLASSES.
    """

    boxes: Floats
    scores: Floats
    classes: Numbers


def model_path() -> Path:
    """Return the network that comes with the program."""
    return Path(str(resources.files("safecity.video") / "models" / "nanodet.xml"))


class Detector:
    """The compiled network. One for a process, used by one thread at a time."""

    def __init__(self, path: Path | None = None, *, confidence: float = 0.35, threads: int = 1) -> None:
        """Compile the network at `path` (OpenVINO IR), by default the one that comes with the program.

        confidence: score from which a detection counts. threads: of the processor, for one picture.
        """
        import openvino as ov
        from openvino.preprocess import PrePostProcessor

        core = ov.Core()
        model = core.read_model(str(path or model_path()))
        _keep_channels_first(model)
        steps = PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        steps.input().model().set_layout(ov.Layout("NCHW"))
        steps.input().preprocess().convert_element_type(ov.Type.f32).mean(list(MEAN_BGR)).scale(list(STD_BGR))
        compiled = core.compile_model(
            steps.build(),
            "CPU",
            {
                # OpenVINO silently chooses bf16 on some processors, and with it other results.
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        self._request: Any = compiled.create_infer_request()
        self._input = np.full((1, SIDE_PX, SIDE_PX, 3), PAD, dtype=np.uint8)
        self._shape = (0, 0)
        self._confidence = confidence
        self._cells = [_cells(stride) for stride in STRIDES_PX]
        self._lock = threading.Lock()

    def detect(self, frame: Any) -> Detections:
        """Return the objects in a decoded picture (av.VideoFrame)."""
        with self._lock:
            scale = self._letterbox(frame)
            self._request.infer({0: self._input})
            outputs = [self._request.get_output_tensor(i).data[0] for i in range(2 * len(STRIDES_PX))]
            found = decode(outputs, self._cells, self._confidence)
        boxes = found.boxes / np.float32(scale)
        np.clip(boxes[:, 0::2], 0, frame.width, out=boxes[:, 0::2])
        np.clip(boxes[:, 1::2], 0, frame.height, out=boxes[:, 1::2])
        return Detections(boxes, found.scores, found.classes)

    def _letterbox(self, frame: Any) -> float:
        """Fill the input with the picture, scaled to fit, at the top left; return the scale."""
        scale: float = SIDE_PX / max(frame.width, frame.height)
        width, height = round(frame.width * scale), round(frame.height * scale)
        if self._shape != (height, width):
            self._input[:] = PAD
            self._shape = (height, width)
        small = frame.reformat(width=width, height=height, format="bgr24", interpolation="BILINEAR")
        self._input[0, :height, :width] = small.to_ndarray()
        return scale


def _keep_channels_first(model: Any) -> None:
    """Take out the transpositions around each bias, which the conversion from another framework left.

    transpose, add, transpose back equals an add whose constant is shaped for the other order: the outputs are
    the same to the last bit and a fifth of the time is saved.
    """
    from openvino import opset13 as ops

    for there in list(model.get_ordered_ops()):
        add = _follower(there, "Transpose", "Add")
        back = _follower(add, "Add", "Transpose") if add is not None else None
        if add is None or back is None:
            continue
        bias = next(node for node in (add.input_value(i).get_node() for i in (0, 1)) if node is not there)
        channels = list(bias.get_output_shape(0))[-1]
        shaped = ops.reshape(bias, ops.constant(np.array([1, channels, 1, 1])), special_zero=False)
        back.output(0).replace(ops.add(there.input_value(0), shaped).output(0))
    model.validate_nodes_and_infer_types()


def _follower(node: Any, kind: str, following: str) -> Any | None:
    """Return the only user of `node`, if `node` is of `kind` and its user of the kind `following`."""
    if node.get_type_name() != kind:
        return None
    users = [target.get_node() for target in node.output(0).get_target_inputs()]
    return users[0] if len(users) == 1 and users[0].get_type_name() == following else None


def decode(outputs: list[Floats], cells: list[Floats], confidence: float) -> Detections:
    """Return the boxes in the network's outputs, in pixels of its input.

    outputs: for each stride (cells, 80) scores, then for each stride (cells, 44) distances: 4 sides with a
    distribution over 11 bins each (generalized focal loss, arXiv:2006.04388, section 3.2).
    cells: for each stride (cells, 3) centre x, centre y and stride in pixels.
    """
    picked: list[Detections] = []
    for level, cell in enumerate(cells):
        scores = outputs[level][:, _COLUMNS]
        best = scores.argmax(axis=1)
        score = scores[np.arange(len(scores)), best]
        rows = np.flatnonzero(score >= confidence)
        if rows.size:
            boxes = _boxes(outputs[level + len(cells)][rows], cell[rows])
            picked.append(Detections(boxes, score[rows].astype(np.float32), best[rows]))
    if not picked:
        return EMPTY
    boxes = np.concatenate([one.boxes for one in picked])
    score = np.concatenate([one.scores for one in picked])
    kinds = np.concatenate([one.classes for one in picked])
    order = np.argsort(-score, kind="stable")[:CANDIDATES]
    keep = order[suppress(boxes[order], kinds[order])]
    return Detections(boxes[keep], score[keep], kinds[keep])


def suppress(boxes: Floats, classes: Numbers) -> Numbers:
    """Return which of `boxes`, the best first, remain when each removes what overlaps it in its own class."""
    overlap = iou(boxes, boxes) > NMS_IOU
    overlap &= classes[:, None] == classes[None, :]
    alive = np.ones(len(boxes), dtype=bool)
    for i in range(len(boxes)):
        if alive[i]:
            alive[i + 1 :] &= ~overlap[i, i + 1 :]
    return np.flatnonzero(alive)


def iou(a: Floats, b: Floats) -> Floats:
    """Return the (n, m) areas of intersection over union of boxes `a` (n, 4) and `b` (m, 4)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(axis=1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=1)
    return np.asarray(inside / np.maximum(area_a[:, None] + area_b[None, :] - inside, 1e-6), dtype=np.float32)


def _boxes(distances: Floats, cells: Floats) -> Floats:
    """Return (n, 4) boxes from (n, 44) distributions: the expected distance of each side from the centre."""
    logits = distances.reshape(len(distances), 4, BINS)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    expected = (weights @ np.arange(BINS, dtype=np.float32)) / weights.sum(axis=2)
    reach = expected * cells[:, 2:3]
    return np.concatenate((cells[:, :2] - reach[:, :2], cells[:, :2] + reach[:, 2:]), axis=1).astype(
        np.float32
    )


def _cells(stride: int) -> Floats:
    """Return (n, 3) centre x, centre y and stride of the cells of one level, row by row."""
    side = SIDE_PX // stride
    rows, columns = np.divmod(np.arange(side * side, dtype=np.float32), np.float32(side))
    centre = np.stack((columns, rows), axis=1) * stride + (stride - 1) / 2
    return np.concatenate((centre, np.full((side * side, 1), stride)), axis=1).astype(np.float32)


EMPTY: Final = Detections(
    np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.intp)
)
