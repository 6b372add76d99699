"""What a session saw, as plain values: kept by whoever keeps sessions, and replayed to rebuild a tracker.

Rules:
- Everything that an answer depends on is in here; nothing is read from a clock or a random source.
"""

from typing import Any

from pydantic import Field

from pratique.model import Carried, Value


class SawRequest(Value):
    """Text that the user wrote."""

    text: str


class SawResult(Value):
    """A call's result with its declaration. See `Tracker.saw_result` for each field."""

    call_id: str
    tool: str
    value: Any
    fields: dict[str, str]
    arguments: dict[str, Any] = Field(default_factory=dict)
    classes: dict[str, str] = Field(default_factory=dict)
    names: frozenset[str] | None = None
    wrote: bool = False
    ids: dict[str, str] = Field(default_factory=dict)
    references: dict[str, str] = Field(default_factory=dict)
    watched: bool = False
    carried: tuple[Carried, ...] = ()


Seen = SawRequest | SawResult
