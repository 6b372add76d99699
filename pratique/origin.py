"""Where a value came from: the answer of a trace, as a person and a policy read it.

Rules:
- One origin per leaf of every argument, and one more for each address, link, number or confidential value
  in it.
- An origin is evidence. It says how it was matched, and where, so that a person can look.
- Excerpts and ids are bounded: they go into records and cards.
"""

import re
from enum import StrEnum

from pratique.words import OF_NAME, ArgumentClass, Confidentiality, Integrity, Value


class OriginKind(StrEnum):
    """Who a value came from.

    `request`: the trusted request names it. `authority`: a field that the host vouches for. `record`: made by
    the system (an id, a time), in a record of its type. `internal`: a name inside the own organisation.
    `identity`: authenticated, but anybody can appear there. `untrusted`: text that anybody may have written.
    `approver`: whoever edited the call wrote it, and answers for it. `model`: no origin found, so the agent
    wrote it. `literal`: a boolean, nothing, or too little to trace.
    """

    REQUEST = "request"
    AUTHORITY = "authority"
    RECORD = "record"
    INTERNAL = "internal"
    IDENTITY = "identity"
    UNTRUSTED = "untrusted"
    APPROVER = "approver"
    MODEL = "model"
    LITERAL = "literal"


class Part(StrEnum):
    """What an origin speaks of: the whole leaf, a further passage, an address or number in it, a secret."""

    WHOLE = "whole"
    PASSAGE = "passage"
    ATOM = "atom"
    CONFIDENTIAL = "confidential"


class Source(Value):
    """The field that a value was found in.

    Attributes:
        id: how people and records name it: `mail.read:c1#body`, or by the tool's own id, `email:7#body`.
        call_id, tool: the call whose result held it.
        path: the field's path in that result.
    """

    id: str
    call_id: str
    tool: str
    path: str


class Carried(Value):
    """A part of a result that an earlier write of ours put there, and where that write had it from.

    Attributes:
        path: the field in the result, in full.
        text: the part.
        source: the id that it had when it was first read.
        integrity: untrusted, if it came from outside; trusted for a value that is only confidential.
        confidentiality: the class that it had.
    """

    path: str
    text: str
    source: str
    integrity: Integrity
    confidentiality: Confidentiality


class Origin(Value):
    """Where one value of an argument came from.

    Attributes:
        argument: the leaf's path, `recipients[0]`.
        argument_class: what the argument decides.
        record_type: for a selector, the type of record that it selects, else empty.
        part: the whole leaf, an atom inside it, or a confidential value inside it.
        value: the value, cut to an excerpt's length.
        kind: who it came from.
        anchored: for kinds that speak of records: the request names the record, our own write made it, or a
            look-up with clean arguments returned it alone.
        source: the field, when there is one.
        excerpt, span: the text around the match as it came in, and where in the excerpt the match is.
        how: `exact`, `number`, `date`, `part`, `base64`, `hex`, `rot13`, `reversed`, `squeezed`,
            `reference`, `unsearched` …
        also: a field from outside that spells the value too, though something better vouches for it.
    """

    argument: str
    argument_class: ArgumentClass
    record_type: str = ""
    part: Part = Part.WHOLE
    value: str = ""
    kind: OriginKind
    anchored: bool = False
    source: Source | None = None
    excerpt: str = ""
    span: tuple[int, int] = (0, 0)
    how: str = ""
    also: Source | None = None

    @property
    def trusted(self) -> bool:
        """Whether a sink may take the value without a question, by the provenance rule."""
        return trusted(self)

    @property
    def words(self) -> str:
        """Where it came from, in words for a person."""
        place = f" in {self.source.id}" if self.source else ""
        if self.part is Part.CONFIDENTIAL:
            return f"holds a confidential value{place}, which may not leave here"
        if self.how == UNSEARCHED:
            return "could not be searched for in full, so it counts as untrusted"
        how = f" ({self.how})" if self.how not in {"", "exact"} else ""
        beside = self.also is not None and self.also != self.source
        also = f", and stands in {self.also.id} too" if self.also and beside else ""
        return _WORDS[self.kind] + place + how + also


def argument_of(path: str) -> str:
    """Return the argument that a leaf's path begins with: the names and places below it are its content.

    An outermost name that the tool does not have is content as well, and is not repeated.
    """
    if path.endswith(OF_NAME) and not _BELOW.search(path):
        return "an argument's name"
    return _BELOW.split(path, maxsplit=1)[0]


UNSEARCHED = "unsearched"

_BELOW = re.compile(r"[.\[]")

_WORDS = {
    OriginKind.REQUEST: "is in the request",
    OriginKind.AUTHORITY: "is a vouched value",
    OriginKind.RECORD: "is of a record",
    OriginKind.INTERNAL: "is an internal name",
    OriginKind.IDENTITY: "is a participant's identity",
    OriginKind.UNTRUSTED: "was written by somebody outside",
    OriginKind.APPROVER: "was written by whoever edited the call",
    OriginKind.MODEL: "was written by the model: no origin was found",
    OriginKind.LITERAL: "is too short to trace",
}

_VOUCHED = frozenset({OriginKind.REQUEST, OriginKind.AUTHORITY, OriginKind.INTERNAL, OriginKind.APPROVER})
_TAKEN_IN_TEXT = _VOUCHED | {OriginKind.RECORD}
_NOT_FOREIGN = frozenset(OriginKind) - {OriginKind.UNTRUSTED}
_TAKEN = {
    ArgumentClass.DEST: _VOUCHED,
    ArgumentClass.SELECTOR: _TAKEN_IN_TEXT,
    ArgumentClass.SECRET: frozenset({OriginKind.REQUEST, OriginKind.APPROVER}),
    ArgumentClass.AMOUNT: _NOT_FOREIGN,
    ArgumentClass.SCHED: _NOT_FOREIGN,
    ArgumentClass.CONTENT: _TAKEN_IN_TEXT,
}


def trusted(origin: Origin, *, identities: bool = False) -> bool:
    """Return whether a sink of the origin's class may take the value.

    Args:
        origin: the origin.
        identities: whether participants of records that are anchored count (opt-in: "reply to me" makes
            whoever wrote the message a valid destination).
    """
    if origin.part is Part.CONFIDENTIAL:
        return False
    if origin.kind is OriginKind.IDENTITY:
        return identities and origin.anchored and origin.argument_class is not ArgumentClass.SECRET
    taken = _TAKEN[origin.argument_class] if origin.part is Part.WHOLE else _TAKEN_IN_TEXT
    if origin.argument_class is ArgumentClass.SELECTOR and origin.part is Part.WHOLE:
        by_person = origin.kind in {OriginKind.REQUEST, OriginKind.APPROVER}
        return by_person or (origin.anchored and origin.kind in taken)
    return origin.kind in taken
