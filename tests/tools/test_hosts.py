"""Promise: a tool's HTTP client is connected to a declared host at an allowed address, or to nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pratique.errors import ToolError
from pratique.model import Result, Status
from pratique.tools.context import ToolContext, World
from pratique.tools.declaration import Tool, tool
from pratique.tools.execution import Executor
from pratique.tools.hosts import LARGEST_BODY, Network
from pratique.tools.web import web_tools
from tests.servers.authority import Authority
from tests.tools.conftest import call_of
from tests.tools.loopback import Names, Server, page, redirect


@pytest.fixture
def names() -> Names:
    return Names(site_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])


@pytest.fixture
def world(names: Names) -> World:
    return World(network=Network(names))


@pytest.fixture
async def site() -> AsyncIterator[Server]:
    async with Server().serving() as server:
        server.routes["/"] = page("here")
        yield server


def get_from(*private: str, public: Sequence[str] = (), seconds: float = 5) -> Tool:
    return web_tools(public, private, seconds=seconds)[0]


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["fe80::1%lo"],
        ["224.0.0.1"],
        ["fd00::1"],
        ["not an address"],
        ["93.184.216.34", "127.0.0.1"],
    ],
)
async def test_a_public_host_with_any_other_address_is_refused(
    run: Any, names: Names, site: Server, addresses: list[str]
) -> None:
    names.answers["site.test"] = [addresses]
    with pytest.raises(ToolError, match=r"^site\.test leads to .*, where no tool may connect to$"):
        await run(get_from(public=[f"site.test:{site.port}"]), url=f"http://site.test:{site.port}/")
    assert site.connections == 0


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "fe80::1", "224.0.0.1", "0.0.0.0"])  # noqa: S104
async def test_no_declaration_opens_a_metadata_service(
    run: Any, names: Names, site: Server, address: str
) -> None:
    names.answers["site.test"] = [["127.0.0.1", address]]
    with pytest.raises(ToolError, match=r"where no tool may connect to"):
        await run(get_from(f"site.test:{site.port}"), url=f"http://site.test:{site.port}/")
    assert site.connections == 0


async def test_the_address_that_was_looked_at_is_the_one_connected_to(
    run: Any, names: Names, site: Server
) -> None:
    names.answers["site.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    async with Server().serving("127.0.0.2", site.port) as rebound:
        url = f"http://site.test:{site.port}/"
        assert (await run(get_from(f"site.test:{site.port}"), url=url))["text"] == "here"
    assert names.asked == ["site.test"]
    assert (site.connections, rebound.connections) == (1, 0)


async def test_a_name_that_changes_its_address_is_looked_at_again(
    run: Any, names: Names, site: Server
) -> None:
    names.answers["site.test"] = [["127.0.0.1"], ["169.254.169.254"]]
    site.routes["/away"] = redirect("/")
    with pytest.raises(ToolError, match=r"site\.test leads to 169\.254\.169\.254"):
        await run(get_from(f"site.test:{site.port}"), url=f"http://site.test:{site.port}/away")
    assert site.connections == 1


async def test_a_redirect_from_a_public_host_does_not_open_the_own_network(
    run: Any, names: Names, site: Server
) -> None:
    names.answers["public.test"] = [["127.0.0.1"]]
    site.routes["/away"] = redirect(f"http://public.test:{site.port}/")
    both = get_from(f"site.test:{site.port}", public=[f"public.test:{site.port}"])
    with pytest.raises(ToolError, match=r"public\.test leads to 127\.0\.0\.1"):
        await run(both, url=f"http://site.test:{site.port}/away")
    assert site.connections == 1


async def test_the_next_address_is_tried_when_one_does_not_answer(
    run: Any, names: Names, site: Server
) -> None:
    names.answers["site.test"] = [["127.0.0.3", "127.0.0.1"]]
    answer = await run(get_from(f"site.test:{site.port}"), url=f"http://site.test:{site.port}/")
    assert answer["text"] == "here"


@pytest.mark.parametrize("answer", [[], ["127.0.0.3"]])
async def test_a_host_without_an_address_that_answers_cannot_be_reached(
    run: Any, names: Names, site: Server, answer: list[str]
) -> None:
    names.answers["site.test"] = [answer]
    with pytest.raises(ToolError, match="cannot be reached"):
        await run(get_from(f"site.test:{site.port}"), url=f"http://site.test:{site.port}/")


async def test_an_unknown_name_cannot_be_reached(run: Any) -> None:
    with pytest.raises(ToolError, match=r"none\.test cannot be reached: none\.test cannot be resolved"):
        await run(get_from("none.test"), url="http://none.test/")


async def test_a_resolver_that_hangs_runs_into_the_deadline(run: Any, world: World) -> None:
    async def hang(_: str, __: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    world.network.resolve = hang
    with pytest.raises(ToolError, match="no whole answer within"):
        await run(get_from("site.test", seconds=0.1), url="http://site.test/")


ODD_FORMS = [
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "localhost",
    "127.0.0.1",
    "127.0.0.1.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "\uff11\uff12\uff17.0.0.1",
]


@pytest.mark.parametrize("host", ODD_FORMS)
async def test_no_form_of_an_address_gets_around_the_declaration(
    run: Any, world: World, site: Server, host: str
) -> None:
    world.network = Network()  # the system's resolver, which knows all of these forms
    url = f"http://{host}:{site.port}/"
    with pytest.raises(ToolError):
        await run(get_from(public=["site.test", f"site.test:{site.port}"]), url=url)
    if host.isascii() and not host.endswith("."):
        with pytest.raises(
            ToolError, match=r"where no tool may connect to|the URL is none|cannot be resolved"
        ):
            await run(get_from(public=[f"{host}:{site.port}"]), url=url)
    assert site.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://site.test@127.0.0.1:{port}/",
        "http://site.test:{port}@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/@site.test",
        "http://127.0.0.1:{port}#@site.test:{port}/",
        "http://127.0.0.1:{port}?@site.test:{port}/",
        "http://127.0.0.1:{port}\\@site.test:{port}/",
        "http://site.test:{port}\\@127.0.0.1:{port}/",
        "http://site.test.:{port}/",
        "http://site.test%2eother.test:{port}/",
        "http://site.test%00.other.test:{port}/",
        "http:site.test:{port}/",
        "http:///site.test:{port}/",
        "http://site.test:0{port}x/",
        "http://site.test:80/",
        "http://\u017fite.test.evil.test:{port}/",
    ],
)
async def test_no_spelling_of_a_url_reaches_another_host(run: Any, site: Server, url: str) -> None:
    with pytest.raises(ToolError):
        await run(get_from(f"site.test:{site.port}"), url=url.format(port=site.port))
    assert site.connections == 0


@pytest.mark.parametrize(
    "url", ["HTTP://SITE.TEST:{port}/", "http://site.test:{port}", "http://site.test:{port}?"]
)
async def test_the_same_host_in_other_letters_is_the_same_host(run: Any, site: Server, url: str) -> None:
    site.routes["/?"] = page("here")
    answer = await run(get_from(f"site.test:{site.port}"), url=url.format(port=site.port))
    assert answer["text"] == "here"


async def test_an_ipv6_host_is_reached_when_it_is_declared(run: Any, names: Names) -> None:
    names.answers["::1"] = [["::1"]]
    async with Server().serving("::1") as site:
        site.routes["/"] = page("six")
        answer = await run(get_from(f"[::1]:{site.port}"), url=f"http://[::1]:{site.port}/")
    assert answer["text"] == "six"
    assert site.asked[0].headers["host"] == f"[::1]:{site.port}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_tls_names_and_checks_the_host_not_the_address(
    run: Any, world: World, names: Names, authority: Authority
) -> None:
    world.network = Network(names, authority.trusted())
    async with Server().serving(tls=authority.serving("site.test")) as site:
        site.routes["/"] = page("safe")
        declared = get_from(f"site.test:{site.port}", f"other.test:{site.port}", f"127.0.0.1:{site.port}")
        assert (await run(declared, url=f"https://site.test:{site.port}/"))["text"] == "safe"
        assert site.sni == ["site.test"]
        assert site.asked[0].headers["host"] == f"site.test:{site.port}"
        names.answers["127.0.0.1"] = [["127.0.0.1"]]
        for host in ("other.test", "127.0.0.1"):
            with pytest.raises(ToolError, match=r"cannot be reached: .*certificate"):
                await run(declared, url=f"https://{host}:{site.port}/")
    assert len(site.asked) == 1


async def test_an_authority_that_the_system_does_not_know_is_not_believed(
    run: Any, authority: Authority
) -> None:
    async with Server().serving(tls=authority.serving("site.test")) as site:
        with pytest.raises(ToolError, match="certificate"):
            await run(get_from(f"site.test:{site.port}"), url=f"https://site.test:{site.port}/")
    assert site.asked == []


async def test_a_redirect_never_leaves_https(
    run: Any, world: World, names: Names, site: Server, authority: Authority
) -> None:
    world.network = Network(names, authority.trusted())
    async with Server().serving(tls=authority.serving("site.test")) as safe:
        safe.routes["/"] = redirect(f"http://site.test:{site.port}/")
        declared = get_from(f"site.test:{safe.port}", f"site.test:{site.port}")
        with pytest.raises(ToolError, match="redirected from https to http"):
            await run(declared, url=f"https://site.test:{safe.port}/")
    assert site.connections == 0


def own_tool(port: int, **request: Any) -> Tool:
    @tool("own.tool", tier="egress", sources={"*": "untrusted"}, private=[f"site.test:{port}"])
    async def own(ctx: ToolContext) -> Any:
        """Ask for something, as a tool's author may."""
        response = await ctx.http.get(f"http://site.test:{port}/", **request)
        return {"status": response.status_code, "bytes": len(response.content)}

    return own


