"""The words that everything is said in: tiers, classes, taints, labels, levels, states.

Rules:
- Ordered words (`Tier`, `Confidentiality`, `Taint`, `Integrity`, `Level`) are ordered by their place.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Ordered(StrEnum):
    """Words with an order: `rank` is the place in the class, lowest first."""

    rank: int

    def __new__(cls, word: str) -> Self:
        """Give each word its rank."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.rank = len(cls.__members__)
        return member

    @classmethod
    def highest(cls, *words: Self) -> Self:
        """Return the highest of the words: the join of a total order."""
        return max(words, key=lambda word: word.rank)


class Tier(Ordered):
    """What a call can do to the world, in line with MCP's tool annotations.

    `egress` reads, but its argument leaves the house (a URL, a search). `write` can be undone.
    """

    READ = "read"
    EGRESS = "egress"
    WRITE = "write"
    IRREVERSIBLE = "irreversible"


class Confidentiality(Ordered):
    """How far a value may travel."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


class Taint(Ordered):
    """How near untrusted text came to a call.

    `context`: the session has seen some. `argument`: an argument carries some. `sink`: an argument that
    decides where things go carries some, or cannot be explained.
    """

    NONE = "none"
    CONTEXT = "context"
    ARGUMENT = "argument"
    SINK = "sink"


class Integrity(Ordered):
    """Who may have written a value: `trusted` is ours, `untrusted` is anybody."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


class Level(Ordered):
    """Where a tool's code runs, weakest isolation first. `inline` isolates nothing."""

    INLINE = "inline"
    RESTRICTED = "restricted"
    JAIL = "jail"
    CONTAINER = "container"


class ArgumentClass(StrEnum):
    """What an argument decides. All but `content` and `sched` are sinks."""

    DEST = "dest"
    SELECTOR = "selector"
    SECRET = "secret"  # noqa: S105  # the word of the class, no secret
    AMOUNT = "amount"
    SCHED = "sched"
    CONTENT = "content"


ANY = "*"
"""In a declaration of what arguments decide: every argument that it does not name."""

OF_NAME = "#key"
"""Ends the path of a leaf that is a name, not the value under it."""


class FieldLabel(StrEnum):
    """Who may have written a result field; `meta` may carry a record type (`meta:message`).

    `untrusted`: anybody. `identity`: authenticated, but anybody can appear there (a sender). `internal`: a
    name inside the own organisation. `meta`: made by the system (ids, times). `authority`: the host vouches
    for every value.
    """

    UNTRUSTED = "untrusted"
    IDENTITY = "identity"
    INTERNAL = "internal"
    META = "meta"
    AUTHORITY = "authority"

    @property
    def foreign(self) -> bool:
        """Whether the text of such a field may be hostile."""
        return self in {FieldLabel.UNTRUSTED, FieldLabel.IDENTITY, FieldLabel.INTERNAL}


class Status(StrEnum):
    """What became of a call."""

    DONE = "done"
    DENIED = "denied"
    PENDING = "pending"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Value(BaseModel):
    """Base of what crosses stages: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values, not validated: what Pydantic makes, in a third of its time."""
        if deep:
            return super().model_copy(update=update, deep=True)
        copy, changed = self.__class__.__new__(self.__class__), update or {}
        object.__setattr__(copy, "__dict__", {**self.__dict__, **changed})
        object.__setattr__(copy, "__pydantic_fields_set__", self.model_fields_set | changed.keys())
        object.__setattr__(copy, "__pydantic_extra__", None)
        object.__setattr__(copy, "__pydantic_private__", None)
        return copy
