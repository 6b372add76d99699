"""Sessions as the ledger keeps them: opened, taken over by another process, resumed at a ticket, ended.

Rules:
- The user, the trusted request and the host's inputs are committed to by a record and kept in the vault.
- A session that goes on has the label that the ledger has for it, never less.
- One process at a time writes for a session: whoever resumes it takes it over.
- An agent that the policy does not declare may open a session, in which every call is denied, on record: what
  it asks for is evidence, and the policy may declare it later, while the session runs.
"""

import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol, Required, TypedDict, Unpack

from sqlalchemy import Connection

from pratique.appearance import LEFT_TO_RIGHT, visible
from pratique.audit import drafts
from pratique.audit.canonical import canonical
from pratique.audit.identity import is_key
from pratique.audit.record import Draft
from pratique.capabilities.labels import join
from pratique.capabilities.manifest import DEFAULT_TENANT
from pratique.errors import (
    CanonicalError,
    LedgerCorruptError,
    PolicyError,
    SessionClosedError,
    TraceInUseError,
    UnknownTicketError,
)
from pratique.ledger import queries
from pratique.ledger.door import Ledger
from pratique.ledger.erasing import Erasing
from pratique.ledger.guards import Guard, SessionIsOpen, TraceIsNew
from pratique.ledger.guards_identity import KeyIsGood
from pratique.ledger.projection import stored_label
from pratique.ledger.sequencer import Answer, Entry, Refused
from pratique.model import CLEAN, Call, Code, Edited, Judged, Label, Request, Subject, Taint, printable
from pratique.people import odd_spelling
from pratique.sessions.code_calls import CodeCalls
from pratique.sessions.session import Governor, Session
from pratique.stages.declared import Declared, declared
from pratique.stages.enforcement import Enforcement
from pratique.stages.memory import remember
from pratique.stages.provenance import Provenance
from pratique.stages.recall import label_from
from pratique.tools.registry import Registry

LARGEST_INPUTS = 1024 * 1024


class Found(NamedTuple):
    """A session as it was left: who asks, the label of all that it was shown, and which process served it."""

    subject: Subject
    context: Label
    writer: str


_NO_TRACE = "0" * 32
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


class SessionFacts(TypedDict, total=False):
    """What a host says about a session when it opens one.

    Attributes:
        agent: who asks, as the host authenticated it. One that the policy does not declare may ask, and is
            denied everything, on record.
        user: the person it acts for.
        request: that person's own words: the only text that is trusted.
        model: model and version that the agent runs on, as the host declares them.
        inputs: what else an operator should find in the trace; JSON values.
        trace_id: W3C trace id (32 hex digits), to join an existing trace.
        plan: which tools this run may use to change something or to let something leave: patterns (`mail.*`),
            or the name of a plan in the policy. A call outside it counts as one that cannot be explained.
        api_key: the id of the key that the agent came in with, through a door that has keys (or `token:…`,
            for the holder of an access token, which its issuer ends). Its revocation
            ends the session.
    """

    agent: Required[str]
    user: Required[str]
    request: str
    model: str
    inputs: Mapping[str, Any]
    trace_id: str
    plan: str | Sequence[str]
    api_key: str


class Served(NamedTuple):
    """A session that this process serves, and what it knows of where values came from."""

    session: Session
    provenance: Provenance


class Host(Governor, Protocol):
    """What hosting needs of the runtime."""

    enforcement: Enforcement
    registry: Registry


