"""What is too deep, too large or too far is refused with a sentence, and is no internal error."""

import pytest
import structlog
from websockets.exceptions import ConnectionClosed

from safecity.access.policy import Role
from safecity.web.answers import problem_of
from web_house import House

pytestmark = pytest.mark.engines

DEEP = '{"value": 1, "x": ' + "[" * 20_000 + "]" * 20_000 + "}"
KEY = {"Idempotency-Key": "deep"}


@pytest.mark.parametrize("path", ["/api/sign-in", "/api/calls/typed", "/api/incidents/one/note"])
async def test_a_body_nested_too_deeply_is_refused(house: House, path: str) -> None:
    person = await house.person(Role.CALL_TAKER, Role.DISPATCHER)
    with structlog.testing.capture_logs() as logs:
        answer = await person.post(path, content=DEEP, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "nested too deeply" in answer.json()["message"]
    assert not [line for line in logs if line["log_level"] == "error"]


def test_an_endless_recursion_of_our_own_stays_an_internal_error() -> None:
    assert problem_of(RecursionError("maximum recursion depth exceeded"))[0] == 500


async def test_a_live_message_nested_too_deeply_closes_the_socket(house: House) -> None:
    person = await house.person(Role.DISPATCHER)
    async with house.socket(person) as socket:
        await socket.link.send('{"type": "hello", "x": ' + "[" * 2000 + "]" * 2000 + "}")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.link.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize(("after", "status"), [(2**63, 400), (-1, 400), (2**63 - 1, 200)])
async def test_the_journal_is_asked_within_its_numbers(house: House, after: int, status: int) -> None:
    auditor = await house.person(Role.AUDITOR)
    answer = await auditor.get(f"/api/journal?after={after}")
    assert answer.status_code == status, answer.text
