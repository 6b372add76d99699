from collections.abc import Iterator

import pytest

from tests.approvals.lawful import lawful
from tests.approvals.policies import ASK_WRITES
from tests.house import ALLOW_ALL, PEOPLE, House


@pytest.fixture
def scene(empty_house: House) -> Iterator[House]:
    """A house where writes ask the leads; whatever a test does there must be lawful."""
    empty_house.apply(PEOPLE + ALLOW_ALL + ASK_WRITES)
    yield empty_house
    lawful(empty_house.ledger())
