"""A server that means harm gets nothing but an error of ours, in time, and leaves nothing behind."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pratique.errors import OutcomeUnknownError, ProxiedServerError
from pratique.proxy import inline
from pratique.proxy.connection import ServerConnection, StaleListingError
from pratique.proxy.intake import FLOOD
from pratique.sandbox import mark
from tests.proxy.conftest import BOUNDS, Connect, Journal, sent


async def call(server: ServerConnection, timeout: float = 20.0, **arguments: Any) -> str:  # noqa: ASYNC109
    """Call `echo` and return the text that came."""
    result = await sent(server, "echo", arguments or {"text": "hello"}, timeout=timeout)
    return str(result["content"][0]["text"])


def gone(pid: int) -> bool:
    """Whether a process is no more, or only its remains are."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def here(folder: str) -> bool:
    return Path(folder).is_dir()


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(happened: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110  # what another process does sets no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("hang-start", "it did not answer within 1 s of its start"),
        ("die-start", "its standard output ended"),
        ("flood-start", "it floods us with messages that nobody asked for"),
        ("hang-list", "did not list its tools within 1 s"),
        ("same-page", "gives the same page of its list again"),
        ("endless-pages", "lists its tools on more than 64 pages"),
        ("many", "lists more than 512 tools"),
        ("wide", "it wrote a message of more than 1,048,576 bytes"),
        ("twice", "lists two tools under one name"),
        ("bad-list", "it is not what the protocol says"),
    ],
)
async def test_what_is_no_list_of_tools_is_an_error_and_its_process_goes(
    connect: Connect, journal: Journal, what: str, why: str
) -> None:
    hangs = {"start": 1.0} if what == "hang-start" else {"listing": 1.0} if what == "hang-list" else {}
    server = connect(what, bounds=BOUNDS.model_copy(update=hangs))
    with pytest.raises(ProxiedServerError) as problem:
        await server.definitions()
    assert why in str(problem.value)
    assert "IGNORE" not in str(problem.value)
    await server.aclose()
    assert journal.pids
    assert all(map(gone, journal.pids))


async def test_the_sum_of_all_definitions_is_bounded(connect: Connect) -> None:
    server = connect("many", bounds=BOUNDS.model_copy(update={"tools": 5000, "definitions_bytes": 50_000}))
    with pytest.raises(ProxiedServerError, match="more than 50,000 bytes of tools"):
        await server.definitions()


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("die-call", "its standard output ended"),
        ("long-line", "it wrote a message of more than 1,048,576 bytes"),
        ("long-answer", "it wrote a message of more than 1,048,576 bytes"),
        ("flood", "it floods us with messages that nobody asked for"),
        ("wrong-id", "it floods us with messages that nobody asked for"),
        ("junk", "it writes what is not MCP to its standard output"),
        ("bad-answer", "it is not what the protocol says"),
        ("error", "answered with error -32603"),
        ("forge", "answered with error -32098"),
        ("brackets", "it wrote a message of more than 100,000 values"),
    ],
)
async def test_a_call_without_an_answer_may_have_run_and_is_not_repeated(
    connect: Connect, journal: Journal, what: str, why: str
) -> None:
    server = connect(what)
    with pytest.raises(OutcomeUnknownError) as problem:
        await call(server)
    assert why in str(problem.value)
    assert "IGNORE" not in str(problem.value)
    assert journal.count("call") == 1


@pytest.mark.parametrize("what", ["surrogate", "deep"])
async def test_an_answer_that_is_not_json_as_we_take_it_leaves_its_call_without_one(
    connect: Connect, journal: Journal, what: str
) -> None:
    with pytest.raises(OutcomeUnknownError, match=r"did not answer within 0\.5 s"):
        await call(connect(what), timeout=0.5)
    assert journal.count("call") == 1


async def test_a_lost_server_is_started_anew_for_the_next_need(connect: Connect, journal: Journal) -> None:
    server = connect("die-call")
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            await call(server)
    assert len(journal.pids) == 2
    assert len(await server.definitions()) == 1


async def test_a_call_is_not_sent_to_another_life_of_the_server_than_the_one_that_was_checked(
    connect: Connect, journal: Journal
) -> None:
    server = connect("")
    listed = await server.listed()
    os.kill(journal.pids[0], signal.SIGKILL)
    await until(lambda: not listed.link.usable)
    for _ in range(2):
        with pytest.raises(StaleListingError, match="not sent"):
            await server.call("echo", {}, listed=listed, timeout=20)
        await server.definitions()
    assert journal.count("call") == 0


async def test_a_call_is_not_sent_after_the_server_said_that_its_tools_changed(
    connect: Connect, journal: Journal
) -> None:
    server = connect("news")
    listed = await server.listed()
    await server.call("echo", {}, listed=listed, timeout=20)
    with pytest.raises(StaleListingError, match="not sent"):
        await server.call("echo", {}, listed=listed, timeout=20)
    assert journal.count("call") == 1


