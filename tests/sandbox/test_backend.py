"""Promise: what crosses into a sandbox is checked at the edge."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from pratique.sandbox.backend import Grants, Limits, Work


@pytest.mark.parametrize(
    "make",
    [
        Work,
        lambda: Work(code="1", argv=("true",)),
        lambda: Work(argv=("a\0b",)),
        lambda: Work(code="1", env={"A": "\0"}),
        lambda: Work(code="1", inputs=b"{"),
        lambda: Grants(hosts=("example.org",)),
        lambda: Grants(hosts=("example.org:0",)),
        lambda: Limits(wall=0),
        lambda: Limits(memory=1),
    ],
)
def test_work_limits_and_grants_are_checked_at_the_edge(make: Callable[[], object]) -> None:
    with pytest.raises(ValidationError):
        make()