async def test_every_tool_has_this_client(run: Any, site: Server) -> None:
    assert await run(own_tool(site.port)) == {"status": 200, "bytes": 4}


@pytest.mark.parametrize("host", ["evil.test", "", "site.test"])
async def test_the_header_host_names_the_host_of_the_url(run: Any, site: Server, host: str) -> None:
    with pytest.raises(ToolError, match="the header Host names another host"):
        await run(own_tool(site.port, headers={"host": host}))
    assert site.connections == 0


async def test_tools_cannot_change_the_target_or_the_name_in_tls(run: Any, site: Server) -> None:
    odd = {"target": b"http://evil.test/", "sni_hostname": "evil.test"}
    assert (await run(own_tool(site.port, extensions=odd)))["status"] == 200
    assert site.asked[0].target == "/"


async def test_no_redirect_is_followed_unless_a_tool_asks_and_then_to_declared_hosts(
    run: Any, site: Server
) -> None:
    site.routes["/"] = redirect("http://evil.test/")
    assert (await run(own_tool(site.port)))["status"] == 302
    with pytest.raises(ToolError, match=r"did not declare the host 'evil\.test'"):
        await run(own_tool(site.port, follow_redirects=True))


async def test_no_tool_holds_an_endless_body_in_memory(run: Any, site: Server) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 2**20)
            await writer.drain()

    site.routes["/"] = endless
    with pytest.raises(ToolError, match=f"larger than {LARGEST_BODY:,} bytes"):
        await run(own_tool(site.port))


