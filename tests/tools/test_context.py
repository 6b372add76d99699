"""A tool gets handles for exactly what it declared, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pratique.errors import ToolDeclarationError
from pratique.model import Outcome, Status
from pratique.tools.context import ToolContext, World
from pratique.tools.declaration import tool
from tests.house import SECRET, House, opened

Body = Callable[[ToolContext], Awaitable[Any]]


async def ran(house: House, body: Body, **facts: Any) -> Outcome:
    """Run the body as a tool with these facts."""

    @tool("desk.odd", tier=facts.pop("tier", "write"), **facts)
    async def odd(ctx: ToolContext) -> Any:
        return await body(ctx)

    return await (await opened(house.runtime(tools=[odd]))).call("desk.odd", call_id="c1")


async def test_it_knows_for_whom_it_works(house: House) -> None:
    async def body(ctx: ToolContext) -> list[str]:
        return [ctx.call_id, ctx.agent, ctx.user, ctx.session[:2]]

    assert (await ran(house, body)).value == ["c1", "support", "kim@acme.example", "s_"]


async def test_a_declared_secret_is_handed_out_and_no_other(house: House) -> None:
    async def declared(ctx: ToolContext) -> bool:
        return ctx.secret("pen") == SECRET

    async def undeclared(ctx: ToolContext) -> str:
        return ctx.secret("pin")

    assert (await ran(house, declared, secrets=["pen"])).value is True
    outcome = await ran(house, undeclared, secrets=["pen"])
    assert (outcome.status, outcome.error) == (Status.FAILED, "desk.odd did not declare the secret 'pin'")


async def test_a_file_root_is_what_was_declared(house: House) -> None:
    room = house.folder.parent

    async def write(ctx: ToolContext) -> str:
        ctx.files("room").write("note.txt", b"hello")
        return ctx.files("room").read("note.txt").decode()

    assert (await ran(house, write, paths={"room": "write"})).value == "hello"
    assert (room / "note.txt").read_bytes() == b"hello"
    for action in ("write", "remove"):

        async def change(ctx: ToolContext, action: str = action) -> None:
            files = ctx.files("room")
            if action == "write":
                files.write("other.txt", b"x")
            else:
                files.remove("note.txt")

        outcome = await ran(house, change, paths={"room": "read"})
        assert (outcome.status, outcome.error) == (
            Status.FAILED,
            "the root 'room' is for reading only here",
        )
    assert not (room / "other.txt").exists()
    assert (room / "note.txt").exists()


async def test_no_path_leads_out_of_a_root(house: House, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_text("secret")

    async def read(ctx: ToolContext) -> str:
        return ctx.files("room").read(f"../{outside.name}").decode()

    outcome = await ran(house, read, paths={"room": "read"})
    assert outcome.status is Status.UNKNOWN
    assert "secret" not in outcome.model_dump_json()
    outside.unlink()


async def test_what_was_not_declared_is_not_there(house: House) -> None:
    async def files(ctx: ToolContext) -> Any:
        return ctx.files("room").list()

    async def http(ctx: ToolContext) -> Any:
        return await ctx.http.get("http://127.0.0.1/")

    assert (await ran(house, files)).error == "desk.odd did not declare the file root 'room'"
    assert (await ran(house, http)).error == "desk.odd declared no host"


async def test_handles_are_closed_when_the_call_ends(house: House) -> None:
    kept: list[Any] = []

    async def keep(ctx: ToolContext) -> None:
        kept.extend([ctx.files("room"), ctx.http])
        kept[0].list()

    await ran(house, keep, paths={"room": "read"}, hosts=["127.0.0.1"])
    with pytest.raises((OSError, ValueError)):
        kept[0].list()
    assert kept[1].is_closed


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A web server on this machine that gives one answer; yields its port and what was asked of it."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], asked


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def test_a_declared_host_is_reached_and_no_other(house: House) -> None:
    async with server(OK) as (port, asked):

        async def get(ctx: ToolContext) -> str:
            return (await ctx.http.get(f"http://127.0.0.1:{port}/x")).text

        assert (await ran(house, get, private=[f"127.0.0.1:{port}"])).value == "ok"
        assert len(asked) == 1
        for hosts in (["127.0.0.1"], [f"127.0.0.2:{port}"], [f"localhost:{port}"], ["api.example"]):
            outcome = await ran(house, get, hosts=hosts)
            assert (outcome.status, outcome.error) == (
                Status.FAILED,
                f"desk.odd did not declare the host '127.0.0.1:{port}'",
            )
        assert len(asked) == 1, "nothing left the house"


async def test_a_redirect_is_not_followed(house: House) -> None:
    async with server(OK) as (inner, asked_inside):
        redirect = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n"
        async with server(redirect.encode() + b"Connection: close\r\n\r\n") as (port, asked):

            async def get(ctx: ToolContext) -> int:
                return (await ctx.http.get(f"http://127.0.0.1:{port}/")).status_code

            async def follow(ctx: ToolContext) -> int:
                return (await ctx.http.get(f"http://127.0.0.1:{port}/", follow_redirects=True)).status_code

            assert (await ran(house, get, private=[f"127.0.0.1:{port}"])).value == 302
            outcome = await ran(house, follow, private=[f"127.0.0.1:{port}"])
            assert "did not declare the host" in outcome.error
            assert (len(asked), len(asked_inside)) == (2, 0)


@pytest.mark.parametrize(
    "url",
    [
        "http://user@127.0.0.1@evil.example/",
        "http://evil.example#127.0.0.1/",
        "http://127.0.0.1.evil.example/",
        "http://evil.example:80\\@127.0.0.1/",
        "http://[::ffff:127.0.0.2]/",
        "ftp://127.0.0.2/",
        "file:///etc/passwd",
    ],
)
async def test_no_spelling_of_an_address_gets_around_the_declaration(house: House, url: str) -> None:
    async def get(ctx: ToolContext) -> Any:
        return (await ctx.http.get(url)).text

    outcome = await ran(house, get, hosts=["127.0.0.1"], timeout=5)
    assert outcome.status is Status.FAILED
    assert outcome.value is None


async def test_the_environment_does_not_choose_a_proxy(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(OK) as (proxy, through), server(OK) as (port, asked):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")

        async def get(ctx: ToolContext) -> str:
            return (await ctx.http.get(f"http://127.0.0.1:{port}/")).text

        assert (await ran(house, get, private=[f"127.0.0.1:{port}"])).value == "ok"
        assert (len(through), len(asked)) == (0, 1)


def test_what_this_host_lacks_is_said_before_the_first_call() -> None:
    @tool("desk.odd", tier="write", paths={"room": "write", "cellar": "read"}, secrets=["pen", "key"])
    async def odd(_: ToolContext) -> None: ...

    world = World({"room": Path("/tmp")}, {})  # noqa: S108  # never opened
    assert world.lacks(odd.capability) == [
        "no file root is called 'cellar'",
        "no secret is called 'pen'",
        "no secret is called 'key'",
    ]


def test_writing_to_a_root_makes_a_tool_a_writer() -> None:
    with pytest.raises(ToolDeclarationError, match="its tier is at least write"):
        tool("desk.odd", tier="egress", paths={"room": "write"})(odd_body)


async def odd_body(_: ToolContext) -> None:
    """Do nothing."""
