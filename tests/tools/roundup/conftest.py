"""One Roundup for all tests; each test makes issues of its own."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from pratique.tools.context import World
from pratique.tools.declaration import Tool
from pratique.tools.roundup import roundup_tools
from tests.servers.roundup import ACCOUNT, PASSWORD, Roundup

Tools = dict[str, Tool]


@pytest.fixture(scope="session")
def tracker() -> Iterator[Roundup]:
    server = Roundup()
    yield server
    server.stop()


@pytest.fixture
def world() -> World:
    return World(secrets={"tracker": SecretStr(PASSWORD)})


def tools_of(url: str, user: str = ACCOUNT) -> Tools:
    made = roundup_tools(url, "tracker", user=user)
    return {tool.capability.name.removeprefix("tickets."): tool for tool in made}


@pytest.fixture
def tools(tracker: Roundup) -> Tools:
    """The tools, by the word after `tickets.`."""
    return tools_of(tracker.url)
