"""Settings: `pratique.toml`, overridden by `PRATIQUE_*` variables.

Rules:
- An unknown key is an error that names the file (or the variable) and the key.
- Relative paths are relative to the folder of the file that names them.
- A secret is named here and kept elsewhere: `env:NAME` or `file:PATH`.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as ForeignSettingsError

from pratique.errors import SettingsError, told
from pratique.redaction import KINDS, Kind, Redaction

FILE = "pratique.toml"
PREFIX = "PRATIQUE_"
Event = Literal[
    "asked",
    "escalated",
    "handed",
    "question",
    "answer",
    "approved",
    "rejected",
    "expired",
    "void",
    "edited",
    "done",
    "failed",
    "unknown",
    "denied",
]


class _Notified(BaseModel):
    """`events`: which notices; left out, all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: tuple[Event, ...] = get_args(Event)


OF_THE_MACHINE = frozenset({"PRATIQUE_CGROUP"})
"""Variables that are no settings: they say what this machine grants (`pratique.sandbox.cgroup`)."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OidcSettings(_Part):
    """How people log in with their company's account (OpenID Connect).

    Attributes:
        issuer: the provider's address; its `/.well-known/openid-configuration` says the rest.
        client_id: as the provider registered this server.
        client_secret: `env:NAME` or `file:PATH`; left out for a public client (PKCE is always used).
        name_claim: the claim that becomes the person's name here. `email` is taken only if it is verified.
        groups_claim: the claim that lists what the person belongs to.
        roles: value of that claim → role here (owner, admin, auditor).
        add: whether somebody who comes for the first time gets an account.
        scopes: what is asked for beside `openid`.
    """

    issuer: str = Field(pattern=r"^https?://\S+$")
    client_id: str = Field(min_length=1)
    client_secret: str = ""
    name_claim: str = "email"
    groups_claim: str = "groups"
    roles: dict[str, Literal["owner", "admin", "auditor"]] = {}
    add: bool = True
    scopes: tuple[str, ...] = ("email", "profile")


class OAuthClientSettings(_Part):
    """What a client of the authorization server is here.

    Attributes:
        agent: as the policy names it.
        acts_for: for whom it may act with a token of its own (client credentials): names, `*@DOMAIN`, or `*`.
            With a person's token it acts for that person, and for nobody else.
    """

    agent: str = Field(min_length=1)
    acts_for: tuple[Annotated[str, Field(pattern=r"^(\*|\*@[A-Za-z0-9.-]{1,253}|[^\s*]{1,254})$")], ...] = ()


class OAuthSettings(_Part):
    """How MCP clients come in with an access token (OAuth 2.1), at `/mcp`.

    Attributes:
        issuer: the authorization server; its metadata says where its keys are.
        resource: what tokens must be issued for; left out, `public_url` and `/mcp`.
        clients: client id → which agent that is.
        user_claim: the claim that names the person. `email` is taken only if it is verified.
        scopes: what a token must have been granted.
    """

    issuer: str = Field(pattern=r"^https?://\S+$")
    resource: str = Field(default="", pattern=r"^(https?://[^\s#?]+)?$")
    clients: dict[str, OAuthClientSettings] = {}
    user_claim: str = Field(default="sub", min_length=1)
    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...] = ()


class ServerSettings(_Part):
    """How `pratique serve` listens, and what it bears.

    Attributes:
        host, port: where it listens.
        certificate, private_key: PEM files; with them it speaks TLS.
        unencrypted_behind_tls_proxy: it speaks plain HTTP beyond loopback, because a proxy before it speaks
            TLS and nobody else can reach it. Where that is not so, keys and cookies can be read on the way.
        proxies: addresses of proxies whose word on the client's address is taken.
        public_url: the address that people type, for links and for OIDC.
        login_hours: how long a login lasts at most.
        idle_minutes: how long it lasts without a request.
        body_bytes: the largest request body.
        rate: requests that one caller may make in a minute; 0 for no bound.
        open_waits: calls of one caller that may wait for a person at a time.
        open_streams: event streams of one caller.
        open_calls: calls of one caller that may be under way at a time.
        longest_wait: seconds that one request may wait; what still waits is `pending`.
        connections: connections at a time; more get 503.
        sessions: sessions that are kept in memory; the others are looked up again.
        shutdown_seconds: how long running calls may take to finish when the server is told to stop.
        metrics_token: `env:NAME` or `file:PATH`: who shows it may read `/metrics` from elsewhere.
        oidc: logins by the company.
        oauth: MCP clients with access tokens.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8440, ge=0, le=65535)
    certificate: Path | None = None
    private_key: Path | None = None
    unencrypted_behind_tls_proxy: bool = False
    proxies: tuple[str, ...] = ()
    public_url: str = Field(default="", pattern=r"^(https?://[^/\s]+)?$")
    login_hours: float = Field(default=12, gt=0, le=24 * 31)
    idle_minutes: float = Field(default=60, gt=0)
    body_bytes: int = Field(default=1024 * 1024, gt=0)
    rate: int = Field(default=6000, ge=0)
    open_waits: int = Field(default=64, gt=0)
    open_streams: int = Field(default=16, gt=0)
    open_calls: int = Field(default=256, gt=0)
    longest_wait: float = Field(default=60.0, ge=0, le=3600)
    connections: int = Field(default=2000, gt=0)
    sessions: int = Field(default=10_000, gt=0)
    shutdown_seconds: float = Field(default=20.0, ge=0)
    metrics_token: str = ""
    oidc: OidcSettings | None = None
    oauth: OAuthSettings | None = None

    @property
    def speaks_tls(self) -> bool:
        """Whether people reach it by https, from itself or from the proxy before it."""
        return self.certificate is not None or self.unencrypted_behind_tls_proxy


