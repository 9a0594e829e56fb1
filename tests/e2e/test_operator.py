"""The whole operator flow in a real browser against the real demo, by mouse and by keyboard."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from e2e.browser import LOCAL, Watched, watched_page
from running_city import RunningCity

pytestmark = [pytest.mark.e2e, pytest.mark.engines, pytest.mark.timeout(900)]

NAME, PASSWORD = "Anna Operator", "a long enough pass phrase"
SHOTS = Path(__file__).parents[2] / "var" / "screenshots"
TYPED_CALL = "SELECT 1 FROM call WHERE doc ->> 'notes' = 'typed in by hand' AND incident_id <> ''"
LONG_MS = 240_000
SHORT_MS = 30_000


def _id(page: Page, name: str) -> Locator:
    return page.get_by_test_id(name)


async def _first_sign_in(watched: Watched, link: str) -> None:
    page = watched.page
    await page.goto(link)
    await _id(page, "welcome-name").fill(NAME)
    await _id(page, "welcome-password").fill(PASSWORD)
    await _id(page, "welcome-password-again").fill(PASSWORD)
    await _id(page, "welcome-start").click()
    await watched.ready()


async def _card(page: Page, state: str, *, with_units: bool = True) -> str:
    """Wait for an incident in a state for which units are recommended, choose it, return its id."""
    cards = page.locator(f"[data-testid=incident-card][data-state={state}]")
    seen: set[str] = set()
    for _ in range(60):
        await expect(cards.first).to_be_visible(timeout=LONG_MS)
        for card in await cards.all():
            id_ = await card.get_attribute("data-incident-id") or ""
            if id_ in seen:
                continue
            await card.click(timeout=SHORT_MS)
            await expect(_id(page, "incident-detail")).to_be_visible()
            if not with_units:
                return id_
            try:
                await expect(_id(page, "recommended-row").first).to_be_visible(timeout=5_000)
            except AssertionError:
                seen.add(id_)
                continue
            return id_
        await page.wait_for_timeout(1_000)
    raise AssertionError(f"no incident in state {state} for which a unit is recommended")


def _the_card(page: Page, id_: str) -> Locator:
    return page.locator(f"[data-testid=incident-card][data-incident-id='{id_}']")


async def _state(page: Page, id_: str, states: str) -> None:
    await expect(_the_card(page, id_)).to_have_attribute("data-state", re.compile(states), timeout=LONG_MS)


async def _handle_by_mouse(page: Page) -> str:
    id_ = await _card(page, "new")
    await expect(_id(page, "why")).to_contain_text(re.compile(r"\w+ \w+"))
    await _id(page, "acknowledge").click()
    await _state(page, id_, "acknowledged")
    await _id(page, "dispatch").click()
    await _state(page, id_, "dispatched|on_scene|cleared")
    await expect(_id(page, "assignment-row").first).to_be_visible()
    await _state(page, id_, "on_scene|cleared")
    await _state(page, id_, "cleared")
    await _the_card(page, id_).click()
    await _id(page, "close").click()
    await _id(page, "disposition-real").check()
    await _id(page, "close-note").fill("handled by mouse")
    await _id(page, "close-submit").click()
    await expect(_the_card(page, id_)).to_have_count(0, timeout=SHORT_MS)
    return id_


async def _handle_by_keyboard(page: Page) -> str:
    id_ = await _card(page, "new")
    # From here on no mouse: away from whatever has the focus, back to the chosen card.
    await page.keyboard.press("Escape")
    await page.keyboard.press("a")
    await _state(page, id_, "acknowledged")
    # As a person would: press when there is something to send, confirm when it is shown.
    await expect(_id(page, "dispatch")).to_be_enabled(timeout=SHORT_MS)
    await page.keyboard.press("d")
    await expect(_id(page, "dispatch")).to_be_focused(timeout=SHORT_MS)
    await page.keyboard.press("Enter")
    await _state(page, id_, "dispatched|on_scene|cleared")
    await _state(page, id_, "cleared")
    for _ in range(40):
        detail = page.locator(f"[data-testid=incident-detail][data-incident-id='{id_}']")
        if await detail.count():
            break
        await page.keyboard.press("j")
    await page.keyboard.press("Escape")
    await page.keyboard.press("x")
    await expect(_id(page, "close-form")).to_be_visible()
    await page.keyboard.press("2")
    await page.keyboard.press("Enter")
    await expect(_the_card(page, id_)).to_have_count(0, timeout=SHORT_MS)
    return id_


async def _look_through_a_camera(page: Page) -> None:
    await page.keyboard.press("Escape")
    await page.keyboard.press("g")
    await page.keyboard.press("v")
    await expect(_id(page, "camera-tile").first).to_be_visible()
    await _id(page, "purpose-incident").select_option(index=1)
    await _id(page, "look").click()
    await _id(page, "all-live").click()
    video = _id(page, "camera-video").first
    await expect(video).to_be_visible(timeout=SHORT_MS)
    playing = "v => v.videoWidth > 0 && v.readyState >= 2 && !v.paused"
    for _ in range(150):
        if await video.evaluate(playing):
            break
        await page.wait_for_timeout(200)
    assert await video.evaluate(playing), "no live picture"
    await page.screenshot(path=SHOTS / "cameras.png")


async def _type_a_call_in(page: Page) -> None:
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    await _id(page, "type-medical").click()
    await _id(page, "place-search").fill("Friedrich-Engels-Ring")
    await _id(page, "found-place").first.click()
    await _id(page, "call-notes").fill("typed in by hand")
    await _id(page, "call-submit").click()


async def test_an_operator_handles_incidents_by_mouse_and_by_keyboard() -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    with RunningCity("--speed", "8") as city:
        async with watched_page() as watched:
            page = watched.page
            await _first_sign_in(watched, city.link)
            by_mouse = await _handle_by_mouse(page)
            await page.screenshot(path=SHOTS / "operations.png")
            by_keyboard = await _handle_by_keyboard(page)
            await _look_through_a_camera(page)
            await _type_a_call_in(page)
            await _calls_become_incidents(city)
            assert watched.hosts <= LOCAL, f"requests left the machine: {watched.hosts - LOCAL}"
            assert watched.errors == []
        rows = await city.rows(
            "SELECT id, doc ->> 'disposition' AS found FROM incident WHERE state = 'closed'"
        )
        assert {row["id"]: row["found"] for row in rows} == {by_mouse: "real", by_keyboard: "false"}
        told = await city.rows("SELECT actor, action FROM journal WHERE actor = $1", NAME)
        actions = [row["action"] for row in told]
        for action in ("incident.acknowledge", "incident.dispatch", "incident.close"):
            assert actions.count(action) == 2, actions
        assert "video.live" in actions, "a look through a camera is in the journal"
        assert city.check()["ok"]


async def _calls_become_incidents(city: RunningCity) -> None:
    for _ in range(300):
        if await city.rows(TYPED_CALL):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the typed call joined no incident\n{city.logs()}")
