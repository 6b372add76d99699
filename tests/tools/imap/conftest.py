"""One Dovecot for all tests; each test has a user, and so a mailbox, of its own."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from pratique.tools.context import World
from pratique.tools.declaration import Tool
from pratique.tools.imap import ImapAccount, imap_tools
from tests.servers.authority import Authority
from tests.servers.dovecot import PASSWORD, Dovecot

Tools = dict[str, Tool]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def dovecot(authority: Authority) -> Iterator[Dovecot]:
    server = Dovecot(authority)
    yield server
    server.stop()


@pytest.fixture
def user() -> str:
    return f"user{next(_numbers)}"


@pytest.fixture
def world() -> World:
    return World(secrets={"password": SecretStr(PASSWORD)})


@pytest.fixture
def account(dovecot: Dovecot, authority: Authority, user: str) -> Callable[..., ImapAccount]:
    """`account(**changes)`: the user's account, with some facts changed."""

    def make(**changes: Any) -> ImapAccount:
        facts = {
            "host": "localhost",
            "port": dovecot.imaps,
            "ca_file": authority.file,
            "user": user,
            "secret": "password",
            "step_seconds": 10.0,
        }
        return ImapAccount(**facts | changes)

    return make


@pytest.fixture
def tools(account: Callable[..., ImapAccount]) -> Tools:
    """The user's tools, by the word after `mail.`."""
    return named(imap_tools(account()))


def named(tools: tuple[Tool, ...]) -> Tools:
    return {tool.capability.name.removeprefix("mail."): tool for tool in tools}
