"""One run of an agent: its identity, its trusted request, and what it was shown so far.

Rules:
- Agent and user are what the host or a door authenticated, for the whole session.
- The same call id with the same arguments is the same call: its outcome is given again, nothing runs twice.
- The session's label only rises, and every call is asked under the label of that moment.
"""

import asyncio
import itertools
import re
import secrets
from collections import OrderedDict
from types import TracebackType
from typing import Any, Protocol, Self

from pratique.audit.canonical import canonical
from pratique.capabilities.labels import covers, join
from pratique.errors import CanonicalError, SessionClosedError
from pratique.ledger.sequencer import let_cancellation_in
from pratique.model import (
    CLEAN,
    Code,
    Label,
    Outcome,
    Request,
    Status,
    Subject,
    Tier,
    ToolSpec,
    clip,
    printable,
)
from pratique.sessions.spans import CallSpan

MOST_REMEMBERED = 1000
"""Outcomes that a session keeps in memory; older ones are looked up in the ledger."""

LONGEST_WHY = 2000
"""Characters of an agent's own words for why it asks; more are cut: they are no part of what is decided."""

_CHANGES = {Tier.WRITE, Tier.IRREVERSIBLE}

CALL_ID = re.compile(r"[\x21-\x7e]{1,128}")

_Key = tuple[str, str, bytes]


class Governor(Protocol):
    """What runs a session's calls."""

    async def run(self, request: Request) -> Outcome:
        """Take one request through all stages."""

    async def recall(self, request: Request) -> Outcome | None:
        """Return what became of this very request, if it was made before."""

    async def tools(self, agent: str) -> tuple[ToolSpec, ...]:
        """Return the tools that an agent is offered."""


class Keeper(Protocol):
    """What keeps a session."""

    async def reopen(self, session: "Session", ticket: str, wait: float) -> Request:
        """Return the request that a ticket of this session stands for."""

    async def end(self, session: "Session", output: str, final_action: str) -> None:
        """Record that the session is over."""

    def let_go(self, session: "Session") -> None:
        """Forget a session that stays open."""


