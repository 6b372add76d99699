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

from pratique.app import open_runtime
from pratique.approvals.card import Card
from pratique.approvals.question import Question
from pratique.errors import NotAnApproverError, TicketClosedError
from pratique.model import Outcome, Status
from pratique.runtime import Runtime
from pratique.sessions.hosting import SessionFacts
from pratique.sessions.session import Session
from pratique.settings import Settings
from pratique.tools.registry import Tool

LOOK_SECONDS = 0.01
"""How often the scripted people look at the queue."""

PATIENCE_SECONDS = 5.0
"""How long a call waits for a person when it does not say: scripts answer sooner."""


class Script(NamedTuple):
    """What a person says to the calls of some tools."""

    tools: str
    by: str
    approve: bool
    reason: str


class Asked(NamedTuple):
    """A question that was put, with the card that people see."""

    question: Question
    card: Card


class Rehearsal:
    """A runtime for tests, and the people in it. Made by `rehearsal`.

    Args:
        runtime: the runtime; use it as you would in production.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._scripts: list[Script] = []

    def session(self, **facts: Unpack[SessionFacts]) -> AbstractAsyncContextManager[Session]:
        """Open a session that ends with the block; see `SessionFacts`."""
        return self.runtime.session(**facts)

    def approves(self, tools: str, *, by: str) -> None:
        """Let a person say yes to calls of these tools: a name, or a pattern (`billing.*`)."""
        self._scripts.append(Script(tools, by, approve=True, reason=""))

    def rejects(self, tools: str, *, by: str, reason: str) -> None:
        """Let a person say no, for this reason."""
        self._scripts.append(Script(tools, by, approve=False, reason=reason))

    @property
    def asked(self) -> list[Asked]:
        """Every question that was put, oldest first."""
        queue = self.runtime.queue
        return [Asked(question, queue.asked(question.ticket).card) for question in queue.questions(None)]

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
            raise AssertionError(f"nobody was asked about {tool}; asked: {self._tools()}")
        card = found[-1].card
        said = [*card.rules, card.taint]
        if because and not any(because in text for text in said):
            raise AssertionError(f"{tool} was not asked about because of {because!r}, but: {'; '.join(said)}")
        for name, wanted in (origin or {}).items():
            words = [one.words for item in card.arguments if item.name == name for one in item.origins]
            if not any(wanted in text for text in words):
                raise AssertionError(f"{tool}: {name} does not come from {wanted!r}, but: {'; '.join(words)}")
        return found[-1]

    def assert_not_asked(self, tool: str) -> None:
        """Check that no call of this tool was put to people.

        Raises:
            AssertionError: one was; the message says why.
        """
        found = [one for one in self.asked if one.card.tool == tool]
        if found:
            raise AssertionError(f"{tool} was asked about: {'; '.join(found[-1].card.rules)}")

    @staticmethod
    def assert_done(outcome: Outcome) -> None:
        """Check that a call ran and succeeded.

        Raises:
            AssertionError: it did not; the message is the outcome's.
        """
        if outcome.status is not Status.DONE:
            raise AssertionError(f"{outcome.tool} is {outcome.status}: {outcome.error}")

    @staticmethod
    def assert_denied(outcome: Outcome, *, because: str = "") -> None:
        """Check that a call was denied, for a reason that contains `because`.

        Raises:
            AssertionError: it was not, or for something else.
        """
        if outcome.status is not Status.DENIED or because not in outcome.error:
            raise AssertionError(f"{outcome.tool} is {outcome.status}: {outcome.error or outcome.value}")

    async def play(self) -> None:
        """Answer what waits by the scripts, until cancelled. `rehearsal` runs it."""
        while True:
            await anyio.to_thread.run_sync(self._answer_all)
            await asyncio.sleep(LOOK_SECONDS)

    def _answer_all(self) -> None:
        for question in self.runtime.queue.questions():
            for script in self._scripts:
                if fnmatchcase(question.tool, script.tools):
                    self._answer(question, script)

    def _answer(self, question: Question, script: Script) -> None:
        confirm = self.runtime.queue.asked(question.ticket).card.confirm if script.approve else ""
        with contextlib.suppress(TicketClosedError, NotAnApproverError):  # answered already, or not theirs
            self.runtime.desk.answer(
                question.ticket, script.by, approve=script.approve, reason=script.reason, confirm=confirm
            )

    def _tools(self) -> str:
        return ", ".join(one.card.tool for one in self.asked) or "nothing"


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


__all__ = ["Asked", "Rehearsal", "rehearsal"]
