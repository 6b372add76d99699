"""Promise: `pratique policy` answers people and programs, and says what is wrong in one line."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pratique.app import open_runtime
from pratique.capabilities.policy import Policy
from pratique.cli.policy import app
from pratique.errors import PolicyError
from pratique.ledger import policies
from pratique.ledger.door import Ledger
from tests.house import records

TOOLS = """
import pratique

@pratique.tool("crm.lookup", tier="read")
def lookup(ctx: pratique.ToolContext, customer: str) -> dict[str, str]: ...

@pratique.tool("billing.refund", tier="irreversible")
def refund(ctx: pratique.ToolContext, amount: int, currency: str) -> dict[str, str]: ...
"""

POLICY = """
[agents.support]
owner = "ana@acme.example"

[groups]
leads = ["li@acme.example"]

[constraints]
small = "amount <= 50 and currency == 'EUR'"

[[allow]]
id = "reads"
to = "support"
tools = ["crm.*"]
taint = "sink"

[[allow]]
id = "refunds"
to = "support"
tools = ["billing.refund"]
tier = "irreversible"
when = "small"

[[ask]]
id = "writes"
to = "*"
tools = ["*"]
tier = "write"
approvers = "leads"

[[test]]
agent = "support"
tool = "crm.lookup"
args = { customer = "8821" }
expect = "allow"

