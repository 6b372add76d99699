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
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as ForeignSettingsError

from pratique.errors import SettingsError, told
from pratique.redaction import KINDS, Kind, Redaction
from pratique.settings_sections import (
    McpServerSettings,
    NotifySettings,
    Section,
    ServerName,
    ServerSettings,
    WitnessName,
    WitnessSettings,
)
from pratique.spelling import meant_key

FILE = "pratique.toml"
ELSEWHERE = f"go to the folder of {FILE}, or name that file with --config"
"""What to do where a file is missing that belongs to the settings: mostly one stands in another folder."""

PREFIX = "PRATIQUE_"
OF_THE_MACHINE = frozenset({"PRATIQUE_CGROUP"})
"""Variables that are no settings: they say what this machine grants (`pratique.sandbox.cgroup`)."""


class _Servers(Section):
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
    unknown = error["type"] == "extra_forbidden"
    what = f"unknown key{meant_key(Settings, error['loc'])}" if unknown else error["msg"]
    return f"{where}: {what}"