class WebhookSettings(_Notified):
    """An address that is told, with the secret that signs it (`whsec_…`)."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    secret: str


class MailSettings(_Notified):
    """A mail server that notices are handed to. `secret` names the password."""

    host: str
    port: int = Field(default=465, gt=0, lt=65536)
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    sender: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    username: str = ""
    secret: str = ""
    ca_file: Path | None = None


class AppriseSettings(_Notified):
    """A service that apprise speaks to. `secret` names its address, which holds credentials."""

    secret: str


class NotifySettings(BaseModel):
    """Who is told of questions, and how.

    Attributes:
        link: the server's address, `https://…`: notices link to it.
        webhooks, apprise: by a name that the records give.
        mail: to the people who have to be told.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    link: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    webhooks: dict[str, WebhookSettings] = {}
    mail: MailSettings | None = None
    apprise: dict[str, AppriseSettings] = {}


class FileWitnessSettings(BaseModel):
    """A file in another place that checkpoints are appended to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["file"]
    path: Path


class TlogWitnessSettings(BaseModel):
    """A witness on the network, by C2SP tlog-witness: its submission prefix and its verifier key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["tlog"]
    url: str = Field(pattern="^https?://")
    key: str


class TimestampWitnessSettings(BaseModel):
    """A time-stamp authority, by RFC 3161: its URL, and a PEM file with the root of its certificates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["timestamp"]
    url: str = Field(pattern="^https?://")
    certificate: Path


WitnessName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_-]{0,39}$")]
WitnessSettings = Annotated[
    FileWitnessSettings | TlogWitnessSettings | TimestampWitnessSettings, Field(discriminator="kind")
]


class McpServerSettings(_Part):
    """Another program's MCP server, whose tools come under our capabilities: by `command` or by `url`.

    Attributes:
        command: the program and its arguments, which is started here and speaks on standard input and output.
        url: the address of a server elsewhere (Streamable HTTP).
        runs_in: how the program is isolated: `jail`, or `inline`, which isolates nothing.
        environment: variables of the program, beside `PATH`, `LANG`, `HOME` and `TMPDIR`.
        headers: sent with every request to the address.
        secrets: variable, or header, → name of a secret under `[secrets]`.
        paths: files and folders that a jailed program may read.
        hosts: `host:port` that a jailed program may reach.
        private_hosts: those of them that may be in the own network.
        private: whether the address may be in the own network, or on this machine.
        confidentiality: the class of what its tools return.
        timeout: seconds that a call may take.
        result_limit: bytes of JSON that a result may have.
    """

    command: tuple[Annotated[str, Field(pattern=r"^[^\x00]*$")], ...] = ()
    url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    runs_in: Literal["inline", "jail"] = "jail"
    environment: dict[str, str] = {}
    headers: dict[str, str] = {}
    secrets: dict[str, str] = {}
    paths: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    private: bool = False
    confidentiality: Literal["public", "internal", "confidential", "restricted"] = "internal"
    timeout: float = Field(default=60.0, gt=0, le=3600)
    result_limit: int = Field(default=256 * 1024, gt=0, le=64 * 1024 * 1024)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("say either command, or url")
        of_a_command = self.environment or self.paths or self.hosts or self.private_hosts
        if self.url and (of_a_command or "runs_in" in self.model_fields_set):
            raise ValueError("environment, paths, hosts and runs_in are for a command, not for a url")
        if self.command and (self.headers or self.private):
            raise ValueError("headers and private are for a url, not for a command")
        return self


def _not_ours(name: str) -> str:
    """A server of this name could have its tools offered under names that we use ourselves."""
    if name == OURS:
        raise ValueError(f"{OURS} is our own name: call the server something else")
    return name


OURS = "pratique"

ServerName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_-]{0,39}$"), AfterValidator(_not_ours)]
"""What another program's server is called: its tools are `NAME.tool`."""


