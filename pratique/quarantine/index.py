"""Where does a run of words stand in everything this session was shown?

Each field is cut at white space into blocks of about a thousand characters. Of a block, two texts are kept:
as it came in, to be quoted, and its words in normal form, one space between them, to be searched. All blocks
that hold a word whose hash falls into one bucket are chained, newest first (the structure of LZ77 match
finders, RFC 1951 section 4); a block stands in a chain once, however often the word stands in it. A filter of
neighbouring words (Bloom, CACM 1970) says of most runs that are not there that they are not.

A letter of a script without spaces between words is a token of its own (`tokens`). One letter stands nearly
everywhere, so such letters are chained by two (Lucene's CJKAnalyzer does so) and by as many as count for two
words: a short name is found by the first, a passage by the second.

Rules:
- Ingest is linear in the text; a look-up visits at most as many blocks as its budget says, however long the
  session.
- A hash only says where to look: what is found was compared letter by letter.
- What does not fit is refused whole, and `saturated` says so from then on.
- A look-up that ran out of budget says so: not found is not the same as not there.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat
from operator import and_
from typing import NamedTuple
from zlib import crc32

import regex

from pratique.quarantine.original import Normal, span_of
from pratique.quarantine.tokens import (
    UNSPACED,
    WORD_QUARTERS,
    holds_unspaced,
    is_unspaced,
    quarters,
    reaches,
    tokenise,
)

_BLOCK = regex.compile(
    rf"[\s\S]{{1,1000}}[^\s!\"$'()*+,\-./:<=>?@\[\]\^_`{{|}}~{UNSPACED}]{{0,65536}}", regex.V1
)
"""A block ends where no word and no escape (`%20`, `&#65;`, a backslash and `u0041`) can go on."""

_BLOCK_SIZE = 1000
_FEWEST_BUCKETS = 1 << 8
_MOST_BUCKETS = 1 << 18
_LOAD = 8
_BITS_PER_BUCKET, _FEW_BITS = 256, 1 << 22
_PAIR, _WINDOW = 2, 3
_CANDIDATES_PER_WINDOW = 12
_COMMON, _CANDIDATES_IF_COMMON = 48, 4
_LONG_RUN = 8
_CORE = 4
_CHUNK = 64
_NEAR = 200
_MOST_IN_BLOCK = 16
_LARGE_BLOCK = 1 << 13
_GRAM_WORDS = 2
_BEFORE, _BEFORE_UNSPACED = 2, 7
"""Tokens before a block with which its own are noted: one less than the longest run that is hashed."""


class Hit(NamedTuple):
    """A run of words found: in which field, and from where to where in the searched text."""

    field: int
    start: int
    stop: int


class Found(NamedTuple):
    """What a look-up found, newest first. `complete` is False when its budget ended before the index did."""

    hits: tuple[Hit, ...]
    complete: bool


_NOTHING = Found((), complete=True)


class Run(NamedTuple):
    """Words `start` to `stop` of a needle stand, in this order, at `hit`."""

    start: int
    stop: int
    hit: Hit


class Window(NamedTuple):
    """Where a run in a needle starts, the least at which it stops, and from where on it is long."""

    start: int
    stop: int
    long: int


class Budget:
    """The blocks that the look-ups of one call may still visit.

    Args:
        steps: how many.
    """

    __slots__ = ("steps",)

    def __init__(self, steps: int) -> None:
        self.steps = steps


class Index:
    """A bounded index over the words of numbered fields.

    Args:
        text_bytes: bytes of text kept, at most, as it came in and in normal form each.
        tokens: words kept, at most.
        fields: fields kept, at most.
        normal: gives the normal form of a text; None if texts come in it.
    """

    def __init__(self, text_bytes: int, tokens: int, fields: int, normal: Normal | None = None) -> None:
        self._most = (text_bytes, tokens, fields)
        self._normal = normal
        self.saturated = False
        self.tokens = 0
        self._raw = bytearray()
        self._words = bytearray()
        self._field_block = array("I")
        self._block_raw = array("I")
        self._block_words = array("I")
        self._block_post = array("I")
        self._post_before = array("I")
        self._before: list[bytes] = []
        self._buckets(_FEWEST_BUCKETS)

    def __len__(self) -> int:
        """Return how many fields it holds."""
        return len(self._field_block)

    @property
    def text_bytes(self) -> int:
        """How many bytes of text it holds."""
        return len(self._raw)

    @property
    def room(self) -> int:
        """How many more bytes it takes."""
        return max(0, self._most[0] - max(len(self._raw), len(self._words)))

    def add(self, text: str) -> int:
        """Index one field's text.

        Returns:
            the field's number, or -1 if the text does not fit: the index is `saturated` from then on.
        """
        if self.saturated or len(self) >= self._most[2] or len(text) >= self.room:
            self.saturated = True
            return -1
        pieces = [text] if len(text) <= _BLOCK_SIZE else _BLOCK.findall(text)
        self._field_block.append(len(self._block_raw))
        self._words += b" "
        self._before = []
        for piece in pieces:
            self._add_block(piece)
        self._words += b"\n"
        return len(self) - 1

    def _add_block(self, piece: str) -> None:
        """Keep one block and chain its words, each followed by a space."""
        raw = piece.encode("utf-8", "replace")
        words = tokenise(piece if self._normal is None else self._normal(piece))
        form = b" ".join(words)
        self.saturated = self.saturated or self.tokens + len(words) > self._most[1]
        if self.saturated or max(len(raw), len(form) + 2) > self.room:
            self.saturated = True
            raw, words = b"", []
        self._block_raw.append(len(self._raw))
        self._block_words.append(len(self._words))
        self._block_post.append(len(self._post_before))
        self._raw += raw
        if words:
            self.tokens += len(words)
            self._words += form
            self._words += b" "
            keys = _keys(self._before, words)
            self._chain(keys)
            words = [*self._before, *words]
            self._note(words, keys)
            self._before = words[-(_BEFORE_UNSPACED if holds_unspaced(form) else _BEFORE) :]

    def _buckets(self, count: int) -> None:
        """Start with `count` empty chains."""
        self._mask = count - 1
        bits = min(_BITS_PER_BUCKET * count, max(_FEW_BITS, _BITS_PER_BUCKET * count // 2))
        self._bits = bytearray(bits // 8)
        self._head = array("I", repeat(0, count))
        self._count = array("I", repeat(0, count))

    def _note(self, words: Sequence[bytes], grams: Iterable[int]) -> None:
        """Note that these words stand here, alone, two by two and three by three, and what they chain."""
        bits, mask = self._bits, len(self._bits) - 1
        ones = list(map(crc32, words))
        twos = list(map(crc32, words[1:], ones))
        for hashed in {*ones, *twos, *map(crc32, words[2:], twos), *grams}:
            bits[hashed >> 3 & mask] |= 1 << (hashed & 7)

    def _chain(self, hashes: set[int]) -> None:
        """Link a block into the chains of its words. Places are stored plus one; 0 ends."""
        if len(self._post_before) + len(hashes) > _LOAD * (self._mask + 1) < _LOAD * _MOST_BUCKETS:
            self._grow(len(self._post_before) + len(hashes))
        head, count, mask = self._head, self._count, self._mask
        place, link = len(self._post_before), self._post_before.append
        for hashed in hashes:
            bucket = hashed & mask
            link(head[bucket])
            place += 1
            head[bucket] = place
            count[bucket] += 1

    def _grow(self, postings: int) -> None:
        """Chain everything again in more buckets, four times as many each time: linear in the end."""
        count = self._mask + 1
        while postings > _LOAD * count and count < _MOST_BUCKETS:
            count *= 4
        self._buckets(min(count, _MOST_BUCKETS))
        self._post_before = array("I")
        for block in range(len(self._block_raw) - 1):
            before, words = self._words_before(block), bytes(self._words[slice(*self._extent(block))]).split()
            keys = _keys(before, words)
            self._chain(keys)
            self._note([*before, *words], keys)

    def _words_before(self, block: int) -> list[bytes]:
        """Return the last words before a block, of its own field."""
        start = low = self._block_words[block]
        for _ in range(_BEFORE_UNSPACED):
            before = self._words.rfind(b" ", 0, low - 1) + 1 if low > 1 else low
            if before >= low or b"\n" in self._words[before:low]:
                break
            low = before
        return bytes(self._words[low:start]).split()

    def _extent(self, block: int) -> tuple[int, int]:
        """Return where the words of a block start and end."""
        last = block + 1 == len(self._block_words)
        return self._block_words[block], len(self._words) if last else self._block_words[block + 1]

    def _field_at(self, place: int) -> int:
        """Return the number of the field whose words stand at a place."""
        return bisect_right(self._field_block, bisect_right(self._block_words, place) - 1) - 1

    def _blocks_of(self, field: int) -> tuple[int, int]:
        """Return the first block of a field, and the one after its last."""
        last = field + 1 == len(self)
        return self._field_block[field], len(self._block_raw) if last else self._field_block[field + 1]

    def _raw_extent(self, block: int) -> tuple[int, int]:
        """Return where the text of a block, as it came in, starts and ends."""
        last = block + 1 == len(self._block_raw)
        return self._block_raw[block], len(self._raw) if last else self._block_raw[block + 1]

    def text(self, field: int, most: int | None = None) -> str:
        """Return the text of a field as it came in, or the beginning of it: at most so many characters."""
        first, after = self._blocks_of(field)
        start, end = self._raw_extent(first)[0], self._raw_extent(after - 1)[1]
        if most is None:
            return self._raw[start:end].decode()
        return self._raw[start : min(end, start + 4 * most)].decode("utf-8", "ignore")[:most]

    def span(self, hit: Hit) -> tuple[int, int]:
        """Return where a hit starts and ends in all text that came in, in bytes."""
        first = bisect_right(self._block_words, hit.start) - 1
        last = bisect_right(self._block_words, hit.stop - 1) - 1
        begin = self._words.count(b" ", self._block_words[first], hit.start)
        end = self._words.count(b" ", self._block_words[last], hit.stop - 1)
        start, stop = self._raw_extent(first)
        low, high = span_of(self._raw[start:stop], self._normal, begin, end if first == last else begin)
        if first == last:
            return start + low, start + high
        after, stop = self._raw_extent(last)
        return start + low, after + span_of(self._raw[after:stop], self._normal, end, end)[1]

    def around(self, hit: Hit, width: int) -> tuple[str, int, int]:
        """Return at most about `width` characters around a hit, and the hit's start and end inside them."""
        start, end = self.span(hit)
        first, after = self._blocks_of(hit.field)
        low, high = self._raw_extent(first)[0], self._raw_extent(after - 1)[1]
        inside = self._raw[start : min(end, start + 4 * width)].decode("utf-8", "ignore")[:width]
        margin = max(0, width - len(inside)) // 2
        before = self._raw[max(low, start - margin) : start].decode("utf-8", "ignore")
        behind = self._raw[end : min(high, end + margin)].decode("utf-8", "ignore")
        return before + inside + behind, len(before), len(before) + len(inside)

    def find(self, tokens: Sequence[bytes], budget: Budget, candidates: int, limit: int = 1) -> Found:
        """Look up a run of words, newest first, starting at the one whose chain is shortest.

        Args:
            tokens: the run.
            budget: what the call may still spend.
            candidates: blocks to visit at most for this run.
            limit: hits wanted; each in a field of its own.
        """
        rarest, bucket = self._rarest(tokens)
        if rarest < 0 or (len(tokens) > 1 and 0 in self._may_stand(tokens, min(_WINDOW, len(tokens)))):
            return _NOTHING
        hits, visited, ended = self._walk(tokens, (rarest, bucket), min(candidates, budget.steps), limit)
        budget.steps -= visited
        return Found(hits, complete=ended or len(hits) == limit)

    def may_hold(self, token: bytes) -> bool:
        """Return False if a word surely stands nowhere here."""
        hashed = crc32(token)
        return self._bits[hashed >> 3 & len(self._bits) - 1] >> (hashed & 7) & 1 == 1

    def _may_stand(self, tokens: Sequence[bytes], size: int) -> bytes:
        """Return for each word whether it may stand here with those after it: 1, else 0.

        Args:
            tokens: the words.
            size: how many of them together: 2 or 3.
        """
        bits, mask = self._bits, len(self._bits) - 1
        hashes = map(crc32, tokens[1:], map(crc32, tokens))
        if size > _PAIR:
            hashes = map(crc32, tokens[2:], hashes)
        return bytes([bits[hashed >> 3 & mask] >> (hashed & 7) & 1 for hashed in hashes])

    def _rarest(self, tokens: Sequence[bytes]) -> tuple[int, int]:
        """Return which word has the shortest chain, and the chain.

        -1 if one surely stands nowhere, so the run does not; and for one letter alone of a script without
        spaces, which is too common to be looked up.
        """
        bits, last = self._bits, len(self._bits) - 1
        count, mask, rarest, chain, least = self._count, self._mask, -1, -1, 1 << 62
        latin = b"".join(tokens).isascii()
        for place, hashed in enumerate(map(crc32, tokens)):
            if not bits[hashed >> 3 & last] >> (hashed & 7) & 1:
                return -1, -1
            bucket = hashed & mask
            if not latin and is_unspaced(tokens[place]):
                if place + 1 == len(tokens):
                    break
                bucket = crc32(tokens[place + 1], hashed) & mask
            if count[bucket] < least:
                rarest, chain, least = place, bucket, count[bucket]
        return rarest, chain

    def _walk(
        self, tokens: Sequence[bytes], chained: tuple[int, int], allowed: int, limit: int
    ) -> tuple[tuple[Hit, ...], int, bool]:
        """Follow the chain of one word: hits, blocks visited, and whether the chain ended."""
        rarest, bucket = chained
        form = _form(tokens)
        before = max(0, rarest - _CORE)
        core = _form(tokens[before : rarest + _CORE])
        skipped = len(_form(tokens[:before])) - 1
        place, visited, hits = self._head[bucket], 0, dict[int, Hit]()
        while place and visited < allowed and len(hits) < limit:
            visited += 1
            block = bisect_right(self._block_post, place - 1) - 1
            place = self._post_before[place - 1]
            for found in self._in_block(core, block):
                start = found - skipped
                if start >= 0 and (core == form or self._words.startswith(form, start)):
                    field = self._field_at(start + 1)
                    hits.setdefault(field, Hit(field, start + 1, start + len(form) - 1))
                    break
        return tuple(hits.values()), visited, not place

    def _in_block(self, form: bytes, block: int) -> Iterator[int]:
        """Yield where a few words stand that begin or end in a block; not every place of very many."""
        start, end = self._extent(block)
        start, end = max(0, start - len(form)), end + len(form)
        for _ in range(_MOST_IN_BLOCK):
            start = self._words.find(form, start, end)
            if start < 0:
                return
            yield start
            start += 1

    def cover(
        self, tokens: Sequence[bytes], budget: Budget, shortest: int = _WINDOW
    ) -> tuple[list[Run], bool]:
        """Return the longest runs of `tokens` found, left to right, and whether the budget sufficed.

        Runs have at least `shortest` words. Per window only the newest blocks are visited, from its rarest
        word, and a hit is extended both ways: a quotation is found by any rare word in it, a phrase as
        common as the language itself may not be.
        """
        possible = self._may_stand(tokens, shortest)
        if possible.find(1) < 0 or budget.steps <= 0:
            return [], budget.steps > 0
        form = _form(tokens)
        starts = [*accumulate([len(token) + 1 for token in tokens], initial=1)]
        windows = self._windows(tokens, shortest, possible, unspaced=holds_unspaced(form))
        runs: list[Run] = []
        start = windows.possible.find(1)
        while start >= 0 and budget.steps > 0:
            stop = windows.stop(start)
            bucket = windows.rarest(start, stop) if stop <= len(tokens) else None
            if bucket is None or 0 in self._may_stand(tokens[start:stop], _PAIR):
                start = windows.possible.find(1, start + 1)
                continue
            most = _CANDIDATES_PER_WINDOW if self._count[bucket] <= _COMMON else _CANDIDATES_IF_COMMON
            place = Window(start, stop, windows.long(start))
            run = self._longest(form, starts, place, (bucket, most), budget)
            if run is not None:
                runs.append(self._leftwards(tokens, run, runs[-1].stop if runs else 0))
            start = windows.possible.find(1, run.stop if run else start + 1)
        return runs, budget.steps > 0

    def _windows(
        self, tokens: Sequence[bytes], shortest: int, possible: bytes, *, unspaced: bool
    ) -> "_Windows":
        """Return where a run of `tokens` may begin, how far it must reach, and by which chain to look."""
        count, mask = self._count, self._mask
        if not unspaced:
            buckets = [crc32(token) & mask for token in tokens]
            return _Windows(possible, shortest, buckets, [count[bucket] for bucket in buckets], None)
        weights = list(map(quarters, tokens))
        ends, hashes = _grams(tokens, weights)
        buckets = [hashed & mask for hashed in hashes]
        counts = [count[bucket] for bucket in buckets]
        bits, last = self._bits, len(self._bits) - 1
        there = bytes([bits[hashed >> 3 & last] >> (hashed & 7) & 1 for hashed in hashes])
        reach = ends, reaches(weights, shortest), reaches(weights, _LONG_RUN)
        return _Windows(bytes(map(and_, possible, there)), shortest, buckets, counts, reach)

    def _longest(
        self,
        form: bytes,
        starts: list[int],
        words: "Window",
        candidates: tuple[int, int],
        budget: Budget,
    ) -> Run | None:
        """Return the longest run that begins with some words of a needle, if they stand here.

        Args:
            form: the whole needle.
            starts: where in it each word starts.
            words: from which word to which the run begins, and from where on it is long.
            candidates: the chain to follow, and how many of its blocks.
            budget: what the call may still spend.
        """
        (start, stop, long), (bucket, most) = words, candidates
        window = form[starts[start] - 1 : starts[stop]]
        text, posts, before, extents = self._words, self._block_post, self._post_before, self._block_words
        place, visited, best, size = self._head[bucket], 0, None, len(window)
        while place and visited < most:
            visited += 1
            block = bisect_right(posts, place - 1) - 1
            place = before[place - 1]
            first = extents[block] - size
            after = extents[block + 1] if block + 1 < len(extents) else len(text)
            visited += (after - first) // _LARGE_BLOCK
            at = text.find(window, max(0, first), after + size)
            if at >= 0:
                same = _common(text, at, form, starts[start] - 1)
                reached = bisect_right(starts, starts[start] - 1 + same) - 1
                if best is None or reached > best.stop:
                    most *= reached < long
                    length = starts[reached] - starts[start] - 1
                    best = Run(start, reached, Hit(self._field_at(at + 1), at + 1, at + 1 + length))
        budget.steps -= visited
        return best

    def _leftwards(self, tokens: Sequence[bytes], run: Run, lowest: int) -> Run:
        """Extend a run to the left, not over the needle's word `lowest` nor out of its field."""
        start, at = run.start, run.hit.start
        while start > lowest:
            before = at - len(tokens[start - 1]) - 1
            if before < 1 or not self._words.startswith(b" " + tokens[start - 1] + b" ", before - 1):
                break
            start, at = start - 1, before
        return Run(start, run.stop, run.hit._replace(start=at))

    def near(self, first: Sequence[bytes], second: Sequence[bytes], within: int, budget: Budget) -> Found:
        """Find a word of `first` within `within` words of a word of `second`, in one field."""
        complete = True
        for token in first:
            found = self.find([token], budget, 64, limit=16)
            complete = complete and found.complete
            for hit in found.hits:
                left = (
                    self._words[max(0, hit.start - _NEAR) : hit.start].rpartition(b"\n")[2].split()[-within:]
                )
                right = self._words[hit.stop : hit.stop + _NEAR].partition(b"\n")[0].split()[:within]
                if any(word in second for word in (*left, *right)):
                    low = hit.start - sum(len(word) + 1 for word in left)
                    high = hit.stop + sum(len(word) + 1 for word in right)
                    return Found((Hit(hit.field, low, high),), complete=True)
        return Found((), complete)

    def squeezed(self, needle: str) -> Hit | None:
        """Find `needle` in a text whose separators are ignored: reads everything, so only for a card."""
        wanted = b"".join(tokenise(needle))
        for field in range(len(self) - 1, -1, -1) if wanted else ():
            first, after = self._blocks_of(field)
            start, end = self._extent(first)[0], self._extent(after - 1)[1]
            data = bytes(self._words[start:end]).partition(b"\n")[0]
            place = data.replace(b" ", b"").find(wanted)
            if place >= 0:
                low, high = _unsqueezed(data, place), _unsqueezed(data, place + len(wanted) - 1)
                return Hit(field, start + data.rfind(b" ", 0, low) + 1, start + data.find(b" ", high))
        return None


