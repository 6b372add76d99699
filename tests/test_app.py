"""Everything that can be wrong is found before the first call; what cannot be had is never replaced."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from pratique.app import open_runtime
from pratique.errors import (
    ConfigError,
    PolicyError,
    PolicyNotInForceError,
    SandboxUnavailableError,
    SettingsError,
    ToolDeclarationError,
)
from pratique.ledger import queries
from pratique.model import Status
from pratique.tools.code import python_tool, run_python
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool
from tests.house import ALLOW_ALL, DENY_ALL, PEOPLE, POLICY, Desk, break_log, mend_log, records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "pratique.toml").write_text('folder = "ledger"\n')
    return tmp_path


def plain(desk: Desk) -> list[Tool]:
    """Return the desk's tools without those that need secrets."""
    return [item for item in desk.tools() if not item.capability.secrets]


async def test_a_first_start_puts_the_policy_in_force_and_runs_calls(folder: Path, desk: Desk) -> None:
    async with (
        open_runtime(folder / "pratique.toml", tools=plain(desk)) as runtime,
        runtime.session(agent="support", user="kim@acme.example", request="note a") as session,
    ):
        assert (await session.call("desk.note", {"text": "a"})).status is Status.DONE
        (load,) = records(runtime.ledger, "policy.load")
        assert load["epoch"] == 1
        assert load["applied_by"].startswith("local:")
    assert (folder / "ledger" / "ledger.db").exists()


async def test_a_second_start_changes_nothing(folder: Path) -> None:
    for _ in range(2):
        async with open_runtime(folder / "pratique.toml") as runtime:
            assert runtime.enforcement.snapshot.epoch == 1
            assert len(records(runtime.ledger)) == 1


async def test_an_edited_policy_is_not_in_force_until_it_is_applied(folder: Path, desk: Desk) -> None:
    await open_runtime(folder / "pratique.toml").aclose()
    (folder / "policy.toml").write_text(PEOPLE + ALLOW_ALL)
    with pytest.raises(PolicyNotInForceError, match=r"not the policy in force \(epoch 1, .*policy apply"):
        open_runtime(folder / "pratique.toml")
    async with open_runtime(folder / "pratique.toml", tools=plain(desk), apply_policy=True) as runtime:
        assert runtime.enforcement.snapshot.epoch == 2
    (folder / "policy.toml").unlink()
    async with open_runtime(folder / "pratique.toml") as runtime:
        assert runtime.enforcement.snapshot.epoch == 2, "what is in force is in the ledger"


FAILING_TEST = """
[[test]]
agent = "support"
tool = "desk.note"
expect = "deny"
"""


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (POLICY.replace("[[allow]]", "[[alow]]"), "alow: unknown key"),
        (POLICY.replace('approvers = "leads"', 'approvers = "heads"'), "no group is called 'heads'"),
        (POLICY.replace("wait =", "wiat ="), r"wiat: unknown key"),
        ("[agents.support]\n", r"agents\.support\.owner: missing"),
        (
            POLICY + '[[test]]\nagent = "support"\ntool = "desk.note"\nexpect = "deny"\n',
            "expected deny, got allow",
        ),
        ("not toml", "policy.toml"),
    ],
)
def test_a_policy_that_is_wrong_starts_nothing_and_leaves_nothing_in_force(
    folder: Path, desk: Desk, policy: str, why: str
) -> None:
    (folder / "policy.toml").write_text(policy)
    with pytest.raises(PolicyError, match=why) as caught:
        open_runtime(folder / "pratique.toml", tools=plain(desk))
    assert "policy.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_wrong_policy_does_not_replace_the_one_in_force(folder: Path) -> None:
    await open_runtime(folder / "pratique.toml").aclose()
    (folder / "policy.toml").write_text(POLICY + "[[alow]]\n")
    with pytest.raises(PolicyError):
        open_runtime(folder / "pratique.toml", apply_policy=True)
    (folder / "policy.toml").write_text(POLICY)
    async with open_runtime(folder / "pratique.toml") as runtime:
        assert runtime.enforcement.snapshot.epoch == 1


def test_without_a_policy_file_nothing_starts(folder: Path) -> None:
    (folder / "policy.toml").unlink()
    with pytest.raises(SettingsError, match=r"policy: .*policy\.toml: No such file"):
        open_runtime(folder / "pratique.toml")


async def odd(_: ToolContext) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("facts", "error", "why"),
    [
        ({"paths": {"room": "write"}}, ToolDeclarationError, "desk.odd: no file root is called 'room'"),
        ({"secrets": ["key"]}, ToolDeclarationError, "desk.odd: no secret is called 'key'"),
    ],
)
def test_a_tool_that_this_host_could_not_run_is_found_at_the_start(
    folder: Path, facts: dict[str, Any], error: type[Exception], why: str
) -> None:
    declared = tool("desk.odd", tier="write", **facts)(odd)
    with pytest.raises(error, match=why):
        open_runtime(folder / "pratique.toml", tools=[declared])


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("tidied")
async def test_a_level_that_this_machine_does_not_give_is_found_at_the_start(folder: Path) -> None:
    settings = (folder / "pratique.toml").read_text()
    (folder / "pratique.toml").write_text(f'sandbox_image = "pratique-no-such-image:0"\n{settings}')
    declared = tool("desk.odd", tier="write", runs_in="container")(odd)
    with pytest.raises(SandboxUnavailableError, match=r"desk.odd runs in a container.*never taken instead"):
        open_runtime(folder / "pratique.toml", tools=[declared])


