"""`pratique policy`: check, test, explain, who-can, diff; `apply` is in `policy_apply`.

Rules:
- Only `apply` puts anything in force; every other verb reads.
- Exit code 0: all is well. 1: problems, failed tests, no consent or (`--exit-code`) differences. 2: it could
  not be done.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError

from pratique.app import known_tools, ladder_of, open_ledger
from pratique.audit.canonical import canonical
from pratique.capabilities.explain import Hint, explain, hints, who_can
from pratique.capabilities.policy import Policy
from pratique.capabilities.selftest import access_for, coverage, run_tests
from pratique.capabilities.snapshot import Snapshot
from pratique.cli.console import (
    FAILED,
    ConfigOption,
    JsonOption,
    fail,
    load_settings,
    print_json,
    reporting_errors,
    say,
)
from pratique.cli.moments import microseconds_of
from pratique.cli.policy_apply import apply
from pratique.cli.policy_differences import differences, show_differences
from pratique.cli.policy_shown import (
    say_if_no_tools,
    show_explanation,
    show_reach,
    show_report,
    show_tests,
    test_row,
)
from pratique.cli.policy_source import (
    IN_FORCE,
    AtOption,
    PolicyOption,
    capabilities_of,
    load,
    moment_of,
    read_text,
)
from pratique.cli.replay import PAST_US, Since, progressing, show_replay
from pratique.errors import PolicyError
from pratique.ledger.replay import ReplayReport, Stretch, replay
from pratique.model import Taint
from pratique.settings import Settings
from pratique.spelling import meant
from pratique.stages.resolve import problems
from pratique.tools.declaration import Tool
from pratique.tools.levels import lacking_floors
from pratique.tools.registry import Registry

app = typer.Typer(
    name="policy",
    help="Look at, test and apply the policy that decides what agents may do.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)


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
    tools = known_tools(settings)
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
    tools = known_tools(settings)
    loaded = load(settings, policy).policy
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
    declared = _declared(known_tools(settings), tool)
    snapshot = load(settings, policy)
    arguments = _arguments(args, settings)
    invalid = _invalid(declared, arguments)
    access = access_for(snapshot.policy, agent, declared.capability, taint.value)
    found = explain(snapshot, access, arguments, moment_of(at))
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
    tools = capabilities_of(known_tools(settings))
    asked = load(settings, policy).policy
    if not tools:
        fail('there are no tools to ask about: name their modules in pratique.toml, tools = ["desk"]')
    found = who_can(asked, tools, tool, moment_of(at))
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
    tools = known_tools(settings)
    sides = load(settings, before).policy, load(settings, after).policy
    changed = differences(*sides, tools)
    past = _past(settings, sides[1], microseconds_of(since)) if replayed else None
    if as_json:
        found = {
            "direction": changed.direction,
            "cells": changed.cells,
            "relabelled": changed.keys,
            "isolation": changed.levels,
            "groups": changed.groups,
        }
        print_json({**found, "replay": past} if replayed else found)
    else:
        show_differences(changed, tools)
        if past is not None:
            show_replay(past)
    if exit_code and not changed.is_none:
        raise typer.Exit(FAILED)


app.command()(reporting_errors()(apply))


# --- what the verbs share ---------------------------------------------------------------------------------


def _past(settings: Settings, policy: Policy, since_us: int) -> ReplayReport | None:
    """Return what a policy would have made of the recorded calls; None where there is no ledger yet."""
    if not (settings.path(settings.folder) / "ledger.db").exists():
        return None
    since_us = since_us or moment_of(None) - PAST_US
    with open_ledger(settings) as ledger, progressing("deciding again") as told:
        return replay(ledger, Snapshot(policy, 0), Stretch(since_us=since_us), progress=told)


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


def _check(file: Path, tools: Registry, settings: Settings) -> dict[str, Any]:
    """Return what there is to say about one file."""
    report: dict[str, Any] = {"file": str(file), "digest": "", "problems": [], "hints": []}
    try:
        policy = Policy(read_text(file), file.name)
    except PolicyError as problem:
        return {**report, "problems": list(problem.problems)}
    results = run_tests(policy, tools) if len(tools) else []
    found: Iterator[Hint] = hints(policy, capabilities_of(tools), results, moment_of(None))
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
