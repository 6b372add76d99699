"""What people said to a call, as facts that a decision can be made with.

Rules:
- A fact says who and what exactly it is bound to. Whether it counts is decided by the policy in force.
"""

from typing import Any

from pydantic import Field

from pratique.words import Value


class Need(Value):
    """How many distinct people of which group must agree, by which rule.

    `delegates` is a group whose people they may hand the question to, besides their own.
    """

    rule: str
    approvers: str
    quorum: int
    delegates: str = ""


class Edit(Value):
    """What a person changed in a call before it was agreed to, as the agent is told.

    Attributes:
        ticket: the question that was edited.
        by: who edited it.
        reason: why, in their words.
        changed: path of each leaf that differs → its new value, or None where the agent may not be shown it.
    """

    ticket: str
    by: str
    reason: str = ""
    changed: dict[str, Any] = Field(default_factory=dict)


class Edited(Edit):
    """The same, with what the edited call is decided by: it is another call, with a question of its own.

    Attributes:
        before_json: the arguments as they were, canonical JSON: what was left in keeps its origin.
        needs, wait_s, use_within_s: what was asked then. It is asked of the edited call even if the policy
            would let that one pass: nobody has agreed to it yet.
    """

    before_json: str = "{}"
    needs: tuple[Need, ...] = ()
    wait_s: int = 0
    use_within_s: int = 0

    @property
    def told(self) -> Edit:
        """What the agent is told of it."""
        return Edit(ticket=self.ticket, by=self.by, reason=self.reason, changed=self.changed)


class Preview(Value):
    """What a tool says that a call will change, computed by our own code; or why that cannot be said."""

    text: str = ""
    problem: str = ""


class Approval(Value):
    """A person's yes, as a fact: what it is bound to and until when it may be used, once."""

    ticket: str
    digest: str
    card_digest: str
    epoch: int
    approved_by: tuple[str, ...]
    use_until_us: int


class Standing(Value):
    """A yes given beforehand, as a fact: to which calls, by whom, until when, how often.

    Attributes:
        id: `sa_…`.
        agent, tenant, tool, tool_digest: whose calls of which declaration.
        pattern: argument → what it may be (see `pratique.capabilities.patterns`).
        approved_by: the people who agreed, whoever they are today: whether they suffice is decided anew.
        belongs: group → those of them who belong to it at this moment.
        max_uses: how often it may be used in all.
        expires_us: until when.
    """

    id: str
    agent: str
    tenant: str
    tool: str
    tool_digest: str
    pattern: dict[str, Any]
    approved_by: tuple[str, ...]
    max_uses: int
    expires_us: int
    belongs: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Rejection(Value):
    """A person's no, or nobody's answer in time: a fact as well."""

    ticket: str
    text: str


class Waiting(Value):
    """Nobody has answered yet."""

    ticket: str


Answer = Approval | Standing | Rejection | Waiting


class WasEdited(Value):
    """A person changed the call: what was asked never runs, and `ticket` asks about what they made of it."""

    ticket: str
