"""Where the parts are put together: settings in, a runtime out.

Rules:
- Everything that can be wrong with settings, policy, tools or database is found here, before the first call.
- The first start puts the policy file in force. After that a file that differs is an error, unless the caller
  says `apply_policy`: editing a file is not yet a decision.
"""

import os
import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from pydantic import SecretStr

from pratique.approvals.channels import Channel
from pratique.approvals.channels.apprise import Apprise
from pratique.approvals.channels.mail import Mail
from pratique.approvals.channels.webhook import Webhook, key_of
from pratique.approvals.desk import Desk
from pratique.approvals.notices import Outbox
from pratique.approvals.notifier import Notifier
from pratique.capabilities.isolation import unmet
from pratique.capabilities.policy import Policy, refuse_old_casbin
from pratique.capabilities.selftest import run_tests
from pratique.errors import (
    DependencyError,
    LedgerUnavailableError,
    PolicyError,
    PolicyNotInForceError,
    SettingsError,
    ToolDeclarationError,
    told,
)
from pratique.ledger import policies, queries
from pratique.ledger.checkpoints import Cadence
from pratique.ledger.door import Ledger
from pratique.ledger.recover import demand_whole
from pratique.ledger.recovery import settle
from pratique.logs import configure_logs
from pratique.runtime import Runtime
from pratique.sandbox.image import DEFAULT_TAG
from pratique.sandbox.ladder import Ladder
from pratique.settings import ELSEWHERE, Settings
from pratique.tools.context import World
from pratique.tools.declaration import Tool
from pratique.tools.execution import Executor
from pratique.tools.levels import demand_levels
from pratique.tools.registry import Registry
from pratique.witnesses.named import witnesses_of
from pratique.witnesses.pushing import accompany

if TYPE_CHECKING:
    from pratique.proxy.configured import Configured

log = structlog.get_logger("pratique")


def open_runtime(
    settings: Settings | Path | str | None = None,
    *,
    tools: Iterable[Tool] = (),
    apply_policy: bool = False,
    logs: bool = False,
) -> Runtime:
    """Return a runtime, ready to run calls. Use it as an async context manager.

        async with pratique.open_runtime("pratique.toml") as runtime:
            async with runtime.session(agent="support", user="kim@acme.example") as session:
                outcome = await session.call("mail.list", {"folder": "inbox"})

    Args:
        settings: settings, or the path of a `pratique.toml`; left out, the one in this folder.
        tools: declared tools, beside those of the modules that the settings name.
        apply_policy: put the policy file in force if it differs from what is.
        logs: set up Pratique's own logging; leave it to hosts that have theirs.

    Raises:
        ConfigError: settings, policy, tools or environment are wrong; the message says what and where.
        ForkError: the log lost records, or is another copy than the one that was written here.
        SandboxUnavailableError: a tool declares a level that this machine cannot give.
        LedgerError: the log cannot be used.
    """
    refuse_old_casbin()
    settings = settings if isinstance(settings, Settings) else Settings.load(settings)
    secrets = settings.secret_values()
    known = [secret.get_secret_value() for secret in secrets.values()]
    if logs:
        configure_logs(settings.log_level, settings.log_format, known, settings.redact, settings.phone_region)
    registry = Registry([*Registry.from_modules(settings.tools, settings.base), *tools])
    by_name = servers_of(settings)
    world = World({name: settings.path(path) for name, path in settings.roots.items()}, secrets)
    _demand_all(registry, world)
    demand_levels(registry, lambda: ladder_of(settings, warm=0))
    ladder = ladder_of(settings, warm=settings.sandbox_warm)
    executor = Executor(world, ladder, redaction=settings.redaction(known))
    if not _ledger_file(settings).exists():
        _demand_tested(settings, registry)  # a mistake is told before anything is made
    witnesses = witnesses_of(settings)
    ledger = open_ledger(settings, create=True)
    accompany(ledger, witnesses)
    try:
        demand_whole(ledger)
        _demand_ours(ledger, registry)
        if by_name:
            registry = _with_servers(registry, ledger, by_name, ladder, world)
            registry.begin()
        put_in_force(settings, ledger, registry, apply_policy=apply_policy)
        _settle(ledger)
        runtime = _runtime_of(settings, ledger, registry, executor)
        _demand_floors(settings, runtime)
    except BaseException:
        ledger.close()
        raise
    return runtime


def _settle(ledger: Ledger) -> None:
    """Close what an earlier run left open, and say of which calls nobody knows what became."""
    for intent in settle(ledger):
        log.warning(
            "unknown outcome", tool=intent["tool"], trace_id=intent["trace_id"], call_id=intent["call_id"]
        )


