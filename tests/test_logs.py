"""What the program says is one JSON object a line, with its call, and without secrets."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from pratique.logs import QUOTING, configure_logs
from pratique.model import Status
from pratique.tools.context import ToolContext
from pratique.tools.declaration import tool
from tests.house import House, opened


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.contextvars.clear_contextvars()


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Gives what was written to standard error since it was last asked; standard output stays empty."""

    def read() -> str:
        written = capsys.readouterr()
        assert written.out == ""
        return written.err

    return read


def lines(said: Said) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said().splitlines()]


def test_each_line_is_one_json_object_with_time_level_and_words(said: Said) -> None:
    configure_logs("info", "json")
    structlog.get_logger().info("unknown outcome", tool="mail.send", n=1, text="two\nlines")
    structlog.get_logger().warning("again")
    first, second = lines(said)
    assert (first["event"], first["level"], first["tool"], first["n"]) == (
        "unknown outcome",
        "info",
        "mail.send",
        1,
    )
    assert first["text"] == "two\nlines"
    assert first["timestamp"].endswith("Z")
    assert second["level"] == "warning"


def test_what_is_bound_to_a_call_is_on_every_line(said: Said) -> None:
    configure_logs("info", "json")
    with structlog.contextvars.bound_contextvars(trace_id="ab" * 16, call_id="c1"):
        structlog.get_logger().info("one")
        structlog.get_logger().info("two")
    structlog.get_logger().info("three")
    found = [(line.get("trace_id"), line.get("call_id")) for line in lines(said)]
    assert found == [("ab" * 16, "c1"), ("ab" * 16, "c1"), (None, None)]


def test_less_than_the_level_is_not_said(said: Said) -> None:
    configure_logs("warning", "json")
    structlog.get_logger().info("no")
    structlog.get_logger().error("yes")
    assert [line["event"] for line in lines(said)] == ["yes"]


class Odd:
    """Something whose repr gives a secret away."""

    def __repr__(self) -> str:
        return "<Odd password=tr0ub4dor>"


@pytest.mark.parametrize(
    "value",
    [
        "tr0ub4dor",
        "a tr0ub4dor b",
        ["x", "tr0ub4dor"],
        ("tr0ub4dor",),
        {"deep": [{"deeper": "tr0ub4dor"}]},
        {"tr0ub4dor": 1},
        {"password": "anything", "x": "tr0ub4dor"},
        b"tr0ub4dor",
        {"tr0ub4dor"},
        ValueError("tr0ub4dor"),
        Odd(),
        [Odd()],
    ],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_known_secret_is_in_no_line_whatever_it_is_in(said: Said, value: Any, form: str) -> None:
    configure_logs("info", form, ["tr0ub4dor"])
    structlog.get_logger().info("said", value=value)
    text = said()
    assert "said" in text
    assert "tr0ub4dor" not in text


def test_a_secret_in_the_words_themselves_is_taken_out(said: Said) -> None:
    configure_logs("info", "json", ["tr0ub4dor"])
    structlog.get_logger().info("logging in with tr0ub4dor and sk_live_4eC39HqLyjWDarjtT1zdp7dc")
    text = said()
    assert "logging in with" in text
    assert "tr0ub4dor" not in text
    assert "4eC39HqLyjWDarjtT1zdp7dc" not in text


def test_a_secret_in_a_traceback_is_taken_out(said: Said) -> None:
    configure_logs("info", "json", ["tr0ub4dor"])
    try:
        int("tr0ub4dor")
    except ValueError:
        structlog.get_logger().exception("failed")
    text = said()
    assert "ValueError" in json.loads(text)["exception"]
    assert "[redacted secret]" in text
    assert "tr0ub4dor" not in text


@pytest.mark.parametrize("name", ["password", "api_key", "authorization", "cookie", "client_secret"])
def test_a_value_whose_name_says_that_it_is_a_secret_is_not_said(said: Said, name: str) -> None:
    configure_logs("info", "json")
    structlog.get_logger().info("x", **{name: "anything at all"}, nested={name: "anything at all"})
    text = said()
    assert name in text
    assert "anything at all" not in text


def test_auto_is_json_where_nobody_watches(said: Said) -> None:
    configure_logs("info", "auto")
    structlog.get_logger().info("x")
    assert lines(said)[0]["event"] == "x"


def test_text_goes_to_standard_error_as_well(said: Said) -> None:
    configure_logs("info", "text")
    structlog.get_logger().info("x", call_id="c1")
    assert "c1" in said()


async def test_what_a_tool_says_carries_its_trace_and_call(said: Said, house: House) -> None:
    @tool("desk.talk", tier="read")
    async def talk(_: ToolContext) -> None:
        structlog.get_logger().info("async")

    @tool("desk.talk_in_a_thread", tier="read")
    def talk_in_a_thread(_: ToolContext) -> None:
        structlog.get_logger().info("thread")

    configure_logs("info", "json")
    session = await opened(house.runtime(tools=[talk, talk_in_a_thread]), trace_id="ab" * 16)
    await asyncio.gather(
        session.call("desk.talk", call_id="c1"), session.call("desk.talk_in_a_thread", call_id="c2")
    )
    structlog.get_logger().info("host")
    found = {line["event"]: (line.get("trace_id"), line.get("call_id")) for line in lines(said)}
    assert found == {"async": ("ab" * 16, "c1"), "thread": ("ab" * 16, "c2"), "host": (None, None)}


class Gone:
    """A reader of standard error that has gone."""

    def write(self, _: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("stream", [Gone(), None, "closed"])
async def test_where_nobody_reads_what_it_says_a_call_is_what_it_is(
    said: Said, house: House, monkeypatch: pytest.MonkeyPatch, stream: Any
) -> None:
    @tool("desk.talk", tier="write", sources={"*": "meta"})
    async def talk(_: ToolContext) -> str:
        structlog.get_logger("pratique").warning("something happened")
        return "done"

    configure_logs("info", "json")
    structlog.get_logger("pratique").warning("this is heard")
    assert "this is heard" in said()
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    session = await opened(house.runtime(tools=[talk]))
    with monkeypatch.context() as patched:
        patched.setattr("sys.stderr", stream)
        outcome = await session.call("desk.talk")
    assert (outcome.status, outcome.value) == (Status.DONE, "done"), outcome
    structlog.get_logger("pratique").warning("heard again")
    assert "heard again" in said()


def test_what_a_library_quotes_of_a_server_is_visible_bounded_and_redacted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ("mcp.client.streamable_http", "client", "httpx2")
    before = {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in QUOTING}
    try:
        configure_logs(form="json", secrets=["SECRETKEY123"])
        for _ in range(100):
            for name in names:
                logging.getLogger(name).warning("\x1b]0;pwned\x07 SECRETKEY123 \u202e\n%s", "x" * 9000)
        said = capsys.readouterr().err
    finally:
        structlog.reset_defaults()
        for name, (handlers, propagate) in before.items():
            logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
    assert "SECRETKEY123" not in said
    assert "\x1b" not in said
    assert "U+202E" in said
    assert len(said.splitlines()) == 61
    assert max(map(len, said.splitlines())) < 1500
