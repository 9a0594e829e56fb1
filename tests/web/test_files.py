"""Files over HTTP: ranges as RFC 9110 has them, nothing outside of the folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.access.policy import Role
from safecity.errors import NotFound
from safecity.web.files import Unsatisfiable, parse_range, safe_path
from web_house import House

WHOLE = bytes(range(256)) * 4


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-", (0, 99)),
        ("bytes=90-200", (90, 99)),
        ("bytes=-5", (95, 99)),
        ("bytes=-500", (0, 99)),
        ("", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
    ],
)
def test_ranges(header: str, found: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == found


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_ranges_outside_of_the_file(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, size)


@given(st.text(), st.integers(0, 1000))
def test_no_range_leaves_the_file(header: str, size: int) -> None:
    try:
        found = parse_range(f"bytes={header}", size)
    except Unsatisfiable:
        return
    if found is not None:
        assert 0 <= found[0] <= found[1] < size


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "missing", "", ".", "nul\x00"]
)
def test_nothing_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    for asked in (name, "link"):
        with pytest.raises(NotFound):
            safe_path(folder, asked)


@pytest.mark.engines
async def test_basemap_in_ranges(house: House) -> None:
    person = await house.person(Role.DISPATCHER)
    path = "/basemap/city.pmtiles"
    whole = await person.get(path)
    assert (whole.status_code, whole.content) == (200, WHOLE)
    assert whole.headers["accept-ranges"] == "bytes"
    tag = whole.headers["etag"]
    part = await person.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, WHOLE[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(WHOLE)}"
    assert (await person.get(path, headers={"If-None-Match": tag})).status_code == 304
    changed = await person.get(path, headers={"Range": "bytes=10-19", "If-Range": '"other"'})
    assert changed.status_code == 200
    outside = await person.get(path, headers={"Range": "bytes=5000-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(WHOLE)}")
    assert (await person.get("/city.json")).json() == {"name": "Kichik"}


@pytest.mark.engines
async def test_shell(house: House) -> None:
    client = await house.stranger()
    page = await client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    assert (await client.get("/", headers={"If-None-Match": page.headers["etag"]})).status_code == 304
    script = await client.get("/assets/app-1a2b.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert (await client.get("/icon.svg")).headers["content-type"] == "image/svg+xml"
    for path in ("/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt", "/assets/%2e%2e/%2e%2e/secret.txt"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "not for anybody" not in answer.text


@pytest.mark.engines
async def test_a_console_that_is_not_built_is_a_sentence(house: House) -> None:
    (house.deps.static_dir / "index.html").unlink()
    answer = await (await house.stranger()).get("/")
    assert answer.status_code == 404
    assert "make setup" in answer.json()["message"]
