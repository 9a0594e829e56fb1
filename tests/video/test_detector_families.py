"""Any network is used by configuration alone, and what is no such network is refused in one sentence."""

from pathlib import Path

import av
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from safecity.config import DetectorFamily, VideoSection, load
from safecity.errors import Configuration
from safecity.model.video_rule import CLASSES, ObjectClass
from safecity.video.detector import Detector, describe_detector, iou, make_detector
from safecity.video.detector.classes import Classes
from safecity.video.detector.description import COCO, ChannelOrder, DetectorDescription
from safecity.video.detector.yolox import cells, decode_yolox

from .conftest import CLIP_PATH

YOLOX = Path(__file__).parents[2] / ".." / "shared" / "data" / "models" / "yolox_nano.onnx"
PERSON, CAR, BUS = (CLASSES.index(kind) for kind in (ObjectClass.PERSON, ObjectClass.CAR, ObjectClass.BUS))
SIDE_PX = 64
WIDE = av.VideoFrame.from_ndarray(np.full((100, 200, 3), 90, dtype=np.uint8), format="bgr24")


def network(
    folder: Path, output: np.ndarray, shape: tuple[int, ...] = (1, 3, SIDE_PX, SIDE_PX), name: str = "net"
) -> Path:
    """Write a network that always gives `output`; it is added to nothing that the picture says."""
    picture = ops.parameter(shape, ov.Type.f32)
    nothing = ops.multiply(ops.reduce_mean(picture, np.arange(len(shape)), keep_dims=False), np.float32(0))
    path = folder / f"{name}.xml"
    model = ov.Model([ops.add(ops.constant(output.astype(np.float32)), nothing)], [picture])
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def settings(path: Path, family: DetectorFamily = DetectorFamily.NANODET) -> VideoSection:
    return VideoSection(detector_model=str(path), detector_family=family)


