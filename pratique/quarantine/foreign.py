"""Text from outside, and where a value stands in it.

Rules:
- Taint is matched loosely: normal forms, decoded views, disguises.
- Where a field came from is kept in flat arrays, so that a million small fields cost what their text costs.
- When the text no longer fits, or a look-up runs out of budget, the answer is `unsearched`: it counts as
  taint.
"""

from array import array
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from pratique.capabilities.fields import full_path
from pratique.model import ArgumentClass
from pratique.origin import UNSEARCHED, Source
from pratique.quarantine.dates import find_date
from pratique.quarantine.decode import decoded, disguises
from pratique.quarantine.identify import Record, Written
from pratique.quarantine.index import Budget, Found, Hit, Index, Run
from pratique.quarantine.limits import Limits
from pratique.quarantine.needle import Needle
from pratique.quarantine.normalise import loose
from pratique.quarantine.tokens import apart, tokenise
from pratique.quarantine.typed import number_tokens, numbers_in

_LONGEST_DISGUISE = 256
_SHORTEST_RUN = 12
_SHORTEST_SINK_RUN = 6
_SHORTEST_PASSAGE = 2
_SHORTEST_NUMBER = 2
_ENCODED = 16
_EXACT = "exact"


class Call(NamedTuple):
    """A call whose result was taken in: what its fields' sources are named after."""

    call_id: str
    tool: str


class Place(NamedTuple):
    """Where something from outside was found, and how. No source and no excerpt when it was not searched."""

    how: str
    source: Source | None = None
    excerpt: str = ""
    span: tuple[int, int] = (0, 0)
    text: str = ""