class Hosting:
    """Opens, resumes and ends sessions, and knows the ones that this process serves.

    Args:
        host: what runs their calls.
        ledger: where they are kept.
        wait: seconds that a call waits for a person when it does not say.
        limits: bytes and depth of arguments.
    """

    def __init__(self, host: Host, ledger: Ledger, *, wait: float, limits: tuple[int, int]) -> None:
        self._host, self._ledger, self._wait, self._limits = host, ledger, wait, limits
        self._serving: dict[str, Served] = {}
        ledger.on_erased.append(self._forget)

    @asynccontextmanager
    async def session(self, **facts: Unpack[SessionFacts]) -> AsyncIterator[Session]:
        """Open a session and end it when the block ends."""
        async with await self.open(**facts) as session:
            yield session

    async def open(self, **facts: Unpack[SessionFacts]) -> Session:
        """Open a session.

        Raises:
            CanonicalError: the inputs are not JSON, or too large; a name has no UTF-8 form; the user's
                has blanks, quotes or a dot at its end: it would be another person.
            TraceInUseError: another session has this trace id; nothing was recorded.
            LedgerUnavailableError: it cannot be recorded.
        """
        snapshot = self._host.enforcement.snapshot
        subject = _new_subject(facts, snapshot.policy.tenant_of(facts["agent"]) or DEFAULT_TENANT)
        request = printable(facts.get("request", ""))
        owner = self._ledger.vault.subject_id(subject.user)
        await self._ledger.know(owner)
        draft = drafts.session_open(
            subject,
            (snapshot.epoch, snapshot.policy.digest),
            facts.get("model", ""),
            vault_subject=owner,
            writer=self._ledger.writer.id,
            plan=self._plan(facts.get("plan")),
            api_key=facts.get("api_key", ""),
        )
        values = {
            "user": subject.user.encode(),
            "request": request.encode(),
            "inputs": canonical(dict(facts.get("inputs", {})), most_bytes=LARGEST_INPUTS),
        }
        guards: list[Guard] = [TraceIsNew(subject.trace_id)]
        if is_key(draft["api_key"]):
            guards.append(KeyIsGood(draft["api_key"], subject.agent))
        done = await self._commit(draft, owner, values, guards=tuple(guards))
        if isinstance(done, Refused) and isinstance(done.guard, TraceIsNew):
            raise TraceInUseError(f"{done.why}: leave trace_id out, or give each session one of its own")
        if isinstance(done, Refused):
            raise SessionClosedError(f"no session was opened: {done.why}")
        provenance = Provenance(request, draft["plan"])
        return self._serve(subject, CLEAN, provenance, resumed=False)

    async def resume(self, session: str) -> Session:
        """Take a session over from another process, or from an earlier run of this one.

        Raises:
            SessionClosedError: there is no such session, or it has ended.
            LedgerCorruptError: its user was erased, or is not the one that was recorded.
        """
        while True:
            found = await self._ledger.query(lambda connection: self._find(connection, session))
            draft = drafts.session_resume(found.subject, self._ledger.writer.id)
            # Between finding and taking it over it may have ended, or gone on elsewhere: look again.
            guard = SessionIsOpen(found.subject.session, found.writer)
            if not isinstance(await self._commit(draft, guards=(guard,)), Refused):
                break
        held = self._serving.get(found.subject.session)
        if (
            held is not None
        ):  # this very process serves it: what is still under way must be remembered as well
            context = join(found.context, held.session.context)
            return self._serve(found.subject, context, held.provenance, resumed=True)
        # Only now nobody else adds to it: look at its label again, and at all that it was shown.
        found = await self._ledger.query(lambda connection: self._find(connection, session))
        provenance = await self._ledger.query(
            lambda connection: remember(connection, self._ledger, found.subject.session, self._declared)
        )
        return self._serve(found.subject, found.context, provenance, resumed=True)

    async def reopen(self, session: Session, ticket: str, wait: float) -> Request:
        """Return the request that a ticket stands for: the same arguments, under the label of that moment.

        Raises:
            UnknownTicketError: this session asked no such question.
            LedgerCorruptError: the arguments were erased, or are not the ones that were recorded.
        """
        subject = session.subject
        return await self._ledger.query(lambda connection: self._asked(connection, subject, ticket, wait))

    async def as_edited(self, request: Request, ticket: str) -> Request:
        """Return the request that a person made of one.

        Raises:
            LedgerCorruptError: its arguments were erased, or are not the ones that were recorded.
        """
        subject, wait = request.subject, request.wait
        return await self._ledger.query(lambda connection: self._asked(connection, subject, ticket, wait))

    async def asked(self, session: str, ticket: str) -> Request:
        """Return the request that a question asks about, whichever process serves its session.

        Raises:
            SessionClosedError: the session has ended.
        """

        def find(connection: Connection) -> Request:
            return self._asked(connection, self._find(connection, session).subject, ticket, 0.0)

        return await self._ledger.query(find)

    async def provenance_of(self, session: str) -> Provenance:
        """Return where a session's values came from; read back if another process serves it."""
        if session in self._serving:
            return self._serving[session].provenance
        return await self._ledger.query(
            lambda connection: remember(connection, self._ledger, session, self._declared)
        )

    async def end(self, session: Session, output: str, final_action: str) -> None:
        """Record that a session is over, with its final answer; leave it be if it goes on elsewhere."""
        self._serving.pop(session.id, None)
        owner = self._ledger.vault.subject_id(session.subject.user)
        values = {"output": printable(output).encode()}
        draft = drafts.session_close(session.subject, final_action)
        guard = SessionIsOpen(session.id, self._ledger.writer.id)
        await self._commit(draft, owner, values, guards=(guard,))

    def let_go(self, session: Session) -> None:
        """Forget a session that stays open: it can be resumed."""
        served = self._serving.get(session.id)
        if served is not None and served.session is session:
            del self._serving[session.id]

    def show(self, session: str, label: Label) -> Label | None:
        """Return a session's label after it is shown something, if that is higher than what it has."""
        served = self._serving.get(session)
        return None if served is None else served.session.raised_by(label)

    def showed(self, session: str, label: Label) -> None:
        """Raise a session's label by what it was shown: that is on record now."""
        served = self._serving.get(session)
        if served is not None:
            served.session.saw(label)

    def code_calls(self, call: Call) -> CodeCalls | None:
        """Return what makes the calls that a call's code asks for; None if it declares none."""
        served = self._serving.get(call.request.subject.session)
        return CodeCalls(served.session, call) if served is not None and call.capability.calls else None

    def provenance(self, session: str) -> Provenance:
        """Return where a session's values came from; of one that is over, nothing can be explained."""
        served = self._serving.get(session)
        return served.provenance if served is not None else Provenance.lost()

    def _forget(self, erasing: Erasing) -> None:
        """Drop what sessions remember of values that were erased: from now on nothing vouches for anything.

        Called in the ledger's thread; each step is one assignment.
        """
        for name, served in list(self._serving.items()):
            owner = self._ledger.vault.subject_id(served.session.subject.user)
            if erasing.concerns(name, owner):
                self._serving[name] = Served(served.session, Provenance.lost())
                served.session.forget()

    def _declared(self, tool: str) -> Declared | None:
        found = self._host.registry.get(tool)
        return None if found is None else declared(found, self._host.enforcement.snapshot.policy)

    def _plan(self, given: str | Sequence[str] | None) -> list[str] | None:
        """Return the patterns of a plan, given as such or by its name in the policy.

        Raises:
            PolicyError: the policy has no plan of that name, or what was given is no list of patterns.
        """
        if not isinstance(given, str):
            return None if given is None else _patterns(given)
        plans = self._host.enforcement.snapshot.policy.file.plans
        if given not in plans:
            known = ", ".join(sorted(plans)) or "none"
            problem = f"plan: the policy in force has no plan {given!r}; it has: {known}"
            raise PolicyError("session", [problem])
        return list(plans[given])

    def _serve(self, subject: Subject, context: Label, provenance: Provenance, *, resumed: bool) -> Session:
        session = Session(
            self._host,
            self,
            subject,
            context=context,
            resumed=resumed,
            wait=self._wait,
            limits=self._limits,
        )
        self._serving[session.id] = Served(session, provenance)
        return session

    async def _commit(
        self,
        draft: Draft,
        owner: str = "",
        values: Mapping[str, bytes] | None = None,
        *,
        guards: tuple[Guard, ...] = (),
    ) -> Answer:
        kept = self._ledger.seal(owner, queries.about(draft), values) if values else None
        commitments = kept.commitments if kept else {}
        return await self._ledger.commit(
            Entry(drafts=({**draft, **commitments},), values=(kept,), guards=guards)
        )

    def _find(self, connection: Connection, session: str) -> Found:
        row = queries.session(connection, session)
        if row is None or row.closed_us:
            raise SessionClosedError(f"the session {session!r} is {'not there' if row is None else 'over'}")
        opening = queries.records_of(connection, row.id)[0]
        user = self._value(connection, opening, "user").decode()
        subject = Subject(
            session=row.id, trace_id=row.trace_id, agent=row.agent, tenant=row.tenant, user=user
        )
        return Found(subject, stored_label(row), row.writer)

    def _asked(self, connection: Connection, subject: Subject, ticket: str, wait: float) -> Request:
        row = queries.approval(connection, ticket)
        if row is None or row.session != subject.session:
            raise UnknownTicketError(f"the session {subject.session} asked no question {ticket!r}")
        proposed = queries.record(connection, row.proposed_seq) or {}
        stored = self._stored_judgement(connection, proposed)
        return Request(
            subject=subject,
            context=label_from(proposed["context"]),
            call_id=row.call,
            tool=row.tool,
            args_json=self._value(connection, proposed, "args"),
            wait=wait,
            references=stored.references if stored else (),
            judged=self._judged(proposed, stored),
            code=_code(proposed),
            why=self._said(connection, proposed, "why"),
            edited=_edited(self._said(connection, proposed, "edited")),
        )

    def _said(self, connection: Connection, proposed: queries.Record, field: str) -> str:
        """Return a value that not every question has."""
        return self._value(connection, proposed, field).decode() if f"{field}_c" in proposed else ""

    def _judged(self, proposed: queries.Record, stored: Judged | None) -> Judged | None:
        """Return what provenance said when the question was put: that is what the person was shown."""
        if proposed["epoch"] != self._host.enforcement.snapshot.epoch:
            return None  # another policy asked: under this one the call is judged anew
        return stored or Judged(taint=Taint(proposed["taint"]))

    def _stored_judgement(self, connection: Connection, proposed: queries.Record) -> Judged | None:
        owner = queries.subject_of(connection, proposed["seq"])
        if owner is None or not self._ledger.learn(connection, owner):
            return None
        found = queries.values(connection, self._ledger.vault, proposed).get("judged")
        return Judged.model_validate_json(found.value) if found is not None and found.genuine else None

    def _value(self, connection: Connection, record: queries.Record, field: str) -> bytes:
        owner = queries.subject_of(connection, record["seq"])
        if owner is not None and self._ledger.learn(connection, owner):
            found = queries.values(connection, self._ledger.vault, record).get(field)
            if found is not None and found.genuine:
                return found.value
        raise LedgerCorruptError(f"record {record['seq']}: {field} was erased or is not what was recorded")