class _Servers(_Part):
    servers: dict[ServerName, McpServerSettings]


class Settings(BaseSettings):
    """How a runtime is put together.

    Attributes:
        folder: where the ledger is.
        policy: the policy file.
        tools: modules that hold `@tool` declarations.
        roots: file root → folder, for tools that declare it.
        secrets: secret → `env:NAME` or `file:PATH`.
        wait: seconds that a call waits for a person when it does not say.
        arguments_bytes: the most canonical JSON that a call's arguments may have.
        arguments_depth: how deeply they may be nested.
        arguments_values: how many items and members they may have: each is traced, and stands on a card.
        most_waiting: entries that may wait for the log before calls are denied.
        open_questions: questions of one key, or of one agent in this process, that may wait for people at a
            time; 0 for any number. A call that would ask one more is denied.
        shadow_every: one decision in so many is made by plain Casbin too; 0 for none.
        redact: what is taken out of logs, errors and traces (`pratique.redaction`).
        phone_region: the country (two letters) whose telephone numbers are known without their prefix.
        sandbox_warm: workers of a kind that wait for code, once some was run.
        sandbox_most: workers of a kind that may be at work.
        sandbox_image: name or digest of the containers' image; left out, what `pratique sandbox image` made.
        server: how `pratique serve` listens.
        servers: other programs' MCP servers: name → how each is started or reached.
        notify: who is told of questions to people, and how.
        keys: where the log's signing keys are, if not in `keys` beside the ledger.
        checkpoint_records: a checkpoint is signed every so many records,
        checkpoint_seconds: and so many seconds after a record that none covers.
        witnesses: who gets checkpoints: name → `kind` (file, tlog, timestamp) and where.
        retention_days: how many days old records must be before they can be dropped.
        log_level, log_format: what is logged to standard error, and how (`auto`: JSON unless at a terminal).
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    folder: Path = Path(".pratique")
    policy: Path = Path("policy.toml")
    tools: tuple[str, ...] = ()
    roots: dict[str, Path] = {}
    secrets: dict[str, str] = {}
    wait: float = Field(default=0.0, ge=0)
    arguments_bytes: int = Field(default=256 * 1024, gt=0)
    arguments_depth: int = Field(default=32, gt=0, le=200)
    arguments_values: int = Field(default=5000, gt=0)
    most_waiting: int = Field(default=10_000, gt=0)
    open_questions: int = Field(default=1000, ge=0)
    shadow_every: int = Field(default=10_000, ge=0)
    redact: tuple[Kind, ...] = KINDS
    phone_region: str | None = Field(default=None, pattern="^[A-Z]{2}$")
    sandbox_warm: int = Field(default=1, ge=0, le=64)
    sandbox_most: int = Field(default=4, ge=1, le=256)
    sandbox_image: str = ""
    server: ServerSettings = ServerSettings()
    servers: dict[ServerName, McpServerSettings] = {}
    keys: Path | None = None
    checkpoint_records: int = Field(default=1024, ge=1)
    checkpoint_seconds: float = Field(default=60.0, gt=0, le=86_400)
    witnesses: dict[WitnessName, WitnessSettings] = {}
    retention_days: int = Field(default=184, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"
    notify: NotifySettings = NotifySettings()

    _base: Path = PrivateAttr(default_factory=Path.cwd)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let a variable override the file; there is no other source."""
        del settings_cls, dotenv_settings, file_secret_settings
        return (env_settings, init_settings)

    @classmethod
    def load(cls, file: Path | str | None = None) -> Self:
        """Return the settings of `file`, or of `pratique.toml` here if there is one.

        Raises:
            SettingsError: the file is not there, does not parse, or has a key or value that is wrong.
        """
        path = Path(file) if file is not None else Path(FILE)
        found = _read(path) if file is not None or path.exists() else {}
        _refuse_unknown_variables(cls)
        for key in found:
            if key.startswith("_"):  # pydantic-settings would take it for an option of its own
                raise SettingsError(f"{path}: {key}: unknown key")
        try:
            settings = cls(**found)
        except ForeignSettingsError as problem:
            field = re.search(r'field "(\w+)"', str(problem))
            where = PREFIX + (field[1].upper() if field else "*")
            raise SettingsError(f"{where}: not the JSON of such a value") from None
        except ValidationError as problem:
            raise SettingsError("; ".join(_line(path, error) for error in problem.errors())) from None
        settings._base = path.resolve().parent  # our own private attribute
        return settings

    def with_server(self, **changed: Any) -> Self:
        """Return these settings with other ones for the server.

        Raises:
            SettingsError: one cannot be.
        """
        try:
            server = ServerSettings(**{**dict(self.server), **changed})
        except ValidationError as problem:
            raise SettingsError("; ".join(f"server.{_words(error)}" for error in problem.errors())) from None
        return self.model_copy(update={"server": server})

    def with_servers(self, **servers: Mapping[str, Any]) -> Self:
        """Return these settings with one more MCP server, or several.

        Raises:
            SettingsError: one cannot be.
        """
        try:
            added = _Servers(servers={**self.servers, **servers})
        except ValidationError as problem:
            raise SettingsError("; ".join(map(_words, problem.errors()))) from None
        return self.model_copy(update={"servers": added.servers})

    @property
    def argument_limits(self) -> tuple[int, int, int]:
        """Bytes, depth and number of values that a call's arguments may have."""
        return self.arguments_bytes, self.arguments_depth, self.arguments_values

    @property
    def base(self) -> Path:
        """The folder that relative paths start from: the settings file's."""
        return self._base

    def path(self, of: Path) -> Path:
        """Return a path from the settings as an absolute one."""
        return (self._base / of).resolve()

    def redaction(self, known: Iterable[str] = ()) -> Redaction:
        """Return what is taken out of what leaves in clear.

        Args:
            known: secrets that are taken out whatever their form is.
        """
        return Redaction(self.redact, known, self.phone_region)

    def secret_values(self) -> dict[str, SecretStr]:
        """Return every secret's value.

        Raises:
            SettingsError: one cannot be had.
        """
        return {
            name: SecretStr(self._secret(f"secrets.{name}", where)) for name, where in self.secrets.items()
        }

    def secret_of(self, key: str, where: str) -> str:
        """Return the secret that the setting `key` names as `env:NAME` or `file:PATH`; nothing for nothing.

        Raises:
            SettingsError: it cannot be had.
        """
        return self._secret(key, where) if where else ""

    def _secret(self, name: str, where: str) -> str:
        kind, _, place = where.partition(":")
        if kind == "env" and place in os.environ:
            return os.environ[place]
        if kind == "env":
            raise SettingsError(f"{name}: the variable {place} is not set")
        if kind != "file":
            raise SettingsError(f"{name}: say env:NAME or file:PATH, not the secret itself")
        try:
            return self.path(Path(place)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(f"{name}: {place} cannot be read: {told(problem)}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise SettingsError(f"{path}: {told(problem)}") from None


def _refuse_unknown_variables(settings: type[BaseSettings]) -> None:
    """Raise for a `PRATIQUE_*` variable that is no setting: a typo must not silently change nothing."""
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable not in OF_THE_MACHINE:
            key = variable.removeprefix(PREFIX).split("__")[0].lower()
            if key not in settings.model_fields:
                raise SettingsError(f"{variable}: unknown setting {key!r}")


def _words(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def _line(path: Path, error: Any) -> str:
    key = ".".join(map(str, error["loc"]))
    variable = PREFIX + key.split(".")[0].upper()
    where = variable if variable in os.environ else f"{path}: {key}"
    what = "unknown key" if error["type"] == "extra_forbidden" else error["msg"]
    return f"{where}: {what}"