def _runtime_of(settings: Settings, ledger: Ledger, registry: Registry, executor: Executor) -> Runtime:
    runtime = Runtime(
        ledger,
        registry,
        executor,
        wait=settings.wait,
        limits=(settings.arguments_bytes, settings.arguments_depth),
        shadow_every=settings.shadow_every,
    )
    runtime.queue.most_open = settings.open_questions
    return runtime


def servers_of(settings: Settings) -> "dict[str, Configured]":
    """Return the other programs' servers that the settings name.

    Raises:
        SettingsError: one cannot be as it is stated.
        DependencyError: the extra is not installed.
    """
    if not settings.servers:
        return {}
    try:
        from pratique.proxy.configured import configured  # noqa: PLC0415  # an extra
    except ImportError:
        raise DependencyError("[servers] needs the extra: pip install 'pratique[mcp]'") from None
    return configured(settings)


def known_tools(settings: Settings) -> Registry:
    """Return our own tools, and other programs' as far as people approved them. Nothing is started.

    Raises:
        ConfigError: settings or tools are wrong.
        LedgerError: the ledger cannot be read.
    """
    own = Registry.from_modules(settings.tools, settings.base)
    by_name = servers_of(settings)
    if not by_name or not _ledger_file(settings).exists():
        return own
    with open_ledger(settings) as ledger:
        registry = _with_servers(own, ledger, by_name, ladder_of(settings, warm=0), World())
        registry.refresh()
    return registry


def _with_servers(
    own: Registry, ledger: Ledger, by_name: "dict[str, Configured]", ladder: Ladder, world: World
) -> Registry:
    """Return the registry with other programs' tools, as far as people approved them."""
    from pratique.proxy.servers import Servers  # noqa: PLC0415  # an extra

    servers = Servers(ledger, by_name, ladder, world.network, local_login())
    return Registry(own, servers)


def open_desk(settings: Settings) -> Runtime:
    """Return a runtime for people's work on a ledger that is there: it settles nothing and applies no policy.

    Raises:
        ConfigError: settings or tools are wrong.
        LedgerError: there is no ledger, or it cannot be used.
    """
    refuse_old_casbin()
    secrets = settings.secret_values()
    registry = Registry.from_modules(settings.tools, settings.base)
    world = World({name: settings.path(path) for name, path in settings.roots.items()}, secrets)
    _demand_all(registry, world)
    known = [secret.get_secret_value() for secret in secrets.values()]
    executor = Executor(world, ladder_of(settings, warm=0), redaction=settings.redaction(known))
    limits = (settings.arguments_bytes, settings.arguments_depth)
    by_name, ledger = servers_of(settings), open_ledger(settings)
    if by_name:
        registry = _with_servers(registry, ledger, by_name, ladder_of(settings, warm=0), world)
        registry.refresh()
    return Runtime(ledger, registry, executor, limits=limits)


def open_notifier(settings: Settings, ledger: Ledger, desk: Desk) -> Notifier:
    """Return what sends notices, as the settings say; without any channel, it only lets clocks run out.

    Raises:
        SettingsError: a secret cannot be had, or is none.
        DependencyError: an extra is not installed.
    """
    notify, secrets = settings.notify, settings.secret_values()

    def secret(where: str, name: str) -> SecretStr:
        if name not in secrets:
            raise SettingsError(
                f"notify.{where}.secret: no secret is called {name!r}; name it under [secrets]"
            )
        return secrets[name]

    channels: list[Channel] = [
        Webhook(name, hook.url, key_of(name, secret(f"webhooks.{name}", hook.secret)), hook.events)
        for name, hook in notify.webhooks.items()
    ]
    if notify.mail is not None:
        mail = notify.mail
        password = secret("mail", mail.secret) if mail.secret else None
        channels.append(
            Mail(
                mail.host,
                mail.port,
                tls=mail.tls,
                sender=mail.sender,
                events=mail.events,
                username=mail.username,
                password=password,
                ca_file=settings.path(mail.ca_file) if mail.ca_file else None,
            )
        )
    channels += [
        Apprise(name, secret(f"apprise.{name}", one.secret), one.events)
        for name, one in notify.apprise.items()
    ]
    return Notifier(ledger, Outbox(ledger, desk, notify.link), channels)


def open_ledger(settings: Settings, *, create: bool = False) -> Ledger:
    """Return the ledger that the settings name.

    Raises:
        LedgerUnavailableError: there is none, and `create` is false.
        LedgerError: it cannot be used.
    """
    folder = settings.path(settings.folder)
    if not create and not _ledger_file(settings).exists():
        raise LedgerUnavailableError(
            f"there is no ledger at {folder}; a runtime makes one when it starts. If one runs: {ELSEWHERE}"
        )
    return Ledger(
        folder,
        most_waiting=settings.most_waiting,
        keys=None if settings.keys is None else settings.path(settings.keys),
        cadence=Cadence(settings.checkpoint_records, settings.checkpoint_seconds),
    )