def _code(proposed: queries.Record) -> Code | None:
    """Return the code that asked, with the taint that its call had in the end: it never falls."""
    if "code_of" not in proposed:
        return None
    return Code(call_id=proposed["code_of"], tool=proposed["code_tool"], taint=Taint(proposed["taint"]))


def _edited(stated: str) -> Edited | None:
    return Edited.model_validate_json(stated) if stated else None


def _patterns(given: Any) -> list[str]:
    """Return a plan that a host gives as a list, checked: it goes into a record."""
    if isinstance(given, list | tuple) and all(isinstance(pattern, str) for pattern in given):
        return list(given)
    raise PolicyError("session", ["plan: give a plan's name, or a list of tool names and patterns"])


def _new_subject(facts: SessionFacts, tenant: str) -> Subject:
    for name in (facts["agent"], facts["user"]):
        if printable(name) != name:
            raise CanonicalError(f"{name!r}: a name with half of a surrogate pair has no UTF-8 form")
        if visible(name).replace(LEFT_TO_RIGHT, "") != name:
            raise CanonicalError(f"{visible(name)}: a name with characters that nobody sees")
    odd = odd_spelling(facts["user"])
    if odd:
        same = (
            "it would be somebody else than the same name without; give it as approvers and groups spell it"
        )
        raise CanonicalError(f"user: {facts['user'][:80]!r} {odd}: {same}")
    trace_id = facts.get("trace_id") or secrets.token_hex(16)
    if not _TRACE_ID.fullmatch(trace_id) or trace_id == _NO_TRACE:
        raise CanonicalError("trace_id: 32 lower-case hex digits, not all of them 0 (W3C Trace Context)")
    return Subject(
        session=f"s_{secrets.token_hex(8)}",
        trace_id=trace_id,
        agent=facts["agent"],
        tenant=tenant,
        user=facts["user"],
    )
