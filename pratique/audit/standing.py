"""What stands open while a log is read from its start: the least that the next record can be judged by.

Rules:
- What is over is forgotten, so memory grows with what is open, not with the log. To be forgotten is to be
  unknown: whatever refers to it later is illegal.
- Of a session that is over its id is kept, so that it cannot be opened, or used, once more.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

Record = Mapping[str, Any]
CallKey = tuple[str, str, str]

SECOND_US = 1_000_000
NO_POLICY = hashlib.sha256(b"").hexdigest()
"""The digest of the policy before the first one."""


class Stated(NamedTuple):
    """What a policy's text says that its log can be held against.

    Attributes:
        groups: approver group → its members.
        most_uses: counted exception → how often it may be used.
        erasers: the group that must agree to an erasure; empty for none.
    """

    groups: Mapping[str, Sequence[str]]
    most_uses: Mapping[str, int]
    erasers: str = ""


class Beside(Protocol):
    """What lies beside the log. Whoever reads the log from elsewhere may not have it."""

    def policy(self, digest: str) -> Stated | None:
        """Return what the policy of this digest states; None if its text is not there or is another."""

    def asked_for(self, proposed: Record) -> str | None:
        """Return on whose behalf a question was asked; None if that cannot be known (any more)."""


class Session:
    """A session that is open."""

    __slots__ = ("api_key", "edited", "edits", "identity", "ran", "writer")

    def __init__(self, record: Record) -> None:
        self.identity = identity_of(record)
        self.writer: str = record["writer"]
        self.api_key: str = record.get("api_key", "")
        self.ran: dict[tuple[str, str], str] = {}  # call id and digest → how its run stands
        self.edits: dict[str, tuple[str, str]] = {}  # ticket → who edited it, of which call id
        self.edited: set[tuple[str, str]] = set()  # calls that a person edited: as they were, they never run


class Question:
    """A question to people that can still be answered, or whose yes can still be used."""

    __slots__ = (
        "approvers",
        "escalated",
        "handed",
        "proposed",
        "state",
        "threaded",
        "use_until_us",
        "votes",
    )

    def __init__(self, proposed: Record) -> None:
        self.proposed = proposed
        self.state = "proposed"
        self.votes: dict[str, str] = {}  # voter → vote
        self.approvers: list[str] = []
        self.handed: list[tuple[str, str]] = []  # by whom, to whom
        self.escalated = self.threaded = False
        self.use_until_us = 0

    @property
    def key(self) -> CallKey:
        """Which call it is about."""
        return key_of(self.proposed)

    @property
    def wait_until_us(self) -> int:
        """When it can no longer be answered."""
        return int(self.proposed["ts_us"] + self.proposed["wait_s"] * SECOND_US)

    def said(self, vote: str) -> list[str]:
        """Return who voted so, in order."""
        return [voter for voter, word in self.votes.items() if word == vote]


class Given:
    """A yes given beforehand that nobody has revoked."""

    __slots__ = ("made", "people", "uses")

    def __init__(self, made: Record) -> None:
        self.made = made
        self.people: list[str] = [made["by"]]
        self.uses = 0


class Pinned:
    """A server of other tools that is configured, and what was said of its tools."""

    __slots__ = ("approved", "config", "seen")

    def __init__(self, config: str) -> None:
        self.config = config
        self.seen: dict[str, tuple[str, str]] = {}  # its name for a tool → digest seen last, lowest tier
        self.approved: dict[str, tuple[str, str]] = {}  # our name for it → digest approved, tier


class Standing:
    """Everything that is open at one place in the log.

    Args:
        beside: what lies beside it, if anything does.
    """

    def __init__(self, beside: Beside | None = None) -> None:
        self.beside = beside
        self.epoch = 0
        self.policies: dict[int, str] = {0: NO_POLICY}
        self.sessions: dict[str, Session] = {}
        self.over: set[str] = set()
        self.questions: dict[str, Question] = {}
        self.asked: dict[CallKey, str] = {}
        self.intents: dict[int, Record] = {}
        self.uses: dict[str, int] = {}
        self.erasures: dict[str, Record] = {}
        self.people: dict[str, bool] = {}  # name → whether the account is enabled
        self.links: dict[str, Record] = {}
        self.logins: dict[str, Record] = {}
        self.keys: dict[str, Record] = {}
        self.given: dict[str, Given] = {}
        self.servers: dict[str, Pinned] = {}
        self.notices: dict[tuple[int, str], int] = {}  # notice and channel → attempts

    def stated(self, epoch: int) -> Stated | None:
        """Return what the policy of an epoch states, when its text is there."""
        return self.beside.policy(self.policies.get(epoch, "")) if self.beside else None

    def end(self, ticket: str) -> None:
        """Forget a question: its ticket is worth nothing any more."""
        question = self.questions.pop(ticket, None)
        if question is not None:
            self.asked.pop(question.key, None)


def identity_of(record: Record) -> tuple[str, str, str]:
    """Return who asked in which trace."""
    return record["trace_id"], record["agent"], record["tenant"]


def key_of(record: Record) -> CallKey:
    """Return which call a record is about."""
    return record["session"], record["call_id"], record["digest"]


Law = Callable[[Standing, Record], Iterator[str]]
"""Yields what is wrong with a record, in one line each, and brings `Standing` up to date with it."""
