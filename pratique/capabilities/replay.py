"""Every recorded decision, made again on what was recorded: would this policy have answered otherwise?

Rules:
- A decision is made on what its record says: agent, tool, tier, class, taint and time as recorded, arguments
  out of the vault and only when a condition asks for them. Nothing is labelled anew.
- The recorded policy must answer as it did; otherwise the engine, or somebody, is not what it was.
- Where arguments were erased, the answer counts if no condition could have changed it; else it is
  undecidable.
- It does not follow consequences: what an agent would have done next, or how often an exception would have
  been used, is not known.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from pratique.capabilities.constraints import Arguments
from pratique.capabilities.meaning import meaning_of, words
from pratique.capabilities.policy import Access, live
from pratique.capabilities.snapshot import Snapshot
from pratique.model import Allow, Ask, Decision, Deny, Value

Record = Mapping[str, Any]
Recorded = Callable[[str], Snapshot | None]
"""Digest → that policy, ready to decide; None if its text is lost or cannot be read by this program."""

Reader = Callable[[Record], Arguments]
"""Record → its arguments, checked against it; raises `ErasedError`."""

WINDOW_US = 60 * 1_000_000
"""A call is recorded after it was decided: a rule whose time ran out in between answered differently."""

MOST_EXAMPLES = 5
MOST_ALIKE = 50_000
"""Kinds of question whose answer is remembered."""

MOST_GROUPS = 10_000
"""Groups that a report keeps apart. Beyond it the rest is counted under no tool and no rule."""

_WORDS: Mapping[type[Decision], str] = {Allow: "allow", Ask: "ask", Deny: "deny"}


class ErasedError(Exception):
    """Arguments cannot be had: they were erased, or are not the ones that were recorded."""


class Change(StrEnum):
    """What the other policy would have made of a decision."""

    SAME = "same"
    NEWLY_ALLOWED = "newly-allowed"
    NEWLY_ASKED = "newly-asked"
    NEWLY_DENIED = "newly-denied"
    UNDECIDABLE = "undecidable"
    MISMATCH = "engine-mismatch"


class Redecided(NamedTuple):
    """One decision, made again.

    `before` is what the recorded policy said, `after` what the other one says, and `rule` which of its rules
    made it so. `because` says why it is undecidable.
    """

    change: Change
    before: str
    after: str
    rule: str
    because: str = ""


class Group(Value):
    """Decisions that changed alike: for one tool, by one rule.

    Attributes:
        change: how.
        before, after: the words.
        tool: what was called.
        rule: the first rule that the new answer names; empty when no rule allows it.
        because: why, when it is undecidable.
        count: how many.
        examples: numbers of the first few records.
    """

    change: Change
    before: str
    after: str
    tool: str
    rule: str
    because: str
    count: int
    examples: tuple[int, ...]


class Replayer:
    """Makes recorded decisions again. Keep one for a whole run: its snapshots remember kinds of questions.

    Args:
        recorded: gives the policy of a digest.
        target: the policy to compare with; None to look only if the recorded ones agree.
    """

    def __init__(self, recorded: Recorded, target: Snapshot | None) -> None:
        self._recorded, self._target = recorded, target
        self._policies: dict[str, Snapshot | None] = {}
        self._alike: dict[tuple[str, ...], Redecided] = {}

    def redecide(self, record: Record, arguments: Reader) -> Redecided | None:
        """Return what becomes of a record's decision, or None if the record holds none of its own.

        Args:
            record: any record.
            arguments: gives a record's arguments.
        """
        stated = stated_word(record)
        if not stated:
            return None
        # What time and arguments cannot change is looked up: most decisions of a log are alike.
        question = (
            stated,
            record["policy_digest"],
            record["agent"],
            record["tenant"],
            record["tool"],
            record["tier"],
            record["confidentiality"],
            record["taint"],
        )
        return self._alike.get(question) or self._redecide(record, arguments, question)

    def _redecide(self, record: Record, arguments: Reader, question: tuple[str, ...]) -> Redecided:
        stated, digest, access = question[0], question[1], Access(*question[2:])
        policy, now_us = self._policy(digest), record["ts_us"]
        if policy is None:
            return Redecided(Change.UNDECIDABLE, stated, "", "", _LOST)
        before, _ = _word(policy, access, arguments, record, now_us)
        if before != stated:
            said, before = before, self._reconciled(record, policy, access, arguments)
            if not before:
                return Redecided(Change.MISMATCH, stated, said, "")
            return self._compared(policy, access, arguments, record, before)
        found = self._compared(policy, access, arguments, record, before)
        if policy.is_constant(access) and (self._target is None or self._target.is_constant(access)):
            if len(self._alike) >= MOST_ALIKE:
                self._alike.clear()
            self._alike[question] = found
        return found

    def _compared(
        self,
        policy: Snapshot,
        access: Access,
        arguments: Reader,
        record: Record,
        before: str,
    ) -> Redecided:
        target, now_us = self._target, record["ts_us"]
        if target is None or target.policy.digest == policy.policy.digest:
            return Redecided(Change.SAME, before, before, "")
        after, decision = _word(target, access, arguments, record, now_us)
        if after == before:
            return Redecided(Change.SAME, before, after, "")
        if not after:
            return Redecided(Change.UNDECIDABLE, before, "", "", _ERASED)
        return Redecided(_CHANGES[after], before, after, _rule(decision))

    def _policy(self, digest: str) -> Snapshot | None:
        if digest not in self._policies:
            same = self._target is not None and self._target.policy.digest == digest
            self._policies[digest] = self._target if same else self._recorded(digest)
        return self._policies[digest]

    def _reconciled(self, record: Record, policy: Snapshot, access: Access, arguments: Reader) -> str:
        """Return what the recorded policy said where it is not what the record says; empty for a mismatch."""
        stated, now_us = stated_word(record), record["ts_us"]
        word, _ = _word(policy, access, arguments, record, now_us)
        if not word:
            return stated if stated in _possible(policy, access, now_us) else ""
        if stated == "deny" and not record["rules"]:
            return word  # refused for another reason than the policy: an exception used up, a session over
        earlier = now_us - record.get("dur_us", 0) - WINDOW_US
        return stated if _word(policy, access, arguments, record, earlier)[0] == stated else ""


class Tally:
    """Counts decisions by what became of them, and keeps a few examples of each kind that changed."""

    def __init__(self) -> None:
        self.counts: dict[Change, int] = dict.fromkeys(Change, 0)
        self._groups: dict[tuple[Change, str, str, str, str, str], list[int]] = {}
        self._numbers: dict[tuple[Change, str, str, str, str, str], int] = {}

    def add(self, record: Record, found: Redecided) -> None:
        """Count one decision."""
        self.counts[found.change] += 1
        if found.change is Change.SAME:
            return
        change, before, after, rule, because = found
        key = (change, before, after, record["tool"], rule, because)
        if key not in self._numbers and len(self._numbers) >= MOST_GROUPS:
            key = (change, before, after, "", "", because)
        self._numbers[key] = self._numbers.get(key, 0) + 1
        examples = self._groups.setdefault(key, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(record["seq"])

    @property
    def total(self) -> int:
        """How many decisions were made again."""
        return sum(self.counts.values())

    @property
    def groups(self) -> tuple[Group, ...]:
        """What changed, the loosest first, and of those the most frequent."""
        order = list(_ORDER)
        keys = sorted(self._groups, key=lambda key: (order.index(key[0]), -self._numbers[key], key))
        return tuple(
            Group(
                change=key[0],
                before=key[1],
                after=key[2],
                tool=key[3],
                rule=key[4],
                because=key[5],
                count=self._numbers[key],
                examples=tuple(self._groups[key]),
            )
            for key in keys
        )


def stated_word(record: Record) -> str:
    """Return what a record says that the policy decided; empty if it holds no decision of its own.

    A question stands for all that came of it; an outcome with an intent, for its intent.
    """
    kind = record["type"]
    if kind == "approval.proposed":
        return "ask"
    if kind not in _DECIDED or record["ticket"] or "intent" in record:
        return ""
    return "deny" if record.get("outcome") == "denied" else "allow"


def _word(
    snapshot: Snapshot, access: Access, arguments: Reader, record: Record, now_us: int
) -> tuple[str, Decision | None]:
    """Return the word, empty when it cannot be known, and the decision, when one was made."""
    try:
        decision = snapshot.decide(access, lambda: arguments(record), now_us)
    except ErasedError:
        possible = _possible(snapshot, access, now_us)
        return (possible[0] if len(possible) == 1 else ""), None
    return _WORDS[type(decision)], decision


def _possible(snapshot: Snapshot, access: Access, now_us: int) -> tuple[str, ...]:
    """Return the words that the decision can have been, whatever the arguments were."""
    rows = (row for row in snapshot.coarse_rows(access) if live(now_us, row.nbf, row.exp))
    return words(meaning_of(snapshot.policy, row)._replace(nbf=0, exp=0) for row in rows)


def _rule(decision: Decision | None) -> str:
    return decision.reasons[0].rule if decision is not None and decision.reasons else ""


_LOST = "the recorded policy's text is lost, or cannot be read"
_ERASED = "its arguments were erased, and they decide"
_DECIDED = frozenset({"call.intent", "call.outcome"})
_CHANGES = {"allow": Change.NEWLY_ALLOWED, "ask": Change.NEWLY_ASKED, "deny": Change.NEWLY_DENIED}
_ORDER = (
    Change.MISMATCH,
    Change.NEWLY_ALLOWED,
    Change.NEWLY_ASKED,
    Change.NEWLY_DENIED,
    Change.UNDECIDABLE,
    Change.SAME,
)
