"""Cameras in a real browser: the wall, recordings, rules drawn on the picture."""

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, expect

from e2e.browser import LOCAL, Watched, watched_page
from running_city import RunningCity
from safecity.clock import SystemClock
from safecity.simulator.onvif_device import OnvifDevice
from safecity.simulator.onvif_words import SimulatedStream

pytestmark = [pytest.mark.e2e, pytest.mark.engines, pytest.mark.timeout(900)]

PASSWORD = "a long enough pass phrase"
SHOTS = Path(__file__).parents[2] / "var" / "screenshots"
LONG_MS = 120_000
SHORT_MS = 30_000
STEP_MS = 250


def _id(page: Page, name: str) -> Locator:
    return page.get_by_test_id(name)


async def _sign_in(watched: Watched, link: str, name: str) -> None:
    page = watched.page
    await page.goto(link)
    await _id(page, "welcome-name").fill(name)
    await _id(page, "welcome-password").fill(PASSWORD)
    await _id(page, "welcome-password-again").fill(PASSWORD)
    await _id(page, "welcome-start").click()
    await expect(_id(page, "tab-cameras")).to_be_visible(timeout=LONG_MS)


def _link_for(city: RunningCity, role: str) -> str:
    command = [sys.executable, "-m", "safecity.cli", "link", "--role", role, "--data", str(city.directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"http\S+", done.stdout)
    assert found, done.stdout
    return found[0]


async def _until(
    page: Page, what: str, holds: Callable[[float], bool], measure: Callable[[], Awaitable[float]]
) -> None:
    """Wait until a figure of the page is as wanted; the page's own rules forbid evaluated conditions."""
    for _ in range(LONG_MS // STEP_MS):
        figure = await measure()
        if holds(figure):
            return
        await page.wait_for_timeout(STEP_MS)
    raise AssertionError(f"{what}: {figure}")


async def _time_of(video: Locator) -> float:
    return float(await video.evaluate("v => v.readyState >= 2 ? v.currentTime : -1"))


async def _goes_on(page: Page, video: Locator) -> None:
    """Wait until a picture is there and moves."""
    await expect(video).to_be_visible(timeout=SHORT_MS)
    await _until(page, "no picture", lambda time_s: time_s >= 0, lambda: _time_of(video))
    first = await _time_of(video)
    await _until(page, "the picture stands", lambda time_s: time_s > first + 0.5, lambda: _time_of(video))


async def _begin_to_look(page: Page) -> None:
    await _id(page, "tab-cameras").click()
    await _id(page, "view-wall").click()
    # There is an incident as soon as the simulated city has its first.
    await expect(_id(page, "look")).to_be_visible(timeout=LONG_MS)
    await _id(page, "look").click()


async def _watch_the_wall(page: Page) -> None:
    still = page.locator("[data-testid=camera-still][data-shown=true]").first
    await expect(still).to_be_visible(timeout=LONG_MS)
    await expect(still.get_by_test_id("mask-badge")).to_have_attribute("data-masked", "true")
    # From here by keyboard: to the tile, live, to the next tile.
    tiles = _id(page, "tile-toggle")
    await tiles.first.focus()
    await page.keyboard.press("Enter")
    await _goes_on(page, _id(page, "camera-video").first)
    view = _id(page, "camera-view").first
    await expect(view).to_have_attribute("data-masked", "true")
    await expect(view.get_by_test_id("mask-badge")).to_have_attribute("data-masked", "true")
    await page.keyboard.press("ArrowRight")
    await expect(tiles.nth(1)).to_be_focused()
    await page.keyboard.press("l")
    await expect(_id(page, "camera-view")).to_have_count(await tiles.count(), timeout=SHORT_MS)
    await page.keyboard.press("l")
    await expect(_id(page, "camera-view")).to_have_count(0, timeout=SHORT_MS)


async def _look_without_masks(page: Page) -> None:
    await _id(page, "unmask").first.click()
    await expect(_id(page, "unmask-do")).to_be_disabled()
    await _id(page, "unmask-reason").fill("a lost child in a red coat")
    await _id(page, "unmask-do").click()
    view = _id(page, "camera-view").first
    await expect(view.get_by_test_id("mask-badge")).to_have_attribute(
        "data-masked", "false", timeout=SHORT_MS
    )
    await _goes_on(page, _id(page, "camera-video").first)
    await page.screenshot(path=SHOTS / "cameras-unmasked.png")
    await _id(page, "unmask").first.click()
    await expect(view.get_by_test_id("mask-badge")).to_have_attribute("data-masked", "true", timeout=LONG_MS)


async def _moment(page: Page) -> float:
    return float(await _id(page, "replay").get_attribute("data-at") or 0)


async def _play_back(page: Page) -> None:
    await _id(page, "tile-replay").first.click()
    await expect(_id(page, "replay-frame")).to_be_visible(timeout=LONG_MS)
    await page.keyboard.press("Escape")
    await page.keyboard.press("Space")
    await _goes_on(page, _id(page, "replay-video"))
    await _until(page, "the moment stands", lambda at: at > 0, lambda: _moment(page))
    await page.keyboard.press("Space")
    await expect(_id(page, "replay")).to_have_attribute("data-phase", "paused")
    before = await _moment(page)
    await page.keyboard.press(",")
    await _until(page, "no picture before", lambda at: at < before, lambda: _moment(page))
    stepped = await _moment(page)
    await page.keyboard.press(".")
    await _until(page, "no picture behind", lambda at: at > stepped, lambda: _moment(page))


async def _scrub(page: Page) -> None:
    await _id(page, "window-600").click()
    box = await _id(page, "strip").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    before = await _moment(page)
    await page.mouse.move(box["x"] + box["width"] * 0.5, y)
    await page.mouse.down()
    for step in range(1, 5):
        await page.mouse.move(box["x"] + box["width"] * (0.5 - step * 0.005), y)
    await expect(_id(page, "replay-frame")).to_be_visible(timeout=LONG_MS)
    await page.mouse.up()
    assert await _moment(page) < before
    await _id(page, "strip").focus()
    dropped = await _moment(page)
    await page.keyboard.press("ArrowRight")
    await _until(page, "the arrow key does nothing", lambda at: at > dropped, lambda: _moment(page))


async def _hold(page: Page) -> None:
    await page.keyboard.press("h")
    await _id(page, "hold-reason").fill("asked for by the court")
    await _id(page, "hold-do").click()
    await expect(_id(page, "hold-list")).to_contain_text("asked for by the court", timeout=SHORT_MS)
    await page.screenshot(path=SHOTS / "recordings.png")


async def _draw_a_zone(page: Page) -> None:
    await _id(page, "view-setups").click()
    await _id(page, "setup-rules").first.click()
    await expect(_id(page, "setup-still")).to_be_visible(timeout=LONG_MS)
    shapes = await _id(page, "zone-shape").count()
    await _id(page, "add-stopped_vehicle").click()
    box = await _id(page, "rule-canvas").bounding_box()
    assert box is not None
    for x, y in ((0.2, 0.6), (0.5, 0.6), (0.5, 0.9), (0.2, 0.9)):
        await page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
    await page.keyboard.press("Enter")
    await expect(_id(page, "zone-shape")).to_have_count(shapes + 1)
    await _id(page, "rule-name").fill("fire lane")
    await _id(page, "field-min_still_s").fill("45")
    # By keyboard: a point one step to the left, a mask into the middle, and that undone.
    await _id(page, "point-handle").first.focus()
    await page.keyboard.press("ArrowLeft")
    await _id(page, "add-mask").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await expect(_id(page, "mask-item")).to_have_count(1)
    await page.keyboard.press("Control+z")
    await expect(_id(page, "mask-item")).to_have_count(0)
    await page.screenshot(path=SHOTS / "rules.png")
    await _id(page, "editor-save").click()
    await expect(_id(page, "editor-save")).to_be_disabled(timeout=SHORT_MS)
    await _id(page, "editor-leave").click()
    await expect(_id(page, "setups-table")).to_be_visible()


async def _add_by_its_own_word(page: Page) -> None:
    """A camera that is asked for its streams: they are filled in, another can be chosen, it is added."""
    streams = tuple(
        SimulatedStream(
            token=name, url=f"rtsp://127.0.0.1:1/{name}", width_px=width, height_px=width * 9 // 16
        )
        for name, width in (("main", 1920), ("sub", 640), ("tiny", 320))
    )
    device = OnvifDevice(SystemClock(), "viewer", "grey-cranes-7", streams)
    await device.start()
    try:
        await _id(page, "camera-add").click()
        await _id(page, "camera-name").fill("Zinc Yard")
        await expect(_id(page, "camera-describe")).to_be_disabled()
        await _id(page, "camera-onvif").fill(device.url)
        await _id(page, "camera-user").fill("viewer")
        await _id(page, "camera-password").fill("grey-cranes-7")
        await _id(page, "camera-describe").click()
        await expect(_id(page, "camera-url")).to_have_value("rtsp://127.0.0.1:1/main", timeout=SHORT_MS)
        await expect(_id(page, "camera-sub-url")).to_have_value("rtsp://127.0.0.1:1/tiny")
        await _no_barriers(page)
        await _id(page, "stream-sub").nth(1).click()
        await expect(_id(page, "camera-sub-url")).to_have_value("rtsp://127.0.0.1:1/sub")
        await page.screenshot(path=SHOTS / "camera-streams.png")
        await _id(page, "camera-lon").fill("13.26")
        await _id(page, "camera-lat").fill("53.55")
        await _id(page, "camera-save").click()
        row = page.locator("[data-testid=setup-row][data-camera-id=zinc-yard]")
        await expect(row).to_be_visible(timeout=SHORT_MS)
        await row.get_by_test_id("setup-remove").click()
        await row.get_by_test_id("setup-remove-sure").click()
        await expect(row).to_have_count(0, timeout=SHORT_MS)
    finally:
        await device.stop()


async def _no_barriers(page: Page) -> None:
    """No rule of WCAG 2.2 AA is broken, so far as a program can see."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}
    found = await Axe().run(page, options=rules)
    assert found.violations_count == 0, found.generate_report()


async def test_a_duty_officer_looks_plays_back_holds_and_draws() -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    with RunningCity("--speed", "4") as city:
        async with watched_page() as watched:
            page = watched.page
            await _sign_in(watched, city.link, "Anna Operator")
            await _begin_to_look(page)
            await _watch_the_wall(page)
            await _no_barriers(page)
            await _look_without_masks(page)
            await _play_back(page)
            await _scrub(page)
            await _hold(page)
            await _no_barriers(page)
            await _draw_a_zone(page)
            await _no_barriers(page)
            await _add_by_its_own_word(page)
            assert watched.hosts <= LOCAL, f"requests left the machine: {watched.hosts - LOCAL}"
            assert watched.errors == []
        await _the_zone_is_saved(city)
        await _looks_are_written_down(city)
        async with watched_page() as watched:
            await _sign_in(watched, _link_for(city, "dispatcher"), "Boris Dispatcher")
            await _a_dispatcher_sees_masked_pictures_only(watched.page)


async def _the_zone_is_saved(city: RunningCity) -> None:
    rows = await city.rows(
        "SELECT rule FROM camera_setup, jsonb_array_elements(doc -> 'rules') AS rule "
        "WHERE rule ->> 'name' = 'fire lane' AND rule ->> 'kind' = 'stopped_vehicle' "
        "AND (rule ->> 'min_still_s')::float = 45"
    )
    assert len(rows) == 1


async def _looks_are_written_down(city: RunningCity) -> None:
    rows = await city.rows("SELECT action FROM journal WHERE actor = $1", "Anna Operator")
    actions = {row["action"] for row in rows}
    assert {"video.live", "video.still", "video.unmask", "video.playback", "video.setup"} <= actions


async def _a_dispatcher_sees_masked_pictures_only(page: Page) -> None:
    await _id(page, "tab-cameras").click()
    await expect(_id(page, "view-setups")).to_have_count(0)
    await expect(_id(page, "look")).to_be_visible(timeout=LONG_MS)
    await _id(page, "look").click()
    await expect(_id(page, "tile-toggle").first).to_be_visible(timeout=SHORT_MS)
    await expect(_id(page, "unmask")).to_have_count(0)
    await _id(page, "tile-replay").first.click()
    await expect(_id(page, "replay")).to_be_visible()
    await expect(_id(page, "replay-unmask")).to_have_count(0)
    await expect(_id(page, "hold")).to_have_count(0)
