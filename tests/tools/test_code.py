"""Promise: what an agent's code computes comes back, how it was stopped is said in one line, and neither the
host's files nor its processes are there for it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from pratique.errors import (
    SandboxStoppedError,
    SandboxUnavailableError,
    ToolDeclarationError,
    UndeclaredError,
)
from pratique.model import Level, Result, Status, Tier
from pratique.sandbox.backend import Limits, Work
from pratique.sandbox.backend import Status as Ended
from pratique.sandbox.ladder import Ladder
from pratique.tools.code import python_tool, run_python, run_shell, shell_tool
from pratique.tools.context import ToolContext, World
from pratique.tools.declaration import Tool, tool
from pratique.tools.execution import Executor, Interrupted
from tests.tools.conftest import call_of

pytestmark = pytest.mark.usefixtures("a_jail")


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    made = Executor(World(), Ladder(warm=0))
    yield made
    await made.aclose()


async def outcome(executor: Executor, tool: Tool, at_least: Level = Level.INLINE, **args: Any) -> Result:
    return await executor.run(tool, call_of(tool, args), at_least)


async def test_python_returns_what_its_code_leaves_in_result(executor: Executor) -> None:
    code = "print('adding')\nresult = {'sum': sum(inputs['prices']), 'ü': None}"
    done = await outcome(executor, run_python, code=code, inputs={"prices": [1.5, 2, 3]})
    assert (done.status, done.error, done.level) == (Status.DONE, "", Level.JAIL)
    assert orjson.loads(done.value_json) == {
        "value": {"sum": 6.5, "ü": None},
        "stdout": "adding\n",
        "stderr": "",
        "truncated": False,
    }


async def test_what_ran_is_told_in_words_and_whole_numbers(executor: Executor) -> None:
    done = await outcome(executor, run_python, code="1")
    said = done.sandbox
    assert (said["level"], said["backend"], said["status"]) == ("jail", "bubblewrap", "ok")
    assert (said["exit"], said["stopped_by"], said["truncated"], said["runs"]) == (0, "", 0, 1)
    assert str(said["interpreter"]).startswith("sha256:")
    assert 0 < int(said["wall_us"]) <= int(said["limit_wall_us"]) <= 30_000_000
    assert int(said["limit_memory"]) == 256 << 20
    assert {type(value) for value in said.values()} == {str, int}


async def test_a_shell_gets_files_and_gives_back_what_it_left(executor: Executor) -> None:
    script = "sort names; printf 'a\\377' > raw; wc -l < names > sub.txt; exit 3"
    done = await outcome(executor, run_shell, argv=["sh", "-c", script], files={"names": "kim\nana\n"})
    assert done.status is Status.DONE, done.error
    value = orjson.loads(done.value_json)
    assert (value["exit_code"], value["stdout"], value["skipped"]) == (3, "ana\nkim\n", [])
    assert sorted(value["files"], key=lambda file: str(file["path"])) == [
        {"path": "raw", "encoding": "base64", "content": base64.b64encode(b"a\xff").decode()},
        {"path": "sub.txt", "encoding": "text", "content": "2\n"},
    ]
    assert (value["error"], done.sandbox["exit"]) == ("it ended with exit code 3", 3)
    missing = orjson.loads((await outcome(executor, run_shell, argv=["no-such-program"])).value_json)
    assert missing["exit_code"] == 127
    assert "no-such-program" in missing["error"]


@pytest.mark.parametrize(
    ("tool", "args", "error"),
    [
        (
            run_python,
            {"code": "print('half way')\n1/0"},
            "division by zero (line 2); it printed",
        ),
        (run_python, {"code": "def f(:"}, "SyntaxError"),
        (run_python, {"code": "object()"}, "not JSON"),
        (run_shell, {"argv": ["ls"], "files": {"../x": ""}}, "'../x' is not a path beneath the work folder"),
        (run_shell, {"argv": ["ls", "a\0b"]}, "a NUL is in an argument"),
    ],
    ids=["raises", "syntax", "result", "path", "nul"],
)
async def test_what_cannot_run_fails_with_its_reason(
    executor: Executor, tool: Tool, args: dict[str, Any], error: str
) -> None:
    failed = await outcome(executor, tool, **args)
    assert failed.status is Status.FAILED
    assert error in failed.error


@pytest.mark.parametrize(
    ("tool", "args", "error"),
    [
        (python_tool(timeout=1), {"code": "while True: pass"}, "(timeout, in a jail)"),
        (python_tool(timeout=1), {"code": "import time\ntime.sleep(9)"}, "it ran longer than"),
        (python_tool(memory=64 << 20), {"code": "bytearray(1 << 30)"}, "(oom, in a jail)"),
        (python_tool(), {"code": "while True: print('x' * 1000)"}, "it printed more than 65536 bytes"),
        (python_tool(), {"code": "'x' * (1 << 20)"}, "(output_limit, in a jail)"),
        (shell_tool(timeout=1), {"argv": ["sleep", "9"]}, "(timeout, in a jail)"),
        (shell_tool(), {"argv": ["sh", "-c", "kill -9 $$"]}, "(killed, in a jail)"),
    ],
    ids=["cpu", "wall", "memory", "output", "result", "program", "killed"],
)
async def test_what_was_stopped_fails_and_says_by_what(
    executor: Executor, tool: Tool, args: dict[str, Any], error: str
) -> None:
    failed = await outcome(executor, tool, **args)
    assert failed.status is Status.FAILED
    assert error in failed.error
    assert failed.sandbox["status"] in {"timeout", "oom", "output_limit", "killed"}


async def test_the_host_is_not_there_for_the_code(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_KEY", "hunter2")
    code = (
        "import os, socket\n"
        "def tried(act):\n"
        "    try:\n        return str(act())\n"
        "    except OSError as no:\n        return type(no).__name__\n"
        "result = [os.environ.get('HOUSE_KEY'), os.path.exists('/root/.ssh'), os.path.exists('/home'),\n"
        "          tried(lambda: socket.create_connection(('127.0.0.1', 1), 1))]"
    )
    done = await outcome(executor, run_python, code=code)
    value = orjson.loads(done.value_json)["value"]
    assert value == [None, False, False, "PermissionError"]


async def test_a_higher_level_that_the_policy_demands_is_where_it_runs(executor: Executor) -> None:
    restricted = python_tool(runs_in="restricted")
    below = await outcome(executor, restricted, code="import os\nos.getpid()")
    assert "is not" in below.error
    assert below.sandbox["level"] == "restricted"
    above = await outcome(executor, restricted, Level.JAIL, code="import os\nos.getpid() > 0")
    assert (above.status, above.level, above.sandbox["level"]) == (Status.DONE, Level.JAIL, "jail")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("tidied")
async def test_a_level_that_cannot_be_had_fails_the_call_and_nothing_weaker_runs() -> None:
    executor = Executor(World(), Ladder(warm=0, engine="unix:///nonexistent/docker.sock"))
    failed = await outcome(executor, run_python, Level.CONTAINER, code="1")
    assert (failed.status, failed.level) == (Status.FAILED, Level.CONTAINER)
    assert failed.sandbox == {"level": "container", "status": "unavailable", "runs": 1}
    assert "docker.sock" in failed.error or "engine" in failed.error
    await executor.aclose()


async def test_an_inline_tool_does_not_run_where_a_level_is_demanded(executor: Executor) -> None:
    ran = []

    @tool("desk.look", tier="read")
    async def look(_: ToolContext) -> None:
        ran.append(1)

    failed = await outcome(executor, look, Level.RESTRICTED)
    assert failed.status is Status.FAILED
    assert "the policy demands a restricted for this call, and desk.look runs inline" in failed.error
    assert ran == []


async def test_a_tool_without_a_level_has_no_sandbox(executor: Executor) -> None:
    @tool("desk.look", tier="read")
    async def look(ctx: ToolContext) -> None:
        with pytest.raises(UndeclaredError, match=r"desk.look declared no level"):
            await ctx.sandbox.run(Work(code="1"))

    assert (await outcome(executor, look)).status is Status.DONE


async def test_a_user_s_tool_runs_what_it_is_handed_and_can_go_on_after_a_stop(executor: Executor) -> None:
    @tool("table.tidy", tier="read", runs_in="jail", timeout=20)
    async def tidy(ctx: ToolContext, code: str) -> Any:
        with pytest.raises(SandboxStoppedError, match="it ran longer than"):
            await ctx.sandbox.run(Work(code="while True: pass"), limits=Limits(wall=0.2))
        ran = await ctx.sandbox.run(Work(code=code, inputs=b"[3, 1, 2]"))
        assert ran.status is Ended.OK
        return orjson.loads(ran.value_json or b"")

    done = await outcome(executor, tidy, code="sorted(inputs)")
    assert (done.value_json, done.sandbox["runs"], done.sandbox["status"]) == (b"[1,2,3]", 2, "ok")


def test_a_plain_function_reaches_its_sandbox_from_its_thread() -> None:
    async def main() -> Result:
        import anyio.from_thread  # noqa: PLC0415  # as the page has it

        @tool("table.count", tier="read", runs_in="jail")
        def count(ctx: ToolContext) -> Any:
            ran = anyio.from_thread.run(ctx.sandbox.run, Work(code="40 + 2"))
            return orjson.loads(ran.value_json or b"")

        executor = Executor(World(), Ladder(warm=0))
        done = await outcome(executor, count)
        await executor.aclose()
        return done

    assert asyncio.run(main()).value_json == b"42"


async def test_a_cancelled_call_says_so_and_its_code_is_gone(executor: Executor) -> None:
    call = call_of(run_shell, {"argv": ["sleep", "987.125"]})
    task = asyncio.create_task(executor.run(run_shell, call))
    await until_running("987.125")
    task.cancel()
    with pytest.raises(Interrupted) as found:
        await task
    assert found.value.result.sandbox["status"] == "cancelled"
    assert not running("987.125")


def running(word: str) -> bool:
    """Whether a process of this machine has the word among its arguments."""
    from pathlib import Path  # noqa: PLC0415  # two lines' use

    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().split(b"\0"))
        except OSError:
            continue
    return any(word.encode() in line for line in lines)


async def until_running(word: str) -> None:
    async with asyncio.timeout(20):
        while not running(word):  # noqa: ASYNC110  # there is no event: another process starts it
            await asyncio.sleep(0.02)


def test_hosts_make_it_egress() -> None:
    assert run_python.capability.tier is Tier.READ
    assert python_tool(hosts=["api.example.com"]).capability.tier is Tier.EGRESS
    with pytest.raises(ToolDeclarationError, match="at least egress"):
        tool("desk.odd", tier="read", hosts=["a.example"], runs_in="jail")(_odd)


async def test_code_reaches_the_hosts_of_its_tool_and_no_other(executor: Executor) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fetch = python_tool(private=[f"127.0.0.1:{port}"])
    code = (
        "import urllib.request, urllib.error\n"
        "def get(port):\n"
        "    try:\n        return urllib.request.urlopen(f'http://127.0.0.1:{port}/').read().decode()\n"
        "    except urllib.error.HTTPError as no:\n        return no.code\n"
        "[get(inputs), get(inputs + 1)]"
    )
    done = await outcome(executor, fetch, code=code, inputs=port)
    assert done.status is Status.DONE, done.error
    assert orjson.loads(done.value_json)["value"] == ["hello", 403]
    stopped = await outcome(
        executor, python_tool(private=[f"127.0.0.1:{port}"], timeout=1), code="while 1: pass"
    )
    assert stopped.status is Status.UNKNOWN, "it may have told its host something"
    server.close()
    await server.wait_closed()


async def test_a_closed_executor_gives_nothing_more() -> None:
    executor = Executor(World(), Ladder(warm=1))
    assert (await outcome(executor, run_python, code="1")).status is Status.DONE
    await executor.aclose()
    await executor.aclose()


async def test_the_ladder_says_no_to_inline() -> None:
    with pytest.raises(SandboxUnavailableError):
        await Ladder().run(Work(code="1"), level=Level.INLINE)


async def _odd(_: ToolContext) -> None:
    """Do nothing."""
