"""What the tests of the simulated city share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from safecity.city import City
from safecity.clock import SystemClock
from safecity.config import SimulatorSection
from safecity.simulator.api import Token
from safecity.simulator.pace import Pace
from safecity.simulator.scenario import Scenario, build_scenario
from simulator.stage import TOKEN, Machines


@pytest.fixture(scope="session")
def scenario(demo_city: City) -> Scenario:
    """The simulated city on the demo's map."""
    return build_scenario(demo_city, SimulatorSection())


@pytest.fixture
def pace() -> Pace:
    """A pace at which minutes take a fraction of a second."""
    return Pace(SystemClock(), 200.0)


@pytest.fixture
def token(tmp_path: Path) -> Token:
    """A token in a file."""
    path = tmp_path / "token"
    path.write_text(TOKEN, encoding="ascii")
    return Token(path)


@pytest.fixture
async def machines(token: Token) -> AsyncIterator[Machines]:
    """The maker of machine accounts."""
    maker = Machines(token)
    yield maker
    for client in maker.clients:
        await client.aclose()