async def test_what_is_large_and_that_nobody_asked_for_ends_the_connection_unread(connect: Connect) -> None:
    server = connect("heavy")
    listed = await server.listed()
    assert (await server.call("echo", {"text": "a"}, listed=listed, timeout=20))["content"]
    await until(lambda: not listed.link.usable)
    assert listed.link.fate.why == FLOOD


async def test_a_program_that_says_nothing_is_told_of_as_such(connect: Connect) -> None:
    with capture_logs() as lines, pytest.raises(ProxiedServerError, match="before it said anything"):
        await connect("", command=("true",)).definitions()
    assert "_remove_reader" not in str(lines)


@pytest.mark.parametrize("what", ["hang-call", "stopped"])
async def test_a_server_that_hangs_is_told_left_and_ended(
    connect: Connect, journal: Journal, what: str
) -> None:
    server = connect(what)
    await server.definitions()
    started = time.monotonic()
    with pytest.raises(OutcomeUnknownError, match=r"did not answer within 0\.3 s"):
        await call(server, timeout=0.3)
    assert time.monotonic() - started < 2
    await until(lambda: gone(journal.pids[0]))
    assert len(await server.definitions()) == 1
    assert len(journal.pids) == 2
    if what == "hang-call":
        assert journal.count("cancelled") == 1


async def test_who_is_cancelled_does_not_wait_and_the_server_is_told(
    connect: Connect, journal: Journal
) -> None:
    server = connect("hang-call")
    calling = asyncio.create_task(call(server, timeout=60))
    await until(lambda: journal.count("call") == 1)
    started = time.monotonic()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert time.monotonic() - started < 1
    await until(lambda: journal.count("cancelled") == 1)
    assert len(await server.definitions()) == 1
    assert len(journal.pids) == 1


async def test_a_server_that_does_not_read_is_cut_off(connect: Connect, journal: Journal) -> None:
    server = connect("stopped", bounds=BOUNDS.model_copy(update={"reading": 0.3}))
    listed = await server.listed()
    words = {"text": "x" * 100_000}
    some = (server.call("echo", words, listed=listed, timeout=20) for _ in range(8))
    calls = [asyncio.create_task(one) for one in some]
    await until(lambda: journal.count("call") == 1)
    for said in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(said, OutcomeUnknownError)
        assert "it did not read its standard input for 0.3 s" in str(said)
    await until(lambda: gone(journal.pids[0]))


async def test_a_list_that_does_not_come_ends_its_server_however_short_the_time(
    connect: Connect, journal: Journal
) -> None:
    server = connect("hang-list")
    with pytest.raises(ProxiedServerError, match=r"did not list its tools within 0\.5 s"):
        await server.definitions(timeout=0.5)
    await until(lambda: journal.pids != [] and gone(journal.pids[0]))


async def test_a_start_that_takes_the_whole_time_of_a_call_was_no_call(
    connect: Connect, journal: Journal
) -> None:
    with pytest.raises(ProxiedServerError, match=r"did not list its tools within 0\.5 s"):
        await sent(connect("hang-start"), "echo", {}, patience=0.5)
    assert journal.count("call") == 0


async def test_what_the_server_refuses_did_not_run(connect: Connect) -> None:
    with pytest.raises(ProxiedServerError) as problem:
        await call(connect("refuse"))
    assert "it says that it did not run" in str(problem.value)
    assert "IGNORE" not in str(problem.value)


async def test_an_error_of_the_tool_is_a_result(connect: Connect) -> None:
    result = await sent(connect("failed"), "echo", {"text": "x"}, timeout=5)
    assert result["isError"] is True
    assert "IGNORE" in result["content"][0]["text"]


async def test_requests_to_us_are_refused_and_the_call_goes_on(connect: Connect) -> None:
    with capture_logs() as lines:
        said = json.loads(await call(connect("ask")))
    assert said["sampling/createMessage"]["message"] == "Sampling not supported"
    assert said["elicitation/create"]["message"] == "Elicitation not supported"
    assert said["roots/list"]["message"] == "List roots not supported"
    assert said["something/else"]["code"] == -32601
    asked = [line["asked"] for line in lines if "asked" in line]
    assert asked == ["sampling/createMessage", "elicitation/create", "roots/list", "something/else"]


async def test_a_server_that_wants_input_instead_gets_none(connect: Connect, journal: Journal) -> None:
    with pytest.raises(ProxiedServerError, match="asked for input"):
        await call(connect("modern,input"))
    assert journal.count("call") == 1


async def test_a_flood_of_standard_error_is_read_and_not_logged(connect: Connect) -> None:
    bounds = BOUNDS.model_copy(update={"log_lines": 10})
    with capture_logs() as lines:
        assert await call(connect("loud", bounds=bounds), timeout=20) == "hello"
    said = [line for line in lines if line["event"] == "an MCP server says"]
    assert len(said) == 10
    assert sum(line["event"] == "an MCP server says more than is logged" for line in lines) == 1


async def test_a_pattern_of_the_servers_is_not_matched_here(connect: Connect) -> None:
    result = await sent(connect("slow-pattern"), "echo", {"text": "x"}, timeout=2)
    assert result["structuredContent"] == {"text": "a" * 40 + "!"}