[[test]]
agent = "support"
tool = "billing.refund"
args = { amount = 80, currency = "EUR" }
expect = "deny"
"""

Run = Callable[..., Result]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings, tools and a policy, being the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "house_tools.py").write_text(TOOLS)
    (tmp_path / "pratique.toml").write_text('tools = ["house_tools"]\n')
    (tmp_path / "policy.toml").write_text(POLICY)
    return tmp_path


@pytest.fixture
def run(house: Path, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: ARG001  # the verbs run in it
    monkeypatch.setenv("COLUMNS", "200")

    def verb(*words: str, exit_code: int = 0, answer: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(words), input=answer)
        assert result.exit_code == exit_code, result.output
        return result

    return verb


def of(result: Result) -> Any:
    assert result.stderr == ""
    return json.loads(result.stdout)


def change(house: Path, old: str, new: str, file: str = "policy.toml") -> Path:
    text = (house / "policy.toml").read_text()
    assert old in text
    (house / file).write_text(text.replace(old, new))
    return house / file


def lines(result: Result) -> list[str]:
    return [line.rstrip() for line in result.stdout.splitlines()]


# --- check ------------------------------------------------------------------------------------------------


def test_check_says_ok_and_hints(run: Run) -> None:
    found = lines(run("check"))
    assert found[0] == "policy.toml: hint: refunds: matches in no [[test]]"
    assert found[-1].startswith("policy.toml: ok (")
    assert len(found) == 2


def test_check_prints_each_problem_on_a_line_with_file_and_key(run: Run, house: Path) -> None:
    change(house, 'tier = "irreversible"\nwhen = "small"', 'teir = "write"\nwhen = 5')
    found = lines(run("check", exit_code=1))
    assert found[0] == "policy.toml: allow[1].when: Input should be a valid string, got '5' (rule 'refunds')"
    assert found[1] == "policy.toml: allow[1].teir: unknown key; did you mean 'tier'? (rule 'refunds')"
    assert len(found) == 2


def test_check_counts_a_failing_test_as_a_problem_because_the_policy_would_not_load(
    run: Run, house: Path
) -> None:
    change(house, 'expect = "deny"', 'expect = "ask"')
    assert "expected ask, got deny" in lines(run("check", exit_code=1))[0]


def test_check_takes_several_files_and_gives_json(run: Run, house: Path) -> None:
    change(house, "[agents.support]", "[agents.support]\nower = 1", file="bad.toml")
    good, bad = of(run("check", "policy.toml", "bad.toml", "--json", exit_code=1))
    assert good["problems"] == []
    assert bad["problems"] == ["agents.support.ower: unknown key; did you mean 'owner'?"]
    assert len(good["digest"]) == 64


def test_a_policy_file_cannot_drive_the_terminal(run: Run, house: Path) -> None:
    change(house, "[agents.support]", '[agents.support]\n"\\u001b[31m\\u202e[bold]x" = 1')
    found = run("check", exit_code=1).stdout
    assert "agents.support.⟨U+001B⟩[31m⟨U+202E⟩[bold]x: unknown key" in found
    assert "\x1b" not in run("check", "--json", exit_code=1).stdout
    assert "\u202e" not in run("check", "--json", exit_code=1).stdout


# --- test -------------------------------------------------------------------------------------------------


def test_test_shows_each_row_and_what_is_not_covered(run: Run) -> None:
    found = lines(run("test"))
    assert found[-2:] == [
        "2 of 2 tests pass; they reach 2 of 3 rules",
        "hint: refunds: matches in no [[test]]",
    ]
    assert "allow" in found[1]


def test_a_failing_test_is_exit_code_1_and_says_why(run: Run, house: Path) -> None:
    change(house, 'expect = "deny"', 'expect = "ask"')
    result = run("test", exit_code=1)
    assert "FAIL" in result.stdout
    assert (
        "test: support calls billing.refund: expected ask, got deny (no rule allows support" in result.stdout
    )
    rows = of(run("test", "--json", exit_code=1))["tests"]
    assert [row["passed"] for row in rows] == [True, False]
    assert rows[0]["rules"] == ["reads"]


# --- explain ----------------------------------------------------------------------------------------------

REFUND = '{"amount": 20, "currency": "EUR"}'


def test_explain_names_the_answer_the_matches_and_the_near_misses(run: Run) -> None:
    found = lines(run("explain", "support", "billing.refund", '{"amount": 80, "currency": "EUR"}'))
    assert found[0] == "support calls billing.refund (tier irreversible, class internal, taint none)"
    assert found[2] == "deny"
    assert "  ask   writes (to *)" in found
    assert found[-1] == "  allow refunds (to support): small is false"


def test_explain_takes_taint_and_moment_and_gives_json(run: Run) -> None:
    asked = ("explain", "support", "billing.refund", REFUND, "--json")
    assert of(run(*asked))["word"] == "ask"
    found = of(run(*asked, "--taint", "sink", "--at", "2026-12-01T06:00Z"))
    assert (found["word"], found["taint"], found["at"]) == ("deny", "sink", 1_796_104_800_000_000)
    assert found["nearly"][0]["obstacles"] == ["taint only up to none, this is sink"]
    assert of(run(*asked, "--at", "2026-12-01T08:00+02:00"))["at"] == 1_796_104_800_000_000


def test_explain_says_when_the_tool_would_refuse_the_arguments(run: Run) -> None:
    asked = ("explain", "support", "billing.refund", '{"amount": "20"}')
    said = lines(run(*asked))
    assert said[2] == "deny"
    assert said[3].startswith("  billing.refund does not take these arguments: amount")
    assert said[4] == "  what the rules would say of others:"
    assert of(run(*asked, "--json"))["word"] == "deny"
    assert of(run("explain", "support", "billing.refund", REFUND, "--json"))["invalid_arguments"] == ""


@pytest.mark.parametrize(
    ("settings", "policy", "tool", "says"),
    [
        ("", POLICY, "mail.send", "there are no tools to ask about: name their modules"),
        ('tools = ["house_tools"]', "", "crm.*", "nobody can: the policy declares no agent"),
        (
            'tools = ["house_tools"]',
            POLICY,
            "mail.*",
            "no declared tool matches 'mail.*' (declared: billing.refund, crm",
        ),
    ],
)
def test_who_can_says_why_it_has_no_answer(
    run: Run, house: Path, settings: str, policy: str, tool: str, says: str
) -> None:
    (house / "pratique.toml").write_text(settings)
    (house / "policy.toml").write_text(policy)
    result = run("who-can", tool, exit_code=2)
    assert says in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("billing.refnd", "{}"), "there is no tool 'billing.refnd' (declared: billing.refund, crm.lookup)"),
        (("billing.refund", "{amount}"), "ARGS is not JSON"),
        (("billing.refund", "[1]"), "ARGS is not a JSON object"),
        (("billing.refund", '{"amount": NaN}'), "ARGS is not JSON"),
        (("billing.refund", '{"amount": 99999999999999999}'), "is beyond 2^53 - 1"),
        (("billing.refund", "{}", "--policy", "gone.toml"), "policy: gone.toml: No such file or directory"),
        (("billing.refund", "{}", "--config", "gone.toml"), "gone.toml"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_code_2(
    run: Run, words: tuple[str, ...], says: str
) -> None:
    result = run("explain", "support", *words, exit_code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


# --- who-can ----------------------------------------------------------------------------------------------


def test_who_can_lists_agents_by_taint(run: Run) -> None:
    rows = [line.split() for line in lines(run("who-can", "*"))]
    assert rows[0] == ["agent", "tool", "none", "context", "argument", "sink", "rules"]
    assert rows[1][:6] == ["support", "billing.refund", "ask/deny", "deny", "deny", "deny"]
    assert rows[2] == ["support", "crm.lookup", "allow", "allow", "allow", "allow", "reads"]
    assert of(run("who-can", "crm.lookup", "--json"))[0]["words"] == ["allow"]


def test_who_can_do_what_is_not_declared_is_an_error(run: Run) -> None:
    assert "no declared tool matches 'nothing.*'" in run("who-can", "nothing.*", exit_code=2).stderr


# --- diff -------------------------------------------------------------------------------------------------


def test_diff_names_each_cell_and_counts_directions(run: Run, house: Path) -> None:
    change(house, 'taint = "sink"', 'taint = "argument"', file="new.toml")
    result = run("diff", "policy.toml", "new.toml")
    assert lines(result)[1].split() == [
        "support", "crm.lookup", "(read)", "sink", "allow", "deny", "tighter", "-reads",
    ]  # fmt: skip
    assert lines(result)[-1] == "1 kinds of call change: 1 tighter, 0 looser, 0 other"
    run("diff", "policy.toml", "new.toml", "--exit-code", exit_code=1)
    run("diff", "policy.toml", "policy.toml", "--exit-code")
    found = of(run("diff", "new.toml", "policy.toml", "--json"))
    assert (found["direction"], found["cells"][0]["before"]) == ("looser", ["deny"])


def test_diff_without_files_is_what_apply_would_change(run: Run, house: Path) -> None:
    assert "looser" in run("diff").stdout
    assert not (house / ".pratique").exists(), "looking made a ledger"
    run("apply")
    assert lines(run("diff")) == ["no difference"]
    assert of(run("explain", "support", "crm.lookup", "--policy", "in-force", "--json"))["epoch"] == 1


# --- apply ------------------------------------------------------------------------------------------------


def in_force(house: Path) -> tuple[int, str]:
    with Ledger(house / ".pratique") as ledger:
        snapshot = policies.in_force(ledger)
        return snapshot.epoch, snapshot.policy.text


def test_apply_puts_the_file_in_force_and_prints_the_epoch(run: Run, house: Path) -> None:
    assert lines(run("apply"))[-1].endswith(", epoch 1")
    assert in_force(house) == (1, POLICY)
    assert lines(run("apply")) == ["nothing to do: policy.toml is in force (epoch 1)"]


def test_apply_does_not_ask_when_nothing_gets_looser(run: Run, house: Path) -> None:
    run("apply")
    change(house, 'taint = "sink"', 'taint = "argument"')
    assert lines(run("apply", "--no-input"))[-1].endswith(", epoch 2")


@pytest.mark.parametrize(
    ("options", "answer", "exit_code", "epoch"),
    [
        ((), "n\n", 1, 1),
        ((), "y\n", 0, 2),
        ((), "", 1, 1),
        (("--no-input",), None, 1, 1),
        (("--yes",), None, 0, 2),
        (("--yes", "--no-input"), None, 0, 2),
    ],
)
def test_apply_asks_before_anything_gets_looser(
    run: Run, house: Path, options: tuple[str, ...], answer: str | None, exit_code: int, epoch: int
) -> None:
    run("apply")
    change(house, "amount <= 50", "amount <= 60")
    result = run("apply", *options, exit_code=exit_code, answer=answer)
    assert ("Put it in force?" in result.output) is not bool(options)
    assert in_force(house)[0] == epoch


def test_apply_asks_when_a_tool_is_labelled_anew_though_no_rule_changes(run: Run, house: Path) -> None:
    run("apply")
    change(house, POLICY, POLICY + '\n[tools."crm.lookup"]\nsources = { "*" = "authority" }\n')
    assert "tools.crm.lookup.sources: differs" in run("diff").stdout
    run("diff", "--exit-code", exit_code=1)
    run("apply", "--no-input", exit_code=1)
    assert in_force(house)[0] == 1


def test_apply_refuses_a_policy_that_fails_its_own_tests(run: Run, house: Path) -> None:
    run("apply")
    change(house, 'expect = "deny"', 'expect = "ask"')
    change(house, 'expect = "allow"', 'expect = "deny"')
    result = run("apply", "--yes", exit_code=1)
    first, second, last = result.stderr.splitlines()
    assert first.startswith("policy.toml: test: support calls crm.lookup: expected deny, got allow")
    assert second.startswith("policy.toml: test: support calls billing.refund: expected ask, got deny")
    assert last.startswith("error: not applied: 2 tests of its own fail")
    assert in_force(house) == (1, POLICY)


STOP = """
[[deny]]
id = "incident-17"
to = "support"
tools = ["*"]
reason = "incident 17"
"""


def test_a_deny_goes_in_force_at_once_although_it_breaks_the_tests(run: Run, house: Path) -> None:
    run("apply")
    change(house, POLICY, POLICY + STOP)
    result = run("apply", "--only-tighter", "--no-input")
    assert "test: support calls crm.lookup: expected allow, got deny" in result.stderr
    assert in_force(house) == (2, POLICY + STOP)
    with Ledger(house / ".pratique") as ledger:
        (_, record) = records(ledger, "policy.load")
    assert [line.split(" (")[0] for line in record["failed_tests"]] == [
        "test: support calls crm.lookup: expected allow, got deny"
    ]


def test_a_runtime_starts_with_a_policy_that_was_put_in_force_although_its_tests_fail(
    run: Run, house: Path
) -> None:
    run("apply")
    change(house, POLICY, POLICY + STOP)
    with pytest.raises(PolicyError, match="expected allow, got deny"):
        open_runtime(apply_policy=True)
    run("apply", "--only-tighter")
    asyncio.run(open_runtime().aclose())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("amount <= 50", "amount <= 60"),
        ('approvers = "leads"', 'approvers = "leads"\nwait = "5h"'),
        ('when = "small"', ""),
        ('leads = ["li@acme.example"]', 'leads = ["li@acme.example", "eve@acme.example"]'),
        (
            '[[ask]]\nid = "writes"',
            '[tools."crm.lookup"]\nwithhold = []\nsources = {}\n\n[[ask]]\nid = "writes"',
        ),
        ('level = "jail"', 'level = "restricted"'),
        ('tier = "read"\nlevel', 'tier = "write"\nlevel'),
    ],
)
def test_nothing_milder_slips_in_beside_a_deny(run: Run, house: Path, old: str, new: str) -> None:
    text = POLICY + '\n[[isolation]]\nid = "code"\ntools = ["*"]\ntier = "read"\nlevel = "jail"\n'
    (house / "policy.toml").write_text(text)
    run("apply")
    change(house, old, new)
    change(house, "[agents.support]", STOP.replace('"*"', '"crm.lookup"').strip() + "\n\n[agents.support]")
    result = run("apply", "--only-tighter", "--yes", exit_code=1)
    assert "the change is not only tighter" in result.stderr
    assert in_force(house) == (1, text)


def test_the_first_policy_is_not_only_tighter(run: Run, house: Path) -> None:
    run("apply", "--only-tighter", exit_code=1)
    assert in_force(house)[0] == 0


def test_apply_without_tools_to_compare_by_is_not_taken_for_no_change(run: Run, house: Path) -> None:
    (house / "pratique.toml").write_text("")
    change(house, POLICY[POLICY.index("[[test]]") :], "")
    run("apply")
    change(house, "amount <= 50", "amount <= 60")
    result = run("apply", "--no-input", exit_code=1)
    assert "no tools to ask about" in result.stderr
    assert in_force(house)[0] == 1


def test_apply_writes_what_it_showed_even_if_the_file_changes_while_it_asks(
    run: Run, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("apply")
    change(house, "amount <= 50", "amount <= 60")
    shown = (house / "policy.toml").read_text()

    def confirm(*_: object, **__: object) -> bool:
        change(house, "amount <= 60", "amount <= 6000000")
        return True

    monkeypatch.setattr("typer.confirm", confirm)
    run("apply")
    assert in_force(house) == (2, shown)


def test_apply_is_refused_when_another_policy_was_applied_while_it_asked(
    run: Run, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("apply")
    change(house, "amount <= 50", "amount <= 60")

    def confirm(*_: object, **__: object) -> bool:
        with Ledger(house / ".pratique") as ledger:
            policies.apply(ledger, Policy(POLICY.replace("<= 50", "<= 40")), "somebody else", 1)
        return True

    monkeypatch.setattr("typer.confirm", confirm)
    result = run("apply", exit_code=2)
    assert "look at it and apply again" in result.stderr
    assert in_force(house)[0] == 2


# --- help -------------------------------------------------------------------------------------------------


# --- isolation --------------------------------------------------------------------------------------------

FLOORS = """
[[isolation]]
id = "nothing-inline"
tools = ["billing.*"]
level = "jail"

