"""`pratique policy`: check, test, explain, who-can, diff, apply.

Rules:
- A policy is named by its file, or `in-force` for the one that the ledger says decides now.
- Only `apply` puts anything in force, and it is what it showed, whatever became of the file meanwhile.
- Exit code 0: all is well. 1: problems, failed tests, no consent or (`--exit-code`) differences. 2: it could
  not be done.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError

from pratique.app import failed_tests, known_tools, ladder_of, local_login, open_ledger
from pratique.audit.canonical import canonical
from pratique.capabilities.diff import Direction, diff, direction_of, refloored, relabelled
from pratique.capabilities.electing import Elected, elected
from pratique.capabilities.explain import Hint, explain, hints, who_can
from pratique.capabilities.isolation import unmet
from pratique.capabilities.manifest import microseconds
from pratique.capabilities.policy import Policy
from pratique.capabilities.selftest import access_for, coverage, run_tests
from pratique.capabilities.snapshot import Snapshot
from pratique.cli.console import (
    FAILED,
    ConfigOption,
    JsonOption,
    complain,
    fail,
    load_settings,
    print_json,
    reporting_errors,
    say,
)
from pratique.cli.moments import microseconds_of
from pratique.cli.policy_shown import (
    say_if_no_tools,
    show_changes,
    show_elected,
    show_explanation,
    show_reach,
    show_report,
    show_tests,
    test_row,
)
from pratique.cli.replay import PAST_US, Since, progressing, show_past, show_replay
from pratique.errors import PolicyError, SettingsError, told
from pratique.ledger import policies
from pratique.ledger.replay import ReplayReport, Stretch, replay
from pratique.model import Capability, Taint
from pratique.settings import ELSEWHERE, Settings
from pratique.spelling import meant
from pratique.stages.resolve import problems
from pratique.tools.levels import lacking_floors
from pratique.tools.registry import Registry, Tool

IN_FORCE = "in-force"

app = typer.Typer(
    name="policy",
    help="Look at, test and apply the policy that decides what agents may do.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)

PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        "-p",
        metavar="FILE|in-force",
        help="Which policy.",
        show_default="the file that the settings name",
    ),
]
AtOption = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        formats=["%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M", "%Y-%m-%d"],
        metavar="TIME",
        help="The moment to ask for; 2026-12-01T06:00Z or 2026-12-01.",
        show_default="now",
    ),
]


@app.command()
@reporting_errors()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Policy files; left out, the settings' own."),
    ] = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Load a policy, and print every problem and hint on a line that names its key.

    A problem keeps the policy from loading. A hint (a pattern that matches no declared tool, a rule that no
    test covers, an exception that expired) does not.

    Example: `pratique policy check policy.toml`
    """
    settings = load_settings(config)
    tools = _tools(settings)
    reports = [_check(file, tools, settings) for file in files or [settings.path(settings.policy)]]
    if as_json:
        print_json(reports)
    else:
        for report in reports:
            show_report(report)
    if any(report["problems"] for report in reports):
        raise typer.Exit(FAILED)


