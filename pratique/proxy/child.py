"""A server as a child process, in the level that is demanded.

Rules:
- `inline` isolates nothing: a server that means harm can do what we can (`pratique.proxy.inline`).
- `jail` (and `restricted`, which is less): `pratique.sandbox.service`. `container` is refused there.
- What the machine cannot give is an error with the reason, never a weaker level.
- Secrets travel in the environment, never on a command line, where everybody on the machine reads them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import Field, SecretStr, field_validator

from pratique.errors import ProxiedServerError, SandboxUnavailableError
from pratique.model import Level, Value
from pratique.proxy.bounds import Bounds
from pratique.proxy.budget import Budget
from pratique.proxy.inline import Inline
from pratique.proxy.intake import Fate
from pratique.proxy.lines import Child, talking
from pratique.proxy.streams import Streams
from pratique.sandbox.backend import Grants, Limits
from pratique.sandbox.ladder import Ladder
from pratique.sandbox.service import LIMITS, Program


class ChildServer(Value):
    """How a server is started.

    Attributes:
        command: program and arguments. A program without a slash is looked for in the system's folders.
        level: where it runs.
        variables: its environment, beside `PATH`, `LANG`, `HOME` and `TMPDIR`, which it may set anew.
        secrets: variables whose values are secret.
        paths: files and folders of this machine that it may read, when it is jailed.
        hosts: `host:port` pairs that it may reach, when it is jailed.
        private_hosts: those of them that may be in the own network.
        limits: of a jail. Time does not count: it stays until it is ended.
    """

    command: tuple[str, ...] = Field(min_length=1)
    level: Level = Level.JAIL
    variables: dict[str, str] = Field(default={})
    secrets: dict[str, SecretStr] = Field(default={})
    paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    limits: Limits = LIMITS

    @field_validator("command")
    @classmethod
    def _whole(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0] or any("\0" in word for word in command):
            raise ValueError("a command is a program and its arguments, without NUL")
        return command

    @property
    def environment(self) -> dict[str, str]:
        """Every variable that is declared."""
        secret = {name: value.get_secret_value() for name, value in self.secrets.items()}
        return {**self.variables, **secret}


@asynccontextmanager
async def child(
    server: ChildServer, ladder: Ladder, name: str, bounds: Bounds, fate: Fate, budget: Budget
) -> AsyncIterator[Streams]:
    """Start a server and talk to it; at the end of the block nothing of it lives.

    Args:
        server: how it is started.
        ladder: gives the jail.
        name: of the server, for people.
        bounds: what it gets.
        fate: is told how it ended.
        budget: how much it may say.

    Raises:
        ProxiedServerError: it cannot be started as demanded.
    """
    try:
        started = await _start(server, ladder)
    except SandboxUnavailableError as problem:
        raise ProxiedServerError(f"the MCP server {name} cannot be started: {problem}") from problem
    async with talking(started, name, bounds, fate, budget) as streams:
        yield streams


async def _start(server: ChildServer, ladder: Ladder) -> Child:
    if server.level is Level.INLINE:
        return Inline(server.command, server.environment)
    program = Program(
        argv=server.command,
        environment=server.environment,
        lent=server.paths,
        grants=Grants(hosts=server.hosts, private_hosts=server.private_hosts),
        limits=server.limits,
    )
    return await ladder.serve(program, level=server.level)