class _Windows(NamedTuple):
    """Where runs may begin in a needle, how far they must reach, and the chains to look for them in.

    Attributes:
        possible: for each word, whether a run may begin there.
        shortest: the fewest words of a run.
        buckets: the chain of what begins at each word.
        counts: how long each of these chains is.
        reach: for a needle with letters of a script without spaces: where what is chained for each token
            ends, and where the shortest and a long run from it do.
    """

    possible: bytes
    shortest: int
    buckets: list[int]
    counts: list[int]
    reach: tuple[list[int], list[int], list[int]] | None

    def stop(self, start: int) -> int:
        """Return where the shortest run from a word ends."""
        return start + self.shortest if self.reach is None else self.reach[1][start]

    def long(self, start: int) -> int:
        """Return where a run from a word is long."""
        return start + _LONG_RUN if self.reach is None else self.reach[2][start]

    def rarest(self, start: int, stop: int) -> int | None:
        """Return the shortest chain of what stands in a window; None if it surely does not stand here."""
        if self.reach is None:
            window = self.counts[start:stop]
            return self.buckets[start + window.index(min(window))]
        ends = self.reach[0]
        inside = [(self.counts[place], place) for place in range(start, stop) if ends[place] <= stop]
        least, place = min(inside)
        return self.buckets[place] if least else None


