"""What this session may trust: the request, values that systems vouch for, and which records are meant.

Rules:
- Trust is matched strictly: a whole value in the request, or the whole field of the right type.
- Numbers that name something (an account, an id) compare letter by letter: 007 is not 7.
- A value that several records of a result share names none of them.
- A name that anybody may have written (a subject, a title) names its record only where the request quotes it:
  else a stranger would name themselves with a common word of it.
- A record is anchored when the request names it, when our own write made it, or when a look-up with clean
  arguments returned it alone.
- What is forgotten for lack of room stops vouching; it never starts to.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from pratique.model import ArgumentClass, FieldLabel
from pratique.origin import OriginKind, Source
from pratique.quarantine.atoms import bare_link, is_link
from pratique.quarantine.dates import find_date, has_time
from pratique.quarantine.identify import Where
from pratique.quarantine.index import Budget, Index
from pratique.quarantine.limits import Limits
from pratique.quarantine.needle import Needle, whole
from pratique.quarantine.normalise import strict
from pratique.quarantine.occurs import is_named, occurs, occurs_verbatim
from pratique.quarantine.quoted import ENDS, quoted
from pratique.quarantine.tokens import apart, tokenise
from pratique.quarantine.typed import Date, numbers_in
from pratique.quarantine.words import STATUS_WORDS

_RUN_ON = re.compile(r"(?<=[a-z])\.(?=[A-Z])")
_MULTIPLIED = re.compile(r"\d[\d.,]*[十百千万萬亿億兆]")  # 5万 is 50,000, and no 5
_LONGEST_NAME = 200
_SHARED_BY = 2
_MOST_ALIKE = 16
_KINDS = {
    FieldLabel.AUTHORITY: OriginKind.AUTHORITY,
    FieldLabel.META: OriginKind.RECORD,
    FieldLabel.INTERNAL: OriginKind.INTERNAL,
    FieldLabel.IDENTITY: OriginKind.IDENTITY,
}
_RECORDS_FIRST = tuple(_KINDS)
_NAMES_FIRST = (FieldLabel.AUTHORITY, FieldLabel.INTERNAL, FieldLabel.META, FieldLabel.IDENTITY)
_BY_LETTER = {ArgumentClass.DEST, ArgumentClass.SELECTOR, ArgumentClass.SECRET}
_NAMED = {FieldLabel.AUTHORITY, FieldLabel.INTERNAL}


class Vouch(NamedTuple):
    """Who vouches for a value, and whether the record it stands in is anchored."""

    kind: OriginKind
    anchored: bool
    source: Source | None
    how: str = "exact"


class Entry(NamedTuple):
    """A whole value that stood in a field: its label, type, record, and where."""

    label: FieldLabel
    type: str
    record: int
    where: Where
    text: str


class Name(NamedTuple):
    """A value that may name a record, strict, and whether anybody may have written it."""

    value: str
    foreign: bool


class Vouched:
    """The trusted side of one session.

    Args:
        limits: how much of it to keep.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._raw = ""
        self._request = ""
        self._numbers: set[Decimal] = set()
        self._dates = {label: self._index() for label in (None, FieldLabel.AUTHORITY, FieldLabel.META)}
        self._sources: dict[FieldLabel | None, list[Where]] = {FieldLabel.AUTHORITY: [], FieldLabel.META: []}
        self._entries: dict[str | Decimal, list[Entry]] = {}
        self._full: set[tuple[FieldLabel, str, str]] = set()
        self._kept = 0
        self._anchored: set[int] = set()
        self._names: list[tuple[int, Name]] = []
        self._quoted: set[str] = set()
        self.forgets = False

    def _index(self) -> Index:
        """Return an empty index with room for trusted text."""
        most = self._limits
        return Index(most.request_bytes, most.tokens, most.fields)

    def request(self, text: str) -> None:
        """Take in trusted request text; records that it names are anchored, those seen before too."""
        room = self._limits.request_bytes - len(self._raw)
        self.forgets = self.forgets or len(text) > room
        text = text[:room]
        self._raw += "\n" + text
        self._request += " \n" + strict(_RUN_ON.sub(". ", text))
        self._numbers.update(numbers_in(strict(text)))
        self._numbers.update(numbers_in(apart(_MULTIPLIED.sub(" ", strict(text)))))
        self._dates[None].add(strict(text))
        self._quoted.update(quoted(text))
        self._anchored.update(record for record, name in self._names if self._named(name))
        self._names = [(record, name) for record, name in self._names if record not in self._anchored]

    def add(self, entry: Entry) -> None:
        """Remember a whole value of a field that vouches for it, or for its existence."""
        if self._kept >= self._limits.vouched:
            self.forgets = True
            return
        if not self._remember(self._entries.setdefault(whole(entry.text), []), entry):
            return
        self._kept += 1
        if entry.label in self._sources and self._dates[entry.label].add(strict(entry.text)) >= 0:
            self._sources[entry.label].append(entry.where)

    def _remember(self, entries: list[Entry], entry: Entry) -> bool:
        """Keep a few entries per value, label and type, one in an anchored record among them if there is one.

        A value that every result repeats would else cost more with every call.
        """
        if len(entries) < _MOST_ALIKE:
            entries.append(entry)
            return True
        if (entry.label, entry.type, entry.text) in self._full and entry.record not in self._anchored:
            return False
        alike = [i for i, old in enumerate(entries) if (old.label, old.type) == (entry.label, entry.type)]
        if len(alike) < _MOST_ALIKE:
            entries.append(entry)
            return True
        if len(self._full) < self._limits.vouched:
            self._full.add((entry.label, entry.type, entry.text))
        if entry.record in self._anchored and not any(entries[i].record in self._anchored for i in alike):
            entries[alike[0]] = entry
        return False

    def anchor(self, record: int) -> None:
        """Hold a record for one that is meant."""
        self._anchored.add(record)

    def anchored(self, record: int) -> bool:
        """Return whether a record is one that is meant."""
        return record in self._anchored

    def anchor_named(self, names: Iterable[tuple[int, str, str, bool]]) -> None:
        """Anchor each record that the request names by a value only it has; remember the others' names.

        Args:
            names: record, field path, value, and whether anybody may have written it, for the text fields of
                one result.
        """
        holders: dict[tuple[str, Name], list[int]] = {}
        room = self._limits.names - len(self._names)
        for record, path, value, foreign in names:
            if not _may_name(value, self._limits):
                continue
            held = path, Name(strict(value), foreign)
            if held in holders:
                holders[held] += [record] * (len(holders[held]) <= _SHARED_BY)
            elif room > 0 or self._named(held[1]):
                room -= 1
                holders[held] = [record]
        few = ((name, records) for (_, name), records in holders.items() if len(records) <= _SHARED_BY)
        for name, records in few:
            self._name(name, [record for record in records if record not in self._anchored])

    def _name(self, value: Name, records: list[int]) -> None:
        """Anchor the records that a value names, if the request names it; else remember it."""
        if self._named(value):
            self._anchored.update(records)
        else:
            room = self._limits.names - len(self._names)
            self._names += [(record, value) for record in records][:room]

    def _named(self, name: Name) -> bool:
        """Whether the request names a record by this value."""
        if name.foreign:
            return name.value.strip(ENDS) in self._quoted
        return occurs(name.value, self._request)

    def in_request(self, value: str) -> bool:
        """Return whether a strict value stands in the request as a whole."""
        return occurs(value, self._request, self._limits.shortest)

    def vouch(self, needle: Needle, wanted: ArgumentClass, kind: str, budget: Budget) -> Vouch | None:
        """Return who vouches for a value used as an argument of class `wanted`, the best first.

        Args:
            needle: the value.
            wanted: the argument's class.
            kind: for a selector, the type of record; a system's value of another type does not count.
            budget: what the call may still spend.
        """
        if wanted is ArgumentClass.SECRET:
            return _REQUESTED if occurs_verbatim(needle.raw, self._raw) else None
        if needle.date:
            return self._vouch_date(needle.date, budget)
        if self._requested(needle, wanted):
            return _REQUESTED
        return self._whole(needle, wanted, kind) or self._part_of_authority(needle, budget)

    def explains(self, passage: Sequence[bytes], budget: Budget) -> bool:
        """Return whether a passage that stands in text from outside is the request's or a vouched one too."""
        labels = (None, FieldLabel.AUTHORITY)
        return any(self._dates[label].find(passage, budget, self._limits.candidates).hits for label in labels)

    def _requested(self, needle: Needle, wanted: ArgumentClass) -> bool:
        """Whether the request holds the value: a number by its value, a link without its scheme."""
        if needle.number is not None and wanted not in _BY_LETTER:
            return needle.number in self._numbers
        if self.in_request(needle.strict) or is_named(needle.raw, self._raw):
            return True
        return is_link(needle.strict) and self.in_request(bare_link(needle.strict))

    def _whole(self, needle: Needle, wanted: ArgumentClass, kind: str) -> Vouch | None:
        """Find the whole value of a field."""
        entries = [entry for entry in self._entries.get(needle.key, ()) if not kind or entry.type == kind]
        if needle.number is not None and wanted in _BY_LETTER:
            entries = [entry for entry in entries if strict(entry.text) == needle.strict]
        if needle.number is None and needle.size < self._limits.shortest:
            entries = [entry for entry in entries if kind or entry.label in _NAMED]
        if not entries:
            return None
        best = min(entries, key=lambda entry: self._rank(entry, wanted))
        return Vouch(_KINDS[best.label], best.record in self._anchored, best.where.source)

    def _rank(self, entry: Entry, wanted: ArgumentClass) -> tuple[int, int]:
        """Order what vouches: a selector wants a record that is meant, a destination a name."""
        stray = int(entry.record not in self._anchored)
        if wanted is ArgumentClass.SELECTOR:
            return stray, _RECORDS_FIRST.index(entry.label)
        return _NAMES_FIRST.index(entry.label), stray

    def _part_of_authority(self, needle: Needle, budget: Budget) -> Vouch | None:
        """Find the value inside a text that the host vouches for."""
        if needle.size < self._limits.shortest or needle.number is not None:
            return None
        index = self._dates[FieldLabel.AUTHORITY]
        for hit in index.find(tokenise(needle.strict), budget, self._limits.candidates, limit=4).hits:
            if occurs(needle.strict, index.text(hit.field)):
                return Vouch(
                    OriginKind.AUTHORITY,
                    anchored=True,
                    source=self._sources[FieldLabel.AUTHORITY][hit.field].source,
                )
        return None

    def _vouch_date(self, date: Date, budget: Budget) -> Vouch | None:
        """Find a date that the request, a vouched field or a system wrote; its time too, if it says one."""
        for label, index in self._dates.items():
            hit = find_date(index, date, budget, self._limits.candidates)
            if hit is not None and (not date.timed or has_time(index, date, budget)):
                kind = _KINDS[label] if label else OriginKind.REQUEST
                return Vouch(
                    kind,
                    anchored=True,
                    source=self._sources[label][hit].source if label else None,
                    how="date",
                )
        return None


_REQUESTED = Vouch(OriginKind.REQUEST, anchored=True, source=None)


def _may_name(value: str, limits: Limits) -> bool:
    """Whether a value can name a record: long enough, no number, no word that a thousand records share."""
    if not limits.shortest <= len(value) <= _LONGEST_NAME:
        return False
    return any(map(str.isalpha, value)) and value.strip().lower() not in STATUS_WORDS
