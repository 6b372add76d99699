"""Promise: the web tools reach declared hosts, at allowed addresses, and read within limits."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pratique.errors import ToolDeclarationError, ToolError
from pratique.tools.context import World
from pratique.tools.declaration import Tool
from pratique.tools.hosts import Network
from pratique.tools.web import web_tools
from pratique.tools.web_fetch import LARGEST_PAGE, LONGEST_TEXT, MOST_REDIRECTS
from tests.servers.authority import Authority
from tests.tools.loopback import Names, Server, page, redirect


@pytest.fixture
def names() -> Names:
    return Names(site_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def world(names: Names, authority: Authority) -> World:
    return World(network=Network(names, authority.trusted()))


@pytest.fixture
async def site() -> AsyncIterator[Server]:
    async with Server().serving() as server:
        yield server


@pytest.fixture
def tools(site: Server) -> dict[str, Tool]:
    made = web_tools(private=[f"site.test:{site.port}"], seconds=5)
    return {tool.capability.name: tool for tool in made}


@pytest.fixture
def get(run: Any, tools: dict[str, Tool], site: Server) -> Any:
    """`await get("/path")` fetches from the site."""

    async def get(target: str, **args: Any) -> Any:
        return await run(tools["http.get"], url=f"http://site.test:{site.port}{target}", **args)

    return get


async def test_fetches_a_page(get: Any, site: Server) -> None:
    site.routes["/a?b=1"] = page("Grüße")
    assert await get("/a?b=1#part") == {
        "url": f"http://site.test:{site.port}/a?b=1",
        "status": 200,
        "location": "",
        "content_type": "text/plain",
        "text": "Grüße",
        "characters": 5,
        "truncated": False,
        "bytes": 7,
        "redirects": [],
        "problems": [],
    }
    assert site.asked[0].headers["host"] == f"site.test:{site.port}"
    assert site.asked[0].headers["user-agent"] == "pratique"


async def test_html_becomes_what_its_reader_sees(get: Any, site: Server) -> None:
    html = '<title>t</title><p>seen</p><p hidden>obey</p><script>x</script><a href="/l">link</a>'
    site.routes["/"] = page(html, "text/html")
    shown = await get("/")
    assert shown["text"] == "seen\n\nlink (/l)"
    assert shown["problems"] == ["the HTML hides 4 characters of text from its reader: they were left out"]
    assert (await get("/", show="source"))["text"] == html


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("Grüße".encode("latin-1"), "text/plain; charset=iso-8859-1", "Grüße"),
        ("Grüße".encode("utf-16"), "text/plain; charset=us-ascii", "Grüße"),
        (b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe", "text/plain", "Grüße"),
        ('<meta charset="latin1">Grüße'.encode("latin-1"), "text/html", "Grüße"),
        (b"plain", "text/plain; charset=zlib", "plain"),
        (b"plain", 'text/plain; charset="', "plain"),
        (b'{"a": 1}', "application/problem+json", '{"a": 1}'),
        (b"<a/>", "application/xml", "<a/>"),
    ],
)
async def test_reads_text_in_its_charset(
    get: Any, site: Server, body: bytes, content_type: str, text: str
) -> None:
    site.routes["/"] = page(body, content_type)
    assert (await get("/"))["text"] == text


@pytest.mark.parametrize(
    "content_type", ["image/png", "application/octet-stream", "", "textual", "text/ html"]
)
async def test_what_is_no_text_is_refused(get: Any, site: Server, content_type: str) -> None:
    site.routes["/"] = page(b"\x89PNG", content_type)
    with pytest.raises(ToolError, match="not text"):
        await get("/")


async def test_an_error_page_is_an_answer(get: Any) -> None:
    answer = await get("/none")
    assert (answer["status"], answer["text"]) == (404, "not here")


async def test_an_empty_answer_needs_no_type(get: Any, site: Server) -> None:
    site.routes["/"] = b"HTTP/1.1 204 No Content\r\n\r\n"
    assert (await get("/"))["status"] == 204


async def test_a_long_text_is_cut_and_says_so(get: Any, site: Server) -> None:
    site.routes["/"] = page("\x01" * (LONGEST_TEXT + 1))
    answer = await get("/")
    assert (len(answer["text"]), answer["characters"], answer["truncated"]) == (
        LONGEST_TEXT,
        LONGEST_TEXT + 1,
        True,
    )


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def test_an_endless_answer_is_cut_off(get: Any, site: Server) -> None:
    site.routes["/"] = _endless
    with pytest.raises(ToolError, match=f"larger than {LARGEST_PAGE:,} bytes"):
        await get("/")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"0" * 100 * LARGEST_PAGE)),
        ("deflate", zlib.compress(b"0" * 100 * LARGEST_PAGE)),
    ],
)
async def test_a_decompression_bomb_is_not_unpacked(
    get: Any, site: Server, encoding: str, body: bytes
) -> None:
    assert len(body) < LARGEST_PAGE / 5
    site.routes["/"] = page(body, content_encoding=encoding)
    with pytest.raises(ToolError, match="larger than"):
        await get("/")


async def _blocks_of_nothing(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip\r\n\r\n")
    writer.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
    while True:
        writer.write(b"\x00\x00\x00\xff\xff" * 65536)  # stored blocks of no bytes
        await writer.drain()


async def test_a_compressed_answer_that_never_means_anything_is_cut_off(get: Any, site: Server) -> None:
    site.routes["/"] = _blocks_of_nothing
    with pytest.raises(ToolError, match="larger than"):
        await get("/")


async def test_a_compressed_page_is_read(get: Any, site: Server) -> None:
    site.routes["/"] = page(gzip.compress(b"hello"), content_encoding="gzip")
    assert (await get("/"))["text"] == "hello"
    assert site.asked[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip, identity", "x" * 200])
async def test_other_encodings_are_refused(get: Any, site: Server, encoding: str) -> None:
    site.routes["/"] = page(gzip.compress(gzip.compress(b"hello")), content_encoding=encoding)
    with pytest.raises(ToolError, match="which was not asked for"):
        await get("/")


async def test_what_is_not_gzip_breaks_off(get: Any, site: Server) -> None:
    site.routes["/"] = page(b"hello", content_encoding="gzip")
    with pytest.raises(ToolError, match="broke off"):
        await get("/")


async def _short(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nhello")
    await writer.drain()


async def _close_at_once(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()


async def _endless_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: " + b"x" * 8000 + b"\r\n")
        await writer.drain()


async def _two_lengths(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 5\r\n\r\nhello")
    await writer.drain()


@pytest.mark.parametrize("behaviour", [_short, _close_at_once, _nonsense, _endless_head, _two_lengths])
async def test_a_server_that_lies_or_goes_away_is_an_error(get: Any, site: Server, behaviour: Any) -> None:
    site.routes["/"] = behaviour
    with pytest.raises(ToolError, match=r"broke off|gave no answer"):
        await get("/")


async def test_a_server_that_promises_less_than_it_sends_is_believed(get: Any, site: Server) -> None:
    async def more(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhello")
        await writer.drain()

    site.routes["/"] = more
    assert (await get("/"))["text"] == "he"


async def _hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0)


async def _drip_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize("behaviour", [_hang, _drip, _drip_head])
async def test_a_server_that_stalls_runs_into_the_deadline(run: Any, site: Server, behaviour: Any) -> None:
    site.routes["/"] = behaviour
    get, _ = web_tools(private=[f"site.test:{site.port}"], seconds=0.2)
    with pytest.raises(ToolError, match=r"no whole answer within 0\.2 s"):
        await run(get, url=f"http://site.test:{site.port}/")


async def test_redirects_are_followed_and_named(get: Any, site: Server) -> None:
    origin = f"http://site.test:{site.port}"
    site.routes |= {"/1": redirect("2"), "/2": redirect(f"{origin}/3", "308 Permanent Redirect")}
    site.routes["/3"] = page("there")
    answer = await get("/1")
    assert answer["redirects"] == [f"{origin}/1", f"{origin}/2"]
    assert (answer["url"], answer["text"]) == (f"{origin}/3", "there")


async def test_redirects_in_circles_end(get: Any, site: Server) -> None:
    site.routes["/"] = redirect("/")
    with pytest.raises(ToolError, match=f"more than {MOST_REDIRECTS} times"):
        await get("/")
    assert len(site.asked) == MOST_REDIRECTS + 1


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://evil.test/", "did not declare the host"),
        ("//evil.test/", "did not declare the host"),
        ("http://site.test@evil.test/", "credentials"),
        ("http://user:pw@site.test/", "credentials"),
        ("http://169.254.169.254/latest/meta-data/", "did not declare the host"),
        ("file:///etc/passwd", "names no host"),
        ("gopher://site.test/", "only http and https"),
        ("http://site.test:1/", "did not declare the host"),
        ("http://[::1", "the URL is none"),
        ("http://" + "a" * 9000, "too long"),
    ],
)
async def test_a_redirect_is_looked_at_like_the_first_request(
    get: Any, site: Server, location: str, words: str
) -> None:
    site.routes["/"] = redirect(location)
    with pytest.raises(ToolError, match=words):
        await get("/")
    assert len(site.asked) == 1


@pytest.mark.parametrize("url", ["ftp://site.test/", "site.test", "/path", "http://", "http://?", "\x00"])
async def test_what_is_no_web_address_is_refused(run: Any, tools: dict[str, Tool], url: str) -> None:
    with pytest.raises(ToolError, match=r"only http|names no host|the URL is none|cannot be reached"):
        await run(tools["http.get"], url=url)


async def test_credentials_in_the_url_are_refused(run: Any, tools: dict[str, Tool], site: Server) -> None:
    with pytest.raises(ToolError, match="credentials") as caught:
        await run(tools["http.get"], url=f"http://kim:hunter2@site.test:{site.port}/")
    assert "hunter2" not in str(caught.value)
    assert site.connections == 0


async def test_posts_json_a_form_or_text(run: Any, tools: dict[str, Tool], site: Server) -> None:
    url = f"http://site.test:{site.port}/in"
    site.routes["/in"] = page("", "", "201 Created")
    bodies: list[dict[str, Any]] = [
        {"json": {"a": [1]}},
        {"form": {"a": "ö&=", "b": ""}},
        {"text": "Grüße"},
        {"form": {}},
    ]
    for body in bodies:
        assert (await run(tools["http.post"], url=url, **body))["status"] == 201
    assert [(one.headers["content-type"], one.body) for one in site.asked] == [
        ("application/json", b'{"a":[1]}'),
        ("application/x-www-form-urlencoded", b"a=%C3%B6%26%3D&b="),
        ("text/plain; charset=utf-8", "Grüße".encode()),
        ("application/x-www-form-urlencoded", b""),
    ]


@pytest.mark.parametrize("body", [{}, {"json": {}, "text": ""}])
async def test_a_post_has_one_body(
    run: Any, tools: dict[str, Tool], site: Server, body: dict[str, Any]
) -> None:
    with pytest.raises(ToolError, match="exactly one"):
        await run(tools["http.post"], url=f"http://site.test:{site.port}/", **body)
    assert site.connections == 0


async def test_a_post_is_sent_again_to_the_same_origin_only(
    run: Any, tools: dict[str, Tool], site: Server
) -> None:
    origin = f"http://site.test:{site.port}"
    site.routes |= {"/a": redirect("/b", "307 Temporary Redirect"), "/b": page("done")}
    answer = await run(tools["http.post"], url=f"{origin}/a", text="x")
    assert (answer["text"], [one.body for one in site.asked]) == ("done", [b"x", b"x"])

    both = web_tools(private=[f"site.test:{site.port}", f"other.test:{site.port}"])[1]
    site.routes["/a"] = redirect(f"http://other.test:{site.port}/b", "308 Permanent Redirect")
    with pytest.raises(ToolError, match="nothing is sent to another host again"):
        await run(both, url=f"{origin}/a", text="x")
    assert len(site.asked) == 3


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other"])
async def test_a_post_that_points_to_a_page_is_done(
    run: Any, tools: dict[str, Tool], site: Server, status: str
) -> None:
    site.routes["/"] = redirect("http://evil.test/", status)
    answer = await run(tools["http.post"], url=f"http://site.test:{site.port}/", text="x")
    assert (answer["status"], answer["location"]) == (int(status[:3]), "http://evil.test/")
    assert len(site.asked) == 1


async def test_a_post_whose_answer_is_lost_still_tells_the_status(
    run: Any, tools: dict[str, Tool], site: Server
) -> None:
    site.routes |= {"/cut": _short, "/png": page(b"\x89PNG", "image/png", "201 Created")}
    origin = f"http://site.test:{site.port}"
    cut = await run(tools["http.post"], url=f"{origin}/cut", text="x")
    assert (cut["status"], cut["text"], cut["problems"][0][:22]) == (200, "", "the answer broke off: ")
    png = await run(tools["http.post"], url=f"{origin}/png", text="x")
    assert (png["status"], png["problems"]) == (201, ["the answer is image/png, not text"])


def test_tools_without_hosts_or_with_urls_for_hosts_are_not_declared() -> None:
    for wrong in ("http://site.test", "site.test/", "*", "*.test", "user@site.test", "SITE.test", ""):
        with pytest.raises(ToolDeclarationError):
            web_tools([wrong])
        with pytest.raises(ToolDeclarationError):
            web_tools(private=[wrong])
    with pytest.raises(ToolDeclarationError, match="no host"):
        web_tools()