def _keys(before: Sequence[bytes], words: Sequence[bytes]) -> set[int]:
    """Return the hashes by which a block is chained: of its words; of unspaced letters, two and more of them.

    Args:
        before: the words before the block, for what begins there and ends in it.
        words: the block's.
    """
    if not holds_unspaced(b"".join((*before, *words))):
        return set(map(crc32, words))
    tokens = [*before, *words]
    weights = list(map(quarters, tokens))
    ends, hashes = _grams(tokens, weights)
    pairs = map(crc32, tokens[1:], map(crc32, tokens))
    first = len(before)
    keys = {hashed for hashed, weight in zip(pairs, weights, strict=False) if weight < WORD_QUARTERS}
    keys.update(
        hashed
        for place, (end, hashed) in enumerate(zip(ends, hashes, strict=True))
        if first < end <= len(tokens) and (place >= first or weights[place] < WORD_QUARTERS)
    )
    return keys


def _grams(tokens: Sequence[bytes], weights: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return where what is chained for each token ends, and its hash: a word, or letters worth two.

    Args:
        tokens: the words and letters.
        weights: for how many quarters of a word each counts.
    """
    ends = [
        end if weight < WORD_QUARTERS else place
        for place, (weight, end) in enumerate(zip(weights, reaches(weights, _GRAM_WORDS), strict=True), 1)
    ]
    form = b" ".join(tokens)
    starts = [*accumulate([len(token) + 1 for token in tokens], initial=0)]
    size = len(tokens)
    hashes = [
        crc32(form[start : starts[min(end, size)] - 1]) for start, end in zip(starts, ends, strict=False)
    ]
    return ends, hashes


def _form(tokens: Sequence[bytes]) -> bytes:
    """Return a run of words as it stands in the searched text, with the spaces around it."""
    return b" " + b" ".join(tokens) + b" " if tokens else b" "


def _common(text: bytearray, at: int, form: bytes, start: int) -> int:
    """Return how many bytes of `form` from `start` on stand in `text` from `at` on."""
    low, high, size = 0, len(form) - start, _CHUNK
    while low < high and text.startswith(form[start + low : start + low + size], at + low):
        low, size = min(high, low + size), 2 * size
    high = min(high, low + size)
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(form[start + low : start + middle], at + low):
            low = middle
        else:
            high = middle - 1
    return low


def _unsqueezed(data: bytes, number: int) -> int:
    """Return where the letter of that number stands in a text of words and single spaces."""
    seen = place = 0
    for word in data.split(b" "):
        if number < seen + len(word):
            return place + number - seen
        seen, place = seen + len(word), place + len(word) + 1
    return place
