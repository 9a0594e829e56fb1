"""A camera's rules file: what it says, and each mistake in a sentence."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.errors import Invalid
from safecity.model.video_rule import ObjectClass, ZoneIntrusion
from safecity.rules import camera_rules
from safecity.rules.camera_rules import CameraRules, load_camera_rules, parse_camera_rules

LAWN = '[[rule]]\nkind = "zone_intrusion"\nname = "lawn"\npolygon = [[0, 0], [1, 0], [1, 1]]\n'
MASK = '[[mask]]\nname = "window"\npolygon = [[0, 0], [0.5, 0], [0.5, 0.5]]\n'


def test_the_example_in_the_documentation_is_read() -> None:
    text = (camera_rules.__doc__ or "").partition("\n\n")[2]
    found = parse_camera_rules(text)
    assert found.rules is not None
    assert found.masks is not None
    assert (found.rules[0].name, found.masks[0].name) == ("lawn", "window")
    assert found.calibration is not None


def test_what_a_file_leaves_out_is_not_said(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(LAWN + 'classes = ["car"]\n')
    found = load_camera_rules(path)
    polygon = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    lawn = ZoneIntrusion(name="lawn", polygon=polygon, classes=(ObjectClass.CAR,))
    assert found == CameraRules(rules=(lawn,))
    assert parse_camera_rules("rule = []").rules == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[rule", "not valid TOML"),
        ("[[rules]]\nname = 'x'", "'rules' is no key here"),
        ("rule = 5", "a table of its own|of its own"),
        ("rule = [5]", "of its own"),
        ("[[rule]]\nname = 'x'", "rule 'x'"),
        (LAWN.replace("zone_intrusion", "face"), "lawn"),
        (LAWN.replace("[[0, 0], [1, 0], [1, 1]]", "[[0, 0], [2, 0], [1, 1]]"), "lawn"),
        (LAWN + "min_dwel_s = 3", "unknown key 'min_dwel_s'"),
        (LAWN + LAWN, "two rules are called 'lawn'"),
        (MASK + MASK, "two masks are called 'window'"),
        (MASK.replace("name", "nam"), "mask number 1"),
        ("[calibration]\npicture = [[0, 0]]", "the calibration"),
    ],
)
def test_mistakes_are_told(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        parse_camera_rules(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"none\.toml"):
        load_camera_rules(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(Invalid, match="UTF-8"):
        load_camera_rules(tmp_path / "latin.toml")


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    with suppress(Invalid):
        assert isinstance(parse_camera_rules(text), CameraRules)
