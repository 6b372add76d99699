"""By what a text that we wrote is known again when it is read back: its units, in a normal form.

Rules:
- Whoever writes and whoever reads cut a text into the same units: the whole of it, its lines, the addresses,
  links and numbers in it, and fingerprints of its running words.
- Fingerprints are chosen by winnowing (Schleimer, Wilkerson, Aiken: "Winnowing", SIGMOD 2003): any run of
  `GUARANTEED` words that two texts share holds a fingerprint that both chose, wherever lines break. In a
  script without spaces, a fingerprint has as many letters as count for its words (`tokens`).
- A unit that many texts share by chance (a short word, a small number) is none.
- Not known again: what was put into other words, encoded, or cut into pieces shorter than a line and than
  `GUARANTEED` words.
"""

from array import array
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple
from zlib import crc32

from pratique.quarantine.atoms import atoms
from pratique.quarantine.normalise import loose
from pratique.quarantine.tokens import WORD_QUARTERS, quarters, reaches, tokenise, words_in

_GRAM = 6
_WINDOW = 16
GUARANTEED = _GRAM + _WINDOW - 1
"""Words in one run that are always known again."""

GUARANTEED_LETTERS = WORD_QUARTERS * _GRAM + _WINDOW - 1
"""The same in letters of a script without spaces: half as many of a fingerprint's, if they are ideographs."""

_SHORTEST = 6
_SHORTEST_LINE = 12
_SHORTEST_WORD = 12
_FEWEST_WORDS = 3
_LONGEST_WITH_ATOMS = 64 * 1024
_MOST_ATOMS = 64


class Unit(NamedTuple):
    """A part of a text: its normal form, which of the text's words it is, and whether that is all of them."""

    form: bytes
    start: int
    stop: int
    is_whole: bool = False


class Cut(NamedTuple):
    """A text, cut: all its words, and its units by kind, each kind in the text's order."""

    words: list[bytes]
    whole: list[Unit]
    atoms: list[Unit]
    lines: list[Unit]
    fingerprints: list[Unit]

    @property
    def kinds(self) -> tuple[list[Unit], list[Unit], list[Unit], list[Unit]]:
        """Its units by kind, the most telling kinds first."""
        return self.whole, self.atoms, self.lines, self.fingerprints

    @property
    def units(self) -> Iterator[Unit]:
        """Every unit."""
        return chain.from_iterable(self.kinds)


def cut(text: str) -> Cut:
    """Cut a text into the units by which it is known again.

    Args:
        text: as it was written or read. The cost is linear in it.
    """
    normal = loose(text)
    by_line = [tokenise(line) for line in normal.split("\n")]
    words = [word for line in by_line for word in line]
    whole = Unit(_form(words), 0, len(words), is_whole=True)
    lines = list(_lines(by_line)) if len(by_line) > 1 else []
    return Cut(
        words,
        [whole] if _tells(words) else [],
        list(_atoms(normal, words)),
        lines,
        list(_fingerprints(words)),
    )


def places(run: list[bytes], words: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield where a run of words stands among others."""
    start = -1
    for _ in range(words.count(run[0]) if run else 0):
        start = words.index(run[0], start + 1)
        if words[start : start + len(run)] == run:
            yield start, start + len(run)


def _form(words: list[bytes]) -> bytes:
    return b" ".join(words)


def _tells(words: list[bytes]) -> bool:
    """Whether texts do not share a whole value by chance: no small number, no single plain word."""
    size = sum(map(len, words))
    if len(words) == 1 and words[0].isalpha():
        return size >= _SHORTEST_WORD
    return size >= _SHORTEST


def _lines(by_line: list[list[bytes]]) -> Iterator[Unit]:
    """Yield the lines that say something: a greeting is shorter."""
    start = 0
    for words in by_line:
        stop = start + len(words)
        alone = _tells(words) and any(map(bytes.isdigit, words))
        if alone or (words_in(words) >= _FEWEST_WORDS and sum(map(len, words)) >= _SHORTEST_LINE):
            yield Unit(_form(words), start, stop)
        start = stop


def _atoms(normal: str, words: list[bytes]) -> Iterator[Unit]:
    """Yield each address, link, account number and key; a very long text is known by its other units."""
    if len(normal) > _LONGEST_WITH_ATOMS:
        return
    for atom in islice(atoms(normal), _MOST_ATOMS):
        run = tokenise(atom)
        if sum(map(len, run)) >= _SHORTEST:
            yield from (Unit(_form(run), *place) for place in places(run, words))


def _fingerprints(words: list[bytes]) -> Iterator[Unit]:
    """Yield runs of words, chosen by the least hash in each window: the last of equal ones."""
    ends = [end for end in reaches(list(map(quarters, words)), _GRAM) if end <= len(words)]
    hashes = array("I", map(crc32, words[: len(ends)]))
    chosen = -1
    for start in range(len(hashes) - _WINDOW + 1):
        last = start + _WINDOW - 1
        if chosen < start:
            window = hashes[start : last + 1]
            least = min(window)
            chosen = last - window[::-1].index(least)
        elif hashes[last] <= hashes[chosen]:
            chosen = last
        else:
            continue
        yield Unit(_form(words[chosen : ends[chosen]]), chosen, ends[chosen])
