"""One Exim for all tests; each test writes to people of its own."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from pratique.tools.context import World
from pratique.tools.smtp import SmtpAccount
from tests.servers.authority import Authority
from tests.servers.exim import PASSWORD, Exim

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def exim(authority: Authority) -> Iterator[Exim]:
    server = Exim(authority)
    yield server
    server.stop()


@pytest.fixture
def person() -> str:
    return f"ana{next(_numbers)}"


@pytest.fixture
def world() -> World:
    return World(secrets={"password": SecretStr(PASSWORD)})


@pytest.fixture
def account(exim: Exim, authority: Authority) -> Callable[..., SmtpAccount]:
    """`account(**changes)`: the account, with some facts changed."""

    def make(**changes: Any) -> SmtpAccount:
        facts = {
            "host": "localhost",
            "port": exim.smtps,
            "ca_file": authority.file,
            "user": "kim",
            "secret": "password",
            "helo": "tests.example",
            "step_seconds": 10.0,
        }
        return SmtpAccount(**facts | changes)

    return make
