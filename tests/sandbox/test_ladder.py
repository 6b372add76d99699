"""Promise: who asks the ladder gets the level that was asked for, or an error; never less."""

import pytest

from pratique.errors import SandboxUnavailableError
from pratique.model import Level
from pratique.sandbox.backend import Limits, Spec, Status, Work
from pratique.sandbox.ladder import Ladder


async def test_a_level_is_given_as_it_was_asked_for() -> None:
    ladder = Ladder(warm=0)
    assert isinstance(await ladder.open([Level.JAIL]), list)
    for level in (Level.RESTRICTED, Level.JAIL):
        result = await ladder.run(Work(code="1 + 1"), level=level, limits=Limits(wall=5))
        assert (result.status, result.level, result.value_json) == (Status.OK, level, b"2")
    await ladder.aclose()
    await ladder.aclose()


async def test_less_than_the_minimum_is_never_given() -> None:
    ladder = Ladder(warm=0)
    with pytest.raises(SandboxUnavailableError, match="demands container"):
        await ladder.acquire(Spec(level=Level.JAIL, minimum=Level.CONTAINER))
    with pytest.raises(SandboxUnavailableError, match="isolates nothing"):
        await ladder.acquire(Spec(level=Level.INLINE, minimum=Level.INLINE))
    with pytest.raises(SandboxUnavailableError, match="isolates nothing"):
        await ladder.run(Work(code="1"), level=Level.INLINE)
    await ladder.aclose()