[[isolation]]
id = "foreign-code"
tools = ["py.run"]
taint = "argument"
level = "container"
"""

CODE_TOOL = """
@pratique.tool("py.run", tier="read", runs_in="jail", calls=["crm.lookup"])
def run(ctx: pratique.ToolContext, code: str) -> str: ...
"""


@pytest.fixture
def floored(house: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The house with a code tool in force, no engine on its machine, and a file that has floors."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    (house / "floor_tools.py").write_text(TOOLS + CODE_TOOL)
    (house / "pratique.toml").write_text('tools = ["floor_tools"]\n')
    run("apply")
    (house / "policy.toml").write_text(POLICY + FLOORS)
    return house


INLINE = (
    "nothing-inline.level: demands a jail for billing.refund (inline, in Pratique's own process): "
    "every such call would fail"
)
MISSING = "the policy's foreign-code demands a container for py.run, which this machine does not give"


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("floored", "tidied")
def test_floors_under_which_calls_would_fail_are_found_by_check_and_asked_about_by_apply(run: Run) -> None:
    found = lines(run("check"))
    assert f"policy.toml: hint: {INLINE}" in found
    assert any(line.startswith(f"policy.toml: hint: {MISSING}") for line in found)
    result = run("apply", "--no-input", exit_code=1)
    assert INLINE in result.stderr
    assert MISSING in result.stderr
    assert "say --yes" in result.stderr
    assert "in force" in run("apply", "--yes").stdout


@pytest.mark.usefixtures("floored")
def test_diff_names_the_calls_whose_level_changes(run: Run) -> None:
    found = run("diff", "--exit-code", exit_code=1).stdout
    assert re.search(r"support +py\.run +argument,.* inline +container +\+foreign-code", found)
    assert re.search(r"support +billing\.ref\w* +any +inline +jail +\+nothing-inli", found)
    told = of(run("diff", "--json"))
    assert told["direction"] == "tighter"
    assert {(one["tool"], one["before"], one["after"]) for one in told["isolation"]} == {
        ("billing.refund", "inline", "jail"),
        ("py.run", "inline", "container"),
    }


@pytest.mark.usefixtures("floored")
def test_explain_says_where_a_call_would_run_and_what_its_code_may_call(run: Run) -> None:
    code = run("explain", "support", "py.run", '{"code": "1"}', "--taint", "sink").stdout
    assert "jail: what py.run declares" in code
    assert "container at least: foreign-code (to *)" in code
    assert "crm.lookup" in code.split("its code may call")[1]
    refund = run("explain", "support", "billing.refund", '{"amount": 1, "currency": "EUR"}').stdout
    assert "so it would fail: an inline tool cannot run in a jail" in refund
    told = of(run("explain", "support", "py.run", '{"code": "1"}', "--taint", "sink", "--json"))
    assert (told["at_least"], told["floors"][0]["rule"]) == ("container", "foreign-code")


@pytest.mark.parametrize("verb", ["check", "test", "explain", "who-can", "diff", "apply"])
def test_the_help_of_every_verb_has_an_example_that_runs(verb: str, run: Run) -> None:
    text = " ".join(run(verb, "--help").stdout.replace("│", " ").split())
    assert f"pratique policy {verb}" in text
    assert "--config" in text


def test_who_comes_into_a_group_is_named_and_whoever_elects_themselves_is_told_and_on_record(
    run: Run, house: Path
) -> None:
    run("apply")
    text = (house / "policy.toml").read_text()
    widened = text.replace('["li@acme.example"]', '["li@acme.example", "local:*", "mo@acme.example"]', 1)
    assert widened != text, "the policy has no group to widen"
    (house / "policy.toml").write_text(widened)
    told = run("diff")
    assert "mo@acme.example comes into " in told.stdout
    assert "this makes YOU (local:" in told.stderr
    run("diff", "--exit-code", exit_code=1)
    run("apply", "--only-tighter", exit_code=1)
    run("apply", "--no-input", exit_code=1)
    run("apply", "--yes")
    with Ledger(house / ".pratique") as ledger:
        first, second = records(ledger, "policy.load")
    assert "elects_applier" not in first
    assert len(second["elects_applier"]) == 1
    assert "no difference" in run("diff").stdout


def test_explain_says_in_words_what_is_wrong_with_the_arguments_and_the_names(run: Run, house: Path) -> None:
    del house
    said = run("explain", "suport", "billing.refund", '{"amuont": 5}').stdout
    assert "amount: missing" in said
    assert "amuont: not an argument of this tool" in said
    assert "did you mean 'support'?" in said
    wrong = run("explain", "support", "billing.refnd", "{}", exit_code=2)
    assert "did you mean 'billing.refund'?" in wrong.stderr