@pytest.fixture
async def closed_port() -> int:
    async with Server().serving() as server:
        return server.port


async def outcome(world: World, declared: Tool, **args: Any) -> Result:
    return await Executor(world).run(declared, call_of(declared, args))


async def test_a_write_that_never_left_has_failed(world: World, closed_port: int) -> None:
    post = web_tools(private=[f"site.test:{closed_port}"])[1]
    result = await outcome(world, post, url=f"http://site.test:{closed_port}/", text="x")
    assert result.status is Status.FAILED


async def test_a_write_that_was_not_answered_is_unknown(world: World, site: Server) -> None:
    async def close(writer: asyncio.StreamWriter) -> None:
        writer.close()

    site.routes["/"] = close
    post = web_tools(private=[f"site.test:{site.port}"])[1]
    result = await outcome(world, post, url=f"http://site.test:{site.port}/", text="x")
    assert (result.status, site.asked[0].body) == (Status.UNKNOWN, b"x")


async def test_a_write_that_ran_into_the_deadline_is_unknown(world: World, site: Server) -> None:
    async def hang(_: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    site.routes["/"] = hang
    post = web_tools(private=[f"site.test:{site.port}"], seconds=0.2)[1]
    result = await outcome(world, post, url=f"http://site.test:{site.port}/", text="x")
    assert (result.status, result.error) == (Status.UNKNOWN, "no whole answer within 0.2 s")


async def test_a_url_is_never_sent_to_a_proxy_of_the_environment(
    run: Any, site: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server().serving() as proxy:
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        assert (await run(own_tool(site.port)))["status"] == 200
    assert proxy.connections == 0