def test_a_tool_module_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "pratique.toml").write_text('folder = "ledger"\ntools = ["no_such_module"]\n')
    with pytest.raises(ToolDeclarationError, match="'no_such_module' cannot be imported"):
        open_runtime(folder / "pratique.toml")


OLD_CASBIN = """
import sys
sys.path.insert(0, sys.argv[1])
import pratique
from pratique.errors import DependencyError
try:
    pratique.open_runtime(sys.argv[2])
except DependencyError as problem:
    print(problem)
"""


def test_the_old_casbin_beside_the_new_one_stops_the_start(folder: Path) -> None:
    info = folder / "site" / "casbin-1.43.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: casbin\nVersion: 1.43.0\n")
    run = subprocess.run(
        [sys.executable, "-c", OLD_CASBIN, str(folder / "site"), str(folder / "pratique.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "the dist casbin 1.43.0 is installed beside pycasbin" in run.stdout
    assert "pip uninstall casbin" in run.stdout
    assert run.stdout.count("\n") == 1


END = datetime(2026, 12, 1, 6, 0, tzinfo=UTC)
EXCEPTION = f"""
[[exception]]
id = "weekend"
to = "support"
tools = ["desk.*"]
tier = "write"
expires = {END.isoformat()}
owner = "ana@acme.example"
reason = "migration"
approved_by = "li@acme.example"
"""


async def test_an_exception_ends_at_its_instant_by_the_wall_clock(folder: Path, desk: Desk) -> None:
    (folder / "policy.toml").write_text(PEOPLE + EXCEPTION)
    with freeze_time(END - timedelta(microseconds=1), real_asyncio=True) as frozen:
        async with open_runtime(folder / "pratique.toml", tools=plain(desk)) as runtime:
            session = await runtime.open_session(agent="support", user="kim@acme.example")
            assert (await session.call("desk.note", {"text": "before"})).status is Status.DONE
            frozen.tick(timedelta(microseconds=1))
            outcome = await session.call("desk.note", {"text": "after"})
            assert outcome.status is Status.DENIED
            assert "until 2026-12-01 06:00Z" in outcome.error
    assert [e.text for e in desk.effects] == ["before"]


async def test_a_policy_with_an_expired_exception_loads_and_permits_nothing_by_it(
    folder: Path, desk: Desk
) -> None:
    (folder / "policy.toml").write_text(PEOPLE + EXCEPTION)
    with freeze_time(END + timedelta(days=1), real_asyncio=True):
        async with open_runtime(folder / "pratique.toml", tools=plain(desk)) as runtime:
            session = await runtime.open_session(agent="support", user="kim@acme.example")
            assert (await session.call("desk.note", {"text": "a"})).status is Status.DENIED
    assert not desk.effects


async def test_what_a_dead_process_left_open_is_settled_at_the_start(folder: Path, desk: Desk) -> None:
    first = open_runtime(folder / "pratique.toml", tools=plain(desk))
    session = await first.open_session(agent="support", user="kim@acme.example")
    break_log(first.ledger, kind="call.outcome")
    with pytest.raises(Exception, match="calls are denied"):
        await session.call("desk.note", {"text": "a"}, call_id="c1")
    mend_log(first.ledger)
    await first.aclose()
    async with open_runtime(folder / "pratique.toml", tools=plain(desk)) as second:
        assert records(second.ledger)[-1]["outcome"] == "unknown"
        assert not second.ledger.read(queries.open_intents)


async def test_the_engines_are_compared_in_service(folder: Path, desk: Desk) -> None:
    (folder / "pratique.toml").write_text('folder = "ledger"\nshadow_every = 1\n')
    (folder / "policy.toml").write_text(POLICY + DENY_ALL.replace('["*"]', '["desk.note"]'))
    async with (
        open_runtime(folder / "pratique.toml", tools=plain(desk)) as runtime,
        runtime.session(agent="support", user="kim@acme.example") as session,
    ):
        expected = {"desk.look": Status.DONE, "desk.note": Status.DENIED, "desk.pay": Status.PENDING}
        arguments = {"desk.look": {}, "desk.note": {"text": "a"}, "desk.pay": {"to": "x", "amount": 1}}
        for name, status in expected.items():
            outcome = await session.call(name, arguments[name])
            assert outcome.status is status
            assert "mismatch" not in outcome.error


def test_a_failed_start_lets_go_of_the_ledger(folder: Path) -> None:
    open_it = folder / "pratique.toml"
    asyncio.run(open_runtime(open_it).aclose())
    (folder / "policy.toml").write_text("[[alow]]\n")
    for _ in range(3):
        with pytest.raises(ConfigError):
            open_runtime(open_it)
    assert list((folder / "ledger" / "writers").iterdir()) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("a_jail", "tidied")
def test_a_floor_that_this_machine_cannot_give_stops_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    floor = '\n[[isolation]]\nid = "high"\ntools = ["python.*"]\ntaint = "sink"\nlevel = "container"\n'
    (folder / "policy.toml").write_text(POLICY + floor)
    with pytest.raises(SandboxUnavailableError, match=r"policy's high demands a container for python\.run"):
        open_runtime(folder / "pratique.toml", tools=[run_python])


async def test_a_call_that_code_could_not_make_stops_the_start(folder: Path) -> None:
    with pytest.raises(ToolDeclarationError, match=r"may call 'no\.such', and there is no such tool"):
        open_runtime(folder / "pratique.toml", tools=[python_tool(calls=["no.such"])])
