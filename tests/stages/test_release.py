"""What labelling a result costs does not follow from how many fields somebody made up for it."""

from typing import Any

import pytest

from pratique.capabilities.labels import MOST_SOURCES
from pratique.model import Integrity, Status
from pratique.stages import release
from pratique.tools.context import ToolContext
from pratique.tools.declaration import tool
from tests.house import House, opened

MANY = 5 * release.MOST_FIELDS


@pytest.mark.parametrize(
    "value",
    [
        {f"k{number}": "x" for number in range(MANY)},
        {"x" * 5000: {f"k{number}": "x" for number in range(MANY)}},
        [{f"k{number}": "x"} for number in range(MANY)],
    ],
    ids=["keys", "keys below a long one", "keys in records"],
)
async def test_so_many_fields_are_named_and_no_more(house: House, value: Any) -> None:
    @tool("desk.odd", tier="read")
    async def odd(_: ToolContext) -> Any:
        """Return what somebody made up."""
        return value

    session = await opened(house.runtime(tools=[odd]))
    before = release._short.cache_info().misses
    outcome = await session.call("desk.odd")
    assert outcome.status is Status.DONE
    assert outcome.label.integrity is Integrity.UNTRUSTED
    assert 0 < len(outcome.label.sources) <= MOST_SOURCES
    assert all(source == "…" or source.startswith("desk.odd:") for source in outcome.label.sources)
    assert release._short.cache_info().misses - before <= release.MOST_FIELDS