@app.command(name="test")
@reporting_errors()
def run_own_tests(
    policy: PolicyOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Run the policy's own `[[test]]` rows, and say which rules they cover.

    pratique policy test --policy policy.toml
    """
    settings = load_settings(config)
    tools = _tools(settings)
    loaded = _load(settings, policy).policy
    results = run_tests(loaded, tools)
    uncovered = list(coverage(results, loaded))
    if as_json:
        print_json(
            {
                "policy": loaded.digest,
                "tests": [test_row(result) for result in results],
                "uncovered": uncovered,
            }
        )
    else:
        show_tests(results, uncovered, len(loaded.rules))
        say_if_no_tools(tools)
    if not all(result.passed for result in results):
        raise typer.Exit(FAILED)


@app.command(name="explain")
@reporting_errors()
def explain_command(
    agent: Annotated[str, typer.Argument(help="Who asks.")],
    tool: Annotated[str, typer.Argument(help="What for.")],
    args: Annotated[str, typer.Argument(help="The arguments, a JSON object.")] = "{}",
    taint: Annotated[Taint, typer.Option(help="How near text from outside came.")] = Taint.NONE,
    at: AtOption = None,
    policy: PolicyOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say how one call would be decided, by which rules, and what stood in the way of the others.

    pratique policy explain support billing.refund '{"amount": 80, "currency": "EUR"}' --taint context
    """
    settings = load_settings(config)
    declared = _declared(_tools(settings), tool)
    snapshot = _load(settings, policy)
    arguments = _arguments(args, settings)
    invalid = _invalid(declared, arguments)
    access = access_for(snapshot.policy, agent, declared.capability, taint.value)
    found = explain(snapshot, access, arguments, _moment(at))
    if as_json:
        refused = {"word": "deny"} if invalid else {}
        print_json({**found.model_dump(mode="json"), **refused, "invalid_arguments": invalid})
        return
    show_explanation(found, declared.capability, invalid)
    known = snapshot.policy.file.agents
    if agent not in known:
        say(
            f"hint: agents of the policy: {', '.join(sorted(known)) or 'none'}{meant(agent, known)}", "yellow"
        )


@app.command(name="who-can")
@reporting_errors()
def who_can_command(
    tool: Annotated[str, typer.Argument(help="A tool, or a pattern as in a rule: `mail.*`, `*`.")],
    at: AtOption = None,
    policy: PolicyOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List what each agent's calls of a tool come to, at every taint level, and by which rules.

    `allow/deny` means that the arguments decide; `explain` says how.

    Example: `pratique policy who-can billing.refund`
    """
    settings = load_settings(config)
    tools = _capabilities(_tools(settings))
    asked = _load(settings, policy).policy
    if not tools:
        fail('there are no tools to ask about: name their modules in pratique.toml, tools = ["desk"]')
    found = who_can(asked, tools, tool, _moment(at))
    if as_json:
        print_json(found)
        return
    if not asked.subjects:
        fail("nobody can: the policy declares no agent")
    if not found:
        fail(
            f"no declared tool matches {tool!r} (declared: {', '.join(sorted(each.name for each in tools))})"
        )
    show_reach(found)


@app.command(name="diff")
@reporting_errors()
def diff_command(
    before: Annotated[str, typer.Argument(metavar="[A]", help="A file, or `in-force`.")] = IN_FORCE,
    after: Annotated[
        str | None, typer.Argument(metavar="[B]", help="A file, or `in-force`; left out, the settings' file.")
    ] = None,
    config: ConfigOption = None,
    *,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when anything differs.")
    ] = False,
    replayed: Annotated[
        bool, typer.Option("--replay", help="Say what B would have made of the recorded calls, too.")
    ] = False,
    since: Since = None,
    as_json: JsonOption = False,
) -> None:
    """Name every agent, tool and taint level for which two policies answer differently, and which way.

    It is exact for the declared tools: what is not named does not change. Keys that decide how a call comes
    to its taint level (labels of tools, plans) are named beside. With `--replay`, the calls of the last 31
    days (or since `--since`) are decided again by B, as `pratique audit replay` does it.

    Example: `pratique policy diff in-force policy.toml`
    """
    settings = load_settings(config)
    tools = _tools(settings)
    sides = _load(settings, before).policy, _load(settings, after).policy
    changes, keys = diff(*sides, _capabilities(tools)), relabelled(*sides)
    levels, groups = refloored(*sides, _capabilities(tools)), elected(*sides)
    past = _past(settings, sides[1], microseconds_of(since)) if replayed else None
    if as_json:
        direction = direction_of([*changes, *levels], [*keys, *_come(groups)])
        found = {"direction": direction, "cells": changes, "relabelled": keys, "isolation": levels}
        found["groups"] = groups
        print_json({**found, "replay": past} if replayed else found)
    else:
        show_changes(changes, keys, levels, groups)
        show_elected(groups, local_login())
        say_if_no_tools(tools)
        if past is not None:
            show_replay(past)
    if (changes or keys or levels or groups) and exit_code:
        raise typer.Exit(FAILED)


@app.command()
@reporting_errors()
def apply(
    config: ConfigOption = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Never ask; refuse what would have to be asked.")
    ] = False,
    only_tighter: Annotated[
        bool,
        typer.Option(
            "--only-tighter",
            help="In an emergency: apply although tests fail, if no call is answered more mildly than now.",
        ),
    ] = False,
) -> None:
    """Put the settings' policy file in force.

    It must pass its own tests. What changes is shown, and unless it only gets tighter, you are asked.

    `--only-tighter` applies a change that can only take away, a deny in an incident, even if it breaks the
    file's own tests: the record names them, and they are to be mended afterwards. Anything milder is refused.

    Running processes take it up with their next call, and none decides by half of it.

    Example: `pratique policy apply`
    """
    settings = load_settings(config)
    registry = _tools(settings)
    policy = _load(settings, None).policy
    failed = failed_tests(policy, registry)
    for line in failed:
        complain(f"{settings.policy.name}: {line}", "red")
    if failed and not only_tighter:
        fail(
            f"not applied: {_tests(len(failed))}; a change that only tightens can go first: --only-tighter",
            FAILED,
        )
    with open_ledger(settings, create=True) as ledger:
        current = policies.in_force(ledger)
        if current.epoch and current.policy.digest == policy.digest:
            say(f"nothing to do: {settings.policy} is in force (epoch {current.epoch})")
            return
        changes = diff(current.policy, policy, _capabilities(registry))
        keys = relabelled(current.policy, policy)
        levels = refloored(current.policy, policy, _capabilities(registry))
        groups = elected(current.policy, policy)
        show_changes(changes, keys, levels, groups)
        show_elected(groups, local_login())
        say_if_no_tools(registry)
        troubles = _troubles(policy, registry, settings)
        for line in troubles:
            complain(f"{settings.policy.name}: {line}", "yellow")
        # Without tools there is nothing to compare by, which is not the same as no difference.
        # Of an agent that is gone, no floor matters any more.
        left = [level for level in levels if level.agent in policy.subjects]
        keys = [*keys, *_come(groups)]
        direction = direction_of([*changes, *left], keys) if len(registry) else Direction.OTHER
        if only_tighter:
            _demand_tighter(direction)
        else:
            if current.epoch:
                show_past(ledger, Snapshot(policy, 0), settings.policy.name)
            if troubles:
                direction = Direction.OTHER  # calls that fail are not what a tighter policy is for: ask
            _confirm(direction, first=current.epoch == 0, yes=yes, no_input=no_input)
        epoch = policies.apply(ledger, policy, local_login(), current.epoch, failed).epoch
    say(f"in force: {settings.policy} ({policy.digest[:12]}), epoch {epoch}", "green")


# --- what the verbs share ---------------------------------------------------------------------------------


def _past(settings: Settings, policy: Policy, since_us: int) -> ReplayReport | None:
    """Return what a policy would have made of the recorded calls; None where there is no ledger yet."""
    if not (settings.path(settings.folder) / "ledger.db").exists():
        return None
    since_us = since_us or _moment(None) - PAST_US
    with open_ledger(settings) as ledger, progressing("deciding again") as told:
        return replay(ledger, Snapshot(policy, 0), Stretch(since_us=since_us), progress=told)


def _tools(settings: Settings) -> Registry:
    return known_tools(settings)


def _capabilities(tools: Registry) -> list[Capability]:
    return [tool.capability for tool in tools]


def _load(settings: Settings, named: str | None) -> Snapshot:
    """Return the policy that is named: a file, `in-force`, or, for None, the settings' file."""
    if named == IN_FORCE:
        return _in_force(settings)
    path = Path(named) if named is not None else settings.path(settings.policy)
    return Snapshot(Policy(_text(path), str(named or path.name)), 0)


def _in_force(settings: Settings) -> Snapshot:
    folder = settings.path(settings.folder)
    if not (folder / "ledger.db").exists():
        return Snapshot(Policy(policies.NOTHING, "the empty policy"), 0)
    with open_ledger(settings) as ledger:
        return policies.in_force(ledger)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        hint = f"; {ELSEWHERE}" if isinstance(problem, FileNotFoundError) else ""
        raise SettingsError(f"policy: {path}: {told(problem)}{hint}") from None


def _declared(tools: Registry, name: str) -> Tool:
    found = tools.get(name)
    if found is None:
        names = sorted(tool.capability.name for tool in tools)
        known = ", ".join(names) or "none; name their modules in pratique.toml"
        fail(f"{tools.why_not(name)} (declared: {known}){meant(name, names)}")
    return found


def _arguments(text: str, settings: Settings) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        fail(f"ARGS is not JSON: {problem}")
    if not isinstance(value, dict):
        fail("ARGS is not a JSON object, like '{\"amount\": 80}'")
    canonical(value, most_bytes=settings.arguments_bytes)
    return value


def _invalid(tool: Tool, arguments: dict[str, Any]) -> str:
    try:
        tool.arguments.model_validate_json(orjson.dumps(arguments), strict=True)
    except ValidationError as problem:
        return problems(problem)
    return ""


def _moment(at: datetime | None) -> int:
    if at is None:
        return time.time_ns() // 1000
    return microseconds(at if at.tzinfo else at.replace(tzinfo=UTC))


def _confirm(direction: Direction, *, first: bool, yes: bool, no_input: bool) -> None:
    """Ask a person, unless the change only tightens, or is the first policy, or they said yes beforehand.

    Raises:
        typer.Exit: nobody agreed; nothing was changed.
    """
    if yes or first or direction in {Direction.SAME, Direction.TIGHTER}:
        return
    if no_input:
        fail("not applied: the change is not only tighter; look at it and say --yes", FAILED)
    if not typer.confirm("Put it in force?", err=True):
        fail("not applied: nothing was changed", FAILED)


def _come(groups: list[Elected]) -> list[str]:
    """Return the groups that somebody comes into: who may say yes is no tightening."""
    return [one.group for one in groups if one.comes]


def _demand_tighter(direction: Direction) -> None:
    """Stop unless the change can only take away.

    Raises:
        typer.Exit: some call would be answered more mildly, or run in a weaker level; nothing was changed.
    """
    if direction not in {Direction.SAME, Direction.TIGHTER}:
        fail("not applied: --only-tighter, and the change is not only tighter; nothing was changed", FAILED)


def _tests(failed: int) -> str:
    return "1 test of its own fails" if failed == 1 else f"{failed} tests of its own fail"


def _troubles(policy: Policy, tools: Registry, settings: Settings) -> list[str]:
    """Return a line for each isolation floor under which calls would fail, here, with these tools."""
    inline = [f"{found.rule.id}.level: {found.line}" for found in unmet(policy, _capabilities(tools))]
    return inline + lacking_floors(policy, tools, lambda: ladder_of(settings, warm=0))


def _check(file: Path, tools: Registry, settings: Settings) -> dict[str, Any]:
    """Return what there is to say about one file."""
    report: dict[str, Any] = {"file": str(file), "digest": "", "problems": [], "hints": []}
    try:
        policy = Policy(_text(file), file.name)
    except PolicyError as problem:
        return {**report, "problems": list(problem.problems)}
    results = run_tests(policy, tools) if len(tools) else []
    found: Iterator[Hint] = hints(policy, _capabilities(tools), results, _moment(None))
    return {
        **report,
        "digest": policy.digest,
        "problems": [result.line for result in results if not result.passed],
        "hints": [
            *(hint.line for hint in found),
            *lacking_floors(policy, tools, lambda: ladder_of(settings, warm=0)),
            *tools.problems(),
        ],
    }
