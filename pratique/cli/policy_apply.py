"""`pratique policy apply`: put the settings' policy file in force, after what it changes was shown.

Rules:
- What is put in force is what was shown, whatever became of the file meanwhile.
- Nobody is asked about a change that can only take away. `--only-tighter` refuses every other one.
"""

from typing import Annotated

import typer

from pratique.app import failed_tests, known_tools, ladder_of, local_login, open_ledger
from pratique.capabilities.diff import Direction
from pratique.capabilities.isolation import unmet
from pratique.capabilities.policy import Policy
from pratique.capabilities.snapshot import Snapshot
from pratique.cli.console import FAILED, ConfigOption, complain, fail, load_settings, say
from pratique.cli.policy_differences import differences, show_differences
from pratique.cli.policy_source import capabilities_of, load
from pratique.cli.replay import show_past
from pratique.ledger import policies
from pratique.settings import Settings
from pratique.tools.levels import lacking_floors
from pratique.tools.registry import Registry


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
    tools = known_tools(settings)
    policy = load(settings, None).policy
    failed = failed_tests(policy, tools)
    _demand_passed(failed, settings, only_tighter=only_tighter)
    with open_ledger(settings, create=True) as ledger:
        current = policies.in_force(ledger)
        if current.epoch and current.policy.digest == policy.digest:
            say(f"nothing to do: {settings.policy} is in force (epoch {current.epoch})")
            return
        direction = _show_what_changes(current.policy, policy, tools)
        lacking = _show_floors_unmet(policy, tools, settings)
        if only_tighter:
            _demand_tighter(direction)
        else:
            if current.epoch:
                show_past(ledger, Snapshot(policy, 0), settings.policy.name)
            # Calls that fail are not what a tighter policy is for: ask.
            _confirm(
                Direction.OTHER if lacking else direction,
                first=current.epoch == 0,
                yes=yes,
                no_input=no_input,
            )
        epoch = policies.apply(ledger, policy, local_login(), current.epoch, failed).epoch
    say(f"in force: {settings.policy} ({policy.digest[:12]}), epoch {epoch}", "green")


def _demand_passed(failed: list[str], settings: Settings, *, only_tighter: bool) -> None:
    """Print the policy's own tests that fail, and stop for them, unless the change can only take away.

    Raises:
        typer.Exit: some fail; nothing was changed.
    """
    for line in failed:
        complain(f"{settings.policy.name}: {line}", "red")
    if failed and not only_tighter:
        fail(
            f"not applied: {_tests(len(failed))}; a change that only tightens can go first: --only-tighter",
            FAILED,
        )


def _show_what_changes(before: Policy, after: Policy, tools: Registry) -> Direction:
    """Print what changes, and return which way it goes."""
    changed = differences(before, after, tools)
    show_differences(changed, tools)
    if not len(tools):  # nothing to compare by, which is not the same as no difference
        return Direction.OTHER
    # Of an agent that is gone, no floor matters any more.
    left = [level for level in changed.levels if level.agent in after.subjects]
    return changed._replace(levels=left).direction


def _show_floors_unmet(policy: Policy, tools: Registry, settings: Settings) -> bool:
    """Print each isolation floor under which calls would fail, here, with these tools; return if any does."""
    inline = [f"{found.rule.id}.level: {found.line}" for found in unmet(policy, capabilities_of(tools))]
    found = inline + lacking_floors(policy, tools, lambda: ladder_of(settings, warm=0))
    for line in found:
        complain(f"{settings.policy.name}: {line}", "yellow")
    return bool(found)


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


def _demand_tighter(direction: Direction) -> None:
    """Stop unless the change can only take away.

    Raises:
        typer.Exit: some call would be answered more mildly, or run in a weaker level; nothing was changed.
    """
    if direction not in {Direction.SAME, Direction.TIGHTER}:
        fail("not applied: --only-tighter, and the change is not only tighter; nothing was changed", FAILED)


def _tests(failed: int) -> str:
    return "1 test of its own fails" if failed == 1 else f"{failed} tests of its own fail"
