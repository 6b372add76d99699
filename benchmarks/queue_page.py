"""The queue page and one decision, with 10 and with 10,000 questions waiting.

Both sizes are measured in one run, through the whole application (login, rights, headers) without a network,
in processor time: other processes of the machine don't count. What counts is how much more the larger one
takes. A page shows 50 questions, so it may take five times as long as one that has only 10 to show.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import httpx2

from benchmarks.table import Row
from pratique.capabilities.policy import Policy
from pratique.identity.people import People
from pratique.ledger import policies
from pratique.ledger.door import Ledger
from pratique.runtime import Runtime
from pratique.server.app import create_app
from pratique.tools.context import ToolContext, World
from pratique.tools.declaration import tool
from pratique.tools.execution import Executor
from pratique.tools.registry import Registry

POLICY = """
[agents.support]
owner = "ana@acme.example"
[groups]
leads = ["li@acme.example"]
[[allow]]
id = "all"
to = "support"
tools = ["*"]
tier = "write"
taint = "sink"
[[ask]]
id = "writes"
to = "*"
tools = ["*"]
tier = "write"
approvers = "leads"
"""
CALLERS = 64


@tool("note.write", tier="write", sources={"*": "meta"})
async def write_note(ctx: ToolContext, text: str) -> dict[str, str]:
    """Write a note."""
    del ctx
    return {"noted": text}


def _runtime(folder: Path) -> Runtime:
    ledger = Ledger(folder)
    policies.apply(ledger, Policy(POLICY), "ana@acme.example", 0)
    runtime = Runtime(ledger, Registry([write_note]), Executor(World({}, {})))
    runtime.queue.most_open = 0  # one agent asks them all
    return runtime


async def _fill(runtime: Runtime, many: int) -> None:
    """Ask so many questions."""
    sessions = [await runtime.open_session(agent="support", user="kim@acme.example") for _ in range(CALLERS)]

    async def ask(at: int) -> None:
        for number in range(at, many, CALLERS):
            await sessions[at].call("note.write", {"text": f"note {number}, as long as most are"})

    await asyncio.gather(*map(ask, range(CALLERS)))


async def _median_ms(action: Callable[[], Awaitable[None]], times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.process_time()
        await action()
        taken.append((time.process_time() - started) * 1e3)
    return median(taken)


async def _measure(folder: Path, many: int, times: int) -> tuple[float, float]:
    """Return the milliseconds of one page and of one decision."""
    runtime = _runtime(folder)
    await _fill(runtime, many)
    people = People(runtime.ledger)
    people.add("li@acme.example", "local:bench")
    transport = httpx2.ASGITransport(app=create_app(runtime, close=False))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        await client.post("/api/v1/login/link", json={"link": people.link("li@acme.example", "local:bench")})
        token = (await client.get("/api/v1/me")).json()["csrf"]
        waiting = iter(runtime.queue.questions())

        async def page() -> None:
            answer = await client.get("/queue")
            assert answer.status_code == 200
            assert "note.write" in answer.text

        async def decide() -> None:
            question = next(waiting)
            form = {"csrf": token, "card": question.card_digest}
            answer = await client.post(f"/queue/{question.ticket}/approve", data=form)
            assert answer.status_code == 303

        await page()
        pages = await _median_ms(page, times)
        decisions = await _median_ms(decide, min(times, 5))
    await runtime.aclose()
    return pages, decisions


def _row(what: str, few: float, many: float, number: int, at_most: float) -> Row:
    ratio = many / few
    return Row(
        f"{what}, {number:,} waiting against 10",
        f"{many:.1f} ms, {few:.1f} ms of CPU",
        f"{ratio:.2f} times",
        f"{at_most:g} times",
        ratio <= at_most,
    )


def rows(*, quick: bool = False) -> list[Row]:
    """Measure, and return the table's rows."""
    number, times = (1_000, 5) if quick else (10_000, 15)
    with tempfile.TemporaryDirectory(dir=".") as place:
        few = asyncio.run(_measure(Path(place) / "few", 10, times))
        many = asyncio.run(_measure(Path(place) / "many", number, times))
    return [
        _row("queue page (a page shows 50)", few[0], many[0], number, 5),
        _row("one decision, by form", few[1], many[1], number, 2),
    ]
