"""The sections of `pratique.toml`: the server, notices, witnesses, other programs' servers.

Rules:
- An unknown key is an error. A secret is named here (`env:NAME` or `file:PATH`) and kept elsewhere.
"""

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

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


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Notified(Section):
    """`events`: which notices; left out, all of them."""

    events: tuple[Event, ...] = get_args(Event)


class OidcSettings(Section):
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


class OAuthClientSettings(Section):
    """What a client of the authorization server is here.

    Attributes:
        agent: as the policy names it.
        acts_for: for whom it may act with a token of its own (client credentials): names, `*@DOMAIN`, or `*`.
            With a person's token it acts for that person, and for nobody else.
    """

    agent: str = Field(min_length=1)
    acts_for: tuple[Annotated[str, Field(pattern=r"^(\*|\*@[A-Za-z0-9.-]{1,253}|[^\s*]{1,254})$")], ...] = ()


class OAuthSettings(Section):
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


class ServerSettings(Section):
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
        longest_wait: seconds that one request may wait; what still waits is `pending`.
        connections: connections at a time; more get 503.
        sessions: sessions that are kept in memory; the others are looked up again.
        shutdown_seconds: how long running calls may take to finish when the server is told to stop.
        check_hours: every so many hours it asks other programs' servers what they list; 0 for never.
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
    longest_wait: float = Field(default=60.0, ge=0, le=3600)
    connections: int = Field(default=2000, gt=0)
    sessions: int = Field(default=10_000, gt=0)
    shutdown_seconds: float = Field(default=20.0, ge=0)
    check_hours: float = Field(default=0.0, ge=0, le=24 * 365, allow_inf_nan=False)
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


class NotifySettings(Section):
    """Who is told of questions, and how.

    Attributes:
        link: the server's address, `https://…`: notices link to it.
        webhooks, apprise: by a name that the records give.
        mail: to the people who have to be told.
    """

    link: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    webhooks: dict[str, WebhookSettings] = {}
    mail: MailSettings | None = None
    apprise: dict[str, AppriseSettings] = {}


class FileWitnessSettings(Section):
    """A file in another place that checkpoints are appended to."""

    kind: Literal["file"]
    path: Path


class TlogWitnessSettings(Section):
    """A witness on the network, by C2SP tlog-witness: its submission prefix and its verifier key."""

    kind: Literal["tlog"]
    url: str = Field(pattern="^https?://")
    key: str


class TimestampWitnessSettings(Section):
    """A time-stamp authority, by RFC 3161: its URL, and a PEM file with the root of its certificates."""

    kind: Literal["timestamp"]
    url: str = Field(pattern="^https?://")
    certificate: Path


WitnessName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_-]{0,39}$")]
WitnessSettings = Annotated[
    FileWitnessSettings | TlogWitnessSettings | TimestampWitnessSettings, Field(discriminator="kind")
]


class McpServerSettings(Section):
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
