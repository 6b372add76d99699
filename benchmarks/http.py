"""What the HTTP door costs: a governed read over HTTP, against a bare FastAPI echo of the same bytes.

Each server is a process of its own, by uvicorn, with one worker. The caller is this process: prebuilt
requests on kept-alive connections, and no more reading of the answers than finding their end. Beside requests
per second stands the server's own CPU for each, which says more on a machine that does other things.

- echo: FastAPI reads a JSON body of the same shape, validated, and answers as many bytes.
- key only: the same, after the check of the API key that every request gets.
- governed: a read through the runtime: decided, run, and on disk in the chain before it is answered.
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx2

from benchmarks.calls import POLICY, lookup
from benchmarks.table import Row

REQUESTS, QUICK = 4000, 600
WARM = 200
CALLERS = (1, 16)
RUNS = 3
VOTES, QUICK_VOTES = 60, 15
ASKING = (
    POLICY
    + """
[groups]
leads = ["li@acme.example"]

[[allow]]
id = "notes"
to = "support"
tools = ["desk.*"]
tier = "write"

[[ask]]
id = "writes"
to = "*"
tools = ["*"]
tier = "write"
approvers = "leads"
"""
)
CALL = b'{"tool":"crm.lookup","args":{"customer":"8821"}}'


class Server:
    """A server that runs: its address, and what to send it.

    Args:
        kind: echo, key or governed.
        folder: of its ledger.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.process = subprocess.Popen(  # noqa: S603  # this very program
            [sys.executable, "-m", "benchmarks.http", kind, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port, self.key, self.link = self.process.stdout.readline().split()
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def path(self) -> str:
        """Return the address of the call that is measured."""
        if self.kind != "governed":
            return f"/{self.kind}"
        with httpx2.Client(base_url=f"{self.url}/api/v1", headers=self.headers) as client:
            opened = client.post("/sessions", json={"user": "kim@acme.example"}).json()
        return f"/api/v1/sessions/{opened['session']}/calls"

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def server(kind: str) -> Iterator[Server]:
    """Give a server."""
    with tempfile.TemporaryDirectory() as folder:
        made = Server(kind, Path(folder))
        try:
            yield made
        finally:
            made.stop()


def rows(*, quick: bool = False) -> list[Row]:
    """Measure the three servers by turns, and the time from a vote to the agent's answer."""
    count = QUICK if quick else REQUESTS
    measured: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with server("echo") as echo, server("key") as key, server("governed") as governed:
        for one in (echo, key, governed):
            asyncio.run(_send(one, WARM, 16))
        for callers in CALLERS:
            for _ in range(1 if quick else RUNS):
                for one in (echo, key, governed):
                    done = asyncio.run(_send(one, count, callers))
                    measured.setdefault((one.kind, callers), []).append(done)
        waits = _votes(governed, QUICK_VOTES if quick else VOTES)
    found = [row for callers in CALLERS for row in _rows(callers, measured)]
    found.append(
        Row(
            "from a vote to the agent's answer, the call run and on record",
            f"median of {len(waits)}, slowest {max(waits) * 1e3:.0f} ms",
            f"{statistics.median(waits) * 1e3:.0f} ms",
            "",
        )
    )
    return found


def _rows(callers: int, measured: dict[tuple[str, int], list[tuple[float, float]]]) -> list[Row]:
    kinds = ("echo", "key", "governed")
    echo, key, ours = (statistics.median(rate for rate, _ in measured[kind, callers]) for kind in kinds)
    cpu = [statistics.median(cpu for _, cpu in measured[kind, callers]) * 1e6 for kind in kinds]
    who = f"{callers} caller{'s' if callers > 1 else ''}"
    budget = "0.5" if callers > 1 else ""
    return [
        Row(
            f"governed read over HTTP against a bare echo, {who}",
            f"{ours:,.0f}/s of {echo:,.0f}/s; CPU {cpu[2]:.0f} µs of {cpu[0]:.0f} µs",
            f"{ours / echo:.2f}",
            budget,
            ours / echo >= 0.5 if budget else None,
        ),
        Row(
            f"the same against an echo that checks the key, {who}",
            f"{ours:,.0f}/s of {key:,.0f}/s; CPU of the echo {cpu[1]:.0f} µs",
            f"{ours / key:.2f}",
            "",
        ),
    ]


async def _send(one: Server, count: int, callers: int) -> tuple[float, float]:
    """Return how many requests a second were answered, and the server's CPU seconds for each."""
    body, path = CALL, one.path()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {one.key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(one.port))
        for _ in range(count // callers):
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            found = re.search(rb"content-length: (\d+)", answer)
            assert found is not None
            await reader.readexactly(int(found[1]))
        writer.close()
        await writer.wait_closed()

    begun, cpu = time.perf_counter(), one.cpu()
    await asyncio.gather(*(caller() for _ in range(callers)))
    sent = count // callers * callers
    return sent / (time.perf_counter() - begun), (one.cpu() - cpu) / sent


def _votes(one: Server, count: int) -> list[float]:
    return asyncio.run(_answered(one, count))


async def _answered(one: Server, count: int) -> list[float]:
    """Return the seconds from a vote to the answer of the call that waited for it."""
    base = f"{one.url}/api/v1"
    waits = []
    async with (
        httpx2.AsyncClient(base_url=base, headers=one.headers, timeout=60) as agent,
        httpx2.AsyncClient(base_url=base, timeout=60) as person,
    ):
        await person.post("/login/link", json={"link": one.link})
        person.headers["X-CSRF-Token"] = (await person.get("/me")).json()["csrf"]
        opened = (await agent.post("/sessions", json={"user": "kim@acme.example"})).json()
        path = f"/sessions/{opened['session']}/calls"
        for number in range(count):
            body = {"tool": "desk.note", "args": {"text": str(number)}, "wait": 30}
            waiting = asyncio.create_task(agent.post(path, json=body))
            while not (items := (await person.get("/approvals")).json()["items"]):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)  # it waits now, whatever it did before
            begun = time.perf_counter()
            vote = person.post(f"/approvals/{items[0]['ticket']}/votes", json={"vote": "approve"})
            answered = await asyncio.gather(vote, waiting)
            waits.append(time.perf_counter() - begun)
            assert answered[1].json()["status"] == "done", answered[1].text
    return waits


def _serve(kind: str, folder: Path) -> None:
    """Be a server, until told to stop."""
    from fastapi import Body, FastAPI  # noqa: PLC0415  # the caller does not need them
    from pydantic import BaseModel  # noqa: PLC0415

    import pratique  # noqa: PLC0415
    from pratique.identity.keys import Keys  # noqa: PLC0415
    from pratique.identity.people import People  # noqa: PLC0415
    from pratique.server.app import create_app  # noqa: PLC0415
    from pratique.server.auth.agents import Agent  # noqa: PLC0415
    from pratique.server.listen import listening, server_for  # noqa: PLC0415
    from pratique.settings_sections import ServerSettings  # noqa: PLC0415

    class Echo(BaseModel):
        tool: str
        args: dict[str, Any]

    @pratique.tool("desk.note", tier="write", sources={"*": "meta"})
    async def note(ctx: pratique.ToolContext, text: str) -> dict[str, str]:
        """Write a note."""
        return {"noted": text, "agent": ctx.agent}

    (folder / "policy.toml").write_text(ASKING)
    settings = pratique.Settings(
        folder=folder / "ledger", policy=folder / "policy.toml", server=ServerSettings(port=0, rate=0)
    )
    runtime = pratique.open_runtime(settings, tools=[lookup, note])
    People(runtime.ledger).add("li@acme.example", "local:bench")
    link = People(runtime.ledger).link("li@acme.example", "local:bench")
    key = Keys(runtime.ledger).issue("support", ["*"], "local:bench").text
    app = create_app(runtime, settings.server)
    if kind == "echo":
        door, app = app.state.door, FastAPI()
        app.state.door = door

        @app.post("/echo")
        async def echo(body: Annotated[Echo, Body()]) -> dict[str, Any]:
            return {"tool": body.tool, "value": body.args, "text": "x" * 420}

    elif kind == "key":

        @app.post("/key")
        async def checked(body: Annotated[Echo, Body()], key: Agent) -> dict[str, Any]:
            return {"tool": body.tool, "value": body.args, "text": "x" * 420, "agent": key.agent}

        app.router.routes.insert(
            0, app.router.routes.pop()
        )  # found at once, as the echo's and the calls' are

    socket = listening(settings.server)
    os.write(1, f"{socket.getsockname()[1]} {key} {link}\n".encode())
    server_for(app, settings).run(sockets=[socket])


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