def read_policy_file(settings: Settings) -> Policy:
    """Return the policy file, loaded and linted.

    Raises:
        SettingsError: there is no such file.
        PolicyError: it has problems; all are listed.
    """
    path = settings.path(settings.policy)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        hint = f"; write one, or {ELSEWHERE}" if isinstance(problem, FileNotFoundError) else ""
        raise SettingsError(f"policy: {path}: {told(problem)}{hint}") from None
    return Policy(text, path.name)


def _ledger_file(settings: Settings) -> Path:
    return settings.path(settings.folder) / "ledger.db"


def _demand_tested(settings: Settings, registry: Registry) -> None:
    """Raise unless the policy file loads and passes its own tests."""
    failed = failed_tests(read_policy_file(settings), registry)
    if failed:
        raise PolicyError(settings.policy.name, failed)


def failed_tests(policy: Policy, registry: Registry) -> list[str]:
    """Return one line for each test of its own that a policy fails."""
    return [result.line for result in run_tests(policy, registry) if not result.passed]


def put_in_force(
    settings: Settings, ledger: Ledger, registry: Registry, *, apply_policy: bool, applied_by: str = ""
) -> int:
    """Make the policy file the policy in force, if it may become that; return the epoch.

    Raises:
        PolicyNotInForceError: another policy is in force, and `apply_policy` is false.
        PolicyError: the file has problems.
        SettingsError: there is no file, and no policy in force.
    """
    current = ledger.read(queries.policy_in_force)
    if current is not None and not apply_policy and not settings.path(settings.policy).exists():
        return current.epoch
    policy = read_policy_file(settings)
    failed = failed_tests(policy, registry)
    is_in_force = current is not None and current.digest == policy.digest
    if (
        failed
        and current is not None
        and is_in_force
        and policies.put_in_force_failing(ledger, current.epoch)
    ):
        log.warning("the policy in force fails tests of its own", epoch=current.epoch, failed=failed)
    elif failed:
        raise PolicyError(settings.policy.name, failed)
    if current is not None and is_in_force:
        return current.epoch
    if current is not None and not apply_policy:
        raise PolicyNotInForceError(
            f"{settings.policy} ({policy.digest[:12]}) is not the policy in force "
            f"(epoch {current.epoch}, {current.digest[:12]}). Put it in force with `pratique policy apply`, "
            "or restore the file"
        )
    epoch = current.epoch if current else 0
    return policies.apply(ledger, policy, applied_by or local_login(), epoch).epoch


def local_login() -> str:
    """Return who runs this process, by the system's user database: no variable can change it."""
    try:
        return f"local:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"local:{os.getuid()}"


def _demand_floors(settings: Settings, runtime: Runtime) -> None:
    """Find at the start what the policy's isolation floors would make of calls.

    Raises:
        SandboxUnavailableError: a floor demands a level that this machine cannot give.
    """
    policy, tools = runtime.enforcement.snapshot.policy, list(runtime.registry)
    for trouble in unmet(policy, (tool.capability for tool in tools)):
        log.warning("isolation floor", rule=trouble.rule.id, problem=trouble.line)
    demand_levels(tools, lambda: ladder_of(settings, warm=0), policy)


def ladder_of(settings: Settings, *, warm: int) -> Ladder:
    """Return a ladder as the settings have it; nothing of it is started yet."""
    return Ladder(warm=warm, most=settings.sandbox_most, image=settings.sandbox_image or DEFAULT_TAG)


def _demand_ours(ledger: Ledger, own: Registry) -> None:
    """Raise for a tool of ours whose name speaks of a server that the log knows: it could not be called.

    Such a server may have left these settings, or be in those of another process.
    """
    with_prefix = {tool.capability.name.partition(".")[0]: tool.capability.name for tool in own}
    for server in ledger.read(queries.servers) & with_prefix.keys():
        raise ToolDeclarationError(
            f"{with_prefix[server]} is called like a tool of the server {server!r}, which the log knows: "
            f"rename one, or `pratique mcp remove {server}`"
        )


def _demand_all(registry: Registry, world: World) -> None:
    """Raise for the first tool that this host could never run."""
    for tool in registry:
        lacking = world.lacks(tool.capability)
        if lacking:
            raise ToolDeclarationError(f"{tool.capability.name}: " + "; ".join(lacking))
    for problem in registry.problems():
        raise ToolDeclarationError(problem)
