"""What to look at on a card: which argument is odd, and what is odd about it.

Rules:
- An alarm is where something goes, or a secret, that a stranger wrote or that nothing explains, and a
  confidential value that would leave. What else decides (how much, which record) and is not vouched for is
  named, to be checked; so is a place that a participant, not the house, has named.
- It names arguments by their own names. The same origins, in full, stand under each argument.
- A call of which nothing is odd says so in one calm sentence.
"""

import re

from pratique.model import ArgumentClass, Call, Origin, OriginKind, Part, Taint, Value
from pratique.words import OF_NAME

_DECIDES = {
    ArgumentClass.DEST: "decides where this goes",
    ArgumentClass.SECRET: "is a secret",
    ArgumentClass.SELECTOR: "selects what this is about",
    ArgumentClass.AMOUNT: "says how much",
    ArgumentClass.SCHED: "says when",
}
_GOES = frozenset({ArgumentClass.DEST, ArgumentClass.SECRET})
_STRANGERS = frozenset({OriginKind.UNTRUSTED, OriginKind.MODEL})

_OF_RECORDS = "is of a record that text from outside may have led to"
_ODD = {
    OriginKind.UNTRUSTED: "comes from outside",
    OriginKind.IDENTITY: "is a participant's, who may be anybody",
    OriginKind.MODEL: "is explained by nothing",
    OriginKind.RECORD: _OF_RECORDS,
    OriginKind.AUTHORITY: _OF_RECORDS,
    OriginKind.INTERNAL: _OF_RECORDS,
}

MOST_NAMED = 4
"""Values that a notice names; the card has all of them."""

_CALM = {
    Taint.NONE: "This session has seen no text from outside.",
    Taint.CONTEXT: "This session has read text from outside; none of it was found in what decides here.",
    Taint.ARGUMENT: "Text from outside is in it; none of it was found in what decides here.",
    Taint.SINK: "",
}


class Notice(Value):
    """What to look at.

    Attributes:
        text: sentences, the worst first.
        alarm: whether one of them is an alarm.
    """

    text: str
    alarm: bool = False


def notice_of(call: Call) -> Notice:
    """Return what a person should look at before they agree to a call."""
    if call.taint is Taint.NONE:  # no stranger can have steered what the agent wrote
        return Notice(text=_CALM[call.taint])
    doubted = [origin for origin in call.judged.origins if _decides(origin) and not origin.trusted]
    alarms = dict.fromkeys(_alarm(origin) for origin in doubted if _is_alarm(origin))
    alarming = {_top(origin.argument) for origin in doubted if _is_alarm(origin)}
    checks = dict.fromkeys(_check(origin) for origin in doubted if _top(origin.argument) not in alarming)
    sentences = [*_some(list(alarms)), *([f"Check {'; '.join(_some(list(checks)))}."] if checks else ())]
    sentences += [f"{reason.text}." for reason in call.judged.reasons if reason.rule == "plan"]
    if call.taint is Taint.SINK and not sentences:
        sentences = ["An argument that decides where this goes comes from outside, or cannot be explained."]
    return Notice(text=" ".join(sentences) or _CALM[call.taint], alarm=bool(alarms))


def _alarm(origin: Origin) -> str:
    name = _top(origin.argument)
    if origin.part is Part.CONFIDENTIAL:
        return f"{name} {origin.words}."
    if origin.part is not Part.WHOLE:
        return f"{name} holds {origin.value!r}, which {origin.words}."
    return f"{name} {_DECIDES[origin.argument_class]}, and {origin.words}."


def _check(origin: Origin) -> str:
    name = _top(origin.argument)
    what = "" if origin.part is Part.WHOLE else f"holds {origin.value!r}, which "
    return f"{name} ({what}{_ODD.get(origin.kind, 'is not vouched for')})"


def _some(texts: list[str]) -> list[str]:
    more = len(texts) - MOST_NAMED
    return texts if more <= 0 else [*texts[:MOST_NAMED], f"and {more} more"]


def _is_alarm(origin: Origin) -> bool:
    if origin.part is Part.CONFIDENTIAL:
        return True
    return origin.argument_class in _GOES and origin.kind in _STRANGERS


def _decides(origin: Origin) -> bool:
    """Whether an origin is of something that decides; as `pratique.quarantine.verdict` judges it."""
    if origin.part in {Part.ATOM, Part.CONFIDENTIAL}:
        return True
    if origin.kind is OriginKind.LITERAL or origin.part is Part.PASSAGE:
        return False
    return origin.argument_class is not ArgumentClass.CONTENT


def _top(path: str) -> str:
    return re.split(r"[.\[]", path.removesuffix(OF_NAME))[0]
