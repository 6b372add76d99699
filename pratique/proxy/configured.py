"""A server as the settings have it: what it is, its digest, and how a connection to it is made.

Rules:
- The digest covers whatever decides which program answers, where, and what it reaches: change any of it, and
  everything that was approved of it is new. Time-outs and limits are not in it, values of secrets neither.
- A server elsewhere, and one that may reach hosts, gets what it is called with out of the house: its tools
  are of tier egress at least.
"""

import hashlib
import shlex
from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import SecretStr, ValidationError

from pratique.audit.canonical import canonical
from pratique.errors import SettingsError
from pratique.model import Confidentiality, Level, Tier
from pratique.proxy.bounds import Bounds
from pratique.proxy.child import ChildServer, child
from pratique.proxy.connection import Connection, ServerConnection
from pratique.proxy.link import Opener
from pratique.proxy.remote import RemoteServer, remote
from pratique.sandbox.ladder import Ladder
from pratique.settings import Settings
from pratique.settings_sections import McpServerSettings
from pratique.tools.hosts import Network

_LARGEST = 256 * 1024
_ENVELOPE = 64 * 1024


class Configured:
    """One server.

    Args:
        name: what the settings call it.
        stated: what they say of it.
        settings: all of them, for paths and secrets.
        secrets: name → value.

    Raises:
        SettingsError: a secret is not named there, or the server cannot be started or reached like this.
    """

    def __init__(
        self, name: str, stated: McpServerSettings, settings: Settings, secrets: Mapping[str, SecretStr]
    ) -> None:
        self.name, self.stated = name, stated
        self.timeout, self.result_limit = stated.timeout, stated.result_limit
        self.confidentiality = Confidentiality(stated.confidentiality)
        values = {}
        for key, secret in stated.secrets.items():
            if secret not in secrets:
                problem = f"no secret is called {secret!r}; name it under [secrets]"
                raise SettingsError(f"servers.{name}.secrets.{key}: {problem}")
            values[key] = secrets[secret]
        paths = tuple(str(settings.path(path)) for path in stated.paths)
        self.config = _digest({**stated.model_dump(mode="json", exclude=_NOT_DIGESTED), "paths": list(paths)})
        try:
            self._server = self._made(paths, values)
        except ValidationError as problem:
            said = problem.errors(include_input=False, include_url=False)[0]["msg"]
            raise SettingsError(f"servers.{name}: {said}") from None

    @property
    def about(self) -> str:
        """What it is, for people: its command, or its address."""
        return self.stated.url or shlex.join(self.stated.command)

    @property
    def level(self) -> Level:
        """How what it runs is isolated from us; a server elsewhere runs nothing here, and gives no level."""
        return Level(self.stated.runs_in) if self.stated.command else Level.INLINE

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where what it is given may go."""
        return (self._server.host,) if isinstance(self._server, RemoteServer) else self.stated.hosts

    @property
    def least(self) -> Tier:
        """The lowest tier of any of its tools."""
        elsewhere = bool(self.stated.url) and not self.stated.private
        return Tier.EGRESS if elsewhere or self.stated.hosts else Tier.READ

    def connection(self, ladder: Ladder, network: Network) -> Connection:
        """Return a connection to it; nothing is started before it is needed."""
        bounds = Bounds(
            # A result may come twice in one message: as text, and as structured content.
            message_bytes=max(2 * self.result_limit, Bounds().definitions_bytes) + _ENVELOPE,
            listing=min(self.timeout, Bounds().listing),
        )
        opener: Opener
        if isinstance(self._server, RemoteServer):
            opener = partial(remote, self._server, network, self.name, bounds)
        else:
            opener = partial(child, self._server, ladder, self.name, bounds)
        return ServerConnection(self.name, opener, bounds)

    def _made(self, paths: tuple[str, ...], secrets: Mapping[str, SecretStr]) -> ChildServer | RemoteServer:
        stated = self.stated
        if stated.url:
            return RemoteServer(
                url=stated.url, private=stated.private, headers=stated.headers, secrets=dict(secrets)
            )
        return ChildServer(
            command=stated.command,
            level=Level(stated.runs_in),
            variables=stated.environment,
            secrets=dict(secrets),
            paths=paths,
            hosts=stated.hosts,
            private_hosts=stated.private_hosts,
        )


_NOT_DIGESTED = {"timeout", "result_limit", "confidentiality", "paths"}


def _digest(of: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(dict(of), most_bytes=_LARGEST)).hexdigest()


def configured(settings: Settings) -> dict[str, Configured]:
    """Return every server of the settings, by name.

    Raises:
        SettingsError: one cannot be as it is stated, or a secret cannot be had.
    """
    secrets = settings.secret_values() if settings.servers else {}
    return {name: Configured(name, stated, settings, secrets) for name, stated in settings.servers.items()}
