"""For the tests of applications: a runtime with the real decisions, people who answer by script, assertions.

    async with rehearsal(policy=POLICY, tools=[lookup, refund]) as house:
        house.approves("billing.*", by="li@acme.example")
        async with house.session(agent="support", user="kim@acme.example", request="Refund 8821.") as session:
            outcome = await my_agent(session)
        house.assert_asked("billing.refund", because="every-write", origin={"account": "crm"})

Rules:
- Nothing is imitated: policy, provenance, cards, approvals and log are those of production, in a folder that
  goes when the block ends. Only people are scripted, and they pass the same checks: groups, quorum, no
  self-approval, a typed destination.
- Nobody answers what no script covers: it stays pending, as it would on a quiet day.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import anyio.to_thread
import orjson

from pratique.app import open_runtime
from pratique.approvals.card import Card
from pratique.approvals.question import Question
from pratique.errors import PratiqueError, TicketClosedError
from pratique.ledger import queries
from pratique.model import Outcome, Status
from pratique.runtime import Runtime
from pratique.sessions.hosting import SessionFacts
from pratique.sessions.session import Session
from pratique.settings import Settings
from pratique.tools.declaration import Tool

MOST_RECORDS = 100_000

LOOK_SECONDS = 0.01
"""How often the scripted people look at the queue."""

PATIENCE_SECONDS = 5.0
"""How long a call waits for a person when it does not say: scripts answer sooner."""


class Script(NamedTuple):
    """What a person does about the calls of some tools.

    Attributes:
        tools: a name, or a pattern.
        by: the person.
        approve: yes or no.
        reason: why.
        to: arguments to change first.
    """

    tools: str
    by: str
    approve: bool
    reason: str
    to: Mapping[str, Any] | None = None


class Asked(NamedTuple):
    """A question that was put, with the card that people see."""

    question: Question
    card: Card


class Ran(NamedTuple):
    """What became of a call, by the log: `done`, `denied`, `failed` or `unknown`, and why not."""

    tool: str
    outcome: str
    error: str


class Rehearsal:
    """A runtime for tests, and the people in it. Made by `rehearsal`.

    Args:
        runtime: the runtime; use it as you would in production.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._scripts: list[Script] = []
        self._could_not: dict[str, str] = {}  # ticket → why a scripted person could not answer

    def session(self, **facts: Unpack[SessionFacts]) -> AbstractAsyncContextManager[Session]:
        """Open a session that ends with the block; see `SessionFacts`."""
        return self.runtime.session(**facts)

    def approves(self, tools: str, *, by: str) -> None:
        """Let a person say yes to calls of these tools: a name, or a pattern (`billing.*`)."""
        self._scripts.append(Script(tools, by, approve=True, reason=""))

    def rejects(self, tools: str, *, by: str, reason: str) -> None:
        """Let a person say no, for this reason."""
        self._scripts.append(Script(tools, by, approve=False, reason=reason))

    def edits(self, tools: str, *, by: str, to: Mapping[str, Any], reason: str = "") -> None:
        """Let a person change these arguments, and say yes to what they made of the call.

        What cannot be undone needs somebody else's yes as well: give them a script of their own.
        """
        self._scripts.append(Script(tools, by, approve=True, reason=reason, to=dict(to)))

    @property
    def asked(self) -> list[Asked]:
        """Every question that was put, oldest first."""
        queue = self.runtime.queue
        return [Asked(question, queue.asked(question.ticket).card) for question in queue.questions(None)]

    @property
    def ran(self) -> list[Ran]:
        """What became of every call that is over, in the order in which they ended."""
        found = self.runtime.ledger.read(lambda connection: queries.last_records(connection, MOST_RECORDS))
        return [
            Ran(
                record["tool"], record["outcome"], record.get("error") or "; ".join(record.get("reasons", ()))
            )
            for record in found
            if record["type"] == "call.outcome"
        ]

    def assert_asked(self, tool: str, *, because: str = "", origin: Mapping[str, str] | None = None) -> Asked:
        """Check that a call of this tool was put to people; return the newest such question.

        Args:
            tool: the tool's name.
            because: what one of the card's rules, or its sentence on what is odd, must contain.
            origin: argument → what the words on where it came from must contain (`email:7#body`).

        Raises:
            AssertionError: nobody was asked about it, or not for that; the message shows what the card says.
        """
        found = [one for one in self.asked if one.card.tool == tool]
        if not found:
            raise AssertionError(f"nobody was asked about {tool}; {self._seen()}")
        card = found[-1].card
        said = [*card.rules, card.taint]
        if because and not any(because in text for text in said):
            raise AssertionError(f"{tool} was not asked about because of {because!r}, but: {'; '.join(said)}")
        for name, wanted in (origin or {}).items():
            _assert_origin(card, name, wanted)
        return found[-1]

    def assert_not_asked(self, tool: str) -> None:
        """Check that no call of this tool was put to people.

        Raises:
            AssertionError: one was; the message says why.
        """
        found = [one for one in self.asked if one.card.tool == tool]
        if found:
            raise AssertionError(f"{tool} was asked about: {'; '.join(found[-1].card.rules)}")

    def assert_ran(self, tool: str, *, times: int | None = None) -> None:
        """Check that calls of this tool ran and succeeded, by the log: whoever called it.

        Args:
            tool: the tool's name.
            times: how many; left out, at least one.

        Raises:
            AssertionError: they did not; the message says what became of every call.
        """
        done = sum(one.tool == tool and one.outcome == "done" for one in self.ran)
        if done != times if times is not None else not done:
            wanted = "at least once" if times is None else f"{times} times"
            raise AssertionError(f"{tool} ran {done} times, not {wanted}; {self._seen()}")

    def assert_not_ran(self, tool: str) -> None:
        """Check that no call of this tool ran, or may have run.

        Raises:
            AssertionError: one did; the message says what became of every call.
        """
        if any(one.tool == tool and one.outcome != "denied" for one in self.ran):
            raise AssertionError(f"{tool} ran; {self._seen()}")

    def assert_done(self, outcome: Outcome) -> None:
        """Check that a call ran and succeeded.

        Raises:
            AssertionError: it did not; the message says why, and if it waits, why nobody answered.
        """
        if outcome.status is Status.PENDING:
            why = self._could_not.get(outcome.ticket) or f"no script covers {outcome.tool}"
            raise AssertionError(f"{outcome.tool} is pending: {outcome.error}; {why}")
        if outcome.status is not Status.DONE:
            raise AssertionError(f"{outcome.tool} is {outcome.status}: {outcome.error}")

    def assert_denied(self, outcome: Outcome, *, because: str = "") -> None:
        """Check that a call was denied, for a reason that contains `because`.

        Raises:
            AssertionError: it was not, or for something else.
        """
        if outcome.status is not Status.DENIED:
            what = outcome.error or f"it gave {outcome.value!r}"
            raise AssertionError(f"{outcome.tool} is {outcome.status}, not denied: {what}")
        if because not in outcome.error:
            raise AssertionError(
                f"{outcome.tool} was not denied because of {because!r}, but: {outcome.error}"
            )

    async def play(self) -> None:
        """Answer what waits by the scripts, until cancelled. `rehearsal` runs it."""
        while True:
            for question in await anyio.to_thread.run_sync(self.runtime.queue.questions):
                for script in self._scripts:
                    if fnmatchcase(question.tool, script.tools):
                        await self._answer(question, script)
            await asyncio.sleep(LOOK_SECONDS)

    async def _answer(self, question: Question, script: Script) -> None:
        asked = await anyio.to_thread.run_sync(self.runtime.queue.asked, question.ticket)
        try:
            if script.to is not None and not question.edited_from:
                arguments = {**orjson.loads(asked.args_json), **script.to}
                await self.runtime.edit(
                    question.ticket, script.by, arguments, reason=script.reason, approve=False
                )
                return
            confirm = asked.card.confirm if script.approve else ""
            await self.runtime.answer(
                question.ticket, script.by, approve=script.approve, reason=script.reason, confirm=confirm
            )
        except TicketClosedError:  # somebody was faster
            return
        except PratiqueError as problem:
            self._could_not[question.ticket] = f"{script.by} could not answer: {problem}"

    def _seen(self) -> str:
        asked = ", ".join(one.card.tool for one in self.asked) or "nothing"
        ran = ", ".join(_in_words(one) for one in self.ran) or "none"
        return f"asked: {asked}; calls: {ran}"


