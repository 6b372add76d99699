"""Taint across sessions: what our own writes carried is known again when any session reads it back.

Rules:
- A write whose arguments carry text from outside, or a confidential value, says so in its intent: marks of
  what it carries (`Vault.mark`), and where each came from. The intent is on disk before the effect, so nobody
  can read the effect back before the marks are there, and a write that broke is covered as well.
- Every result is cut the same way and looked up (`pratique.quarantine.marked`). What is found keeps the
  source that it had in the session that wrote it, however often it is written and read.
- Values written by the model are not carried: without an origin there is nothing to say about them. What
  code wrote is carried, once the code was handed something from outside: it may be that in other words.
- When the look-up fails, or a result is too large for it, the whole result counts as text from outside.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from pratique.audit.drafts import LONGEST_SOURCE, MOST_LINEAGE
from pratique.capabilities.fields import Shape, full_path
from pratique.errors import LedgerUnavailableError
from pratique.ledger.door import Ledger
from pratique.model import (
    Call,
    Carried,
    Confidentiality,
    Integrity,
    Origin,
    OriginKind,
    Outcome,
    Part,
    Status,
    Taint,
    Tier,
    clip_to,
)
from pratique.origin import argument_of
from pratique.quarantine.arguments import leaves
from pratique.quarantine.marked import Cut, Unit, cut
from pratique.quarantine.needle import written
from pratique.stages.provenance import Provenance

MOST_MARKS = 256
"""Marks that one write leaves. A longer text is known by its first lines and by a sample of all of it."""

MOST_LOOKED_UP = 500_000
"""Units of one result that are looked up; a result of more counts as text from outside."""

_FOREIGN = {OriginKind.UNTRUSTED, OriginKind.IDENTITY}
_FROM_OUTSIDE = {*_FOREIGN, OriginKind.MODEL}  # of what `_tainted` yields: the model's, if code made it
_ALL = Shape({})
_HALF = 2
_BETWEEN = 32
"""Words between two parts from one source that belong to it: fingerprints leave such gaps."""


class _TooMuchError(Exception):
    """A result has more units than are looked up."""


class _Had(NamedTuple):
    """Where a part of an argument was had from, and its label: a record groups its marks by it."""

    source: str
    integrity: Integrity
    confidentiality: Confidentiality


class _Part(NamedTuple):
    """Words `start` to `stop` of an argument or a result, and where they were had from."""

    start: int
    stop: int
    had: _Had


class Lineage:
    """Marks what is written, and recognises it in what is read.

    Args:
        ledger: keeps the marks, and the key that they are made with.
        provenance: gives a session's.
    """

    def __init__(self, ledger: Ledger, provenance: Callable[[str], Provenance]) -> None:
        self._ledger, self._provenance = ledger, provenance

    def carried(self, call: Call) -> list[dict[str, Any]]:
        """Return what the intent of a call says about what it carries; nothing if it writes nothing."""
        if call.capability.tier.rank < Tier.WRITE.rank:
            return []
        provenance = self._provenance(call.request.subject.session)
        kinds: list[list[tuple[bytes, _Had]]] = [[], [], [], []]
        for text, origins in _tainted(call):
            found = cut(text)
            parts = list(_parts(call, provenance, text, origins, found))
            for kind, units in zip(kinds, found.kinds, strict=True):
                kind += [(unit.form, had) for unit in units for had in _had(unit, parts)]
        return self._grouped(kinds)

    def recognise(self, call: Call, outcome: Outcome) -> Outcome:
        """Return the outcome with what an earlier write of ours put into what it says."""
        written_before = self._ledger.written
        said = outcome.value if outcome.status is Status.DONE else outcome.error
        try:
            carried = [] if written_before.is_empty() else self._within(said)
        except (LedgerUnavailableError, _TooMuchError):
            carried = list(_everything(call, said))
        return outcome.model_copy(update={"carried": tuple(carried)}) if carried else outcome

    def _grouped(self, kinds: list[list[tuple[bytes, _Had]]]) -> list[dict[str, Any]]:
        """Return the marks for the record, by where they were had from, as many as it may hold."""
        whole, atoms, lines, fingerprints = (
            dict.fromkeys((self._ledger.vault.mark(form), had) for form, had in kind) for kind in kinds
        )
        sample = sorted(fingerprints)  # by their marks: any part of the text has its share of the first ones
        rest = chain.from_iterable(zip_longest(lines, sample))
        groups: dict[_Had, list[str]] = {}
        for mark, had in list(dict.fromkeys(filter(None, (*whole, *atoms, *rest))))[:MOST_MARKS]:
            last = next(reversed(groups)) if len(groups) >= MOST_LINEAGE and had not in groups else had
            groups.setdefault(last, []).append(mark)
        return [
            {
                "source": had.source,
                "integrity": had.integrity.value,
                "confidentiality": had.confidentiality.value,
                "marks": marks,
            }
            for had, marks in groups.items()
        ]

    def _within(self, said: Any) -> list[Carried]:
        """Return the parts of a result that were written by us, and had from somewhere."""
        cuts = {path: cut(text) for path, text in _texts(said)}
        marks: dict[str, list[tuple[str, Unit]]] = {}
        for path, found in cuts.items():
            for unit in found.units:
                marks.setdefault(self._ledger.vault.mark(unit.form), []).append((path, unit))
            if len(marks) > MOST_LOOKED_UP:
                raise _TooMuchError
        parts: dict[str, list[_Part]] = {}
        for mark, origins in self._ledger.written.find(marks).items():
            for path, unit in marks[mark]:
                parts.setdefault(path, []).extend(_Part(unit.start, unit.stop, _Had(*of)) for of in origins)
        return [
            Carried(path=path, text=_text(cuts[path], part), **part.had._asdict())
            for path, of in parts.items()
            for part in _joined(of)
        ]


def _tainted(call: Call) -> Iterator[tuple[str, list[Origin]]]:
    """Yield each argument that carries something, and the origins that say so."""
    code, worrying = call.request.code, dict[str, list[Origin]]()
    computed = code is not None and code.taint.rank >= Taint.ARGUMENT.rank
    for origin in call.judged.origins:
        may_be_made_of_it = computed and origin.kind is OriginKind.MODEL
        if origin.kind in _FOREIGN or origin.part is Part.CONFIDENTIAL or may_be_made_of_it:
            worrying.setdefault(origin.argument, []).append(origin)
    for leaf in leaves(call.arguments, call.sinks, ()) if worrying else ():
        if leaf.path in worrying and not isinstance(leaf.value, dict | bool) and leaf.value is not None:
            yield written(leaf.value), worrying[leaf.path]


def _parts(
    call: Call, provenance: Provenance, text: str, origins: Sequence[Origin], found: Cut
) -> Iterator[_Part]:
    """Yield which words of an argument were had from where; all of them, where that cannot be told."""
    told = 0
    for passage in provenance.tracker.passages(text):
        secret = Integrity.TRUSTED if passage.secret else Integrity.UNTRUSTED
        confidentiality = provenance.class_of(passage.source.call_id, secret=passage.secret)
        source = clip_to(passage.source.id, LONGEST_SOURCE)
        told += not passage.secret
        yield _Part(passage.start, passage.stop, _Had(source, secret, confidentiality))
    for origin in origins:
        whole = origin.part is Part.WHOLE and not origin.how.startswith("part")
        if origin.kind in _FROM_OUTSIDE and (whole or not told):
            yield _Part(0, len(found.words), _whole(call, provenance, origin))


def _whole(call: Call, provenance: Provenance, origin: Origin) -> _Had:
    """Return where a whole argument was had from; of what could not be searched, the argument itself."""
    if origin.source is None:
        own = f"{call.capability.name}:{call.request.call_id}#{argument_of(origin.argument)}"
        return _Had(clip_to(own, LONGEST_SOURCE), Integrity.UNTRUSTED, call.label.confidentiality)
    confidentiality = provenance.class_of(origin.source.call_id)
    return _Had(clip_to(origin.source.id, LONGEST_SOURCE), Integrity.UNTRUSTED, confidentiality)


def _had(unit: Unit, parts: Sequence[_Part]) -> list[_Had]:
    """Return where a unit was had from: what makes up half of it, or any of a whole value."""
    overlaps = ((min(unit.stop, part.stop) - max(unit.start, part.start), part.had) for part in parts)
    least = 1 if unit.is_whole else (unit.stop - unit.start + 1) // _HALF
    return list(dict.fromkeys(had for words, had in overlaps if words >= least))


def _texts(said: Any) -> Iterator[tuple[str, str]]:
    """Yield the path and text of everything that a result says."""
    for leaf in _ALL.leaves(said):
        if not isinstance(leaf.value, bool):
            yield full_path(leaf.path, leaf.places), written(leaf.value)


def _joined(parts: Sequence[_Part]) -> Iterator[_Part]:
    """Yield parts, those from one source outside joined where they touch or nearly do.

    Confidential values are watched for one by one: joined, they would only be found together.
    """
    ends: dict[_Had, _Part] = {}
    yield from (part for part in parts if part.had.integrity is Integrity.TRUSTED)
    for part in sorted(part for part in parts if part.had.integrity is Integrity.UNTRUSTED):
        last = ends.get(part.had)
        if last is not None and part.start <= last.stop + _BETWEEN:
            ends[part.had] = last._replace(stop=max(last.stop, part.stop))
        else:
            if last is not None:
                yield last
            ends[part.had] = part
    yield from ends.values()


def _text(found: Cut, part: _Part) -> str:
    return b" ".join(found.words[part.start : part.stop]).decode("utf-8", "replace")


def _everything(call: Call, said: Any) -> Iterator[Carried]:
    """Yield the whole result as text from outside, because it could not be looked up."""
    for path, text in _texts(said):
        yield Carried(
            path=path,
            text=text,
            source=clip_to(f"{call.capability.name}:{call.request.call_id}#{path}", LONGEST_SOURCE),
            integrity=Integrity.UNTRUSTED,
            confidentiality=call.label.confidentiality,
        )
