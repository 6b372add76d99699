"""The values that cross stages: Request → Call → Decision → Permit → Outcome. All of them frozen.

Rules:
- A type says what is known by then. A `Call` has typed arguments; a `Decision` has every reason.
- Whatever names an agent, a tier or a label here was put there by the runtime, never read from a payload.
- Times are integer microseconds since the epoch, UTC (`*_us`); durations are seconds.
"""

import secrets
from functools import cached_property
from importlib.metadata import version
from typing import Any

import orjson
from pydantic import Field

from pratique.answers import (
    Answer,
    Approval,
    Edit,
    Edited,
    Need,
    Preview,
    Rejection,
    Standing,
    Waiting,
    WasEdited,
)
from pratique.marking import reveal
from pratique.origin import Carried, Origin, OriginKind, Part, Source
from pratique.words import (
    ArgumentClass,
    Confidentiality,
    FieldLabel,
    Integrity,
    Level,
    Ordered,
    Status,
    Taint,
    Tier,
    Value,
)

ENGINE = f"pycasbin {version('pycasbin')}"
"""What decides, with its version: every record names it."""


LONGEST_TEXT = 1000
"""Bytes of free text that one field of a record holds: all of a record's fields together must fit it."""

MOST_RULES = 64
"""Ids of rules that a record names."""

MOST_REASONS = 16
"""Reasons that a record holds."""


def clip(text: str) -> str:
    """Return the text, at most `LONGEST_TEXT` bytes of it, fit to be recorded."""
    return clip_to(text, LONGEST_TEXT)


def clip_to(text: str, most: int) -> str:
    """Return the text, at most `most` bytes of its UTF-8 form, fit to be recorded."""
    if len(text) <= most and text.isascii():
        return text
    return text[:most].encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def printable(text: str) -> str:
    """Return the text with surrogates, which have no UTF-8 form, joined in pairs, and lone ones as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Label(Value):
    """Where a value stands in the lattice: integrity, confidentiality, and the sources it came from."""

    integrity: Integrity = Integrity.TRUSTED
    confidentiality: Confidentiality = Confidentiality.PUBLIC
    sources: frozenset[str] = frozenset()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a record says of it."""
        return {
            "integrity": self.integrity.value,
            "confidentiality": self.confidentiality.value,
            "sources": sorted(self.sources),
        }


CLEAN = Label()


class Capability(Value):
    """What a tool is declared to need and reach. The digest covers everything else in it.

    Attributes:
        name: dotted name, `mail.send`.
        tier: what the call can do to the world.
        confidentiality: the class of what it returns.
        clearance: the highest class of value that may leave through its arguments.
        sinks: argument → `ArgumentClass`, for the arguments that decide where things go; a selector may name
            the type of record that it selects (`selector:message`).
        sources: dotted result field → who may have written it (see `pratique.capabilities.fields`).
        ids: record in the result → a name for it as a source (`messages[]` → `email:{id}`).
        hosts: `host` or `host:port` that its HTTP client may reach.
        private: those of them that may be in the own network, or on this machine.
        paths: name of a file root → `read` or `write`.
        secrets: names of the secrets it may ask for.
        runs_in: the weakest isolation for the code that it is handed.
        calls: tools that this code may call; each call of one is a governed call of the same session.
        takes_idempotency_key: a second run with the same call id is harmless, by the tool's own word.
        endorses: its result is one of a few values that the host declared, so it may say what was withheld.
        timeout: seconds that a run may take.
        result_limit: bytes of canonical JSON that a result may have.
        parameters: JSON Schema of the arguments.
        pin: digest of the definition that a person approved, for another program's tool; empty for our own.
        digest: SHA-256 (hex) over the RFC 8785 form of all the above.
    """

    name: str
    description: str
    tier: Tier
    confidentiality: Confidentiality
    clearance: Confidentiality
    sinks: dict[str, str]
    sources: dict[str, str]
    ids: dict[str, str]
    hosts: tuple[str, ...]
    paths: dict[str, str]
    secrets: tuple[str, ...]
    runs_in: Level
    takes_idempotency_key: bool
    timeout: float
    result_limit: int
    parameters: dict[str, Any]
    digest: str
    private: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    endorses: bool = False
    pin: str = ""

    @cached_property
    def changes_the_world(self) -> bool:
        """Whether a call of it must have its intent on disk before it runs.

        Of another program's tool, that it only reads is somebody's opinion.
        """
        return self.tier is not Tier.READ or bool(self.pin)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a record says of it; made once, because it is the same for every call."""
        facts = {"tool": self.name, "tool_digest": self.digest, "tier": self.tier.value}
        return {**facts, "pin": self.pin} if self.pin else facts


class Subject(Value):
    """Who asks: authenticated by the host or a door, never self-declared in a payload."""

    session: str
    trace_id: str
    agent: str
    tenant: str
    user: str

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a record says of it, and that is not the user's name; made once for a session."""
        return {
            "session": self.session,
            "trace_id": self.trace_id,
            "agent": self.agent,
            "tenant": self.tenant,
        }


