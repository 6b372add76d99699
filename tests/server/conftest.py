"""A server before the small house."""

from collections.abc import AsyncIterator

import pytest

from tests.house import House
from tests.server.front import Front, front_of


@pytest.fixture
async def front(house: House) -> AsyncIterator[Front]:
    """Give a server: the agent `support` may do everything, and what is irreversible asks."""
    async with front_of(house.runtime()) as made:
        yield made