class Foreign:
    """The untrusted side of one session.

    Args:
        limits: how much of it to keep, and how long to look.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._index = Index(limits.text_bytes, limits.tokens, limits.fields, loose)
        self._calls: list[Call] = []
        self._paths: dict[str, int] = {}
        self._path_list: list[str] = []
        self._records: dict[int, Record | Written] = {}
        self._field_call = array("I")
        self._field_path = array("I")
        self._field_how = array("I")
        self._field_places = array("I")
        self._places = array("I")
        self._views = [_EXACT]
        self._path_bytes = 0

    @property
    def saturated(self) -> bool:
        """Whether some text no longer fitted: from then on nothing can be shown to be clean."""
        return self._index.saturated

    @property
    def fields(self) -> int:
        """How many fields and decoded views it holds."""
        return len(self._index)

    @property
    def text_bytes(self) -> int:
        """How many bytes of normalised text it holds."""
        return self._index.text_bytes

    def call(self, call: Call) -> int:
        """Name the call that the next fields belong to; return its number."""
        self._calls.append(call)
        return len(self._calls) - 1

    def add(
        self, call: int, path: str, places: tuple[int, ...], text: str, record: Record | Written | None
    ) -> None:
        """Take in a field's text and what is encoded in it.

        Args:
            call: the number that `call` gave.
            path: where it stood, generic (see `pratique.capabilities.fields.Leaf`).
            places: the numbers that the path's `[]` stand for.
            text: as it came in.
            record: what its source is named after, if not after the call: the record that it stands in.
        """
        if len(text) > self._index.room:
            self._index.saturated = True
            return
        self._add_view(call, path, places, text, _EXACT, record)
        if len(text) >= _ENCODED:
            for how, inner in decoded(text, self._limits.depth):
                self._add_view(call, path, places, inner, how, record)

    def _add_view(  # the facts of one reading
        self,
        call: int,
        path: str,
        places: tuple[int, ...],
        text: str,
        how: str,
        record: Record | Written | None,
    ) -> None:
        """Index one reading of a field and note where it came from."""
        if len(text) < _SHORTEST_NUMBER:
            return
        number = self._paths.get(path)
        if number is None:
            self._path_bytes += len(path)
            number = self._paths[path] = len(self._path_list)
            self._path_list.append(path)
        if self._path_bytes > self._limits.text_bytes // 8:
            self._index.saturated = True
        field = self._index.add(text)
        if field < 0:
            return
        self._field_call.append(call)
        self._field_path.append(number)
        if how not in self._views:
            self._views.append(how)
        self._field_how.append(self._views.index(how))
        self._field_places.append(len(self._places))
        self._places.extend(places)
        if record:
            self._records[field] = record

    def source(self, field: int) -> Source:
        """Return where a field came from."""
        call, path = self._calls[self._field_call[field]], self._path_list[self._field_path[field]]
        start = self._field_places[field]
        places = tuple(self._places[start : start + path.count("[]")])
        full = full_path(path, places)
        record = self._records.get(field)
        shown = record.source(path, places) if record else f"{call.tool}:{call.call_id}#{full}"
        return Source(id=shown, call_id=call.call_id, tool=call.tool, path=full)

    def place(self, hit: Hit, how: str = _EXACT) -> Place:
        """Return where a hit is, with an excerpt around it."""
        excerpt, start, end = self._index.around(hit, self._limits.excerpt)
        view = self._views[self._field_how[hit.field]]
        name = view if view != _EXACT and how == _EXACT else how
        return Place(name, self.source(hit.field), excerpt, (start, end), excerpt[start:end])

    def find(self, needle: Needle, wanted: ArgumentClass, budget: Budget) -> Place | None:
        """Return where a whole value stands in text from outside, if it does or may.

        Args:
            needle: the value.
            wanted: the argument's class; disguises are tried for sinks only.
            budget: what the call may still spend.
        """
        if needle.date:
            field = find_date(self._index, needle.date, budget, self._limits.candidates)
            return self._unknown() if field is None else self._whole_field(field, "date")
        if needle.number is not None:
            return self._number(needle.number, budget)
        if needle.size < self._limits.shortest:
            return None
        found = self._find(needle.tokens, budget)
        if found.hits:
            return self.place(found.hits[0])
        place = self._disguised(needle, budget) if wanted is not ArgumentClass.CONTENT else None
        return place or self._unknown(found.complete)

    def _find(self, tokens: list[bytes], budget: Budget, limit: int = 1) -> Found:
        """Look up a run within this session's limits."""
        return self._index.find(tokens, budget, self._limits.candidates, limit)

    def _unknown(self, complete: bool = True) -> Place | None:
        """Return `unsearched` if not everything was searched."""
        return None if complete and not self.saturated else Place(UNSEARCHED)

    def _whole_field(self, field: int, how: str) -> Place:
        """Return a field by its beginning."""
        text = self._index.text(field, self._limits.excerpt)
        return Place(how, self.source(field), text, (0, len(text)), text)

    def _number(self, number: Decimal, budget: Budget) -> Place | None:
        """Find a number by its value, in any way of writing it."""
        complete = True
        for tokens in number_tokens(number):
            if len(b"".join(tokens)) < _SHORTEST_NUMBER:
                continue
            found = self._find(tokens, budget, limit=8)
            complete = complete and (found.complete or bool(found.hits))
            for hit in found.hits:
                place = self.place(hit, "number")
                if abs(number) in numbers_in(apart(loose(place.excerpt))):
                    return place
        return self._unknown(complete)

    def _disguised(self, needle: Needle, budget: Budget) -> Place | None:
        """Find a needle that stands there in a simple disguise."""
        if needle.size < 2 * self._limits.shortest or needle.size > _LONGEST_DISGUISE:
            return None
        for how, form in disguises(needle.loose):
            found = self._find(tokenise(form), budget)
            if found.hits:
                return self.place(found.hits[0], how)
        return None

    def squeezed(self, needle: Needle, rereads: Budget) -> Place | None:
        """Find a needle whose letters are spread out; reads the whole session, so only for a card.

        Args:
            needle: the value.
            rereads: the bytes that the call may still read; what they do not suffice for is `unsearched`.
        """
        if needle.size < 2 * self._limits.shortest or needle.size > _LONGEST_DISGUISE:
            return None
        rereads.steps -= 2 * self.text_bytes
        if rereads.steps < 0:
            return Place(UNSEARCHED)
        for how, form in (("squeezed", needle.loose), ("reversed", needle.loose[::-1])):
            hit = self._index.squeezed(form.replace(" ", ""))
            if hit is not None:
                return self.place(hit, how)
        return None

    def parts(
        self, needle: Needle, wanted: ArgumentClass, budget: Budget
    ) -> Iterator[tuple[list[bytes], Place]]:
        """Yield the longest passages of a value that stand in text from outside, with their tokens."""
        content = wanted is ArgumentClass.CONTENT
        tokens = needle.tokens
        runs, complete = self._index.cover(tokens, budget, 3 if content else 2)
        for run in runs:
            passage = tokens[run.start : run.stop]
            if sum(map(len, passage)) >= (_SHORTEST_RUN if content else _SHORTEST_SINK_RUN):
                yield passage, self._passage(run)
        unknown = self._unknown(complete)
        if unknown is not None:
            yield tokens, unknown

    def passages(self, words: list[bytes], budget: Budget) -> Iterator[tuple[int, int, Source]]:
        """Yield which words of a text stand in text from outside, and where: long runs, left to right."""
        for run in self._index.cover(words, budget, min(_SHORTEST_PASSAGE, len(words)))[0]:
            if sum(map(len, words[run.start : run.stop])) >= _SHORTEST_SINK_RUN:
                yield run.start, run.stop, self.source(run.hit.field)

    def _passage(self, run: Run) -> Place:
        """Return where a passage is."""
        place = self.place(run.hit)
        return place._replace(how="part" if place.how == _EXACT else f"part in {place.how}")
