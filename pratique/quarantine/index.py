"""Where does a run of words stand in everything this session was shown?

A positional inverted index without a dictionary: each token is a 32-bit hash in one flat array, and all
positions whose hashes share a bucket are chained, newest first (the structure of LZ77 match finders, RFC 1951
section 4). Eight bytes per token, whether a million tokens are one word or a million words.

Rules:
- Ingest is linear in the text; a look-up costs at most its budget, however long the session.
- A hash that collides can only add a match: what grants trust compares the text itself.
- What does not fit is refused whole, and `saturated` says so from then on.
- A look-up that ran out of budget says so: not found is not the same as not there.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice, repeat
from typing import NamedTuple
from zlib import crc32

_TOKEN = re.compile(rb"[0-9a-z\x80-\xff]+")
_SEGMENT = re.compile(rb"[\s\S]{1,512}[0-9a-z\x80-\xff]*")
_FEWEST_BUCKETS = 1 << 8
_MOST_BUCKETS = 1 << 18
_LOAD = 4
_WINDOW = 3
_CANDIDATES_PER_WINDOW = 12


def tokenise(text: str) -> list[bytes]:
    """Return the words and numbers of a normalised text, punctuation dropped."""
    return _TOKEN.findall(text.encode("utf-8", "replace"))


class Hit(NamedTuple):
    """A run of tokens found: in which field, at which token, how many."""

    field: int
    position: int
    length: int


class Found(NamedTuple):
    """What a look-up found, newest first. `complete` is False when its budget ended before the index did."""

    hits: tuple[Hit, ...]
    complete: bool


_NOTHING = Found((), complete=True)


class Run(NamedTuple):
    """Tokens `start` to `stop` of a needle stand, in this order, at `hit`."""

    start: int
    stop: int
    hit: Hit


class Budget:
    """The places that the look-ups of one call may still visit.

    Args:
        steps: how many.
    """

    __slots__ = ("steps",)

    def __init__(self, steps: int) -> None:
        self.steps = steps


class Index:
    """A bounded positional index over the tokens of numbered fields.

    Args:
        text_bytes: bytes of text kept, at most.
        tokens: tokens kept, at most.
        fields: fields kept, at most.
    """

    def __init__(self, text_bytes: int, tokens: int, fields: int) -> None:
        self._most = (text_bytes, tokens, fields)
        self.saturated = False
        self._text = bytearray()
        self._hashes = array("I")
        self._previous = array("I")
        self._field_token = array("I")
        self._field_offset = array("I")
        self._segment_token = array("I")
        self._segment_offset = array("I")
        self._buckets(_FEWEST_BUCKETS)

    def __len__(self) -> int:
        """Return how many fields it holds."""
        return len(self._field_token)

    @property
    def tokens(self) -> int:
        """How many tokens it holds."""
        return len(self._hashes)

    @property
    def text_bytes(self) -> int:
        """How many bytes of text it holds."""
        return len(self._text)

    @property
    def room(self) -> int:
        """How many more bytes it takes."""
        return max(0, self._most[0] - len(self._text))

    def add(self, text: str) -> int:
        """Index one field's normalised text.

        Returns:
            the field's number, or -1 if the text does not fit: the index is `saturated` from then on.
        """
        data = text.encode("utf-8", "replace")
        if self.saturated or len(self) >= self._most[2] or len(data) >= self.room:
            self.saturated = True
            return -1
        self._field_token.append(len(self._hashes))
        self._field_offset.append(len(self._text))
        for segment in _SEGMENT.finditer(data):
            self._add_segment(segment.group(), segment.start())
        self._text += data
        self._text += b"\n"
        return len(self) - 1

    def _add_segment(self, data: bytes, offset: int) -> None:
        """Chain the tokens of one segment; segments bound the cost of finding a token's place in the text."""
        if len(self._hashes) >= self._most[1]:
            self.saturated = True
            return
        self._segment_token.append(len(self._hashes))
        self._segment_offset.append(len(self._text) + offset)
        hashes = array("I", map(crc32, _TOKEN.findall(data)))
        if len(self._hashes) + len(hashes) > _LOAD * (self._mask + 1) < _LOAD * _MOST_BUCKETS:
            self._grow(len(self._hashes) + len(hashes))
        self._hashes.extend(hashes)
        self._chain(hashes)

    def _buckets(self, count: int) -> None:
        """Start with `count` empty chains."""
        self._mask = count - 1
        self._head = array("I", repeat(0, count))
        self._count = array("I", repeat(0, count))

    def _grow(self, tokens: int) -> None:
        """Chain everything again in more buckets, four times as many each time: linear in the end."""
        count = self._mask + 1
        while tokens > _LOAD * count and count < _MOST_BUCKETS:
            count *= 4
        self._buckets(min(count, _MOST_BUCKETS))
        self._previous = array("I")
        self._chain(self._hashes)

    def _chain(self, hashes: "array[int]") -> None:
        """Link each new position to the one before it in its bucket. Places are stored plus one; 0 ends."""
        head, count, mask, link = self._head, self._count, self._mask, self._previous.append
        position = len(self._previous)
        for token in hashes:
            bucket = token & mask
            link(head[bucket])
            position += 1
            head[bucket] = position
            count[bucket] += 1

    def field_at(self, position: int) -> int:
        """Return the number of the field that holds the token at `position`."""
        return bisect_right(self._field_token, position) - 1

    def text(self, field: int) -> str:
        """Return the normalised text of a field."""
        return self._text[slice(*self._extent(field))].decode("utf-8")

    def _extent(self, field: int) -> tuple[int, int]:
        """Return where a field's text starts and ends."""
        last = field + 1 == len(self)
        end = len(self._text) if last else self._field_offset[field + 1]
        return self._field_offset[field], end - 1

    def _end(self, field: int) -> int:
        """Return the position after the field's last token."""
        return self._field_token[field + 1] if field + 1 < len(self) else len(self._hashes)

    def span(self, hit: Hit) -> tuple[int, int]:
        """Return where a hit starts and ends in the text, in bytes."""
        segment = bisect_right(self._segment_token, hit.position) - 1
        places = _TOKEN.finditer(self._text, self._segment_offset[segment])
        first = next(islice(places, hit.position - self._segment_token[segment], None))
        last = first if hit.length == 1 else next(islice(places, hit.length - 2, None))
        return first.start(), last.end()

    def around(self, hit: Hit, width: int) -> tuple[str, int, int]:
        """Return at most about `width` characters around a hit, and the hit's start and end inside them."""
        low, high = self._extent(hit.field)
        start, end = self.span(hit._replace(length=min(hit.length, width)))
        end = min(end, start + width)
        margin = max(0, width - (end - start)) // 2
        before = self._text[max(low, start - margin) : start].decode("utf-8", "ignore")
        inside = self._text[start:end].decode("utf-8", "ignore")
        after = self._text[end : min(high, end + margin)].decode("utf-8", "ignore")
        return before + inside + after, len(before), len(before) + len(inside)

    def find(self, tokens: Sequence[bytes], budget: Budget, candidates: int, limit: int = 1) -> Found:
        """Look up a run of tokens, newest first, starting at the one whose chain is shortest.

        Args:
            tokens: the run.
            budget: what the call may still spend.
            candidates: places to visit at most for this run.
            limit: hits wanted; each in a field of its own.
        """
        if not tokens or not self._hashes:
            return _NOTHING
        wanted = array("I", map(crc32, tokens))
        rarest = self._rarest(wanted)
        if rarest < 0:
            return _NOTHING
        allowed = min(candidates, budget.steps)
        hits, visited, ended = self._walk(wanted, rarest, allowed, limit)
        budget.steps -= visited
        return Found(hits, complete=ended or len(hits) == limit)

    def may_hold(self, token: bytes) -> bool:
        """Return False if a token surely stands nowhere here."""
        return self._count[crc32(token) & self._mask] > 0

    def _rarest(self, wanted: "array[int]") -> int:
        """Return which token has the shortest chain; -1 if one has none, so the run cannot stand here."""
        count, mask, rarest, least = self._count, self._mask, -1, 1 << 62
        for place, token in enumerate(wanted):
            length = count[token & mask]
            if length < least:
                if not length:
                    return -1
                rarest, least = place, length
        return rarest

    def _walk(
        self, wanted: "array[int]", rarest: int, allowed: int, limit: int
    ) -> tuple[tuple[Hit, ...], int, bool]:
        """Follow one chain: hits, places visited, and whether the chain ended."""
        hashes, previous, anchor, length = self._hashes, self._previous, wanted[rarest], len(wanted)
        place, visited, hits = self._head[anchor & self._mask], 0, dict[int, Hit]()
        while place and visited < allowed and len(hits) < limit:
            visited += 1
            start = place - 1 - rarest
            if hashes[place - 1] == anchor and start >= 0 and hashes[start : start + length] == wanted:
                field = self.field_at(start)
                if start + length <= self._end(field):
                    hits.setdefault(field, Hit(field, start, length))
            place = previous[place - 1]
        return tuple(hits.values()), visited, not place

    def cover(
        self, tokens: Sequence[bytes], budget: Budget, shortest: int = _WINDOW
    ) -> tuple[list[Run], bool]:
        """Return the longest runs of `tokens` found, left to right, and whether the budget sufficed.

        Runs have at least `shortest` tokens. Per window only the newest places are visited, from its rarest
        token, and a hit is extended both ways: a quotation is found by any rare word in it, a phrase as
        common as the language itself may not be.
        """
        wanted = array("I", map(crc32, tokens))
        counts = [self._count[token & self._mask] for token in wanted]
        runs: list[Run] = []
        start, last = 0, len(wanted) - shortest
        while start <= last and budget.steps > 0:
            window = counts[start : start + shortest]
            least = min(window)
            rarest = window.index(least)
            run = self._longest(wanted, start, rarest, shortest, budget) if least else None
            if run is None:
                start += 1 if least else rarest + 1
            else:
                runs.append(self._leftwards(wanted, run, runs[-1].stop if runs else 0))
                start = run.stop
        return runs, start > last or budget.steps > 0

    def _longest(
        self, wanted: "array[int]", start: int, rarest: int, shortest: int, budget: Budget
    ) -> Run | None:
        """Return the longest run that starts at `wanted[start]`, if it has at least `shortest` tokens."""
        hashes, previous = self._hashes, self._previous
        window, anchor = wanted[start : start + shortest], wanted[start + rarest]
        place, visited, best = self._head[anchor & self._mask], 0, None
        while place and visited < _CANDIDATES_PER_WINDOW:
            visited += 1
            at = place - 1 - rarest
            if hashes[place - 1] == anchor and at >= 0 and hashes[at : at + shortest] == window:
                hit = self._extend(wanted, start, at)
                if hit.length >= shortest and (best is None or hit.length > best.length):
                    best = hit
            place = previous[place - 1]
        budget.steps -= visited
        return Run(start, start + best.length, best) if best else None

    def _leftwards(self, wanted: "array[int]", run: Run, lowest: int) -> Run:
        """Extend a run to the left, not over the needle's token `lowest` nor out of its field."""
        start, (field, position, length) = run.start, run.hit
        first = self._field_token[field]
        while start > lowest and position > first and self._hashes[position - 1] == wanted[start - 1]:
            start, position, length = start - 1, position - 1, length + 1
        return Run(start, run.stop, Hit(field, position, length))

    def _extend(self, wanted: "array[int]", start: int, at: int) -> Hit:
        """Return the whole run that begins at `at`, up to the end of its field."""
        field = self.field_at(at)
        most = min(len(wanted) - start, self._end(field) - at)
        length = 0
        while length < most and self._hashes[at + length] == wanted[start + length]:
            length += 1
        return Hit(field, at, length)

    def near(self, first: Sequence[bytes], second: Sequence[bytes], within: int, budget: Budget) -> Found:
        """Find a token of `first` within `within` tokens of a token of `second`, in one field."""
        others = {crc32(token) for token in second}
        complete = True
        for token in first:
            found = self.find([token], budget, 64, limit=16)
            complete = complete and found.complete
            for hit in found.hits:
                low = max(self._field_token[hit.field], hit.position - within)
                high = min(self._end(hit.field), hit.position + within + 1)
                if others.intersection(self._hashes[low:high]):
                    return Found((Hit(hit.field, low, high - low),), complete=True)
        return Found((), complete)

    def squeezed(self, needle: str) -> Hit | None:
        """Find `needle` in a text whose separators are ignored: reads everything, so only for a card."""
        wanted = b"".join(tokenise(needle))
        for field in range(len(self) - 1, -1, -1):
            data = bytes(self._text[slice(*self._extent(field))])
            place = b"".join(_TOKEN.findall(data)).find(wanted)
            if wanted and place >= 0:
                return self._squeezed_hit(field, data, place, len(wanted))
        return None

    def _squeezed_hit(self, field: int, data: bytes, place: int, size: int) -> Hit:
        """Turn a place in the squeezed text of a field back into tokens."""
        seen, first = 0, 0
        for number, token in enumerate(_TOKEN.findall(data)):
            if seen <= place:
                first = number
            seen += len(token)
            if seen >= place + size:
                return Hit(field, self._field_token[field] + first, number - first + 1)
        return Hit(field, self._field_token[field], self._end(field) - self._field_token[field])
