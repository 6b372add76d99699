"""Fixtures of the contract: every framework, through every door that it has."""

from collections.abc import AsyncIterator

import pytest

from tests.adapters.doors import DOORS, Door
from tests.adapters.matrix import COMBINATIONS
from tests.adapters.rigs import Rig, rig_of
from tests.house import House


@pytest.fixture(params=COMBINATIONS, ids=lambda one: f"{one.framework}, {one.door}")
def combination(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def framework(combination: object) -> type[Rig]:
    return rig_of(combination.framework)  # type: ignore[attr-defined]  # a Combination


@pytest.fixture
async def door(combination: object, house: House) -> AsyncIterator[Door]:
    made = DOORS[combination.door](house)  # type: ignore[attr-defined]  # a Combination
    yield made
    await made.leave()