class Reason(Value):
    """One line of why: the rule that spoke, what it said, in words for a person."""

    rule: str
    effect: str
    text: str


class Judged(Value):
    """What provenance says of a call: how near text from outside came, why, and each argument's origin.

    `references` are those that stood in it when it was first asked: what they stand for must not come back.
    """

    taint: Taint = Taint.NONE
    reasons: tuple[Reason, ...] = ()
    origins: tuple[Origin, ...] = ()
    references: tuple[str, ...] = ()


UNTAINTED = Judged()


class Code(Value):
    """The code that asks for a call, when it is not the agent itself: which call handed it over.

    Attributes:
        call_id, tool: the call in whose sandbox it runs.
        taint: how near text from outside came to that code, by its own arguments and by what it was given.
    """

    call_id: str
    tool: str
    taint: Taint


class Request(Value):
    """One ask, as it came in: nothing about the tool or the arguments is believed yet.

    Attributes:
        subject: who asks.
        context: the label of all that the session was shown so far.
        call_id: the same id with the same arguments is the same call, which never runs twice.
        tool: the name that was asked for.
        args_json: the arguments in canonical JSON, or empty when they have no such form.
        asked_json: the same with references, where they were replaced by what they stand for.
        references: those that stand in it, or stood in what was first asked.
        problem: why they have none.
        wait: how many seconds to wait for a person.
        judged: what provenance said when it was first asked, for a request that is taken up again.
        code: the code in a sandbox that asks, on the agent's behalf.
        why: the agent's own words for why it asks: shown apart, recorded, and bound to nothing.
        edited: what a person changed in it, when this is no longer what the agent asked for.
    """

    subject: Subject
    context: Label
    call_id: str
    tool: str
    args_json: bytes
    asked_json: bytes = b""
    references: tuple[str, ...] = ()
    problem: str = ""
    wait: float = 0.0
    judged: Judged | None = None
    code: Code | None = None
    why: str = ""
    edited: Edited | None = None

    @property
    def as_asked(self) -> "Request":
        """The request as it came in, to be resolved once more."""
        return self.model_copy(update={"args_json": self.asked_json or self.args_json, "asked_json": b""})


class Call(Value):
    """A request whose tool is known and whose arguments are valid.

    `args` is the validated model, made from the very bytes that were hashed and are shown
    (`request.args_json`). `sinks` says what each decides, by the tool or by the policy. `digest` identifies
    what would run, for whom: an approval binds to it.
    """

    request: Request
    capability: Capability
    args: Any
    label: Label
    sinks: dict[str, str]
    judged: Judged
    digest: str

    @property
    def taint(self) -> Taint:
        """How near text from outside came to it."""
        return self.judged.taint

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The arguments as plain JSON values, for conditions and cards."""
        return dict(orjson.loads(self.request.args_json))


class Unresolved(Value):
    """A request that names no tool we have, or whose arguments are not valid: it will be denied.

    `pins` is the other program's server that the name speaks of, and the last record about it that was known.
    """

    request: Request
    problem: str
    digest: str
    pins: tuple[str, int] | None = None


class Decision(Value):
    """Base of `Allow` < `Ask` < `Deny`: a value with every reason, never an exception.

    `grants` are the counted exceptions it draws on, with how often each may be used. `ticket` is the question
    to people that it rests on, or waits for. `at_least` is the weakest level that the call may run in.
    """

    epoch: int
    policy: str
    reasons: tuple[Reason, ...]
    grants: tuple[tuple[str, int], ...] = ()
    ticket: str = ""
    at_least: Level = Level.INLINE

    @property
    def word(self) -> str:
        """`allow`, `ask` or `deny`."""
        return type(self).__name__.lower()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a record says of it; a snapshot gives the same decision object many times."""
        return {
            "epoch": self.epoch,
            "policy_digest": self.policy,
            "engine": ENGINE,
            "effect": self.word,
            "rules": [reason.rule for reason in self.reasons if reason.rule][:MOST_RULES],
            "reasons": [clip(reason.text) for reason in self.reasons[:MOST_REASONS]],
            "ticket": self.ticket,
            "approved_by": list(self.approved_by),
        }

    @property
    def approved_by(self) -> tuple[str, ...]:
        """Who said yes, when a person did."""
        return ()

    @property
    def because(self) -> str:
        """The reasons in one line, the deciding ones first."""
        return "; ".join(reason.text for reason in self.reasons)


class Allow(Decision):
    """Every check agrees. `approval` or `standing` is set when people's yes made it so."""

    approval: Approval | None = None
    standing: Standing | None = None

    @property
    def is_used_up(self) -> bool:
        """Whether a run uses up what it rests on: a person's yes, or one use of what is counted."""
        return self.approval is not None or self.standing is not None or bool(self.grants)

    @property
    def approved_by(self) -> tuple[str, ...]:
        """Who said yes, when a person did."""
        yes = self.approval or self.standing
        return yes.approved_by if yes else ()