async def test_a_definition_comes_as_the_server_gave_it(connect: Connect) -> None:
    (lying,) = await connect("lying,hidden").definitions()
    assert lying["annotations"] == {"readOnlyHint": True, "destructiveHint": False, "title": "Harmless"}
    assert "\u202e" in lying["description"]
    assert lying["inputSchema"] == {"type": "object", "properties": {"text": {"type": "string"}}}


@pytest.mark.parametrize("version", ["", "modern,"])
async def test_a_changed_list_is_seen_at_the_next_look(connect: Connect, version: str) -> None:
    server = connect(f"{version}changing")
    first, second = await server.definitions(), await server.definitions()
    assert first != second


@pytest.mark.parametrize("version", ["", "modern,"])
async def test_a_list_may_be_kept_until_the_server_says_that_it_changed(
    connect: Connect, version: str
) -> None:
    server = connect(f"{version}changing,news")
    first = await server.definitions()
    assert await server.definitions(max_age=60) == first
    await call(server)
    assert await server.definitions(max_age=60) != first


async def test_many_ask_for_the_list_at_once_and_one_question_is_sent(connect: Connect) -> None:
    server = connect("changing")
    await server.definitions()
    lists = await asyncio.gather(*(server.definitions() for _ in range(10)))
    assert len({json.dumps(found) for found in lists}) <= 2


async def test_calls_share_one_server(connect: Connect, journal: Journal) -> None:
    server = connect("")
    texts = [str(number) for number in range(50)]
    assert await asyncio.gather(*(call(server, text=text) for text in texts)) == texts
    assert len(journal.pids) == 1


async def test_a_server_that_ignores_its_end_is_killed(connect: Connect, journal: Journal) -> None:
    server = connect("ignore,stay")
    assert await call(server) == "hello"
    started = time.monotonic()
    await server.aclose()
    assert time.monotonic() - started < 5
    assert gone(journal.pids[0])
    with pytest.raises(ProxiedServerError, match="was closed"):
        await server.definitions()


async def test_what_a_server_started_ends_with_it(connect: Connect) -> None:
    server = connect("daemon")
    pids = json.loads(await call(server))
    assert not any(map(gone, pids))
    await server.aclose()
    assert all(map(gone, pids))


async def test_closing_ends_a_call_that_waits(connect: Connect, journal: Journal) -> None:
    server = connect("hang-call")
    calling = asyncio.create_task(call(server, timeout=60))
    await until(lambda: journal.count("call") == 1)
    await server.aclose()
    with pytest.raises(OutcomeUnknownError, match="the connection was closed here"):
        await calling
    assert gone(journal.pids[0])


async def test_a_child_has_only_what_was_declared(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "not theirs")
    environment = json.loads(await call(connect("environment", secrets={"TOKEN": "theirs"})))
    assert environment.pop("TOKEN") == "theirs"
    environment.pop("LC_CTYPE", None)  # Python's own
    assert set(environment) == {"PATH", "LANG", "HOME", "TMPDIR", "JOURNAL"}
    assert here(environment["HOME"])


async def test_its_folder_goes_with_it(connect: Connect) -> None:
    server = connect("environment")
    home = json.loads(await call(server))["HOME"]
    await server.aclose()
    assert not here(home)


@pytest.mark.parametrize("program", ["no-such-program", "./pyproject.toml", "/no/such"])
async def test_a_program_that_is_not_there_is_an_error(connect: Connect, program: str) -> None:
    with pytest.raises(ProxiedServerError, match=f"there is no program '{program}'"):
        await connect("", command=(program,)).definitions()


async def test_we_leave_no_descriptor_open(connect: Connect) -> None:
    async def live() -> None:
        for what in ("", "die-start", "die-call", "hang-list"):
            server = connect(what, bounds=BOUNDS.model_copy(update={"listing": 0.2}))
            with suppress(ProxiedServerError, OutcomeUnknownError):
                await call(server, timeout=0.5)
            await server.aclose()

    await live()
    before = descriptors()
    await live()
    assert descriptors() <= before


class Sleeper:
    """A process that has a server's folder in its environment, and the folder."""

    def __init__(self, of: str) -> None:
        self.home = tempfile.mkdtemp(prefix=f"{of}-server-")
        words = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)"]
        self.process = subprocess.Popen(words, env={"TMPDIR": self.home})

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture
def left() -> Iterator[Sleeper]:
    """What a Pratique left that was killed."""
    made = Sleeper("pratique-999999999-1")
    yield made
    made.end()


@pytest.fixture
def spared() -> Iterator[Sleeper]:
    """What a Pratique has that lives."""
    made = Sleeper(mark.mine())
    yield made
    made.end()


async def test_what_a_dead_run_left_is_ended_with_the_first_server_of_the_next(
    connect: Connect, left: Sleeper, spared: Sleeper
) -> None:
    inline._end_orphans.cache_clear()
    assert await call(connect("")) == "hello"
    assert left.process.wait(5) == -9
    assert not here(left.home)
    assert spared.process.poll() is None
    assert here(spared.home)