def _assert_origin(card: Card, name: str, wanted: str) -> None:
    found = [argument for argument in card.arguments if argument.name == name]
    if not found:
        names = ", ".join(argument.name for argument in card.arguments) or "none"
        raise AssertionError(
            f"{card.tool}: it was not asked with an argument {name!r}; its arguments: {names}"
        )
    words = [one.words for one in found[0].origins] or ["no origin"]
    if not any(wanted in text for text in words):
        raise AssertionError(f"{card.tool}: {name} does not come from {wanted!r}, but: {'; '.join(words)}")


def _in_words(ran: Ran) -> str:
    return f"{ran.tool} {ran.outcome}" + (f" ({ran.error})" if ran.outcome != "done" and ran.error else "")


@asynccontextmanager
async def rehearsal(
    *, policy: str, tools: Iterable[Tool] = (), wait: float = PATIENCE_SECONDS, **settings: Any
) -> AsyncIterator[Rehearsal]:
    """Open a runtime for a test, on a ledger of its own that goes with the block.

    Args:
        policy: the policy file's text.
        tools: declared tools.
        wait: seconds that a call waits for a person when it does not say; 0 for none.
        settings: more settings, as in `pratique.toml` (`roots`, `secrets`).

    Raises:
        ConfigError: policy, tools or settings are wrong, as in production.
    """
    with tempfile.TemporaryDirectory(prefix="pratique-") as made:
        folder = Path(made)
        (folder / "policy.toml").write_text(policy, encoding="utf-8")
        stated = Settings(folder=folder / "ledger", policy=folder / "policy.toml", wait=wait, **settings)
        async with open_runtime(stated, tools=tools) as runtime:
            house = Rehearsal(runtime)
            people = asyncio.create_task(house.play())
            try:
                yield house
            finally:
                people.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await people


__all__ = ["Asked", "Ran", "Rehearsal", "rehearsal"]
