"""What the leaves of one result have in common: whose call it was, and what it merely repeats.

Rules:
- An echo of a clean argument (the request's words, a vouched value) is not a stranger's text.
- A write's result vouches for no value, and for none of the arguments it was given: an echo would launder
  them.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pratique.capabilities.fields import Leaf
from pratique.model import FieldLabel, Integrity
from pratique.origin import Origin, OriginKind
from pratique.quarantine.arguments import leaves
from pratique.quarantine.identify import Record, Where
from pratique.quarantine.needle import whole, written
from pratique.quarantine.seen import SawResult
from pratique.words import OF_NAME

_LONGEST_WHOLE = 512
_MOST_ECHOES = 10_000
_CLEAN = {OriginKind.REQUEST, OriginKind.AUTHORITY, OriginKind.INTERNAL, OriginKind.LITERAL}

Echoes = Mapping[str | Decimal, bool]


class Taking:
    """One result being taken in.

    Args:
        event: the result.
        call: its call's number among those whose text came from outside.
        first: the number of the record that the result itself is; those of its items follow.
        repeats: each argument's value, and whether it was clean.
    """

    def __init__(self, event: SawResult, call: int, first: int, repeats: Echoes) -> None:
        self.event, self.call, self.first = event, call, first
        self._repeats = repeats
        self.tainted = tainted_paths(event)

    def where(self, leaf: Leaf, record: Record | None) -> Where:
        """Return which field a leaf is."""
        return Where(self.event.call_id, self.event.tool, leaf.path, leaf.places, record)

    def repeats_clean(self, text: str) -> bool:
        """Return whether a text repeats an argument that was clean."""
        return self._repeat(text) is True

    def vouches(self, text: str, label: FieldLabel) -> bool:
        """Return whether a whole value of this label is to be remembered as vouched for, or as existing."""
        if label is FieldLabel.UNTRUSTED or len(text) > _LONGEST_WHOLE:
            return False
        return not (self.event.wrote and (label is FieldLabel.AUTHORITY or self._repeat(text) is False))

    def _repeat(self, text: str) -> bool | None:
        """Whether a text repeats an argument: True for a clean one, False for another, None for neither."""
        if not self._repeats or len(text) > _LONGEST_WHOLE:
            return None
        return self._repeats.get(whole(text))


def tainted_paths(event: SawResult) -> frozenset[str]:
    """Return the fields into which an earlier write of ours put text from outside."""
    return frozenset(part.path for part in event.carried if part.integrity is Integrity.UNTRUSTED)


def is_clean(origin: Origin, *, exposed: bool) -> bool:
    """Return whether an argument was not steered by text from outside.

    Args:
        origin: where it came from.
        exposed: whether the session was shown such text: before that, what the model wrote is the request's.
    """
    if origin.kind is OriginKind.RECORD:
        return origin.anchored
    return origin.kind in _CLEAN or (origin.kind is OriginKind.MODEL and not exposed)


def echoes(event: SawResult, origins: Sequence[Origin]) -> Echoes:
    """Return each argument's value and whether it was clean, every part of it.

    A name in them that was not traced is none: it may be the tool's own, and says nothing of a result.
    """
    traced = {origin.argument for origin in origins}
    unclean = {origin.argument for origin in origins if origin.kind not in _CLEAN}
    found: dict[str | Decimal, bool] = {}
    for leaf in leaves(event.arguments, event.classes, event.names):
        text = "" if isinstance(leaf.value, dict) else written(leaf.value)
        if leaf.path.endswith(OF_NAME) and leaf.path not in traced:
            continue
        if 0 < len(text) <= _LONGEST_WHOLE and len(found) < _MOST_ECHOES:
            key = whole(text)
            found[key] = found.get(key, True) and leaf.path not in unclean
    return found
