"""Two hundred open event streams, each on a socket of its own, before a real server."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from pratique.identity.people import People
from tests.server.process import Place, Served, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PEOPLE, STREAMS = 25, 8
APPROVE = {"vote": "approve", "confirm": "mo"}
WAIT = 60


class Listener:
    """One socket that listens to the queue."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def at(cls, port: int, cookie: str) -> "Listener":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET /api/v1/approvals/events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
        writer.write(head.encode())
        return cls(reader, writer)

    async def until(self, word: str) -> str:
        """Return the line that has this word, once it comes."""
        async with asyncio.timeout(WAIT):
            while word not in (line := (await self._reader.readline()).decode()):
                assert line, f"the stream ended before {word}"
        return line

    async def aclose(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(Place(tmp_path / "place", f"open_streams = {STREAMS}\n")) as made:
        yield made


async def logged_in(server: Served, name: str) -> httpx2.AsyncClient:
    link = await asyncio.to_thread(server.place.link, name)
    client = httpx2.AsyncClient(base_url=f"{server.url}/api/v1", timeout=WAIT)
    assert (await client.post("/login/link", json={"link": link})).status_code == 204
    client.headers["X-CSRF-Token"] = (await client.get("/me")).json()["csrf"]
    return client


def cookie_of(client: httpx2.AsyncClient) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@asynccontextmanager
async def people(server: Served, count: int) -> AsyncIterator[list[httpx2.AsyncClient]]:
    async with contextlib.AsyncExitStack() as stack:
        names = ["li@acme.example", *(f"reader{number}@acme.example" for number in range(1, count))]
        with server.place.ledger() as ledger:
            for name in names[1:]:
                People(ledger).add(name, "local:test", roles=["auditor"])
        clients = [await logged_in(server, name) for name in names]
        for client in clients:
            stack.push_async_callback(client.aclose)
        yield clients


def port(server: Served) -> int:
    return int(server.url.rpartition(":")[2])


def sockets(server: Served) -> int:
    """How many sockets the server has open."""
    folder, found = Path(f"/proc/{server.process.pid}/fd"), 0
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            found += str(entry.readlink()).startswith("socket:")
    return found


async def listeners(server: Served) -> int:
    async with httpx2.AsyncClient(timeout=WAIT) as client:
        text = (await client.get(f"{server.url}/metrics")).text
    return int(
        float(next(line for line in text.splitlines() if line.startswith("pratique_listeners")).split()[1])
    )


async def eventually(server: Served, open_sockets: int) -> None:
    async with asyncio.timeout(WAIT):
        while await listeners(server) or sockets(server) > open_sockets:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)


async def test_two_hundred_sockets_hear_a_decision_and_the_server_goes_on(server: Served) -> None:
    headers = {"Authorization": f"Bearer {server.place.key()}"}
    async with (
        people(server, PEOPLE) as everybody,
        httpx2.AsyncClient(base_url=f"{server.url}/api/v1", headers=headers, timeout=WAIT) as agent,
        contextlib.AsyncExitStack() as closing,
    ):
        opened = (await agent.post("/sessions", json={"user": "kim@acme.example"})).json()
        calls = f"/sessions/{opened['session']}/calls"
        before = sockets(server)
        cookies = [cookie_of(client) for client in everybody for _ in range(STREAMS)]
        heard = await asyncio.gather(*(Listener.at(port(server), cookie) for cookie in cookies))
        for one in heard:
            closing.push_async_callback(one.aclose)
            assert " 200 " in await one.until("HTTP/1.1")
        async with asyncio.timeout(WAIT):
            while await listeners(server) < len(cookies):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)
        pay = {"tool": "desk.pay", "args": {"to": "mo", "amount": 5}}
        ticket = (await agent.post(calls, json=pay)).json()["ticket"]
        vote = await everybody[0].post(f"/approvals/{ticket}/votes", json=APPROVE)
        assert vote.status_code == 201, vote.text
        for one in heard:
            await one.until("event: approval.decided")
            assert f'"ticket":"{ticket}"' in await one.until("data:")
        look = {"tool": "desk.look", "args": {"text": "still here"}}
        done = await asyncio.gather(*(agent.post(calls, json=look) for _ in range(20)))
        assert {answer.json()["status"] for answer in done} == {"done"}
        await closing.aclose()
        await eventually(server, before + 20)  # the agent's own connections


async def test_however_many_come_at_once_one_caller_gets_their_places_only(server: Served) -> None:
    async with people(server, 1) as (li,):
        before = sockets(server)
        crowd = await asyncio.gather(*(Listener.at(port(server), cookie_of(li)) for _ in range(40)))
        answered = Counter([(await one.until("HTTP/1.1")).split()[1] for one in crowd])
        assert answered == {"200": STREAMS, "429": 40 - STREAMS}
        for one in crowd:
            await one.aclose()
        await eventually(server, before)
        again = await Listener.at(port(server), cookie_of(li))
        assert " 200 " in await again.until("HTTP/1.1")
        await again.aclose()
