"""Promise: a jail reaches the hosts that were granted, pinned after resolving, and nothing else."""

# Code that is run is kept on the lines that it reads best on.
# ruff: noqa: E501

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pratique.errors import SandboxUnavailableError
from pratique.sandbox.backend import Grants, Result, Status, Work
from pratique.sandbox.egress import RefusedError, is_public, parse
from tests.sandbox.cases import SMALL
from tests.sandbox.places import Place

_FETCH = """
import json, os, urllib.request, urllib.error
out = []
for url in inputs:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            out.append(answer.read().decode())
    except urllib.error.HTTPError as error:
        out.append(f"{error.code} {error.read().decode()}")
    except OSError as error:
        out.append(type(error).__name__)
out
"""


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    """A small HTTP server on this machine; it answers with the path."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).split(b" ")[1]
        while (await reader.readline()).strip():
            pass
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(path), path)
        )
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def fetch(jail: Place, urls: list[str], grants: Grants) -> Result:
    return await jail.run(Work(code=_FETCH, inputs=json.dumps(urls).encode()), limits=SMALL, grants=grants)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_granted_host_is_reached_and_no_other(jail: Place) -> None:
    async with server() as port, server() as other:
        pair = f"localhost:{port}"
        grants = Grants(hosts=(pair, "127.0.0.1:1"), private_hosts=(pair,))
        urls = [
            f"http://localhost:{port}/a?b=c",
            f"http://localhost:{other}/x",
            f"http://127.0.0.1:{port}/x",
            "http://127.0.0.1:1/",
            "https://example.org/",
        ]
        result = await fetch(jail, urls, grants)
    assert result.status is Status.OK, result
    first, second, third, fourth, fifth = json.loads(result.value_json or b"")
    assert first == "/a?b=c"
    assert "403" in second
    assert "was not granted" in second
    assert "was not granted" in third, "the pair is matched by its letters, not by its address"
    assert "not public" in fourth, "a private address needs a grant of its own"
    assert fifth == "OSError" or "URLError" in fifth


@pytest.mark.asyncio(loop_scope="session")
async def test_a_tunnel_carries_bytes_both_ways(jail: Place) -> None:
    async with server() as port:
        pair = f"localhost:{port}"
        code = (
            "import socket\nwith socket.create_connection(('127.0.0.1', 3128), 5) as s:\n"
            f"    s.sendall(b'CONNECT {pair} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n    head = s.recv(1000)\n"
            "    s.sendall(b'GET /tunnel HTTP/1.1\\r\\n\\r\\n')\n    body = b''\n"
            "    while data := s.recv(1000): body += data\n[head.decode().split()[1], body.decode().split('\\r\\n')[-1]]"
        )
        result = await jail.code(code, limits=SMALL, grants=Grants(hosts=(pair,), private_hosts=(pair,)))
    assert result.value_json == b'["200","/tunnel"]', result


@pytest.mark.asyncio(loop_scope="session")
async def test_with_hosts_granted_everything_else_stays_closed(jail: Place) -> None:
    async with server() as port:
        pair = f"localhost:{port}"
        code = (
            "import socket\nfound = []\n"
            f"tries = [(socket.AF_INET, 1, ('127.0.0.1', {port})), (socket.AF_INET, 2, ('127.0.0.1', 53)),\n"
            "         (socket.AF_UNIX, 1, '/tmp/x'), (socket.AF_INET, 1, ('1.1.1.1', 443)), (socket.AF_INET6, 1, ('::1', 80))]\n"
            "for family, kind, address in tries:\n    try:\n        with socket.socket(family, kind) as sock:\n"
            "            sock.settimeout(1)\n            sock.connect(address)\n            found.append(address)\n"
            "    except OSError: pass\ntry:\n    s = socket.socket()\n    s.bind(('127.0.0.1', 8000))\n    found.append('bind')\n"
            "except OSError: pass\nfound"
        )
        result = await jail.code(code, limits=SMALL, grants=Grants(hosts=(pair,), private_hosts=(pair,)))
    assert result.value_json == b"[]", result


@pytest.mark.asyncio(loop_scope="session")
async def test_hosts_need_a_sandbox_that_was_acquired_with_network(jail: Place) -> None:
    async with jail.sandbox() as sandbox:
        with pytest.raises(SandboxUnavailableError, match="without network"):
            await sandbox.run(Work(code="1"), limits=SMALL, grants=Grants(hosts=("example.org:443",)))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  # an address to be refused
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_public_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET https://example.org/ HTTP/1.1\r\n\r\n",
        b"GET ftp://example.org/ HTTP/1.1\r\n\r\n",
        b"CONNECT example.org HTTP/1.1\r\n\r\n",
        b"CONNECT example.org:443/path HTTP/1.1\r\n\r\n",
        b"CONNECT user@example.org:443 HTTP/1.1\r\n\r\n",
        b"CONNECT example.org:99999 HTTP/1.1\r\n\r\n",
        b"CONNECT [::1 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_what_is_no_proxy_request_is_refused(head: bytes) -> None:
    with pytest.raises(RefusedError):
        parse(head)


def test_requests_are_read_as_they_will_be_sent() -> None:
    target = parse(b"GET http://Example.org:8080/a?b HTTP/1.1\r\nHost: other\r\n\r\n")
    assert (target.host, target.port, target.tunnel) == ("example.org", 8080, False)
    assert target.first == b"GET /a?b HTTP/1.1\r\nHost: other\r\n\r\n"
    target = parse(b"CONNECT [2606::1]:443 HTTP/1.1\r\n\r\n")
    assert (target.host, target.port, target.tunnel) == ("2606::1", 443, True)