class Ask(Decision):
    """A person must agree first. The question waits `wait_s` seconds, a yes lives `use_within_s`.

    Attributes:
        escalate_to: who may answer as well once half of the wait is over: groups, or `person:NAME`.
        standing: whether a standing approval may stand for the answer.
    """

    needs: tuple[Need, ...]
    wait_s: int
    use_within_s: int
    escalate_to: tuple[str, ...] = ()
    standing: bool = False


class Deny(Decision):
    """At least one check says no, or none says yes."""


class Permit(Value):
    """The committed right to run one call once. Only stage 4 makes one; stage 5 accepts each one time.

    `key` is an object that only the runtime which made it holds; `intent` is the record's number, when the
    call's tier demanded one.
    """

    call: Call
    decision: Allow
    key: object
    intent: int | None


class Result(Value):
    """What a tool's run gave: a JSON value or an error in words, and how long it took.

    `sandbox` says what ran in a sandbox, if something did, in words and whole numbers; `given` is the label
    of what the code in it was given by the tools that it called.
    """

    status: Status
    value_json: bytes = b"null"
    error: str = ""
    duration_us: int = 0
    level: Level = Level.INLINE
    sandbox: dict[str, int | str] = Field(default_factory=dict)
    given: Label = CLEAN


class ToolSpec(Value):
    """A tool as an agent is offered it.

    Attributes:
        name: what `Session.call` takes.
        description: the tool's docstring.
        parameters: the JSON Schema of its arguments, an object.
        tier: what it can do to the world.
        digest: of the whole declaration: it changes when anything about the tool does.
        returns: the JSON Schema of its result, if its body says what that is. A result of which a part is
            withheld may lack what the schema requires.
        from_outside: whether something of its result may come from outside, by the policy in force.
        open_world: whether it reaches beyond what the host declared: it has hosts, or its argument leaves
            the house, or decides where something goes, or its result comes from outside.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    tier: Tier
    digest: str
    returns: dict[str, Any] | None = None
    from_outside: bool = True
    open_world: bool = True


class Outcome(Value):
    """What the caller gets. Everything in it is on disk already.

    Attributes:
        call_id: repeat the call with it, and you get this outcome again.
        status: done, denied, pending, failed or unknown.
        tier: what the tool can do to the world, when there is such a tool.
        value: the tool's result as JSON values, when done.
        error: why not, in one line, when not done.
        decision: `allow`, `ask` or `deny`, as it stood in the end.
        ticket: what a person answers to, when a person was asked.
        label: where the value came from.
        withheld: full path → reference, for what the agent is not shown.
        carried: which parts of the value an earlier write of ours put there. Not for the agent.
        record: the number of the chain's record that holds this, once there is one.
        edited: what a person changed before it ran: the outcome is that of the call as they left it.
    """

    call_id: str
    tool: str
    status: Status
    tier: Tier | None = None
    value: Any = None
    error: str = ""
    decision: str = ""
    reasons: tuple[Reason, ...] = ()
    ticket: str = ""
    approved_by: tuple[str, ...] = ()
    label: Label = Field(default=CLEAN)
    withheld: dict[str, str] = Field(default_factory=dict)
    carried: tuple[Carried, ...] = Field(default=(), exclude=True, repr=False)
    record: int | None = None
    edited: Edit | None = None

    @property
    def text(self) -> str:
        """The outcome as text for a model: the result as JSON, or what happened instead.

        What comes from outside stands between marks that it cannot contain, with a note for the model. What a
        person changed is said first.
        """
        value, done = self.value, self.status is Status.DONE
        text = self.error if not done else value if isinstance(value, str) else orjson.dumps(value).decode()
        if self.label.integrity is not Integrity.TRUSTED:
            text = reveal(text, f"{self.tool}:{self.call_id}", secrets.token_hex(16))
        return text if self.edited is None else f"{_edited_in_words(self.edited)}\n{text}"


def _edited_in_words(edited: Edit) -> str:
    told = {path: value for path, value in edited.changed.items() if value is not None}
    hidden = sorted(edited.changed.keys() - told.keys())
    text = f"[{edited.by} edited this call, in place of what you asked: {orjson.dumps(told).decode()}"
    text += f"; also changed: {', '.join(hidden)}" if hidden else ""
    return text + (f". Why: {edited.reason}]" if edited.reason else "]")


__all__ = [
    "CLEAN",
    "ENGINE",
    "LONGEST_TEXT",
    "UNTAINTED",
    "Allow",
    "Answer",
    "Approval",
    "ArgumentClass",
    "Ask",
    "Call",
    "Capability",
    "Carried",
    "Code",
    "Confidentiality",
    "Decision",
    "Deny",
    "Edit",
    "Edited",
    "FieldLabel",
    "Integrity",
    "Judged",
    "Label",
    "Level",
    "Need",
    "Ordered",
    "Origin",
    "OriginKind",
    "Outcome",
    "Part",
    "Permit",
    "Preview",
    "Reason",
    "Rejection",
    "Request",
    "Result",
    "Source",
    "Standing",
    "Status",
    "Subject",
    "Taint",
    "Tier",
    "ToolSpec",
    "Unresolved",
    "Value",
    "Waiting",
    "WasEdited",
    "clip",
    "clip_to",
    "printable",
]
