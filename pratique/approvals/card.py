"""The card: exactly what will run, made from the validated arguments, never from an agent's words.

Rules:
- Arguments that decide where things go come first.
- Every argument is shown in full, each character that hides or moves something written out
  (`pratique.appearance`).
- The card's digest covers all that it says. An approval binds to it: who said yes, said yes to this text.
- If the card cannot be made, there is no question, and so no yes.
"""

import hashlib
import re
from typing import Any

import orjson

from pratique.appearance import visible
from pratique.audit.canonical import canonical
from pratique.model import Ask, Call, Need, Origin, OriginKind, Taint, Tier, Value

LARGEST_CARD = 4 * 1024 * 1024

MOST_ORIGINS = 12
"""Origins that a card tells of one argument; the record has all of them."""

_EFFECTS = {
    Tier.READ: "Reads. Nothing changes.",
    Tier.EGRESS: "Reads, but the arguments leave the house.",
    Tier.WRITE: "Changes something that can be changed back.",
    Tier.IRREVERSIBLE: "Cannot be undone.",
}

_TAINTS = {
    Taint.NONE: "This session has seen no text from outside.",
    Taint.CONTEXT: "This session has read text from outside: any argument may have been steered by it.",
    Taint.ARGUMENT: "An argument carries text from outside.",
    Taint.SINK: "An argument that decides where this goes comes from outside, or cannot be explained.",
}


class CardOrigin(Value):
    """Where a value of an argument came from.

    Attributes:
        of: the value, or the part of it, that this is about.
        kind: who it came from (see `pratique.origin.OriginKind`).
        words: the same in words.
        before, match, after: an excerpt of the field it was found in, the match in the middle.
    """

    of: str
    kind: str
    words: str
    before: str = ""
    match: str = ""
    after: str = ""


class CardArgument(Value):
    """One argument: its name, what it decides, its text as a person may read it, and where it came from."""

    name: str
    decides: str
    text: str
    origins: tuple[CardOrigin, ...] = ()


class Card(Value):
    """What a person answers to.

    Attributes:
        tool, description, tier: what would run.
        effect: what approving does, in one sentence.
        agent, user, session: who asks, for whom, in which run.
        arguments: all of them, in full.
        taint: how near text from outside came, in words.
        rules: which rules ask, in words.
        needs: who must agree.
        digest: SHA-256 (hex) over the RFC 8785 form of all the above.
    """

    tool: str
    description: str
    tier: str
    effect: str
    agent: str
    user: str
    session: str
    arguments: tuple[CardArgument, ...]
    taint: str
    rules: tuple[str, ...]
    needs: tuple[Need, ...]
    epoch: int
    digest: str = ""

    def digested(self) -> "Card":
        """Return the card with its digest filled in."""
        body = canonical(self.model_dump(mode="json", exclude={"digest"}), most_bytes=LARGEST_CARD)
        return self.model_copy(update={"digest": hashlib.sha256(body).hexdigest()})


def make_card(call: Call, ask: Ask) -> Card:
    """Return the card for a call that a person must agree to.

    Raises:
        CanonicalError: the card would be larger than a person could read (`LARGEST_CARD`).
    """
    capability, subject = call.capability, call.request.subject
    return Card(
        tool=capability.name,
        description=visible(capability.description),
        tier=capability.tier.value,
        effect=_EFFECTS[capability.tier],
        agent=visible(subject.agent),
        user=visible(subject.user),
        session=subject.session,
        arguments=tuple(
            CardArgument(
                name=visible(name),
                decides=call.sinks.get(name, ""),
                text=_text(value),
                origins=_origins(call.judged.origins, name),
            )
            for name, value in sorted(call.arguments.items(), key=lambda item: item[0] not in call.sinks)
        ),
        taint=_TAINTS[call.taint],
        rules=tuple(visible(reason.text) for reason in ask.reasons),
        needs=ask.needs,
        epoch=ask.epoch,
    ).digested()


def _origins(origins: tuple[Origin, ...], argument: str) -> tuple[CardOrigin, ...]:
    """Return what a person should know of an argument's origins, what is not trusted first.

    What is too short to trace is left out. Many harmless links in a text cannot push a bad one off the card.
    """
    told = dict.fromkeys(
        _origin(origin)
        for origin in sorted(origins, key=lambda origin: origin.trusted)
        if re.split(r"[.\[]", origin.argument)[0] == argument and origin.kind is not OriginKind.LITERAL
    )
    # Those that a person must not miss come first, and what is left out is said.
    ordered = sorted(told, key=lambda origin: origin.kind not in _WORRYING)
    left_out = len(ordered) - MOST_ORIGINS
    if left_out > 0:
        more = CardOrigin(of="", kind="", words=f"and {left_out} more origins: see the trace")
        return (*ordered[:MOST_ORIGINS], more)
    return tuple(ordered)


_WORRYING = {OriginKind.UNTRUSTED.value, OriginKind.IDENTITY.value, OriginKind.MODEL.value}


def _origin(origin: Origin) -> CardOrigin:
    start, end = origin.span
    return CardOrigin(
        of=visible(origin.value),
        kind=origin.kind.value,
        words=visible(origin.words),
        before=visible(origin.excerpt[:start]),
        match=visible(origin.excerpt[start:end]),
        after=visible(origin.excerpt[end:]),
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return visible(value)
    return visible(orjson.dumps(value, option=orjson.OPT_INDENT_2 if isinstance(value, dict) else 0).decode())
