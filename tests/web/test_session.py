"""Signing in and out as a browser does it."""

import pytest

from safecity.access import accounts
from safecity.access.accounts import TRIES_PER_NAME
from safecity.access.policy import FIRST_ACCOUNT_ROLES, Role
from safecity.web.gate import COOKIE
from web_house import PASSWORD, House

pytestmark = pytest.mark.engines


async def test_the_first_person_comes_in_by_the_link(house: House) -> None:
    token = await accounts.create_link(house.deps.db, FIRST_ACCOUNT_ROLES, house.clock)
    client = await house.stranger()
    assert (await client.post("/api/sign-in/link/check", json={"token": token})).json() == {"valid": True}
    body = {"token": token, "name": "Malika", "password": PASSWORD}
    answer = await client.post("/api/sign-in/link", json=body)
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))
    assert PASSWORD not in answer.text
    session = (await client.get("/api/session")).json()
    assert session == answer.json()
    assert session["actor"] == {
        "id": "Malika",
        "name": "Malika",
        "roles": sorted(FIRST_ACCOUNT_ROLES),
    }
    assert session["city"] == {"name": "Kichik", "bbox": [69.1, 41.2, 69.4, 41.4], "center": [69.25, 41.3]}
    assert session["simulated"] is True
    assert (await client.post("/api/sign-in/link/check", json={"token": token})).json() == {"valid": False}
    assert (await client.post("/api/sign-in/link", json=body)).status_code == 404


async def test_sign_in_and_out(house: House) -> None:
    await house.person(Role.DISPATCHER)
    client = await house.stranger()
    answer = await client.post("/api/sign-in", json={"name": "malika", "password": PASSWORD})
    assert answer.status_code == 200
    client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    assert (await client.get("/api/session")).json()["actor"]["roles"] == ["dispatcher"]
    old = client.cookies[COOKIE]
    assert (await client.delete("/api/session")).status_code == 204
    assert (await client.get("/api/session")).status_code == 401
    client.cookies.set(COOKIE, old)
    assert (await client.get("/api/session")).status_code == 401


async def test_a_wrong_password_says_only_that(house: House) -> None:
    await house.person(Role.DISPATCHER)
    client = await house.stranger()
    answers = [
        await client.post("/api/sign-in", json={"name": name, "password": "not the right one"})
        for name in ("Malika", "Nobody")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].text == answers[1].text


async def test_guessing_is_slowed_down(house: House) -> None:
    await house.person(Role.DISPATCHER)
    client = await house.stranger()
    body = {"name": "Malika", "password": "not the right one"}
    for _ in range(TRIES_PER_NAME):
        assert (await client.post("/api/sign-in", json=body)).status_code == 401
    answer = await client.post("/api/sign-in", json={"name": "Malika", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": 3, "password": "x"},
        {"name": "x" * 10_000, "password": "y"},
        {"name": "\x00", "password": ""},
    ],
)
async def test_strange_sign_ins_are_refused_in_words(house: House, body: dict[str, object]) -> None:
    client = await house.stranger()
    answer = await client.post("/api/sign-in", json=body)
    assert answer.status_code in (400, 401)
    assert answer.json()["message"]
