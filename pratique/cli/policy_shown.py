"""How `pratique policy` shows what it found: lines that can be searched, tables that can be read.

Rules:
- Every name and text goes through `one_line`: a policy file cannot drive the terminal of who looks at it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from pratique.capabilities.diff import Cell, Direction, Refloored
from pratique.capabilities.electing import Elected, elects
from pratique.capabilities.explain import Explanation, Reach
from pratique.capabilities.selftest import TestResult
from pratique.cli.console import complain, console, one_line, say
from pratique.model import Capability, Level, Taint
from pratique.tools.registry import Registry

MOST_CELLS = 40
"""Cells that a diff prints before it counts the rest. `--json` has them all."""

_COLORS = {
    "allow": "green",
    "ask": "yellow",
    "deny": "red",
    "tighter": "green",
    "looser": "red",
    "other": "yellow",
}


def show_report(report: dict[str, Any]) -> None:
    """Print what there is to say about one file."""
    name = Path(report["file"]).name
    for problem in report["problems"]:
        say(f"{name}: {problem}", "red")
    for hint in report["hints"]:
        say(f"{name}: hint: {hint}", "yellow")
    if not report["problems"]:
        say(f"{name}: ok ({report['digest'][:12]})", "green")


def test_row(result: TestResult) -> dict[str, Any]:
    """Return a test and its result as JSON values."""
    return {
        **result.test.model_dump(mode="json"),
        "got": result.got,
        "passed": result.passed,
        "because": result.because,
        "rules": sorted(result.rules),
    }


def show_tests(results: list[TestResult], uncovered: list[str], rules: int) -> None:
    """Print a table of tests, and what they cover."""
    table = _table("", "agent", "tool", "args", "taint", "expect", "got")
    for result in results:
        asked = result.test
        table.add_row(
            Text("pass", "green") if result.passed else Text("FAIL", "bold red"),
            *_cells(asked.agent, asked.tool, _json(asked.args), asked.taint.value),
            _word(asked.expect),
            _word(result.got),
        )
    if results:
        console.print(table)
    for result in results:
        if not result.passed:
            say(result.line, "red")
    passed = sum(result.passed for result in results)
    say(f"{passed} of {len(results)} tests pass; they reach {rules - len(uncovered)} of {rules} rules")
    for rule in uncovered:
        say(f"hint: {rule}: matches in no [[test]]", "yellow")


def show_explanation(found: Explanation, tool: Capability, invalid: str = "") -> None:
    """Print a question, its answer, every rule that has to do with it, and where the call would run.

    Args:
        found: what the rules say.
        tool: what is called.
        invalid: why the tool does not take these arguments: such a call is denied whatever the rules say.
    """
    moment = f"{datetime.fromtimestamp(found.at / 1e6, tz=UTC):%Y-%m-%d %H:%M:%S}Z"
    kind = f"tier {found.tier}, class {found.confidentiality}, taint {found.taint}"
    say(f"{found.agent} calls {found.tool} ({kind})")
    say(
        f"  at {moment}, policy {found.policy[:12]}" + (f", epoch {found.epoch}" if found.epoch else ""),
        "dim",
    )
    if invalid:
        say("deny", "bold red")
        say(f"  {found.tool} does not take these arguments: {invalid}")
        say("  what the rules would say of others:", "dim")
    say(("  " if invalid else "") + found.word, f"{'dim' if invalid else 'bold'} {_COLORS[found.word]}")
    for reason in found.reasons:
        say(f"  {reason.text}")
    if found.matched:
        say("matched", "bold")
        for match in found.matched:
            condition = f": {match.condition}" if match.condition else ""
            say(f"  {match.effect:5} {match.rule} (to {match.to}){condition}", _COLORS[match.effect])
    if found.nearly:
        say("nearly", "bold")
        for miss in found.nearly:
            say(f"  {miss.effect:5} {miss.rule} (to {miss.to}): {'; '.join(miss.obstacles)}", "dim")
    _show_place(found, tool)


def _show_place(found: Explanation, tool: Capability) -> None:
    """Print where the call would run, and what its code may call."""
    if found.floors or tool.runs_in is not Level.INLINE:
        say("runs in", "bold")
        say(f"  {tool.runs_in}: what {tool.name} declares")
        for floor in found.floors:
            say(f"  {floor.level} at least: {floor.rule} (to {floor.to})")
        if tool.runs_in is Level.INLINE and found.floors:
            say(f"  so it would fail: an inline tool cannot run in a {found.at_least}", "yellow")
    if tool.calls:
        say("its code may call, each a call of its own", "bold")
        say(f"  {', '.join(tool.calls)}")


def show_reach(found: list[Reach]) -> None:
    """Print who can call what, one line for each agent and tool."""
    table = _table("agent", "tool", *map(str, Taint), "rules")
    rows: dict[tuple[str, str], list[Reach]] = {}
    for reach in found:
        rows.setdefault((reach.agent, reach.tool), []).append(reach)
    for (agent, tool), levels in rows.items():
        rules = dict.fromkeys(rule for level in levels for rule in level.rules)
        table.add_row(
            *_cells(agent, tool), *(_words(level.words) for level in levels), one_line(", ".join(rules))
        )
    console.print(table)


def show_changes(
    changes: list[Cell], keys: list[str], levels: list[Refloored], groups: list[Elected]
) -> None:
    """Print what a change of policy changes."""
    table = _table("agent", "tool", "taint", "before", "after", "", "rules")
    for cell in changes[:MOST_CELLS]:
        rules = [f"-{rule}" for rule in cell.rules_before] + [f"+{rule}" for rule in cell.rules_after]
        table.add_row(
            *_cells(cell.agent, f"{cell.tool} ({cell.tier})", cell.taint),
            _words(cell.before),
            Text("otherwise", "dim") if cell.conditional else _words(cell.after),
            _word(cell.direction),
            one_line(" ".join(rules)),
        )
    if changes:
        console.print(table)
    if len(changes) > MOST_CELLS:
        say(f"and {len(changes) - MOST_CELLS} more; --json has them all")
    counts = [f"{sum(cell.direction == way for cell in changes)} {way}" for way in list(Direction)[1:]]
    for key in keys:
        say(f"{key}: differs, and with it which taint calls have", "yellow")
    _show_levels(levels)
    if changes or not (keys or levels or groups):
        say(f"{len(changes)} kinds of call change: {', '.join(counts)}" if changes else "no difference")


def show_elected(groups: list[Elected], person: str) -> None:
    """Print who may answer questions from now on, and who no longer; loudly, if it is who would apply it."""
    for one in groups:
        for name in one.comes:
            say(f"{name} comes into {one.group}: may answer what asks for it", "yellow")
        for name in one.goes:
            say(f"{name} leaves {one.group}")
    for group in elects(groups, person):
        complain(f"note: this makes YOU ({person}) an approver: {group}. The record will say so", "bold red")


def _show_levels(levels: list[Refloored]) -> None:
    """Print which calls may run in another level than before, one line for all taints that are alike."""
    alike: dict[tuple[str, str, str, str, str], list[str]] = {}
    for one in levels:
        rules = " ".join([f"-{rule}" for rule in one.rules_before] + [f"+{rule}" for rule in one.rules_after])
        key = (one.agent, one.tool, one.before.value, one.after.value, rules)
        alike.setdefault(key, []).append(one.taint)
    table = _table("agent", "tool", "taint", "at least", "now", "rules")
    for (agent, tool, before, after, rules), taints in list(alike.items())[:MOST_CELLS]:
        every = "any" if len(taints) == len(Taint) else ", ".join(taints)
        table.add_row(*_cells(agent, tool, every, before, after, rules))
    if levels:
        console.print(table)
    if len(alike) > MOST_CELLS:
        say(f"and {len(alike) - MOST_CELLS} more; --json has them all")


def say_if_no_tools(tools: Registry) -> None:
    """Say that nothing can be said about tools, when none are declared."""
    if not len(tools):
        complain("note: the settings name no tool modules, so there are no tools to ask about", "yellow")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _cells(*texts: str) -> list[Text]:
    return [one_line(text) for text in texts]


def _word(word: str) -> Text:
    return Text(word, _COLORS.get(word, ""))


def _words(words: tuple[str, ...]) -> Text:
    return Text("/").join(map(_word, words))


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()
