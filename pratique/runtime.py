"""One call, top to bottom. Read `Runtime.run` first: it is what Pratique is.

Rules:
- A call passes every stage in this order, whoever asks and through whichever door.
- Nothing runs without a `Permit`; a permit comes from stage 4 only, and the run uses it up.
- A result leaves after its record is on disk. What cannot be recorded is not returned.
- What a decision rests on is looked at again in the transaction that commits it.
- From stage 4 on, a record closes the call, whatever happens to the task that runs it.
"""

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, Unpack

import anyio.to_thread

from pratique.approvals.desk import Desk
from pratique.approvals.question import Question
from pratique.approvals.queue import Queue
from pratique.approvals.reading import Reading
from pratique.errors import LedgerUnavailableError
from pratique.identity import people
from pratique.ledger.door import Ledger
from pratique.ledger.guards import CallIsNew, EpochIs
from pratique.ledger.guards_approvals import StandingUsable
from pratique.ledger.guards_pinning import PinIs, PinsAre
from pratique.ledger.sequencer import Refused
from pratique.model import (
    Allow,
    Answer,
    Ask,
    Call,
    Decision,
    Outcome,
    Permit,
    Request,
    Result,
    Status,
    ToolSpec,
    Unresolved,
    WasEdited,
)
from pratique.sessions.editing import Editing, Said
from pratique.sessions.hosting import Hosting, SessionFacts
from pratique.sessions.session import Session
from pratique.stages.closing import MOST_POLICY_CHANGES, Closing
from pratique.stages.enforcement import Enforcement
from pratique.stages.entries import Entries
from pratique.stages.lineage import Lineage
from pratique.stages.offered import Offers
from pratique.stages.recall import recall
from pratique.stages.release import Releasing, denied, pending, ran_before, unreleased
from pratique.stages.resolve import resolve
from pratique.tools.execution import Executor, Interrupted
from pratique.tools.previews import Previews
from pratique.tools.registry import Registry


