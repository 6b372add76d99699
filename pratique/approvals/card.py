"""The card: exactly what will run, made from the validated arguments, never from an agent's words.

Rules:
- Arguments that decide where things go come first.
- Every argument is shown in full, each character that hides or moves something written out
  (`pratique.appearance`).
- The card's digest covers all that it says. An approval binds to it: who said yes, said yes to this text.
- What the tool says that the call will change is computed by our code, and is part of the card. If it cannot
  be said, the card refuses: it can be rejected or edited, not approved.
- A call that cannot be undone names a destination, which whoever approves it types once more.
- If the card cannot be made, there is no question, and so no yes.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from pratique.appearance import LEFT_TO_RIGHT, visible
from pratique.approvals.warning import notice_of
from pratique.audit.canonical import canonical
from pratique.model import (
    ArgumentClass,
    Ask,
    Call,
    Need,
    Origin,
    OriginKind,
    Preview,
    Reason,
    Tier,
    Value,
)
from pratique.words import ANY, OF_NAME

LARGEST_CARD = 4 * 1024 * 1024

LONGEST_TYPED = 120
"""Characters that somebody may be asked to type."""

NO_PREVIEW = Preview()

MOST_ORIGINS = 12
"""Origins that a card tells of one argument; the record has all of them."""

_EFFECTS = {
    Tier.READ: "Reads. Nothing changes.",
    Tier.EGRESS: "Reads, but the arguments leave the house.",
    Tier.WRITE: "Changes something that can be changed back.",
    Tier.IRREVERSIBLE: "Cannot be undone.",
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
        taint: what is odd about which argument, in words; calm if nothing is (`pratique.approvals.warning`).
        alarm: whether where it goes, or a secret, was written by a stranger or is explained by nothing.
        rules: which rules ask, in words; what is found of arguments stands under them.
        needs: who must agree.
        preview: what will change, as the tool's own code says; empty if it says nothing.
        refuses: why it cannot be approved; empty if it can.
        confirm: what to type when approving; empty if nothing.
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
    alarm: bool = False
    rules: tuple[str, ...]
    needs: tuple[Need, ...]
    epoch: int
    preview: str = ""
    refuses: str = ""
    confirm: str = ""
    digest: str = ""

    def digested(self) -> "Card":
        """Return the card with its digest filled in."""
        body = canonical(self.model_dump(mode="json", exclude={"digest"}), most_bytes=LARGEST_CARD)
        return self.model_copy(update={"digest": hashlib.sha256(body).hexdigest()})


def make_card(call: Call, ask: Ask, preview: Preview = NO_PREVIEW) -> Card:
    """Return the card for a call that a person must agree to.

    Args:
        call: what would run.
        ask: who is asked, and why.
        preview: what the tool says that it will change.

    Raises:
        CanonicalError: the card would be larger than a person could read (`LARGEST_CARD`).
    """
    capability, subject = call.capability, call.request.subject
    notice, origins = notice_of(call), _by_argument(call.judged.origins, call.arguments)
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
                decides=call.sinks.get(name, call.sinks.get(ANY, "")),
                text=_text(value),
                origins=_origins(origins.get(name, [])),
            )
            for name, value in sorted(call.arguments.items(), key=lambda item: item[0] not in call.sinks)
        ),
        taint=visible(notice.text),
        alarm=notice.alarm,
        rules=tuple(visible(reason.text) for reason in _rules(call, ask)),
        needs=ask.needs,
        epoch=ask.epoch,
        preview=visible(preview.text),
        refuses=visible(preview.problem),
        confirm=_destination(call) if capability.tier is Tier.IRREVERSIBLE else "",
    ).digested()


def _rules(call: Call, ask: Ask) -> list[Reason]:
    """Return the rules that ask; what was found of the arguments is said with them."""
    found = frozenset(call.judged.reasons)
    return [reason for reason in ask.reasons if reason.effect == "ask" and reason not in found]


def _by_argument(origins: Iterable[Origin], arguments: Collection[str]) -> dict[str, list[Origin]]:
    """Return origins by the argument that they are of, its name included, so that each is looked at once."""
    found: dict[str, list[Origin]] = {}
    sizes = {len(name) for name in arguments}  # a name may have dots in it, and as many as the agent likes
    for origin in origins:
        path = origin.argument.removesuffix(OF_NAME)
        for size in sizes:
            name = path[:size]
            if len(name) == size and path[size : size + 1] in _STEPS and name in arguments:
                found.setdefault(name, []).append(origin)
    return found


def _destination(call: Call) -> str:
    """Return what is typed to confirm a call that cannot be undone: where it goes, as the card shows it.

    Of several destinations it is the first that is not vouched for, else the first; of a call without
    one, the first argument that decides anything; else the tool's name.
    """
    doubted = {origin.value for origin in call.judged.origins if not origin.trusted}
    for wanted in (ArgumentClass.DEST, ArgumentClass.SELECTOR, ArgumentClass.AMOUNT):
        places = (place for place, word in call.sinks.items() if word.partition(":")[0] == wanted)
        values = [value for place in places for value in _leaves(call.arguments.get(_top(place)))]
        typed = [value for value in values if 0 < len(value) <= LONGEST_TYPED and "\n" not in value]
        if typed:
            return visible(next((value for value in typed if value in doubted), typed[0]))
    return call.capability.name


def confirms(card: Card, typed: str) -> bool:
    """Return whether what somebody typed is the destination that the card shows; case does not count."""
    shown = card.confirm.replace(LEFT_TO_RIGHT, "")  # the card's own marks around right-to-left text
    return not card.confirm or typed.strip().casefold() == shown.strip().casefold()


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    if value is None or isinstance(value, bool):
        return []
    return [value if isinstance(value, str) else orjson.dumps(value).decode()]


def _top(path: str) -> str:
    return _STEP.split(path, maxsplit=1)[0]


_STEP = re.compile(r"[.\[]")
_STEPS = frozenset({"", ".", "["})
"""What follows a name in a path; nothing, at its end."""


def _origins(origins: Sequence[Origin]) -> tuple[CardOrigin, ...]:
    """Return what a person should know of one argument's origins, what is not trusted first.

    What is too short to trace is left out. Many harmless links in a text cannot push a bad one off the card.
    """
    told = dict.fromkeys(
        _origin(origin)
        for origin in sorted(origins, key=lambda origin: origin.trusted)
        if origin.kind is not OriginKind.LITERAL
    )
    # What a person must not miss comes first, a stranger's words before all; what is left out is said.
    ordered = sorted(told, key=lambda origin: WORRYING.get(origin.kind, len(WORRYING)))
    left_out = len(ordered) - MOST_ORIGINS
    if left_out > 0:
        more = CardOrigin(of="", kind="", words=f"and {left_out} more origins: see the trace")
        return (*ordered[:MOST_ORIGINS], more)
    return tuple(ordered)


WORRYING = {OriginKind.UNTRUSTED.value: 0, OriginKind.IDENTITY.value: 1, OriginKind.MODEL.value: 2}


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