def people(detector: Detector, number: int) -> np.ndarray:
    with av.open(str(CLIP_PATH)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                found = detector.detect(frame)
                return found.boxes[(found.classes == PERSON) & (found.scores >= 0.45)]
    raise AssertionError("the film is shorter")


def test_yolox_sees_by_configuration_alone_whom_nanodet_sees():
    if not YOLOX.exists():
        pytest.skip("the network ../shared/data/models/yolox_nano.onnx is not here")
    file = load(
        None, {"SAFECITY_VIDEO_DETECTOR_MODEL": str(YOLOX), "SAFECITY_VIDEO_DETECTOR_FAMILY": "yolox"}
    )
    one, other = people(make_detector(file.video), 100), people(Detector(), 100)
    assert len(one) >= 6
    assert np.count_nonzero(iou(one, other).max(axis=1) > 0.5) >= len(one) - 2


def test_a_description_beside_the_network_says_all(tmp_path):
    if not YOLOX.exists():
        pytest.skip("the network ../shared/data/models/yolox_nano.onnx is not here")
    (tmp_path / "yolox.toml").write_text(
        f'file = "{YOLOX.resolve()}"\nfamily = "yolox"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n'
        "[classes]\ncar = [2, 5, 7]\n"
    )
    detector = make_detector(settings(tmp_path / "yolox.toml"))
    with av.open(str(CLIP_PATH)) as container:
        found = detector.detect(next(container.decode(video=0)))
    assert set(found.classes.tolist()) == {CAR}


def test_finished_boxes_come_back_in_pixels_of_the_picture(tmp_path):
    rows = np.array([[[10, 5, 30, 25, 0.9, 2], [0, 0, 9, 9, 0.2, 0], [1, 1, 20, 20, 0.8, 44]]])
    detector = make_detector(settings(network(tmp_path, rows), DetectorFamily.ROWS))
    found = detector.detect(WIDE)
    scale = SIDE_PX / 200
    assert found.boxes == pytest.approx(np.array([[10, 5, 30, 25]]) / scale, abs=1e-3)
    assert found.classes.tolist() == [CAR]


def test_columns_are_centre_and_size_with_class_scores(tmp_path):
    output = np.zeros((1, 4 + 80, 3))
    output[0, :4, 1] = (20, 15, 8, 6)
    output[0, 4 + 5, 1] = 0.7
    found = make_detector(settings(network(tmp_path, output), DetectorFamily.COLUMNS)).detect(WIDE)
    scale = SIDE_PX / 200
    assert found.boxes == pytest.approx(np.array([[16, 12, 24, 18]]) / scale, abs=1e-3)
    assert found.classes.tolist() == [BUS]
    assert found.scores == pytest.approx([0.7])


def test_yolox_puts_a_box_around_its_cell():
    grid = cells(SIDE_PX, SIDE_PX, (8, 16, 32))
    output = np.zeros((len(grid), 85), dtype=np.float32)
    # Stride 16, row 2, column 1; object .9, a car at .8: together .72.
    output[64 + 2 * 4 + 1, :5] = (0.5, 0.25, np.log(2), np.log(3), 0.9)
    output[64 + 2 * 4 + 1, 5 + 2] = 0.8
    found = decode_yolox(output, grid, Classes(COCO), 0.35)
    assert found.boxes == pytest.approx(np.array([[24 - 16, 36 - 24, 24 + 16, 36 + 24]]), abs=1e-3)
    assert found.scores == pytest.approx([0.72])
    assert len(decode_yolox(output, grid, Classes(COCO), 0.73).scores) == 0


def test_a_network_of_open_size_takes_the_size_of_its_description(tmp_path):
    rows = np.array([[[10, 5, 30, 25, 0.9, 2]]])
    network(tmp_path, rows, (-1, 3, -1, -1))
    (tmp_path / "net.toml").write_text('file = "net.xml"\nfamily = "rows"\nwidth_px = 400\nheight_px = 200\n')
    found = make_detector(settings(tmp_path / "net.toml")).detect(WIDE)
    assert found.boxes == pytest.approx(np.array([[5, 2.5, 15, 12.5]]), abs=1e-3)


def test_the_normalisation_follows_the_order_of_colours():
    bgr = DetectorDescription(file="x").normalisation()
    rgb = DetectorDescription(file="x", channels=ChannelOrder.RGB).normalisation()
    assert rgb[0] == bgr[0][::-1]
    assert DetectorDescription(file="x", family=DetectorFamily.YOLOX).normalisation() == (
        (0, 0, 0),
        (1, 1, 1),
    )


def refused(section: VideoSection) -> str:
    with pytest.raises(Configuration) as caught:
        make_detector(section)
    return str(caught.value)


def test_what_is_no_network_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"this is no network" * 50)
    assert "no network that can be read" in refused(settings(tmp_path / "no.onnx"))
    assert "no file" in refused(settings(tmp_path / "missing.onnx"))
    boxes = network(tmp_path, np.zeros((1, 7, 6)))
    for family in (DetectorFamily.NANODET, DetectorFamily.YOLOX, DetectorFamily.COLUMNS):
        assert f"is no '{family}'" in refused(settings(boxes, family))
    grey = network(tmp_path, np.zeros((1, 7, 6)), (1, 1, 64, 64), "grey")
    assert "3 colours" in refused(settings(grey, DetectorFamily.ROWS))
    flat = network(tmp_path, np.zeros((1, 7, 6)), (1, 64), "flat")
    assert "3 colours" in refused(settings(flat, DetectorFamily.ROWS))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("family = [", "not valid"),
        ('family = "yolox"', "file"),
        ('file = "net.xml"\nfamily = "faces"', "family"),
        ('file = "net.xml"\nshade = 3', "shade"),
        ('file = "net.xml"\n[classes]\nface = [1]', "face"),
        ('file = "net.xml"\n[classes]\n', "no classes"),
        ('file = "gone.xml"', "is no file"),
        ('file = "net.xml"\nfamily = "columns"\n[classes]\ncar = [5000]', "5001 classes"),
    ],
)
def test_a_wrong_description_is_refused_with_its_key(tmp_path, text, words):
    network(tmp_path, np.zeros((1, 7, 6)))
    (tmp_path / "wrong.toml").write_text(text)
    assert words in refused(settings(tmp_path / "wrong.toml"))


def test_an_unknown_family_is_refused_when_the_configuration_is_read():
    with pytest.raises(Configuration, match="detector_family"):
        load(None, {"SAFECITY_VIDEO_DETECTOR_FAMILY": "faces"})


def test_the_network_that_comes_with_the_program_is_the_default():
    assert describe_detector(VideoSection()).file.endswith("nanodet.xml")
