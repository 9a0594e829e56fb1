"""Links, passwords, sign-in and sessions, on a real database."""

import asyncio

import pytest

from safecity.access import accounts, sessions
from safecity.access.accounts import TRIES_PER_NAME, WINDOW_S, Door
from safecity.access.limiter import TryLater
from safecity.access.policy import Action, Actor, ActorKind, Object, Role
from safecity.access.refusals import Refusals
from safecity.access.sessions import NewSession
from safecity.access.tokens import disable_machine_token, ensure_machine_token, machine_of
from safecity.clock import ManualClock
from safecity.errors import Invalid, NotFound, Unauthenticated
from safecity.model.journal import Entry
from safecity.store import journal
from safecity.store.database import Database

pytestmark = pytest.mark.engines

PASSWORD = "seven grey cranes over water"
IDLE_S = 3600.0


async def _entries(database: Database) -> list[Entry]:
    async with database.reading() as tx:
        assert (await journal.check(tx)).ok
        return await journal.page(tx, 0, 1000)


async def _admitted(database: Database, clock: ManualClock, door: Door, name: str = "Malika") -> NewSession:
    token = await accounts.create_link(database, [Role.DISPATCHER], clock)
    return await door.use_link(token, name, PASSWORD, "10.0.0.1")


async def test_link_makes_an_account_and_signs_it_in(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    assert not await accounts.has_accounts(database)
    begun = await _admitted(database, clock, door)
    assert begun.session.actor.roles == {Role.DISPATCHER}
    assert await accounts.has_accounts(database)
    found = await sessions.find(database, begun.token, IDLE_S)
    assert found == begun.session
    assert [entry.action for entry in await _entries(database)] == ["access.link", "access.account"]


async def test_neither_tokens_nor_passwords_are_kept(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    begun = await _admitted(database, clock, door)
    async with database.reading() as tx:
        for table in ("account", "session", "sign_in_link", "journal"):
            rows = await tx.connection.fetch(f"SELECT t::text FROM {table} t")  # noqa: S608 - our own names
            everything = " ".join(str(row["t"]) for row in rows)
            assert PASSWORD not in everything
            assert begun.token not in everything


async def test_of_two_uses_of_a_link_at_once_one_succeeds(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    token = await accounts.create_link(database, [Role.ADMINISTRATOR], clock)
    done = await asyncio.gather(
        *(door.use_link(token, f"Person {i}", PASSWORD, "10.0.0.1") for i in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, NewSession) for result in done) == 1
    assert sum(isinstance(result, NotFound) for result in done) == 3
    async with database.reading() as tx:
        assert await tx.connection.fetchval("SELECT count(*) FROM account") == 1


async def test_link_expires(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    token = await accounts.create_link(database, [Role.ADMINISTRATOR], clock)
    assert await door.link_is_valid(token, "a")
    clock.advance(24 * 3600 + 1)
    assert not await door.link_is_valid(token, "a")
    with pytest.raises(NotFound):
        await door.use_link(token, "Malika", PASSWORD, "a")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("Malika", "short"),
        ("Malika", "malika malika malika"),
        ("Malika", "aaaaaaaaaaaaaaaaaa"),
        ("M", PASSWORD),
        ("Mal\x07ika", PASSWORD),
    ],
)
async def test_bad_name_or_password_leaves_the_link_good(
    database: Database, clock: ManualClock, name: str, password: str
) -> None:
    door = Door(database, clock)
    token = await accounts.create_link(database, [Role.ADMINISTRATOR], clock)
    with pytest.raises(Invalid):
        await door.use_link(token, name, password, "a")
    assert await door.link_is_valid(token, "a")


async def test_names_that_differ_in_case_only_are_the_same(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    await _admitted(database, clock, door, "Malika")
    with pytest.raises(Invalid, match="has this name"):
        await _admitted(database, clock, door, " MALIKA ")
    begun = await door.sign_in("malika", PASSWORD, "a")
    assert begun.session.actor.name == "Malika"


@pytest.mark.parametrize("roles", [[], [Role.GATEWAY], [Role.DISPATCHER, Role.SIMULATOR]])
async def test_no_link_for_machine_roles(database: Database, clock: ManualClock, roles: list[Role]) -> None:
    with pytest.raises(Invalid):
        await accounts.create_link(database, roles, clock)


async def test_refusal_tells_nothing_of_who_exists(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    await _admitted(database, clock, door)
    sentences = []
    for name in ("Malika", "Nobody"):
        with pytest.raises(Unauthenticated) as refused:
            await door.sign_in(name, "not the right password", "a")
        sentences.append(str(refused.value))
    assert sentences[0] == sentences[1]
    refusals = [e for e in await _entries(database) if e.action == "access.sign_in_refused"]
    assert len(refusals) == 2
    assert "Nobody" not in str(refusals)
    assert {entry.actor for entry in refusals} == {"Malika", "system:access"}


async def test_too_many_failures_must_wait(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    await _admitted(database, clock, door)
    for i in range(TRIES_PER_NAME):
        with pytest.raises(Unauthenticated):
            await door.sign_in("Malika", "not the right password", f"10.0.1.{i}")
    with pytest.raises(TryLater) as refused:
        await door.sign_in("Malika", PASSWORD, "10.0.2.1")
    assert 0 < refused.value.retry_after_s <= WINDOW_S
    clock.advance(WINDOW_S + 1)
    await door.sign_in("Malika", PASSWORD, "10.0.2.1")


async def test_success_is_not_counted(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    await _admitted(database, clock, door)
    for _ in range(TRIES_PER_NAME + 2):
        await door.sign_in("Malika", PASSWORD, "10.0.0.9")


async def test_session_ends_when_idle_and_lives_when_used(database: Database, clock: ManualClock) -> None:
    begun = await _admitted(database, clock, Door(database, clock))
    for _ in range(5):
        clock.advance(IDLE_S - 1)
        assert await sessions.find(database, begun.token, IDLE_S) is not None
    clock.advance(IDLE_S + 1)
    assert await sessions.find(database, begun.token, IDLE_S) is None


async def test_session_ends_at_its_greatest_age(database: Database, clock: ManualClock) -> None:
    begun = await _admitted(database, clock, Door(database, clock))
    idle_s = 3 * sessions.MAX_AGE.total_seconds()
    clock.advance(sessions.MAX_AGE.total_seconds() + 1)
    assert await sessions.find(database, begun.token, idle_s) is None


async def test_watching_does_not_keep_a_session_alive(database: Database, clock: ManualClock) -> None:
    begun = await _admitted(database, clock, Door(database, clock))
    hashed = begun.session.token_hash
    clock.advance(IDLE_S - 1)
    assert await sessions.find_by_hash(database, hashed, IDLE_S, used=False) is not None
    clock.advance(2)
    assert await sessions.find_by_hash(database, hashed, IDLE_S, used=False) is None


async def test_signed_out_is_over_and_in_the_journal_once(database: Database, clock: ManualClock) -> None:
    begun = await _admitted(database, clock, Door(database, clock))
    await sessions.end(database, begun.session)
    await sessions.end(database, begun.session)
    assert await sessions.find(database, begun.token, IDLE_S) is None
    assert [e.action for e in await _entries(database)].count("access.sign_out") == 1


async def test_disabled_account_is_out_at_once(database: Database, clock: ManualClock) -> None:
    door = Door(database, clock)
    begun = await _admitted(database, clock, door)
    async with database.writing() as tx:
        await tx.connection.execute("UPDATE account SET disabled_at = $1", tx.now)
    assert await sessions.find(database, begun.token, IDLE_S) is None
    with pytest.raises(Unauthenticated):
        await door.sign_in("Malika", PASSWORD, "a")


@pytest.mark.parametrize("token", ["", "x", "x" * 10_000])
async def test_strange_tokens_find_nobody(database: Database, token: str) -> None:
    assert await sessions.find(database, token, IDLE_S) is None
    assert await machine_of(database, token) is None


async def test_machine_token(database: Database) -> None:
    first, second = "a" * 32, "b" * 32
    await ensure_machine_token(database, "telephony-1", [Role.TELEPHONY], first)
    await ensure_machine_token(database, "telephony-1", [Role.TELEPHONY], first)
    machine = await machine_of(database, first)
    assert machine == Actor(
        id="telephony-1", name="telephony-1", roles=frozenset({Role.TELEPHONY}), kind=ActorKind.MACHINE
    )
    await ensure_machine_token(database, "telephony-1", [Role.TELEPHONY], second)
    assert await machine_of(database, first) is None
    assert await disable_machine_token(database, "admin", "telephony-1")
    assert not await disable_machine_token(database, "admin", "telephony-1")
    assert await machine_of(database, second) is None
    actions = [entry.action for entry in await _entries(database)]
    assert actions == ["access.token", "access.token", "access.token_disabled"]


async def test_short_machine_token_is_refused(database: Database) -> None:
    with pytest.raises(Invalid):
        await ensure_machine_token(database, "gateway", [Role.GATEWAY], "guessable")


async def test_refusal_is_written_once_a_minute(database: Database, clock: ManualClock) -> None:
    refusals = Refusals(database, clock)
    actor = Actor(id="a1", name="Malika", roles=frozenset(), kind=ActorKind.PERSON)
    for _ in range(3):
        await refusals.note(actor, Action.DISPATCH, Object("incident", "i1"), "no")
    assert len(await _entries(database)) == 1
    clock.advance(61)
    await refusals.note(actor, Action.DISPATCH, Object("incident", "i1"), "no")
    assert len(await _entries(database)) == 2


@pytest.mark.parametrize("name", ["system:fusion", "unit/1", "GATEWAY-1"])
async def test_nobody_takes_the_name_of_a_part_or_machine(
    database: Database, clock: ManualClock, name: str
) -> None:
    door = Door(database, clock)
    await ensure_machine_token(database, "gateway-1", [Role.GATEWAY], "a" * 32)
    with pytest.raises(Invalid):
        await _admitted(database, clock, door, name)


async def test_no_machine_takes_the_name_of_a_person(database: Database, clock: ManualClock) -> None:
    await _admitted(database, clock, Door(database, clock))
    with pytest.raises(Invalid):
        await ensure_machine_token(database, "malika", [Role.DISPATCHER], "a" * 32)
