"""A process that kills itself with SIGKILL at one point of a call. Started by tests/runtime/test_kill.py.

Usage: python -m tests.doomed FOLDER POINT [SESSION TICKET]. Each effect is a line in FOLDER/../effects, each
acknowledged record a line on standard output.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from pratique.ledger.door import Ledger
from pratique.ledger.recovery import settle
from pratique.model import Answer, Ask, Call, Decision, Outcome, Permit, Request, Result, Unresolved
from pratique.runtime import Runtime
from pratique.tools.context import ToolContext, World
from pratique.tools.declaration import Tool, tool
from pratique.tools.execution import Executor
from pratique.tools.registry import Registry


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tools(effects: Path, point: str) -> list[Tool]:
    """Return the tools: an effect is one line, appended and synced."""

    def take_effect(call_id: str) -> str:
        if point == "in the tool, before the effect":
            die()
        with effects.open("a", encoding="ascii") as file:
            file.write(call_id + "\n")
            file.flush()
            os.fsync(file.fileno())
        if point == "in the tool, after the effect":
            die()
        return "done"

    @tool("desk.note", tier="write", sources={"*": "meta"})
    async def note(ctx: ToolContext) -> str:
        return take_effect(ctx.call_id)

    @tool("desk.pay", tier="irreversible", sources={"*": "meta"})
    async def pay(ctx: ToolContext) -> str:
        return take_effect(ctx.call_id)

    @tool("desk.retry", tier="write", sources={"*": "meta"}, takes_idempotency_key=True)
    async def retry(ctx: ToolContext) -> str:
        return take_effect(ctx.call_id)

    return [note, pay, retry]


class Doomed(Runtime):
    """Dies at its point: before or after one of the stages."""

    point = ""

    def _at(self, moment: str) -> None:
        if self.point == moment:
            die()

    def resolve(self, request: Request) -> Call | Unresolved:
        self._at("before resolve")
        return super().resolve(request)

    def decide(self, call: Call | Unresolved, answer: Answer | None = None) -> Decision:
        self._at("before decide")
        decision = super().decide(call, answer)
        self._at("after decide")
        return decision

    async def approve(self, call: Call | Unresolved, ask: Ask) -> tuple[Call | Unresolved, Decision]:
        self._at("before approve")
        if self.point != "while waiting":
            return await super().approve(call, ask)
        waiting = asyncio.ensure_future(super().approve(call, ask))
        while not self.queue.questions():  # noqa: ASYNC110  # another thread makes it so
            await asyncio.sleep(0.005)
        die()
        return await waiting

    async def commit(self, call: Call | Unresolved, decision: Decision) -> Permit | Outcome:
        self._at("before commit")
        permit = await super().commit(call, decision)
        self._at("after commit")
        return permit

    async def execute(self, permit: Permit) -> Result:
        result = await super().execute(permit)
        self._at("after execute")
        return result

    def release(self, permit: Permit, result: Result) -> Outcome:
        outcome = super().release(permit, result)
        self._at("after release")
        return outcome

    async def close(self, permit: Permit, outcome: Outcome, result: Result) -> Outcome:
        self._at("before close")
        closed = await super().close(permit, outcome, result)
        self._at("after close")
        return closed


class Statements:
    """Watches every statement that SQLite begins, and dies at the number-th of a kind once it is armed."""

    def __init__(self) -> None:
        self.start, self.number = "", 0
        event.listen(Engine, "connect", self._connected)

    def arm(self, point: str) -> None:
        """Take a point of the form `statement 2 COMMIT`."""
        _, number, self.start = point.split(" ", 2)
        self.number = int(number)

    def _connected(self, connection: Any, _: Any) -> None:
        connection.set_trace_callback(self._look)

    def _look(self, text: str) -> None:
        if self.number > 0 and text.startswith(self.start):
            self.number -= 1
            if self.number == 0:
                die()


async def main(folder: Path, point: str, session_id: str = "", ticket: str = "") -> None:
    statements = Statements()
    ledger = Ledger(folder)
    settle(ledger)
    Doomed.point = point
    runtime = Doomed(ledger, Registry(tools(folder.parent / "effects", point)), Executor(World()))
    if session_id:
        session = await runtime.resume_session(session_id)
    else:
        session = await runtime.open_session(agent="support", user="kim@acme.example")
        acknowledge(session.id)
    if point.startswith("statement "):
        statements.arm(point)
    if ticket:
        outcome = await session.redeem(ticket)
    else:
        name = os.environ.get("DOOMED_TOOL", "desk.note")
        outcome = await session.call(name, call_id="c1", wait=30 if point == "while waiting" else 0)
    acknowledge(f"{outcome.record} {outcome.status} {outcome.ticket}")
    if point == "after the answer":
        die()
    raise SystemExit(f"{point!r} was never reached")


def acknowledge(text: str) -> None:
    os.write(1, text.encode() + b"\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