class Session:
    """A session of one agent for one user. Made by `Runtime.session`; use it as an async context manager.

    Args:
        governor: what runs its calls.
        keeper: what keeps it.
        subject: who asks.
        context: the label of what it was shown before, for a session that goes on.
        resumed: whether it goes on after another process.
        wait: seconds that a call waits for a person when it does not say.
        limits: bytes, depth and number of values of arguments.
    """

    def __init__(
        self,
        governor: Governor,
        keeper: Keeper,
        subject: Subject,
        *,
        context: Label = CLEAN,
        resumed: bool = False,
        wait: float = 0.0,
        limits: tuple[int, int, int] = (256 * 1024, 32, 5000),
    ) -> None:
        self._governor, self._keeper = governor, keeper
        self.subject = subject
        self.context = context
        self._wait = wait
        self._limits = limits
        self._complete = not resumed  # whether `_finished` holds every outcome of a named call
        self._finished: OrderedDict[_Key, Outcome] = OrderedDict()
        self._asked: dict[_Key, str] = {}  # calls that wait for a person → the question's ticket
        self._running: dict[_Key, asyncio.Future[Outcome]] = {}
        self._output = ""
        self._final_action = ""
        self._closed = False
        self._prefix, self._counter = secrets.token_hex(4), itertools.count(1)

    @property
    def id(self) -> str:
        """The session's id: resume with it."""
        return self.subject.session

    @property
    def trace_id(self) -> str:
        """The id of its trace (W3C, 32 hex digits)."""
        return self.subject.trace_id

    async def call(
        self,
        tool: str,
        args: Any = None,
        *,
        call_id: str | None = None,
        wait: float | None = None,
        why: str = "",
    ) -> Outcome:
        """Call a tool, if policy and people agree.

        Args:
            tool: the tool's name.
            args: its arguments, as JSON values.
            call_id: repeat it, with the same arguments, to get the same outcome without a second run.
            wait: seconds to wait for a person, if one must agree; then the outcome is `pending`.
            why: the agent's own words for why it asks. People see them apart, as the agent's; nothing is
                bound to them, and they are recorded.

        Returns:
            The outcome. A denial is an outcome, not an exception.

        Raises:
            SessionClosedError: the session has ended.
            LedgerUnavailableError: the log cannot be written, so nothing may run.
            ValueError: the call id is none.
        """
        request = self._request(tool, {} if args is None else args, call_id, wait, why)
        with CallSpan(self.subject) as span:
            if call_id is not None:
                outcome = await self._once(request)
            else:
                outcome = self._note(request, await self._governor.run(request))
            span.became(outcome)
        await let_cancellation_in()
        return outcome

    async def call_for_code(self, code: Code, tool: str, args: Any, *, call_id: str, wait: float) -> Outcome:
        """Make a call that code in a sandbox asks for; see `sessions.code_calls`.

        Raises:
            SessionClosedError: the session has ended.
            LedgerUnavailableError: the log cannot be written, so nothing may run.
        """
        request = self._request(tool, args, call_id, wait, "")
        with CallSpan(self.subject) as span:
            outcome = await self._once(request.model_copy(update={"code": code}))
            span.became(outcome)
        await let_cancellation_in()
        return outcome

    async def redeem(self, ticket: str, *, wait: float | None = None) -> Outcome:
        """Go on with a pending call: exactly what was asked runs, if the answer was yes.

        Args:
            ticket: from the pending outcome.
            wait: seconds to wait for the answer.

        Raises:
            UnknownTicketError: this session asked no such question.
            SessionClosedError: the session has ended.
        """
        self._demand_open()
        request = await self._keeper.reopen(self, ticket, self._patience(wait))
        with CallSpan(self.subject) as span:
            outcome = await self._once(request)
            span.became(outcome)
        await let_cancellation_in()
        return outcome

    async def tools(self) -> tuple[ToolSpec, ...]:
        """Return the tools of which this agent may call one under the policy in force, for a framework."""
        return await self._governor.tools(self.subject.agent)

    def finish(self, output: str, final_action: str | None = None) -> None:
        """State the run's final answer, for its trace.

        Args:
            output: what the agent answered in the end.
            final_action: what the run came to; left out, it is the last call that changed something.
        """
        self._output = output
        if final_action is not None:
            self._final_action = final_action

    def raised_by(self, label: Label) -> Label | None:
        """Return the session's label after it is shown something, if that is higher than what it has."""
        if covers(self.context, label) and label.sources <= self.context.sources:
            return None
        joined = join(self.context, label)
        return joined if joined != self.context else None

    def saw(self, label: Label) -> None:
        """Raise the session's label by what it was shown."""
        self.context = self.raised_by(label) or self.context

    def forget(self) -> None:
        """Drop the outcomes that are remembered, because values were erased: the ledger has what is left."""
        self._complete = False
        self._finished.clear()

    def let_go(self) -> None:
        """Take no more calls here, and leave the session open: whoever resumes it goes on with it."""
        self._closed = True
        self._keeper.let_go(self)

    async def aclose(self) -> None:
        """End the session and record its answer. A second time does nothing."""
        if not self._closed:
            self._closed = True
            await self._keeper.end(self, self._output, self._final_action)
            await let_cancellation_in()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _once(self, request: Request) -> Outcome:
        """Run a named request, or return what became of it."""
        key = (request.call_id, request.tool, request.args_json)
        if key in self._finished:
            return self._finished[key]
        if key in self._running:
            return await self._follow(request, self._running[key])
        running = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self._recalled(request, key) or await self._governor.run(request)
        except asyncio.CancelledError:
            running.cancel()
            raise
        except BaseException as problem:
            running.set_exception(problem)
            running.exception()  # seen: a second caller need not exist
            raise
        else:
            running.set_result(outcome)
            return self._note(request, outcome, key)
        finally:
            del self._running[key]

    async def _recalled(self, request: Request, key: _Key) -> Outcome | None:
        """Return the recorded outcome, when there may be one that this process does not remember.

        A question that still waits is taken up as it was asked, not under what was read since.
        """
        ticket = self._asked.get(key)
        if ticket is None and not self._complete:
            known = await self._governor.recall(request)
            if known is None or known.status is not Status.PENDING:
                return known
            ticket = known.ticket
        if ticket is None:
            return None
        return await self._governor.run(await self._keeper.reopen(self, ticket, request.wait))

    async def _follow(self, request: Request, running: "asyncio.Future[Outcome]") -> Outcome:
        """Wait for the caller who was first. If that one is cancelled, this one takes over."""
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if running.cancelled() and (task is None or not task.cancelling()):
                return await self._once(request)
            raise

    def _note(self, request: Request, outcome: Outcome, key: _Key | None = None) -> Outcome:
        if outcome.status is Status.DONE and outcome.tier in _CHANGES:
            by = f", approved by {', '.join(outcome.approved_by)}" if outcome.approved_by else ""
            self._final_action = f"{request.tool} ({outcome.status}{by})"
        if key is None:
            return outcome
        if outcome.status is Status.PENDING:
            self._asked[key] = outcome.ticket
        elif outcome.status is Status.DENIED and not outcome.ticket:
            self._asked.pop(key, None)  # nothing ran: under another policy it may be asked again
        else:
            self._asked.pop(key, None)
            self._finished[key] = outcome
            if len(self._finished) > MOST_REMEMBERED:
                self._finished.popitem(last=False)
                self._complete = False
        return outcome

    def _request(
        self, tool: str, args: Any, call_id: str | None, wait: float | None, why: str = ""
    ) -> Request:
        self._demand_open()
        if call_id is not None and not CALL_ID.fullmatch(call_id):
            raise ValueError(f"call_id {call_id[:40]!r}: take 1 to 128 visible ASCII characters")
        try:
            most, deepest, values = self._limits
            body, problem = canonical(args, most_bytes=most, deepest=deepest, most_values=values), ""
        except CanonicalError as error:
            body, problem = b"", f"arguments: {error}"
        return Request(
            subject=self.subject,
            context=self.context,
            call_id=call_id or f"c_{self._prefix}_{next(self._counter)}",
            tool=clip(str(tool)),
            args_json=body,
            problem=problem,
            wait=self._patience(wait),
            why=printable(why)[:LONGEST_WHY],
        )

    def _patience(self, wait: float | None) -> float:
        return self._wait if wait is None else wait

    def _demand_open(self) -> None:
        if self._closed:
            raise SessionClosedError(f"the session {self.id} has ended")