class Runtime:
    """Runs agents' calls. `pratique.open_runtime` puts it together; use it as an async context manager.

    Args:
        ledger: where everything is recorded.
        registry: the tools that there are.
        executor: what runs them.
        wait: seconds that a call waits for a person when it does not say.
        limits: bytes, depth and number of values of arguments.
        shadow_every: one decision in so many is made by plain Casbin too; 0 for none.
    """

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        executor: Executor,
        *,
        wait: float = 0.0,
        limits: tuple[int, int, int] = (256 * 1024, 32, 5000),
        shadow_every: int = 10_000,
    ) -> None:
        self.ledger = ledger
        self.registry = registry
        self.queue = Queue(ledger, Previews(registry, executor).of)
        self.enforcement = Enforcement(ledger, shadow_every, registry)
        self._executor = executor
        self._hosting = Hosting(self, ledger, wait=wait, limits=limits)
        self._lineage = Lineage(ledger, self._hosting.provenance)
        self._releasing = Releasing(registry, self.enforcement, self._lineage, self._hosting.provenance)
        self._entries = Entries(ledger, self._lineage.carried)
        self._closing = Closing(self, ledger, self._entries, self._hosting.provenance)
        self.desk = Desk(ledger, people.members)
        self.reading = Reading(ledger, self.desk)
        self._editing = Editing(self, ledger, self._hosting)
        self._offers = Offers()
        self._permits: dict[object, Permit] = {}

    async def run(self, request: Request) -> Outcome:
        """Take one request through all stages."""
        call = self.resolve(request)  # 1 the tool, typed arguments, their labels
        decision = self.decide(call)  # 2 Allow | Ask | Deny, with all reasons; no I/O
        if isinstance(decision, Ask):  # 3 people answer, or edit the call; time passes,
            call, decision = await self.approve(call, decision)  # so it is decided again, with their answer
        permit = await self.commit(call, decision)  # 4 one transaction: recheck, consume, intent
        if isinstance(permit, Outcome):  # or on record: denied, waiting for a person, run before
            return permit
        result = await self.execute(permit)  # 5 the only effect
        outcome = self.release(permit, result)  # 6 label, quarantine, withhold
        return await self.close(permit, outcome, result)  # 7 on disk before it leaves

    def resolve(self, request: Request) -> Call | Unresolved:
        """1. Find the tool and validate the arguments."""
        provenance = self._hosting.provenance(request.subject.session)
        return resolve(request, self.registry, provenance, self.enforcement.snapshot.policy)

    def decide(self, call: Call | Unresolved, answer: Answer | None = None) -> Decision:
        """2. Decide by the policy in force."""
        return self.enforcement.decide(call, answer)

    async def approve(self, call: Call | Unresolved, ask: Ask) -> tuple[Call | Unresolved, Decision]:
        """3. Put the question to people, and wait as long as the request says. Their answer is now a fact."""
        answer = await self.queue.ask(_resolved(call), ask, self.desk.members)
        if not isinstance(answer, WasEdited):
            return call, self.decide(call, answer)
        call = self.resolve(await self._hosting.as_edited(call.request, answer.ticket))
        decision = self.decide(call)
        return await self.approve(call, decision) if isinstance(decision, Ask) else (call, decision)

    async def commit(self, call: Call | Unresolved, decision: Decision) -> Permit | Outcome:
        """4. Make the decision final: a permit, or the recorded outcome of a call that does not run."""
        for _ in range(MOST_POLICY_CHANGES):
            if isinstance(decision, Ask):
                return pending(call, decision)
            if isinstance(decision, Allow):
                call = _resolved(call)
                if not (call.capability.changes_the_world or decision.is_used_up):
                    return self._permit(call, decision, None)
                done = await self.ledger.commit(self._entries.intent(call, decision))
                if not isinstance(done, Refused):
                    return self._permit(call, decision, done.seq)
            else:
                done = await self.ledger.commit(self._entries.denial(call, decision))
                if not isinstance(done, Refused):
                    return denied(call, decision, done.seq)
            if isinstance(done.guard, CallIsNew):
                return await self.recall(call.request) or ran_before(call)
            if isinstance(done.guard, EpochIs | StandingUsable | PinIs | PinsAre):
                call, decision = await self._decide_anew(call)
            else:
                decision = self.enforcement.no(done.why)
        raise LedgerUnavailableError(f"{call.request.call_id}: the policy keeps changing; call again")

    async def execute(self, permit: Permit) -> Result:
        """5. Run the tool, once for each permit. A cancellation is recorded before it goes on."""
        if self._permits.get(permit.key) is not permit:
            raise KeyError("this permit was not made by stage 4, or was used before")
        del self._permits[permit.key]
        tool = self.registry.get(permit.call.capability.name)
        if tool is None or tool.capability.digest != permit.call.capability.digest:
            return Result(status=Status.FAILED, error="the tool changed after the call was permitted")
        try:
            code_calls = self._hosting.code_calls(permit.call)
            return await self._executor.run(tool, permit.call, permit.decision.at_least, code_calls)
        except Interrupted as run:
            await self.close(permit, self.release(permit, run.result), run.result)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)  # if `close` was cancelled too, that was the same cancellation
            raise run.cancellation from None
        except GeneratorExit:  # its event loop is gone: nobody can await the record
            self.ledger.post(self._entries.bare(permit, self.enforcement.no("its event loop ended")))
            raise

    def release(self, permit: Permit, result: Result) -> Outcome:
        """6. Label what comes out, remember it, withhold what must not be shown."""
        try:
            return self._releasing.release(permit, result)
        except Exception as problem:  # noqa: BLE001  # it ran: what cannot be labelled is not shown, and recorded
            self._hosting.provenance(permit.call.request.subject.session).tracker.lose()
            return unreleased(permit, problem)

    async def close(self, permit: Permit, outcome: Outcome, result: Result) -> Outcome:
        """7. Record the outcome. The caller gets it, and the session its label, once it is on disk."""
        context = self._hosting.show(permit.call.request.subject.session, outcome.label)
        try:
            done = await self.ledger.commit(self._entries.outcome(permit, outcome, result, context))
        except LedgerUnavailableError:
            raise
        except Exception as problem:  # noqa: BLE001  # whatever it is: what ran gets an outcome
            return await self._closing.bare(permit, outcome, problem)
        if not isinstance(done, Refused):
            self._hosting.showed(permit.call.request.subject.session, outcome.label)
            return outcome.model_copy(update={"record": done.seq})
        if isinstance(done.guard, EpochIs):
            return await self._closing.anew(permit, outcome, result)
        if permit.intent is None:
            return await self._closing.withhold(permit, f"the result is withheld: {done.why}")
        raise LedgerUnavailableError(f"{permit.call.request.call_id}: {done.why}")

    async def recall(self, request: Request) -> Outcome | None:
        """Return what became of this very request, if it was made before; None if it may run."""
        call = self.resolve(request)
        return await self.ledger.query(lambda connection: recall(connection, self.ledger, call))

    async def tools(self, agent: str) -> tuple[ToolSpec, ...]:
        """Return the tools of which this agent may call one, under the policy in force."""
        if await self.ledger.query(self.enforcement.is_stale):
            await self.enforcement.refresh()
        return self._offers.of(self.registry, self.enforcement.snapshot, agent, self.ledger.clock())

    async def answer(
        self, ticket: str, voter: str, *, approve: bool, reason: str = "", confirm: str = ""
    ) -> Question:
        """Record a person's answer to a question, by the policy in force; see `Queue.answer`.

        Args:
            ticket: from a pending outcome.
            voter: who answers, as the host authenticated them.
            approve: yes or no.
            reason: why; a no must have one.
            confirm: what the call goes to, typed once more, if it cannot be undone (`Card.confirm`).
        """

        def record() -> Question:
            return self.desk.answer(ticket, voter, approve=approve, reason=reason, confirm=confirm)

        return await anyio.to_thread.run_sync(record)

    async def edit(
        self, ticket: str, editor: str, arguments: dict[str, Any], **said: Unpack[Said]
    ) -> Question:
        """Make another call of one that waits for people; see `Editing.edit`."""
        return await self._editing.edit(ticket, editor, arguments, **said)

    def session(self, **facts: Unpack[SessionFacts]) -> AbstractAsyncContextManager[Session]:
        """Open a session that ends with the block; see `SessionFacts`."""
        return self._hosting.session(**facts)

    async def open_session(self, **facts: Unpack[SessionFacts]) -> Session:
        """Open a session that outlives this process, unless `Session.aclose` ends it; see `SessionFacts`."""
        return await self._hosting.open(**facts)

    async def resume_session(self, session: str) -> Session:
        """Go on with a session that another process, or an earlier run, left open.

        Raises:
            SessionClosedError: there is no such session, or it has ended.
        """
        return await self._hosting.resume(session)

    async def aclose(self) -> None:
        """End what tools started, commit what waits, let go of the ledger. Sessions stay open for others."""
        async with contextlib.AsyncExitStack() as ends:
            ends.push_async_callback(anyio.to_thread.run_sync, self.ledger.close)
            ends.push_async_callback(self._executor.aclose)
            await self.registry.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _permit(self, call: Call, decision: Allow, intent: int | None) -> Permit:
        key = object()
        permit = self._permits[key] = Permit(call=call, decision=decision, key=key, intent=intent)
        return permit

    async def _decide_anew(self, call: Call | Unresolved) -> tuple[Call | Unresolved, Decision]:
        """The policy, or a standing yes, changed before the decision was final: stages 1 to 3 once more.

        Stage 1 as well: a policy says what a tool's fields and arguments are.
        """
        await self.enforcement.refresh()
        call = self.resolve(call.request.as_asked)
        decision = self.decide(call)
        return await self.approve(call, decision) if isinstance(decision, Ask) else (call, decision)


def _resolved(call: Call | Unresolved) -> Call:
    if isinstance(call, Unresolved):
        raise TypeError(f"a call that was not resolved can only be denied: {call.problem}")
    return call
